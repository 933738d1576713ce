"""The SDK in the place of MLflow: the tutorial's unchanged scripts, and MLflow's names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from tests.compat import environments, running

from modelyard.client import MlflowClient

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "clients" / "python" / "modelyard" / "_names_of_mlflow.txt"
PRINTED = """\
Model logged. Accuracy: 1.000
Registered iris_classifier version {first}
Description: Random Forest trained on Iris dataset. Achieves 96% accuracy on test set.
Tags: {{'approved_by': '[email protected]', 'team': 'data_science'}}
Trained model. Test accuracy: 1.000
Registered iris_classifier version {second}
Transitioned to Staging
Staging model accuracy (validation): 1.000
Promoted version {second} to Production!
"""


def python_with_mlflow(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return an interpreter that has MLflow, and what its environment needs to find the SDK."""
    (folder / "grpc").symlink_to(Path(grpc.__file__).parent)  # MLflow does not need it
    path = (str(folder), str(ROOT / "clients" / "python"), str(ROOT))
    return environments.python(environments.CLIENT), {"PYTHONPATH": ":".join(path)}


@pytest.mark.parametrize("mlflow", ["not installed", "installed"])
def test_the_scripts_of_the_tutorial_run_unchanged(
    mlflow: str, tracking_uri: str, tmp_path: Path
) -> None:
    first = 1 + len(MlflowClient(tracking_uri).search_model_versions("name = 'iris_classifier'"))
    env = running.variables(tracking_uri, MODELYARD_CACHE=str(tmp_path / "cache"))
    interpreter = Path(sys.executable)
    if mlflow == "installed":
        interpreter, found = python_with_mlflow(tmp_path)
        env |= found
    done = subprocess.run(
        [interpreter, "-m", "modelyard", "run", "-m", "tests.compat.session"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = PRINTED.format(first=first, second=first + 1)
    assert done.stdout.startswith(expected)
    assert done.stdout.splitlines()[-2:] == [
        f"Production version: {first + 1}",
        "Predictions: [1, 0, 2]",
    ]


def test_the_list_of_mlflows_names_is_that_of_its_client(tmp_path: Path) -> None:
    tool = ROOT / "tools" / "mlflow_inventory.py"
    env = running.variables("http://127.0.0.1:9")
    printed = running.run(environments.CLIENT, "-W", "ignore", tool, "names", env=env, cwd=tmp_path)
    assert printed == NAMES.read_text(encoding="utf-8"), "Run make sdk-page"
