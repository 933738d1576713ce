"""What holds no model: refused by `register_model`, taken and marked by `create_model_version`."""

from __future__ import annotations

from pathlib import Path

import pytest

import modelyard
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, NotFound
from modelyard_serving.clients import NoModel, Registry

_MLMODEL = "flavors: {}"


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "hello", "notes/readme.txt")
    client.log_text(run_id, _MLMODEL, "model/MLmodel")
    return run_id


@pytest.mark.parametrize(
    ("path", "found", "right"),
    [
        ("", "'model', 'notes'", "register runs:/{run_id}/model, which has one"),
        ("/notes", "'readme.txt'", "log a model and register its folder"),
    ],
)
def test_registering_files_that_are_no_model_is_refused_with_what_is_there(
    client: MlflowClient, run_id: str, path: str, found: str, right: str
) -> None:
    source = f"runs:/{run_id}{path}"
    with pytest.raises(InvalidParameter) as refused:
        modelyard.register_model(source, "no-model")
    for part in (f"The source {source} is no model", found, right.format(run_id=run_id)):
        assert part in refused.value.message
    with pytest.raises(NotFound):
        client.get_registered_model("no-model")


def test_the_versions_of_both_ways_show_whether_they_are_a_model(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    registered = modelyard.register_model(f"runs:/{run_id}/model", "marked")
    assert (registered.version, registered.has_model, registered.verified) == ("1", True, True)
    taken = client.create_model_version("marked", f"runs:/{run_id}/notes")
    assert (taken.version, taken.has_model, taken.verified) == ("2", False, True)
    foreign = modelyard.register_model("s3://bucket/model", "marked")
    assert (foreign.version, foreign.has_model, foreign.verified) == ("3", None, False)
    assert client.get_model_version("marked", "2").has_model is False
    assert client.create_model_version("marked", "models:/marked/1").has_model is True
    with pytest.raises(InvalidParameter, match="models:/marked/2 is no model"):
        modelyard.register_model("models:/marked/2", "copied")
    client.transition_model_version_stage("marked", "2", "Production")
    registry = Registry(None, allow_unverified=False)
    for uri in ("models:/marked/Production", f"runs:/{run_id}/notes"):
        resolved = registry.resolve(uri, include_downloads=False)
        with pytest.raises(NoModel, match="is no model"):
            registry.fetch(resolved, tmp_path)
    assert not (tmp_path / "readme.txt").exists()


def test_a_version_of_a_logged_model_pins_what_was_logged_beside_it(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "MLmodel").write_text(_MLMODEL)
    model = client.create_logged_model("0", "fitted", source_run_id=run_id)
    client.log_model_artifacts(model.model_id, tmp_path)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_dict(run_id, {"features": ["x"]}, "fitted/features.json")
    by_run = modelyard.register_model(f"runs:/{run_id}/fitted", "beside")
    by_model = modelyard.register_model(f"models:/{model.model_id}", "beside")
    assert by_run.digest == by_model.digest
    assert (by_run.model_id, by_run.run_id) == (model.model_id, run_id)
    folder = Path(client.download_artifacts(run_id, "fitted"))
    assert sorted(path.name for path in folder.iterdir()) == ["MLmodel", "features.json"]
