"""The environments with the real `mlflow` packages that `make clients` sets up."""

from __future__ import annotations

from pathlib import Path

VERSIONS = ("2.22", "3.6", "3.17")
CLIENT = "3.17"
"""The version that `make test` runs the tutorial with."""

_FOLDER = Path(__file__).parents[2] / ".cache" / "clients"


def python(version: str) -> Path:
    """Return the interpreter of the environment with this MLflow, such as "3.17".

    Raises:
        FileNotFoundError: The environment is missing; tests fail then and are not skipped.
    """
    environment = _FOLDER / f"mlflow-{version}"
    if not (environment / "installed").exists():
        raise FileNotFoundError(
            f"There is no environment with MLflow {version}. Set it up: make clients"
        )
    return environment / "bin" / "python"
