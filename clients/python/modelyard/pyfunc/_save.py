"""Writes the folder of a Python model."""

from __future__ import annotations

import ast
import inspect
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal

from modelyard.exceptions import InvalidParameter, NotFound
from modelyard.models import _code, _environment, _pickles
from modelyard.models._describe import describe
from modelyard.models._folder import finish, local_path_of_artifact, new_folder
from modelyard.models._python_model import PythonModel, model_of
from modelyard.models.model import Model
from modelyard.models.signature import ModelSignature, check_signature
from modelyard.pyfunc._python_model import (
    CODE_LOADER_MODULE,
    LOADER_MODULE,
    PythonModelPredictor,
    context_of,
)

_FILE = "python_model.pkl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """Options for saving a Python model; see `modelyard.pyfunc.save_model`."""

    artifacts: Mapping[str, str] | None = None
    code_paths: Sequence[str | Path] | None = None
    signature: ModelSignature | Literal[False] | None = None
    input_example: Any = None
    metadata: dict[str, Any] | None = None
    model_config: dict[str, Any] | None = None
    pip_requirements: str | Sequence[str] | None = None
    extra_pip_requirements: str | Sequence[str] | None = None
    conda_env: dict[str, Any] | str | None = None


def save(python_model: Any, path: str | Path, options: SaveOptions) -> Model:
    check_signature(options.signature)
    code = Path(python_model) if isinstance(python_model, str | Path) else None
    wrapped = _as_model(_code_of(code, options) if code else python_model)
    folder = new_folder(path)
    flavor: dict[str, Any] = {
        "cloudpickle_version": packages.version("cloudpickle"),
        "code": _code.copy_code(folder, options.code_paths),
        "config": options.model_config or {},
        "env": dict(_environment.ENVIRONMENT_FILES),
        "python_version": platform.python_version(),
        "streamable": False,
    }
    if options.artifacts:
        flavor["artifacts"] = _copy_artifacts(folder, options.artifacts)
    if code:
        shutil.copyfile(code, folder / code.name)
        flavor |= {"loader_module": CODE_LOADER_MODULE, "model_code_path": code.name}
        needed = _imported(code)
    else:
        flavor |= {"loader_module": LOADER_MODULE, "python_model": _FILE}
        needed = _pickles.dump(wrapped, folder / _FILE)
    model = Model(
        metadata=options.metadata,
        flavors={"python_function": flavor},
    )
    predict = partial(_first_answer, wrapped, folder, flavor)
    describe(model, folder, options.input_example, options.signature, predict)
    _environment.write_environment(folder, _requirements(needed, options), options.conda_env)
    return finish(folder, model)


def _first_answer(
    wrapped: PythonModel,
    folder: Path,
    flavor: dict[str, Any],
    data: Any,
    params: dict[str, Any],
) -> Any:
    """Return the prediction of a model that is being saved."""
    context = context_of(folder, flavor, None)
    wrapped.load_context(context)
    return PythonModelPredictor(wrapped, context).predict(data, params)


def _code_of(file: Path, options: SaveOptions) -> Any:
    if not file.is_file():
        raise NotFound(
            f"No Python file found at {str(file)!r}, given as python_model: give the path of a "
            "file that calls modelyard.models.set_model, a PythonModel or a function."
        )
    return _code.run(file, options.model_config)


def _as_model(python_model: Any) -> PythonModel:
    if isinstance(python_model, PythonModel):
        return python_model
    if inspect.isfunction(python_model):
        taken = inspect.signature(python_model).parameters
        if len([name for name in taken if name != "params"]) != 1:
            raise InvalidParameter(
                f"{python_model.__name__} takes ({', '.join(taken)}), but a function given as "
                "python_model must take one parameter, the input, and optionally params."
            )
        return model_of(python_model)
    if not isinstance(python_model, type) and hasattr(python_model, "load_context"):
        return python_model  # type: ignore[no-any-return] # MLflow's PythonModel, from a file
    raise InvalidParameter(
        "python_model must be an instance of modelyard.pyfunc.PythonModel, a function of the "
        f"input or the path of a Python file, got {_described(python_model)}."
    )


def _described(python_model: Any) -> str:
    if isinstance(python_model, type):
        return f"the class {python_model.__name__}; give an instance of it"
    return type(python_model).__name__


def _copy_artifacts(folder: Path, artifacts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    stored: dict[str, dict[str, str]] = {}
    for name, uri in artifacts.items():
        source = local_path_of_artifact(uri)
        relative = f"artifacts/{source.name}"
        target = folder / relative
        if target.exists():
            raise InvalidParameter(
                f"Two artifacts are named {source.name!r}; give them different file names."
            )
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        stored[name] = {"path": relative, "uri": str(uri)}
    return stored


def _imported(file: Path) -> set[str]:
    """Return the top-level names that a Python file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _requirements(needed: set[str], options: SaveOptions) -> list[str]:
    if options.pip_requirements is not None:
        return _environment.requirement_lines(options.pip_requirements)
    extra = options.extra_pip_requirements
    more = [] if extra is None else _environment.requirement_lines(extra)
    return _environment.pinned(*sorted(_distributions(needed))) + more


def _distributions(modules: set[str]) -> set[str]:
    """Return the distributions of top-level modules, and of modelyard to read the model."""
    known = dict(packages.packages_distributions())
    if "modelyard" in modules:
        known["modelyard"] = ["modelyard"]  # an editable installation does not list its files
    found = {name for module in modules for name in known.get(module, ())}
    return found | {"cloudpickle", "numpy", "pandas"}
