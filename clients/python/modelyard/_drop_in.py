"""MLflow's names: modules under MLflow's paths, answers to missing names, and `install_as_mlflow`.

`_names_of_mlflow.txt` lists the public names of MLflow (`tools/mlflow_inventory.py names`). A name
of it that this package lacks is answered with what to use instead.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # its import takes longer than the rest of this module
    from importlib.abc import Loader

_OURS, _THEIRS = "modelyard", "mlflow"
_CLIENT = "MlflowClient"
_ELSEWHERE = {
    "pyfunc.model": "pyfunc",
    "tracking.client": "client",
    "tracking.fluent": "",
}
"""Our module for a path of MLflow, both below the package; "" is the package itself."""
_ENTITIES = "entities"
_AREAS = {
    "genai": "traces, prompts and evaluation of generative AI",
    "webhooks": "webhooks",
    "workspaces": "workspaces",
}
"""Areas of MLflow that the server does not have either, by kind."""
_FLAVOURS = frozenset(
    {
        *("catboost", "h2o", "keras", "langchain", "lightgbm", "onnx", "paddle", "pmdarima"),
        *("prophet", "pytorch", "sentence_transformers", "spacy", "spark", "statsmodels"),
        *("tensorflow", "transformers", "xgboost"),
    }
)


def install_as_mlflow() -> None:
    """Make every later `import mlflow` and `from mlflow.… import …` import this package.

    The modules are the same objects under both names. It does not matter whether MLflow is
    installed. A name that this package lacks is refused as usual, and also reported by a warning.

    Raises:
        ImportError: MLflow is already imported.
    """
    loaded = sys.modules.get(_THEIRS)
    if loaded is not None and loaded is not sys.modules[_OURS]:
        raise ImportError(
            "MLflow is already imported: call modelyard.install_as_mlflow() before the first "
            "import of mlflow.",
            name=_THEIRS,
        )
    if not _is_installed():
        sys.meta_path.insert(0, _installed)


def answer_imports() -> None:
    """Answer imports of submodules that this package has under another name, or lacks."""
    if not any(isinstance(finder, Finder) and finder.root == _OURS for finder in sys.meta_path):
        sys.meta_path.append(Finder(_OURS))


def _is_installed() -> bool:
    return _installed in sys.meta_path


def missing_attribute(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module of this package.

    Args:
        module: Name of the module, `__name__`.
    """

    def refuse(name: str) -> Any:
        raise _no_attribute(sys.modules[module], f"module '{module}'", module, name)

    return refuse


def missing_method(client: object, name: str) -> AttributeError:
    """Return the error for a missing attribute of an `MlflowClient`."""
    return _no_attribute(client, f"'{_CLIENT}' object", f"{_OURS}.{_CLIENT}", name)


def _no_attribute(owner: object, shown: str, path: str, name: str) -> AttributeError:
    text = _absence(f"{path}.{name}") or f"{shown} has no attribute '{name}'"
    # Python suggests a similar name from these two.
    return AttributeError(text, name=name, obj=owner)


@cache
def names_of_mlflow() -> dict[str, str]:
    """Return the kind of each public name of MLflow, such as "mlflow.sklearn.autolog"."""
    file = Path(__file__).with_name("_names_of_mlflow.txt")
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    return {name: kind for kind, name, *_ in lines}


def _absence(name: str) -> str | None:
    """Return the sentence about a name that MLflow has and this package lacks; else None."""
    below = name.partition(".")[2]
    kind = names_of_mlflow().get(f"{_THEIRS}.{below}")
    if kind is None:
        return None
    own = "MLflow's own client, which works against this server (MLFLOW_TRACKING_URI=<its address>)"
    if kind in _AREAS:
        text = f"Modelyard has no {below}: {_AREAS[kind]} are not part of it"
    elif below in _FLAVOURS:
        ours = "modelyard.pyfunc.log_model(python_model=…)"
        text = f"Modelyard's SDK has no {below}: use {ours}, or {own}"
    else:
        text = f"Modelyard's SDK has no {below}: use {own}"
    text = f"{text}; docs/sdk.md lists what the SDK lacks."
    if _is_installed():  # a script that goes on without the name would not show the error
        _warn(text)
    return text


def _warn(text: str) -> None:
    """Warn of a missing name at the line of the script that asked for it."""
    from inspect import currentframe

    frame = currentframe()
    while frame and frame.f_globals.get("__name__", "").startswith((_OURS, "importlib")):
        frame = frame.f_back
    if frame:
        warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


class Finder:
    """Finds modules of this package under MLflow's paths.

    Args:
        root: "mlflow", in front of all finders, for whatever is below it; or "modelyard", behind
            them, for what they have not found.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the specification of a module that is one of ours.

        Raises:
            ModuleNotFoundError: MLflow has the module and this package lacks it, or has one with a
                similar name.
        """
        del target
        root, _, below = fullname.partition(".")
        if root != self.root:
            return None
        ours = _module_of(below)
        if ours != fullname and find_spec(ours) is not None:
            return ModuleSpec(fullname, cast("Loader", _Same(ours)))
        text = _absence(fullname)
        if text is not None:
            # `from modelyard import x` hides the error of a module with the name that it asked for.
            raise ModuleNotFoundError(text, name=f"{_THEIRS}.{below}")
        near = _near(fullname, path)
        if near:
            text = f"No module named {fullname!r}. Did you mean: {near!r}?"
            raise ModuleNotFoundError(text, name=fullname)
        return None


def _module_of(below: str) -> str:
    """Return the name of our module for a path of MLflow below its package."""
    package, _, rest = below.partition(".")
    if below in _ELSEWHERE:
        below = _ELSEWHERE[below]
    elif package == _ENTITIES and rest and f"{_THEIRS}.{below}" in names_of_mlflow():
        # Each entity has a module of its own in MLflow.
        is_registry = rest.startswith("model_registry")
        below = f"{_ENTITIES}.model_registry" if is_registry else _ENTITIES
    return f"{_OURS}.{below}".rstrip(".")


def _near(fullname: str, path: Sequence[str] | None) -> str | None:
    from difflib import get_close_matches
    from pkgutil import iter_modules

    package, _, name = fullname.rpartition(".")
    modules = [module.name for module in iter_modules(path) if not module.name.startswith("_")]
    found = get_close_matches(name, modules, 1)
    return f"{package}.{found[0]}" if found and name != found[0] else None


class _Same:
    """Loads the same module under another name."""

    def __init__(self, ours: str) -> None:
        self._ours = ours
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        del spec
        module = import_module(self._ours)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import has replaced it


_installed = Finder(_THEIRS)
