"""Invalid imports are refused, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_originals import (
    MODEL,
    RUN,
    everything,
    experiment,
    get_model,
    import_experiment,
    import_model,
    import_run,
    model,
    run,
)
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


@BEFORE_SQL
@pytest.mark.parametrize(
    ("message", "fragment"),
    [
        (experiment(""), "experiment.experiment_id"),
        (experiment(name=""), "experiment.name"),
        (experiment(name=" "), "blank"),
        (experiment(name="x" * 501), "501"),
        (experiment(lifecycle_stage=""), "experiment.lifecycle_stage"),
        (experiment(lifecycle_stage="gone"), "'gone'"),
        (experiment(creation_time=-1), "experiment.creation_time"),
        (experiment(last_update_time=-1), "experiment.last_update_time"),
        (experiment(tags=[pb.ExperimentTag(key="../x", value="")]), "experiment.tags[0].key"),
        (experiment(tags=[pb.ExperimentTag(key="a", value=v) for v in "12"]), "Duplicate"),
        (experiment(tags=[pb.ExperimentTag(key="a", value="x" * 20_001)]), "20,001"),
    ],
)
def test_a_bad_experiment_is_refused_and_nothing_written(
    tracking: Tracking, message: pb.Experiment, fragment: str
) -> None:
    before = everything(tracking)
    with refused("INVALID_PARAMETER_VALUE", fragment):
        import_experiment(tracking, message)
    assert everything(tracking) == before


def bad_run(**data: Any) -> pb.Run:
    message = run()
    message.data.Clear()
    message.data.MergeFrom(pb.RunData(**data))
    return message


@BEFORE_SQL
@pytest.mark.parametrize(
    ("message", "fragment"),
    [
        (run(""), "run.info.run_id"),
        (run(experiment_id=""), "run.info.experiment_id"),
        (run(experiment_id="x"), "Invalid experiment ID"),
        (run(status=pb.RUN_STATUS_UNSPECIFIED), "run.info.status"),
        (run(status=None), "run.info.status"),
        (run(start_time=None), "run.info.start_time"),
        (run(start_time=-1), "run.info.start_time"),
        (run(end_time=-1), "run.info.end_time"),
        (run(lifecycle_stage="Active"), "run.info.lifecycle_stage"),
        (run(run_name="x" * 251), "run.info.run_name"),
        (run(run_name=" "), "blank"),
        (bad_run(params=[pb.Param(key="a", value="x" * 6001)]), "run.data.params[0].value"),
        (bad_run(params=[pb.Param(key="a//b", value="1")]), "run.data.params[0].key"),
        (bad_run(tags=[pb.RunTag(key="a//b", value="1")]), "run.data.tags[0].key"),
        (bad_run(tags=[pb.RunTag(key="a", value=v) for v in "12"]), "Duplicate"),
    ],
)
def test_a_bad_run_is_refused_and_nothing_written(
    tracking: Tracking, message: pb.Run, fragment: str
) -> None:
    before = everything(tracking)
    with refused("INVALID_PARAMETER_VALUE", fragment):
        import_run(tracking, message)
    assert everything(tracking) == before


def test_a_reference_to_a_missing_resource_is_refused_and_nothing_written(
    tracking: Tracking,
) -> None:
    before = everything(tracking)
    outputs = pb.RunOutputs(model_outputs=[pb.ModelOutput(model_id=MODEL)])
    without_model = run()
    without_model.outputs.MergeFrom(outputs)
    for message in (run(experiment_id="99"), without_model):
        with refused("RESOURCE_DOES_NOT_EXIST"):
            import_run(tracking, message)
    for without_owner in (model(experiment_id="99"), model(source_run_id=RUN)):
        with refused("RESOURCE_DOES_NOT_EXIST"):
            import_model(tracking, without_owner)
    assert everything(tracking) == before


@BEFORE_SQL
@pytest.mark.parametrize(
    ("message", "fragment"),
    [
        (model(""), "model.info.model_id"),
        (model(name=""), "model.info.name"),
        (model(name="a/b"), "a/b"),
        (model(status=None), "model.info.status"),
        (model(creation_timestamp_ms=None), "model.info.creation_timestamp_ms"),
        (model(creation_timestamp_ms=-1), "model.info.creation_timestamp_ms"),
        (model(last_updated_timestamp_ms=-1), "model.info.last_updated_timestamp_ms"),
        (model(tags=[pb.LoggedModelTag(key="a//b", value="1")]), "model.info.tags[0].key"),
        (model(source_run_id="!"), "Invalid run ID"),
    ],
)
def test_a_bad_logged_model_is_refused_and_nothing_written(
    tracking: Tracking, message: pb.LoggedModel, fragment: str
) -> None:
    with refused("INVALID_PARAMETER_VALUE", fragment):
        import_model(tracking, message)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        get_model(tracking, MODEL)


@BEFORE_SQL
def test_an_import_needs_an_origin(tracking: Tracking) -> None:
    with refused("INVALID_PARAMETER_VALUE", "origin"):
        import_run(tracking, run(), "")
