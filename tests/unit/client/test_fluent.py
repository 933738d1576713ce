from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import modelyard
from modelyard._fluent.context import git_commit
from modelyard.client import MlflowClient
from modelyard.exceptions import (
    InvalidParameter,
    InvalidState,
    ModelyardException,
    NotFound,
    Unimplemented,
)
from modelyard_server.processes.embedded import Embedded

pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture
def experiment_id(client: MlflowClient) -> str:
    name = f"fluent {uuid.uuid4().hex}"
    made = client.create_experiment(name)
    assert modelyard.set_experiment(name).experiment_id == made
    return made


def test_an_experiment_is_made_once_and_chosen(experiment_id: str) -> None:
    with modelyard.start_run() as run:
        assert run.info.experiment_id == experiment_id
    assert modelyard.set_experiment(experiment_id=experiment_id).experiment_id == experiment_id


def test_many_choose_a_new_experiment_at_once() -> None:
    name = f"race {uuid.uuid4().hex}"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(modelyard.set_experiment, [name] * 8))
    assert len({experiment.experiment_id for experiment in found}) == 1


def test_a_deleted_experiment_is_refused_with_the_way_back(experiment_id: str) -> None:
    name = modelyard.get_experiment(experiment_id).name
    modelyard.delete_experiment(experiment_id)
    with pytest.raises(InvalidState, match="restore_experiment"):
        modelyard.set_experiment(name)
    modelyard.restore_experiment(experiment_id)
    assert modelyard.set_experiment(name).experiment_id == experiment_id


def test_a_choice_needs_one_of_name_and_id() -> None:
    for name, experiment_id in ((None, None), ("a", "0")):
        with pytest.raises(InvalidParameter, match="either"):
            modelyard.set_experiment(name, experiment_id)
    with pytest.raises(NotFound):
        modelyard.set_experiment(experiment_id="98765")


def test_the_environment_chooses_experiment_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"env {uuid.uuid4().hex}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with modelyard.start_run() as run:
        made = modelyard.get_experiment_by_name(name)
        assert made is not None
        assert run.info.experiment_id == made.experiment_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with modelyard.start_run() as again, modelyard.start_run(nested=True) as child:
        assert again.info.run_id == run.info.run_id
        assert child.info.run_id != run.info.run_id


@pytest.mark.usefixtures("experiment_id")
def test_everything_is_logged_to_the_active_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with modelyard.start_run(run_name="all", tags={"given": 1}, description="why") as run:
        assert modelyard.active_run() is run
        modelyard.log_param("p", 1)
        modelyard.log_params({"q": 2, "r": 3})
        modelyard.log_metric("m", 1.5, step=3)
        modelyard.log_metrics({"n": 2, "o": 3}, step=4)
        modelyard.set_tag("t", "u")
        modelyard.set_tags({"v": 1, "w": 2})
        modelyard.delete_tag("w")
        modelyard.log_artifact(tmp_path / "a.txt", "files")
        modelyard.log_artifacts(tmp_path, "folder")
        modelyard.log_text("text", "text.txt")
        modelyard.log_dict({"k": [1]}, "dict.json")
        uri = modelyard.get_artifact_uri("files/a.txt")
    assert modelyard.active_run() is None
    found = modelyard.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.end_time is not None
    assert found.data.params == {"p": "1", "q": "2", "r": "3"}
    assert found.data.metrics == {"m": 1.5, "n": 2.0, "o": 3.0}
    tags = found.data.tags
    assert (tags["given"], tags["t"], tags["v"], tags["mlflow.runName"]) == ("1", "u", "1", "all")
    assert tags["mlflow.note.content"] == "why"
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.user"]
    assert "w" not in tags
    assert Path(modelyard.artifacts.download_artifacts(uri)).read_text() == "a"
    listed = MlflowClient().list_artifacts(run.info.run_id)
    assert sorted(file.path for file in listed) == ["dict.json", "files", "folder", "text.txt"]


@pytest.mark.usefixtures("experiment_id")
def test_logging_without_a_run_starts_one() -> None:
    modelyard.log_metric("m", 1)
    run = modelyard.active_run()
    assert run is not None
    modelyard.end_run()
    assert modelyard.get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.usefixtures("experiment_id")
