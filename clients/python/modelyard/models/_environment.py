"""The three files that describe a model's environment."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from modelyard._documents import Unreadable, read_file, read_yaml
from modelyard.exceptions import InvalidParameter

# Keys and names of the two kinds of environment file in an MLmodel file.
ENVIRONMENT_FILES = {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}
_MAX_BYTES = 4 * 2**20
_BUILD_PACKAGES = ("pip", "setuptools", "wheel")


def pinned(*packages: str) -> list[str]:
    """Return `name==version` for each; the caller has imported them, so they are installed."""
    return [f"{name}=={metadata.version(name)}" for name in packages]


def _installed(packages: Sequence[str]) -> list[str]:
    present = {dist.name.lower() for dist in metadata.distributions() if dist.name}
    return pinned(*(name for name in packages if name in present))


def requirement_lines(given: str | Sequence[str]) -> list[str]:
    """Return the requirements of a list or of a requirements file."""
    if not isinstance(given, str):
        return list(given)
    file = Path(given)
    if not file.is_file():
        raise InvalidParameter(
            "pip_requirements must be a list of requirements or an existing requirements file."
        )
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def write_environment(
    folder: Path, requirements: Sequence[str], conda_env: dict[str, Any] | str | None = None
) -> None:
    """Write `requirements.txt`, `python_env.yaml` and `conda.yaml`.

    Args:
        folder: The model folder.
        requirements: Requirements in pip's syntax.
        conda_env: Replacement for the generated `conda.yaml`: its content or the path of a file.
    """
    import yaml

    text = "".join(f"{line}\n" for line in requirements)
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    python_env = {
        "python": platform.python_version(),
        "build_dependencies": _installed(_BUILD_PACKAGES),
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "python_env.yaml").write_text(
        yaml.safe_dump(python_env, sort_keys=False), encoding="utf-8"
    )
    conda = _conda(requirements) if conda_env is None else _read_conda(conda_env)
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False), encoding="utf-8")


def _conda(requirements: Sequence[str]) -> dict[str, Any]:
    return {
        "channels": ["conda-forge"],
        "dependencies": [
            f"python={platform.python_version()}",
            "pip",
            {"pip": list(requirements)},
        ],
        "name": "mlflow-env",
    }


def _read_conda(conda_env: dict[str, Any] | str) -> dict[str, Any]:
    read = conda_env
    if isinstance(conda_env, str):
        try:
            read = read_yaml(read_file(Path(conda_env), _MAX_BYTES))
        except Unreadable as unreadable:
            raise InvalidParameter(
                f"The file {conda_env!r} cannot be read: {unreadable}."
            ) from unreadable
    if not isinstance(read, dict):
        raise InvalidParameter("conda_env must be a mapping or a YAML file that holds one.")
    return read
