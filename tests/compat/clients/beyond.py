"""Features of the tutorial that MLflow's own server refuses or loses."""

from __future__ import annotations

import math
import tempfile
import unicodedata
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient


def _model(versions: int) -> str:
    client = MlflowClient()
    name = f"beyond {uuid4().hex}"
    client.create_registered_model(name)
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    for _ in range(versions):
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return name


def a_version_is_found_by_its_stage_or_alias() -> None:
    client = MlflowClient()
    name = _model(2)
    client.transition_model_version_stage(name, "2", "Production")
    client.set_registered_model_alias(name, "champion", "1")
    assert str(client.get_model_version(name, "production").version) == "2"
    assert str(client.get_model_version(name, "Production").version) == "2"
    assert str(client.get_model_version(name, "champion").version) == "1"


def versions_are_searched_by_stage_alias_and_status() -> None:
    client = MlflowClient()
    name = _model(3)
    client.transition_model_version_stage(name, "2", "Production")
    client.set_registered_model_alias(name, "champion", "3")

    def found(condition: str) -> set[str]:
        versions = client.search_model_versions(f"name='{name}' and {condition}")
        return {str(version.version) for version in versions}

    assert found("current_stage='Production'") == {"2"}
    assert found("current_stage != 'Production'") == {"1", "3"}
    assert found("alias = 'champion'") == {"3"}
    assert found("status = 'READY'") == {"1", "2", "3"}
    assert found("(current_stage = 'Production' OR alias = 'champion')") == {"2", "3"}
    assert found("NOT version_number IN (1, 2)") == {"3"}
    assert found("tags.missing IS NULL") == {"1", "2", "3"}


def one_version_holds_a_stage() -> None:
    client = MlflowClient()
    name = _model(2)
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production")
    assert client.get_model_version(name, "1").current_stage == "None"
    assert client.get_model_version(name, "2").current_stage == "Production"


def a_tag_protects_a_model_from_deletion() -> None:
    client = MlflowClient()
    name, tag = _model(1), "modelyard.deletion_protection"
    client.set_registered_model_tag(name, tag, "true")
    for delete, words in (
        (client.delete_model_version, (name, "1")),
        (client.delete_registered_model, (name,)),
    ):
        try:
            delete(*words)
        except MlflowException as error:
            assert "protected from deletion" in str(error)  # noqa: PT017 - no pytest here
        else:
            raise AssertionError("a protected model was deleted")
    client.delete_registered_model_tag(name, tag)
    client.delete_registered_model(name)


def a_renamed_model_returns_to_its_name() -> None:
    client = MlflowClient()
    name = _model(1)
    client.rename_registered_model(name, f"{name} for a while")
    client.rename_registered_model(f"{name} for a while", name)
    assert client.get_model_version(name, "1").name == name


def numbers_are_never_used_again() -> None:
    client = MlflowClient()
    name = _model(2)
    client.delete_registered_model(name)
    client.create_registered_model(name)
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    version = client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    assert str(version.version) == "3"


def aliases_are_in_the_results_of_searches() -> None:
    client = MlflowClient()
    name = _model(1)
    client.set_registered_model_alias(name, "champion", "1")
    (version,) = client.search_model_versions(f"name='{name}'")
    assert version.aliases == ["champion"]


def infinities_are_infinite() -> None:
    with mlflow.start_run() as run:
        mlflow.log_metrics({"up": math.inf, "down": -math.inf})
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics == {"up": math.inf, "down": -math.inf}


def odd_names_of_files_come_back() -> None:
    names = [
        "val_loss:0.2.ckpt",
        "what? now+then.md",
        'a;b"<c>|d*.txt',
        "back\\slash",
        "trailing ",
        "100% sure",
        *(unicodedata.normalize(form, "é") for form in ("NFC", "NFD")),
    ]
    folder = Path(tempfile.mkdtemp())
    for name in names:
        (folder / name).mkdir()
        (folder / name / f"in {name}").write_text(name, encoding="utf-8")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "odd: names")
    down = Path(
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="odd: names")
    )
    found = {path.name: path.read_text(encoding="utf-8") for path in down.rglob("*/*")}
    assert found == {f"in {name}": name for name in names}


class _Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input


def files_beside_a_model_belong_to_its_versions() -> None:
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model("echo", python_model=_Echo(), pip_requirements=[])
        mlflow.log_dict({"features": ["x"]}, "echo/features.json")
    listed = {item.path for item in MlflowClient().list_artifacts(run.info.run_id, "echo")}
    assert {"echo/MLmodel", "echo/features.json"} <= listed
    uri = f"runs:/{run.info.run_id}/echo"
    version = mlflow.register_model(uri, f"beside {uuid4().hex}")
    for source in (uri, f"models:/{version.name}/{version.version}"):
        assert mlflow.pyfunc.load_model(source).predict(["x"]) == ["x"]
        down = Path(mlflow.artifacts.download_artifacts(source))
        assert (down / "features.json").is_file()
