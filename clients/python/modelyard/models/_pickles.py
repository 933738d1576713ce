"""Reading and writing pickles of models; reading one can run any code."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import pkgutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from modelyard.exceptions import InvalidParameter, ModelyardException
from modelyard.models import _foreign
from modelyard.models._quote import quote

_OPENERS: dict[str, Any] = {"bzip2": bz2.open, "gzip": gzip.open, "lzma": lzma.open}


def dump(model: Any, file: Path) -> set[str]:
    """Write `model` with cloudpickle: code that is not in an importable module goes with it.

    Our `PythonModel` is written as MLflow's, so that MLflow loads the file without us.

    Returns:
        Top-level names of the packages that loading it needs.

    Raises:
        ImportError: cloudpickle is not installed.
        InvalidParameter: A part of the model has no pickle.
    """
    if find_spec("cloudpickle") is None:
        raise ImportError("Storing this model needs cloudpickle: pip install cloudpickle")
    import cloudpickle  # type: ignore[import-untyped]

    from modelyard.models._python_model import PythonModel, PythonModelContext

    known_to_mlflow = {
        PythonModel: "mlflow.pyfunc.model:PythonModel",
        PythonModelContext: "mlflow.pyfunc.model:PythonModelContext",
    }
    packages: set[str] = set()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, found: Any) -> Any:
            if isinstance(found, type) and found in known_to_mlflow:
                return pkgutil.resolve_name, (known_to_mlflow[found],)
            reduced = super().reducer_override(found)
            if isinstance(found, ModuleType):
                packages.add(found.__name__.partition(".")[0])
            elif reduced is NotImplemented:  # by its name, or an instance whose class follows
                packages.add(str(getattr(found, "__module__", "")).partition(".")[0])
            return reduced

    try:
        with file.open("wb") as stream:
            Pickler(stream).dump(model)
    except (pickle.PicklingError, TypeError, AttributeError) as refused:
        raise InvalidParameter(
            f"{type(model).__name__} cannot be pickled ({_one_line(refused)}). Open such things in "
            "load_context, or give python_model the path of a Python file that makes the model."
        ) from refused
    return packages


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("pkgutil", "resolve_name"):
            return _resolved
        if module.partition(".")[0] == "mlflow":
            return _foreign.named(module, name)
        return super().find_class(module, name)


def _resolved(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if module.partition(".")[0] == "mlflow":
        return _foreign.named(module, attribute)
    return pkgutil.resolve_name(name)


def load(file: Path, compression: Any = None) -> Any:
    """Load a pickle, whatever it does.

    Args:
        file: Written with pickle or cloudpickle.
        compression: `bzip2`, `gzip` or `lzma`; None for none.

    Raises:
        InvalidParameter: It is damaged, or needs a module that is not installed.
    """
    opened: IO[bytes] = _OPENERS.get(str(compression), open)(file, "rb")
    try:
        with opened as stream, _foreign.importable():
            return _Unpickler(stream).load()
    except ModelyardException:
        raise
    except ModuleNotFoundError as absent:
        raise needs_module(absent) from absent
    except (pickle.UnpicklingError, EOFError, OSError, lzma.LZMAError) as damaged:
        raise InvalidParameter(
            f"The model was not loaded: {file.name} is not a readable pickle. It is damaged; log "
            "the model again."
        ) from damaged
    except Exception as failed:  # unpickling runs the code of other people
        raise InvalidParameter(
            f"The model was not loaded: its pickle fails with {type(failed).__name__}: "
            f"{_one_line(failed)}. Python or a package may be of another version than where the "
            "model was logged; see its requirements.txt."
        ) from failed


def needs_module(absent: ModuleNotFoundError) -> InvalidParameter:
    """The refusal of a model whose code imports what is not there."""
    name = str(absent.name)
    if name.partition(".")[0] == "mlflow":
        return _foreign.needs(name)
    return InvalidParameter(
        f"The model was not loaded: it needs the Python module {quote(name)}, which is not "
        "installed here. Install what its requirements.txt says; code of your own goes with a "
        "model that is logged with code_paths."
    )


def add_code(folder: Path, flavor: Mapping[str, Any]) -> None:
    """Make the modules that were logged with `code_paths` importable in this process."""
    code = flavor.get("code")
    if not code:
        return
    path = (folder / str(code)).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_dir():
        raise InvalidParameter(
            f"The MLmodel file names {quote(code)} as its code, which is no folder of the model."
        )
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


def _one_line(error: Exception) -> str:
    return quote(str(error).partition("\n")[0])