@pytest.mark.parametrize("log", [modelyard.log_params, modelyard.log_metrics, modelyard.set_tags])
def test_a_list_where_a_dict_is_expected_is_refused(log: Callable[[Any], None]) -> None:
    name = log.__name__
    with pytest.raises(InvalidParameter, match=f"argument .* of {name}: expected a dict, got list"):
        log([("depth", 3)])


def test_an_exception_fails_the_run() -> None:
    with pytest.raises(KeyError), modelyard.start_run() as run:
        raise KeyError
    assert modelyard.get_run(run.info.run_id).info.status == "FAILED"
    last = modelyard.last_active_run()
    assert last is not None
    assert last.info.run_id == run.info.run_id


@pytest.mark.usefixtures("experiment_id")
def test_a_second_run_must_say_that_it_is_nested() -> None:
    with modelyard.start_run() as outer:
        with pytest.raises(Exception, match=f"Run with UUID {outer.info.run_id} is already active"):
            modelyard.start_run()
        with modelyard.start_run(nested=True) as inner:
            modelyard.log_param("inner", 1)
        modelyard.log_param("outer", 1)
    parent = modelyard.get_parent_run(inner.info.run_id)
    assert parent is not None
    assert parent.info.run_id == outer.info.run_id
    assert modelyard.get_run(outer.info.run_id).data.params == {"outer": "1"}
    assert modelyard.get_run(inner.info.run_id).data.params == {"inner": "1"}


@pytest.mark.usefixtures("experiment_id")
def test_a_parent_can_be_another_run() -> None:
    with modelyard.start_run() as parent:
        pass
    with modelyard.start_run(parent_run_id=parent.info.run_id) as child:
        pass
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id


@pytest.mark.usefixtures("experiment_id")
def test_a_run_goes_on_where_it_ended() -> None:
    with modelyard.start_run() as run:
        pass
    with modelyard.start_run(run_id=run.info.run_id, tags={"again": 1}) as again:
        assert again.info.run_id == run.info.run_id
        assert modelyard.get_run(run.info.run_id).info.status == "RUNNING"
    found = modelyard.get_run(run.info.run_id)
    assert (found.info.status, found.data.tags["again"]) == ("FINISHED", "1")
    with pytest.raises(InvalidParameter, match="belongs to experiment"):
        modelyard.start_run(run_id=run.info.run_id, experiment_id="0")
    modelyard.delete_run(run.info.run_id)
    with pytest.raises(InvalidState, match="deleted"):
        modelyard.start_run(run_id=run.info.run_id)
    modelyard.restore_run(run.info.run_id)


@pytest.mark.usefixtures("experiment_id")
def test_each_thread_has_its_own_active_run() -> None:
    both = threading.Barrier(2)

    def log(number: int) -> str:
        with modelyard.start_run() as run:
            both.wait()
            modelyard.log_param("number", number)
        return run.info.run_id

    with ThreadPoolExecutor(2) as pool:
        run_ids = list(pool.map(log, range(2)))
    assert [modelyard.get_run(run_id).data.params["number"] for run_id in run_ids] == ["0", "1"]


@pytest.mark.usefixtures("experiment_id")
def test_what_is_not_built_is_said_before_a_run_is_started() -> None:
    with pytest.raises(Unimplemented, match="log_system_metrics"):
        modelyard.start_run(log_system_metrics=True)
    assert modelyard.active_run() is None


def test_ending_without_a_run_does_nothing_and_an_unknown_status_is_refused() -> None:
    modelyard.end_run()
    with modelyard.start_run(), pytest.raises(InvalidParameter, match="'DONE'"):
        modelyard.end_run("DONE")


