"""Models defined by a Python file, which calls `set_model` with the model."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard._documents import Unreadable, read_file, read_yaml
from modelyard.exceptions import InvalidParameter, ModelyardException, NotFound
from modelyard.models import _foreign
from modelyard.models._pickles import needs_module
from modelyard.models._quote import quote

_CODE_FOLDER = "code"
_MAX_SETTINGS_BYTES = 4 * 2**20


@dataclass
class _Running:
    """A file that is being run, its settings, and the model it sets."""

    config: Mapping[str, Any] | None
    models: list[Any] = field(default_factory=list)


_running: ContextVar[_Running | None] = ContextVar("running", default=None)


def set_model(model: Any) -> None:
    """Set the model of a Python file that is logged as a model.

    Args:
        model: An instance of `PythonModel` or a function of the input.

    Raises:
        InvalidParameter: `model` is neither.
    """
    if not callable(model) and not callable(getattr(model, "predict", None)):
        raise InvalidParameter(
            "set_model takes an instance of PythonModel or a function of the input, "
            f"got {type(model).__name__}."
        )
    running = _running.get()
    if running is not None:
        running.models.append(model)


class ModelConfig:
    """Settings of a model defined by a Python file.

    Args:
        development_config: Settings to use unless the file is loaded as a model with its own: a
            dict or the path of a YAML file.
    """

    def __init__(self, *, development_config: Mapping[str, Any] | str | Path | None = None) -> None:
        running = _running.get()
        given = running.config if running and running.config else development_config
        if given is None:
            raise InvalidParameter(
                "The model has no settings: log or load it with model_config, or give "
                "development_config."
            )
        self._config = dict(given) if isinstance(given, Mapping) else _read_settings(Path(given))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings."""
        return dict(self._config)

    def get(self, key: str) -> Any:
        """Return a setting.

        Raises:
            KeyError: No setting has this name.
        """
        return self._config[key]


def _read_settings(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotFound(f"The settings file {str(file)!r} does not exist.")
    try:
        read = read_yaml(read_file(file, _MAX_SETTINGS_BYTES))
    except Unreadable as unreadable:
        raise InvalidParameter(
            f"The settings in {str(file)!r} cannot be read: {unreadable}."
        ) from unreadable
    if not isinstance(read, dict):
        raise InvalidParameter(f"The settings in {str(file)!r} are not a YAML mapping.")
    return read


def run(file: Path, config: Mapping[str, Any] | None) -> Any:
    """Run a Python file and return the model it sets.

    Raises:
        InvalidParameter: The file fails, or sets no model.
    """
    running = _Running(config)
    name = f"modelyard_model_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidParameter(f"{file.name} is not a Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes of the file look up their module
    token = _running.set(running)
    try:
        with _names_of_mlflow(file):
            spec.loader.exec_module(module)
    except ModelyardException:
        raise
    except ModuleNotFoundError as absent:
        raise needs_module(absent) from absent
    except Exception as failed:  # the model's own code
        raise InvalidParameter(
            f"The model was not loaded: {file.name} fails with {type(failed).__name__}: "
            f"{quote(str(failed).partition(chr(10))[0])}."
        ) from failed
    finally:
        _running.reset(token)
    if not running.models:
        raise InvalidParameter(
            f"{file.name} sets no model: it must call modelyard.models.set_model(model)."
        )
    return running.models[-1]


def _names_of_mlflow(file: Path) -> AbstractContextManager[None]:
    """Answer MLflow's `set_model` and `ModelConfig` with ours while a file runs."""
    if b"mlflow" not in file.read_bytes():
        return nullcontext()  # avoids importing MLflow, which takes seconds
    ours = {"ModelConfig": ModelConfig, "set_model": set_model}
    return _foreign.answered_by("mlflow.models", ours)


def copy_code(folder: Path, code_paths: Sequence[str | Path] | None) -> str | None:
    """Copy files and folders of Python code into a model folder.

    Returns:
        Name of the code folder for the MLmodel file; None without code.

    Raises:
        InvalidParameter: `code_paths` is not a list.
        NotFound: A path does not exist.
    """
    if code_paths is None:
        return None
    if isinstance(code_paths, str | Path):
        raise InvalidParameter(
            f"code_paths must be a list of files and folders, got {str(code_paths)!r}."
        )
    target = folder / _CODE_FOLDER
    target.mkdir()
    for path in map(Path, code_paths):
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, target / path.resolve().name, ignore=ignored)
        elif path.is_file():
            shutil.copyfile(path, target / path.name)
        else:
            raise NotFound(f"The path {str(path)!r} in code_paths does not exist.")
    return _CODE_FOLDER
