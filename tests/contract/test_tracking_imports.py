"""Imports from another server: complete and repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_originals import (
    MODEL,
    RUN,
    create_experiment,
    everything,
    experiment,
    get_experiment,
    get_model,
    import_experiment,
    import_model,
    import_run,
    model,
    restore,
    run,
    stage_of,
)
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def test_an_experiment_keeps_its_id_name_times_and_tags(tracking: Tracking) -> None:
    tags = [pb.ExperimentTag(key="team", value="x")]
    assert import_experiment(tracking, experiment(tags=tags)) == ("7", True)
    found = get_experiment(tracking, "7")
    assert (found.name, found.creation_time, found.last_update_time) == ("iris", 1000, 2000)
    assert list(found.tags) == tags
    assert int(create_experiment(tracking, "next")) > 7


def test_an_experiment_imported_again_is_the_same_and_unchanged(tracking: Tracking) -> None:
    import_experiment(tracking, experiment(tags=[pb.ExperimentTag(key="a", value="1")]))
    before = get_experiment(tracking, "7")
    again = experiment(tags=[pb.ExperimentTag(key="a", value="1")])
    assert import_experiment(tracking, again) == ("7", False)
    assert get_experiment(tracking, "7") == before


def test_an_experiment_imported_again_becomes_what_it_is_now(tracking: Tracking) -> None:
    import_experiment(tracking, experiment(tags=[pb.ExperimentTag(key="a", value="1")]))
    tags = [pb.ExperimentTag(key="b", value="2")]
    import_experiment(tracking, experiment(name="irises", last_update_time=3000, tags=tags))
    found = get_experiment(tracking, "7")
    assert (found.name, found.last_update_time, list(found.tags)) == ("irises", 3000, tags)


def test_an_id_that_is_taken_is_replaced_by_a_free_one(tracking: Tracking) -> None:
    ours = create_experiment(tracking, "ours")
    number, created = import_experiment(tracking, experiment(ours))
    assert created
    assert number != ours
    assert import_experiment(tracking, experiment(ours)) == (number, False)
    assert get_experiment(tracking, ours).name == "ours"
    assert get_experiment(tracking, number).name == "iris"


@pytest.mark.parametrize("origin_id", ["exp-1", "007", "9" * 20, "9" * 64])
def test_an_id_that_is_not_importable_is_replaced(tracking: Tracking, origin_id: str) -> None:
    number, _ = import_experiment(tracking, experiment(origin_id))
    assert number == "1"
    assert import_experiment(tracking, experiment(origin_id)) == ("1", False)


def test_experiments_can_be_created_after_the_longest_importable_id(
    tracking: Tracking,
) -> None:
    assert import_experiment(tracking, experiment("9" * 18)) == ("9" * 18, True)
    number = create_experiment(tracking, "next")
    assert number == "1" + "0" * 18
    assert tracking.create_run(number)


def test_a_name_that_is_taken_is_replaced_and_the_same_again(tracking: Tracking) -> None:
    create_experiment(tracking, "iris")
    create_experiment(tracking, "iris (2)")
    for _ in range(2):
        number, _ = import_experiment(tracking, experiment())
        assert get_experiment(tracking, number).name == "iris (3)"


def test_a_replaced_name_of_full_length_is_cut(tracking: Tracking) -> None:
    create_experiment(tracking, "x" * 500)
    number, _ = import_experiment(tracking, experiment(name="x" * 500))
    assert get_experiment(tracking, number).name == "x" * 496 + " (2)"


@pytest.mark.parametrize("theirs", [("0", "Default"), ("0", "renamed"), ("12", "Default")])
def test_default_is_one_and_gains_tags_only(tracking: Tracking, theirs: tuple[str, str]) -> None:
    tracking.rpc.SetExperimentTag(
        pb.SetExperimentTagRequest(experiment_id="0", key="ours", value="1")
    )
    before = get_experiment(tracking, "0")
    tags = [pb.ExperimentTag(key="theirs", value="2")]
    message = experiment(*theirs, lifecycle_stage="deleted", tags=tags)
    for _ in range(2):
        assert import_experiment(tracking, message) == ("0", False)
    found = get_experiment(tracking, "0")
    assert {tag.key: tag.value for tag in found.tags} == {"ours": "1", "theirs": "2"}
    assert (found.name, found.lifecycle_stage) == ("Default", "active")
    assert found.last_update_time == before.last_update_time


def test_two_origins_are_kept_apart(tracking: Tracking) -> None:
    first, _ = import_experiment(tracking, experiment(), "one")
    second, created = import_experiment(tracking, experiment(), "two")
    assert created
    assert first != second
    assert get_experiment(tracking, second).name == "iris (2)"


def test_restoring_a_deleted_experiment_restores_the_runs_imported_with_it(
    tracking: Tracking,
) -> None:
    import_experiment(tracking, experiment())
    import_run(tracking, run(experiment_id="7"))
    import_run(tracking, run("c" * 32, "7"))
    ours = tracking.create_run("7")
    tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=ours))
    import_run(tracking, run(experiment_id="7", lifecycle_stage="deleted"))
    deleted = experiment(lifecycle_stage="deleted")
    assert import_experiment(tracking, deleted) == ("7", False)
    import_run(tracking, run("d" * 32, "7", lifecycle_stage="deleted"))
    assert import_experiment(tracking, deleted) == ("7", False)
    found = get_experiment(tracking, "7")
    assert (found.lifecycle_stage, found.last_update_time) == ("deleted", 2000)
    assert stage_of(tracking, "c" * 32) == "deleted"
    restore(tracking, "7")
    for run_id, stage in ((RUN, "active"), ("c" * 32, "active"), ("d" * 32, "active")):
        assert stage_of(tracking, run_id) == stage
    assert stage_of(tracking, ours) == "deleted"  # by itself, and not by the import


def test_an_experiment_that_is_active_again_at_its_origin_is_restored(tracking: Tracking) -> None:
    import_experiment(tracking, experiment())
    import_run(tracking, run(experiment_id="7"))
    import_experiment(tracking, experiment(lifecycle_stage="deleted"))
    import_experiment(tracking, experiment())
    assert stage_of(tracking, RUN) == "active"
    assert tracking.create_run("7")


# Runs


def test_a_run_is_imported_completely(tracking: Tracking) -> None:
    message = run()
    dataset = pb.Dataset(name="iris", digest="d1", source_type="local", source="here", schema="{}")
    tags = [pb.InputTag(key="mlflow.data.context", value="train")]
    message.inputs.dataset_inputs.add(dataset=dataset, tags=tags)
    assert import_run(tracking, message) == (RUN, True)
    found = tracking.get_run(RUN)
    assert (found.info.run_name, found.info.user_id) == ("first", "ada")
    assert (found.info.status, found.info.lifecycle_stage) == (pb.FINISHED, "active")
    assert (found.info.start_time, found.info.end_time) == (1000, 2000)
    assert list(found.data.params) == list(message.data.params)
    assert {tag.key: tag.value for tag in found.data.tags} == {
        "team": "x",
        "mlflow.runName": "first",
    }
    assert list(found.inputs.dataset_inputs) == list(message.inputs.dataset_inputs)
    assert import_run(tracking, message) == (RUN, False)
    assert tracking.get_run(RUN) == found


def test_a_finished_run_that_was_imported_takes_metrics_and_files(tracking: Tracking) -> None:
    import_run(tracking, run())
    import_model(tracking, model(source_run_id=RUN))
    series = pb.MetricSeries(
        key="m", model_id=MODEL, steps=[1, 2], timestamps=[5, 6], values=[7, 8]
    )
    tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=RUN, series=[series]))
    tracking.log_files({"notes.txt": b"text"}, run_id=RUN)
    tracking.log_files({"MLmodel": b"flavors: {}"}, model_id=MODEL)
    import_run(tracking, run(lifecycle_stage="deleted"))
    assert tracking.history(RUN, "m") == [(5, 1, 7.0), (6, 2, 8.0)]
    assert get_model(tracking, MODEL).info.last_updated_timestamp_ms == 2000
    with refused("INVALID_STATE", "active"):
        tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=RUN, series=[series]))


def test_a_run_imported_again_becomes_what_it_is_now(tracking: Tracking) -> None:
    import_run(tracking, run(status=pb.RUNNING, end_time=None))
    later = run(run_name="second", status=pb.FAILED)
    later.data.params.add(key="width", value="4")
    del later.data.tags[:]
    later.data.tags.add(key="note", value="y")
    before = tracking.get_run(RUN)
    assert not before.info.HasField("end_time")
    import_run(tracking, later)
    found = tracking.get_run(RUN)
    assert (found.info.run_name, found.info.status, found.info.end_time) == (
        "second",
        pb.FAILED,
        2000,
    )
    assert {param.key: param.value for param in found.data.params} == {"depth": "3", "width": "4"}
    assert {tag.key: tag.value for tag in found.data.tags} == {
        "note": "y",
        "mlflow.runName": "second",
    }
    assert found.etag != before.etag


def test_inputs_and_outputs_are_added_when_their_models_are_there(tracking: Tracking) -> None:
    message = run()
    import_run(tracking, message)
    import_model(tracking, model(source_run_id=RUN))
    message.inputs.model_inputs.add(model_id=MODEL)
    message.outputs.model_outputs.add(model_id=MODEL, step=3)
    assert import_run(tracking, message) == (RUN, False)
    found = tracking.get_run(RUN)
    assert list(found.inputs.model_inputs) == list(message.inputs.model_inputs)
    assert list(found.outputs.model_outputs) == list(message.outputs.model_outputs)
    import_run(tracking, message)
    assert tracking.get_run(RUN) == found


def test_a_run_id_that_is_taken_or_not_importable_is_replaced(tracking: Tracking) -> None:
    ours = tracking.create_run()
    for origin_id in (ours, "x" * 33, "no id of ours!"):
        run_id, created = import_run(tracking, run(origin_id))
        assert created
        assert run_id != origin_id
        assert import_run(tracking, run(origin_id)) == (run_id, False)


def test_a_run_without_a_name_is_named_by_its_tag_or_its_id(tracking: Tracking) -> None:
    message = run(run_name="")
    import_run(tracking, message)
    assert tracking.get_run(RUN).info.run_name == RUN
    message.data.tags.add(key="mlflow.runName", value="tagged")
    import_run(tracking, message)
    assert tracking.get_run(RUN).info.run_name == "tagged"


def test_a_run_cannot_be_active_in_a_deleted_experiment(tracking: Tracking) -> None:
    import_experiment(tracking, experiment(lifecycle_stage="deleted"))
    with refused("INVALID_STATE", "experiment 7"):
        import_run(tracking, run(experiment_id="7"))


def test_a_run_cannot_change_its_experiment_or_a_param(tracking: Tracking) -> None:
    import_experiment(tracking, experiment())
    import_run(tracking, run())
    before = everything(tracking)
    with refused("INVALID_PARAMETER_VALUE", "experiment 0, not in 7"):
        import_run(tracking, run(experiment_id="7"))
    changed = run(run_name="second")
    changed.data.params[0].value = "4"
    with refused("INVALID_PARAMETER_VALUE", "depth", "'4'"):
        import_run(tracking, changed)
    assert everything(tracking) == before


# Logged models


def test_a_logged_model_is_imported_completely(tracking: Tracking) -> None:
    import_run(tracking, run())
    message = model(source_run_id=RUN)
    assert import_model(tracking, message) == (MODEL, True)
    found = get_model(tracking, MODEL)
    assert (found.info.name, found.info.model_type) == ("forest", "classifier")
    assert (found.info.status, found.info.source_run_id) == (pb.LOGGED_MODEL_READY, RUN)
    assert found.info.creation_timestamp_ms == 1000
    assert found.info.last_updated_timestamp_ms == 2000
    assert list(found.info.tags) == list(message.info.tags)
    assert list(found.data.params) == list(message.data.params)
    assert import_model(tracking, message) == (MODEL, False)
    assert get_model(tracking, MODEL) == found


def test_a_run_shows_the_newest_of_its_models_in_whatever_order_they_came(
    tracking: Tracking,
) -> None:
    import_run(tracking, run())
    for model_id, created_ms, text in ((MODEL, 3000, b"newer"), ("m-" + "c" * 32, 1000, b"old")):
        message = model(model_id, source_run_id=RUN, creation_timestamp_ms=created_ms)
        import_model(tracking, message)
        tracking.log_files({"MLmodel": text}, model_id=model_id)
    request = artifacts.ListArtifactsRequest(run_id=RUN, path="forest")
    (file,) = tracking.artifacts.ListArtifacts(request).files
    assert (file.path, file.file_size) == ("forest/MLmodel", len(b"newer"))


def test_a_logged_model_imported_again_becomes_what_it_is_now(tracking: Tracking) -> None:
    import_model(tracking, model(status=pb.LOGGED_MODEL_PENDING))
    later = model(name="trees", last_updated_timestamp_ms=3000, tags=[])
    later.data.params.add(key="width", value="4")
    import_model(tracking, later)
    found = get_model(tracking, MODEL)
    assert (found.info.name, found.info.status) == ("trees", pb.LOGGED_MODEL_READY)
    assert (found.info.last_updated_timestamp_ms, len(found.info.tags)) == (3000, 0)
    assert {param.key for param in found.data.params} == {"depth", "width"}


def test_a_logged_model_that_was_deleted_here_comes_back(tracking: Tracking) -> None:
    import_model(tracking, model())
    tracking.rpc.DeleteLoggedModel(pb.DeleteLoggedModelRequest(model_id=MODEL))
    assert import_model(tracking, model()) == (MODEL, False)
    assert get_model(tracking, MODEL).info.name == "forest"


def test_a_model_id_that_is_taken_or_not_importable_is_replaced(tracking: Tracking) -> None:
    import_model(tracking, model(), "one")
    for origin_id in (MODEL, "m-other"):
        model_id, created = import_model(tracking, model(origin_id), "two")
        assert created
        assert model_id != origin_id
        assert import_model(tracking, model(origin_id), "two") == (model_id, False)


def test_of_concurrent_imports_of_one_resource_one_creates_it(tracking: Tracking) -> None:
    tracking.create_run()
    create_experiment(tracking, "iris")
    calls = {
        "experiment": lambda _: import_experiment(tracking, experiment("1")),
        "run": lambda _: import_run(tracking, run("no id of ours!")),
        "model": lambda _: import_model(tracking, model("no id of ours!")),
    }
    for call in calls.values():
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(call, range(16)))
        assert len({reply[0] for reply in replies}) == 1
        assert [created for _, created in replies].count(True) == 1


def purge(tracking: Tracking) -> None:
    tracking.artifacts.PurgeDeleted(artifacts.PurgeDeletedRequest(older_than_ms=0))


def test_purged_imports_are_not_imported_again(tracking: Tracking) -> None:
    import_experiment(tracking, experiment())
    import_run(tracking, run(experiment_id="7"))
    import_model(tracking, model(experiment_id="7"))
    tracking.rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id="7"))
    purge(tracking)
    with refused("INVALID_STATE", "experiment '7' was purged"):
        import_experiment(tracking, experiment())
    with refused("INVALID_STATE", RUN, "purged"):
        import_run(tracking, run())
    with refused("INVALID_STATE", MODEL, "purged"):
        import_model(tracking, model())
    number, created = import_experiment(tracking, experiment(), "http://other.test")
    assert created
    assert number != "7"


def test_ids_of_purged_runs_are_not_used_by_imports(tracking: Tracking) -> None:
    purged = tracking.create_run()
    tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=purged))
    purge(tracking)
    with refused("INVALID_STATE", purged, "purged"):
        import_run(tracking, run(purged))