@pytest.mark.parametrize(("end", "status"), [("", "FINISHED"), ("raise SystemError", "FAILED")])
def test_an_open_run_is_ended_when_the_script_ends(
    platform: Embedded, end: str, status: str
) -> None:
    script = f"""
import modelyard
modelyard.set_tracking_uri("{platform.http}")
print(modelyard.start_run().info.run_id, flush=True)
{end}
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (ended.returncode == 0) == (not end)
    assert modelyard.get_run(ended.stdout.strip()).info.status == status


def test_a_search_returns_a_table_or_a_list(experiment_id: str) -> None:
    for number in range(3):
        with modelyard.start_run(run_name=f"run {number}"):
            modelyard.log_metric("acc", number / 10)
            modelyard.log_param("n", number)
    table = modelyard.search_runs(filter_string="metrics.acc > 0.05", order_by=["metrics.acc"])
    assert list(table["metrics.acc"]) == [0.1, 0.2]
    assert list(table["params.n"]) == ["1", "2"]
    assert str(table["end_time"].dt.tz) == "UTC"
    name = modelyard.get_experiment(experiment_id).name
    runs = modelyard.search_runs(experiment_names=[name], output_format="list", max_results=2)
    assert [run.info.run_name for run in runs] == ["run 2", "run 1"]
    assert modelyard.search_runs([], output_format="list") == []
    assert len(modelyard.search_runs(search_all_experiments=True, output_format="list")) >= 3
    assert "run_id" in modelyard.search_runs([]).columns


def test_a_time_that_pandas_does_not_have_is_missing_in_the_table(experiment_id: str) -> None:
    MlflowClient().create_run(experiment_id, start_time=2**62)
    assert modelyard.search_runs([experiment_id])["start_time"].isna().all()


@pytest.mark.parametrize("output_format", ["pandas", "list"])
def test_experiments_that_do_not_exist_are_not_searched(
    experiment_id: str, output_format: str
) -> None:
    with modelyard.start_run():
        pass
    with pytest.warns(UserWarning, match="No experiment is named 'never made'"):
        none = modelyard.search_runs(experiment_names=["never made"], output_format=output_format)
    assert len(none) == 0
    name = modelyard.get_experiment(experiment_id).name
    with pytest.warns(UserWarning, match="'never made'; it is not searched"):
        found = modelyard.search_runs(
            experiment_names=["never made", name], output_format=output_format
        )
    assert len(found) == 1


def test_a_malformed_search_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="pandas, list"):
        modelyard.search_runs(output_format="csv")
    with pytest.raises(InvalidParameter, match="only one of"):
        modelyard.search_runs(["0"], experiment_names=["a"])
    with pytest.raises(ModelyardException) as refused:
        modelyard.search_runs(["0"], "metrics.acc >>> 1")
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.usefixtures("experiment_id")
def test_the_same_run_is_registered_under_many_names(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    with modelyard.start_run() as run:
        modelyard.log_artifacts(tmp_path, "model")
    names = [f"{uuid.uuid4().hex}" for _ in range(2)]
    uri = f"runs:/{run.info.run_id}/model"
    versions = [modelyard.register_model(uri, name, tags={"a": 1}) for name in names]
    assert [version.version for version in versions] == ["1", "1"]
    assert versions[0].digest == versions[1].digest
    assert modelyard.register_model(uri, names[0]).version == "2"
    modelyard.set_model_version_tag(names[0], 2, "k", "v")
    found = modelyard.search_model_versions(filter_string=f"name='{names[0]}'", max_results=1)
    assert (found[0].version, found[0].tags) == ("2", {"k": "v"})
    assert len(modelyard.search_registered_models(filter_string=f"name='{names[1]}'")) == 1


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        (f"runs:/{'0' * 32}/model", NotFound),
        (f"models:/m-{'0' * 32}", NotFound),
        ("models:/never-made/1", NotFound),
        ("models:/", InvalidParameter),
        ("", InvalidParameter),
    ],
)
def test_a_uri_that_names_no_model_leaves_no_name_behind(
    uri: str, kind: type[ModelyardException]
) -> None:
    name = f"nothing {uuid.uuid4().hex}"
    with pytest.raises(kind):
        modelyard.register_model(uri, name)
    assert modelyard.search_registered_models(filter_string=f"name='{name}'") == []


def test_the_commit_is_read_from_a_repository(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "deep").mkdir()
    commit = "0123456789abcdef0123456789abcdef01234567"
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert git_commit(tmp_path / "deep") is None
    (git / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n")
    assert git_commit(tmp_path / "deep") == commit
    (git / "refs" / "heads" / "main").write_text("f" * 40 + "\n")
    assert git_commit(tmp_path) == "f" * 40
    (git / "HEAD").write_text(commit)
    assert git_commit(tmp_path) == commit
