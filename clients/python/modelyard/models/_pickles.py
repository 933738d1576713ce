"""Reads and writes pickles of models; reading a pickle can run any code."""

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
    """Write `model` with cloudpickle, including code that is not in an importable module.

    Our `PythonModel` is written as MLflow's, so that MLflow loads the file without Modelyard.

    Returns:
        Top-level names of the packages needed to load the pickle.

    Raises:
        ImportError: cloudpickle is not installed.
        InvalidParameter: A part of the model cannot be pickled.
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
            elif reduced is NotImplemented:  # pickled by name, or an instance whose class follows
                packages.add(str(getattr(found, "__module__", "")).partition(".")[0])
            return reduced

    try:
        with file.open("wb") as stream:
            Pickler(stream).dump(model)
    except (pickle.PicklingError, TypeError, AttributeError) as refused:
        raise InvalidParameter(
            f"{type(model).__name__} cannot be pickled ({_one_line(refused)}). Open such "
            "resources in load_context, or give python_model the path of a Python file that "
            "creates the model."
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
    """Load a pickle without restrictions on what it runs.

    Args:
        file: File written with pickle or cloudpickle.
        compression: `bzip2`, `gzip` or `lzma`; None for none.

    Raises:
        InvalidParameter: The file is damaged, or needs a module that is not installed.
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
    except Exception as failed:  # unpickling runs the model's own code
        raise InvalidParameter(
            f"The model was not loaded: its pickle fails with {type(failed).__name__}: "
            f"{_one_line(failed)}. Python or a package may have another version than where the "
            "model was logged; see its requirements.txt."
        ) from failed


def needs_module(absent: ModuleNotFoundError) -> InvalidParameter:
    """Return the refusal of a model that needs a module that is not installed."""
    name = str(absent.name)
    if name.partition(".")[0] == "mlflow":
        return _foreign.needs(name)
    return InvalidParameter(
        f"The model was not loaded: it needs the Python module {quote(name)}, which is not "
        "installed here. Install the packages in its requirements.txt; to include code of your "
        "own, log the model with code_paths."
    )


def add_code(folder: Path, flavor: Mapping[str, Any]) -> None:
    """Make the modules that were logged with `code_paths` importable in this process."""
    code = flavor.get("code")
    if not code:
        return
    path = (folder / str(code)).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_dir():
        raise InvalidParameter(
            f"The MLmodel file names {quote(code)} as its code, which is not a folder of the model."
        )
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


def _one_line(error: Exception) -> str:
    return quote(str(error).partition("\n")[0])
