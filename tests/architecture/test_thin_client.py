"""The base distribution: two packages and their dependencies, which suffice to log a run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.installed import ROOT, UV, installed_in, succeed
from tests.support.processes.up_process import Up, environment, up

LOG_A_RUN = """
import json, sys
import modelyard as mlflow
heavy = {"grpc", "google"} & {name.split(".")[0] for name in sys.modules}
assert not hasattr(mlflow, "autolog")  # reads the list of MLflow's names in the wheel
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("thin")
with mlflow.start_run() as run:
    mlflow.log_param("p", 1)
    mlflow.log_metric("m", 0.5)
    mlflow.log_text("text", "t.txt")
    mlflow.log_text("flavors: {}", "MLmodel")
mlflow.register_model(f"runs:/{run.info.run_id}/", "thin model")
found = mlflow.search_runs(output_format="list")[0]
path = mlflow.artifacts.download_artifacts("models:/thin model/latest")
text = open(f"{path}/t.txt").read()
print(json.dumps([sorted(heavy), found.data.params, found.data.metrics, text]))
"""

TYPED = """
import modelyard
import modelyard.pyfunc
import modelyard.sklearn
from modelyard import MlflowClient
from modelyard.models import infer_signature

reveal_type(modelyard.set_experiment("iris"))
with modelyard.start_run(run_name="first", tags={"team": "ds"}) as run:
    reveal_type(run)
    modelyard.log_metric("accuracy", 0.97, step=1)
    info = modelyard.sklearn.log_model(object(), "model", signature=infer_signature([[1.0]]))
    reveal_type(info)
reveal_type(modelyard.get_run(run.info.run_id).data.metrics)
version = modelyard.register_model(info.model_uri, "iris")
reveal_type(version)
client = MlflowClient()
reveal_type(client.transition_model_version_stage("iris", version.version, "Staging"))
reveal_type(client.search_model_versions("name='iris'"))
reveal_type(client.search_runs(["0"]))
reveal_type(modelyard.search_runs(output_format="list"))
reveal_type(client.history("iris"))
reveal_type(client.history("iris")[0].time)
reveal_type(client.verify_history("iris").hash)
reveal_type(client.get_metric_history(run.info.run_id, "accuracy"))
for event in client.watch("iris", timeout_s=1.0):
    reveal_type(event)
loaded = modelyard.pyfunc.load_model("models:/iris/Staging")
reveal_type(loaded)
reveal_type(loaded.signature)
reveal_type(modelyard.artifacts.download_artifacts("models:/iris/1"))
reveal_type(modelyard.active_run())
run.info.run_id + 1
"""


def lowest_dependencies() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    return [requirement.split(",")[0].replace(">=", "==") for requirement in declared]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the bare wheel and its lowest dependencies."""
    folder = tmp_path_factory.mktemp("thin")
    return installed_in(folder / "venv", "--only-binary", ":all:", wheel, *lowest_dependencies())


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("home")) as instance:
        yield instance
        instance.stop()


def test_the_base_is_two_packages_and_what_they_need(python: Path) -> None:
    listed = json.loads(succeed(UV, "pip", "list", "--python", python, "--format", "json"))
    names = {entry["name"].lower() for entry in listed}
    assert names == {"modelyard", "grpcio", "protobuf"}


def test_a_run_is_logged_with_the_base_alone(python: Path, platform: Up) -> None:
    output = succeed(python, "-W", "error", "-c", LOG_A_RUN, platform.instance["http"])
    assert json.loads(output) == [[], {"p": "1"}, {"m": 0.5}, "text"]


def test_mypy_sees_the_types_of_an_installed_client(python: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(TYPED)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "script.py"],
        cwd=tmp_path,  # where no settings of ours are
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Unsupported operand types for + ("str" and "int")' in checked.stdout, checked.stderr
    assert "Found 1 error" in checked.stdout, checked.stdout
    types = [text.rpartition(".")[2] for text in re.findall('type is "(.*)"', checked.stdout)]
    assert types == [
        *(
            "Experiment",
            "ActiveRun",
            "ModelInfo",
            "dict[str, float]",
            "ModelVersion",
            "ModelVersion",
        ),
        *("ModelVersion]", "Run]", "Run]", "ModelEvent]", "datetime", "str", "Metric]"),
        *("ModelEvent", "PyFuncModel", "ModelSignature | None", "str", "Run | None"),
    ]


def test_what_the_base_cannot_do_names_the_extra(python: Path, tmp_path: Path) -> None:
    settings = environment(MODELYARD_HOME=str(tmp_path))
    for extra, code in (
        ("server", "import modelyard; modelyard.start_run()"),
        ("sklearn", "import modelyard.sklearn; modelyard.sklearn.load_model('runs:/a/b')"),
        ("sklearn", "import modelyard; modelyard.search_runs()"),
        ("server", "import sys, modelyard.__main__ as m; sys.exit(m.main(['up']))"),
        ("serving", "import sys, modelyard.__main__ as m; sys.exit(m.main(['models', 'serve']))"),
    ):
        failed = subprocess.run(
            [python, "-c", code], env=settings, capture_output=True, text=True, check=False
        )
        assert failed.returncode in {1, 2}
        assert f"pip install 'modelyard[{extra}]'" in failed.stderr.strip().splitlines()[-1]
