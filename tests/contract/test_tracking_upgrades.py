"""Tracking's database of any earlier revision, with rows in each table, works after `migrate`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.support.databases.dialects import (
    INSTALLATION,
    REPLY,
    Dialect,
    Row,
    open_migrated,
    revisions_before_head,
    upgrade,
)
from tests.support.platforms.tracking_service import tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import now_ms
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.models import Experiment, LoggedModel, Run
from modelyard_tracking.rules.points import Columns, Point

RUN = "a" * 32
MODEL = "m-" + "b" * 32
DIGEST = "c" * 64
POINT = Point(timestamp_ms=5, step=1, value=0.25)
PACKED = Columns.of([POINT.step], [POINT.timestamp_ms], [POINT.value]).packed()
CURVE = {"key": "loss", "model_id": MODEL, "dataset_name": "iris", "dataset_digest": "d"}
LATEST = {"step": 1, "timestamp_ms": 5, "value": 0.25, "is_nan": False, "run_id": RUN}
FILE = {"owner_kind": "run", "owner_id": RUN, "path": "a/b.txt", "size_bytes": 3, "digest": DIGEST}
DATASET = {"name": "iris", "digest": "d"}
EXPERIMENT = {
    "experiment_id": 7,
    "name": "old",
    "lifecycle_stage": "active",
    "created_ms": 1,
    "updated_ms": 1,
    "revision": 1,
}
RUN_VALUES = {
    "experiment_id": 7,
    "name": "first",
    "user_id": "ada",
    "status": "RUNNING",
    "start_ms": 1,
    "lifecycle_stage": "active",
    "deleted_with_experiment": False,
    "revision": 1,
}
ROWS = [
    Row("0001", "experiment", EXPERIMENT),
    Row("0001", "experiment_tag", {"experiment_id": 7, "key": "team", "value": "x"}),
    Row("0001", "run", {"run_id": RUN, **RUN_VALUES}),
    Row("0001", "param", {"run_id": RUN, "key": "depth", "value": "3"}),
    Row("0001", "run_tag", {"run_id": RUN, "key": "k", "value": "v"}),
    Row(
        "0001",
        "logged_model",
        {
            "model_id": MODEL,
            "experiment_id": 7,
            "name": "model",
            "model_type": "",
            "source_run_id": RUN,
            "status": "READY",
            "lifecycle_stage": "active",
            "created_ms": 1,
            "updated_ms": 1,
        },
    ),
    Row("0001", "logged_model_param", {"model_id": MODEL, "key": "p", "value": "1"}),
    Row("0001", "logged_model_tag", {"model_id": MODEL, "key": "t", "value": "2"}),
    Row(
        "0001",
        "metric_chunk",
        {
            "run_id": RUN,
            **CURVE,
            "point_count": 1,
            "min_step": 1,
            "max_step": 1,
            "min_timestamp_ms": 5,
            "max_timestamp_ms": 5,
            "steps": PACKED.steps,
            "timestamps": PACKED.timestamps,
            "values": PACKED.values,
        },
    ),
    Row("0001", "latest_metric", {**CURVE, **LATEST}),
    Row("0001", "latest_model_metric", {**CURVE, **LATEST}),
    Row(
        "0001",
        "dataset",
        {
            "experiment_id": 7,
            **DATASET,
            "source_type": "local",
            "source": "s",
            "schema": "",
            "profile": "",
        },
    ),
    Row("0001", "dataset_input", {"run_id": RUN, "experiment_id": 7, **DATASET}),
    Row("0001", "dataset_input_tag", {"run_id": RUN, **DATASET, "key": "use", "value": "train"}),
    Row("0001", "model_input", {"run_id": RUN, "model_id": MODEL}),
    Row("0001", "model_output", {"run_id": RUN, "model_id": MODEL, "step": 1}),
    Row("0001", "artifact_file", FILE),
    Row("0001", "artifact_part", FILE | {"position": 0}),
    Row(
        "0001",
        "stored_object",
        {
            "digest": DIGEST,
            "size_bytes": 3,
            "state": "stored",
            "is_manifest": False,
            "leased_until_ms": 1,
        },
    ),
    REPLY,
    INSTALLATION,
    Row(
        "0002",
        "imported",
        {"origin": "there", "kind": "experiment", "origin_id": "1", "id_here": "7"},
    ),
    Row("0003", "run", {"run_id": "d" * 32, "last_heartbeat_ms": 5, **RUN_VALUES}),
    Row("0004", "purged", {"kind": "run", "purged_id": "d" * 32, "purged_ms": 1}),
    Row(
        "0005",
        "missing_artifact",
        {"owner_kind": "run", "owner_id": RUN, "path": "lost/x", "reason": "out of reach"},
    ),
    Row("0007", "damaged_object", {"digest": "1" * 64, "missing": True, "found_ms": 1}),
]


@pytest.mark.parametrize("revision", revisions_before_head(MIGRATIONS))
def test_rows_of_an_earlier_revision_are_read_and_written(
    tmp_path: Path, dialect: Dialect, revision: str
) -> None:
    upgrade(dialect, tmp_path, MIGRATIONS, revision, ROWS)
    with tracking_at(tmp_path, dialect) as tracking:
        run = tracking.get_run(RUN)
        assert [(param.key, param.value) for param in run.data.params] == [("depth", "3")]
        assert [(metric.key, metric.value) for metric in run.data.metrics] == [("loss", 0.25)]
        assert run.inputs.dataset_inputs[0].dataset.name == "iris"
        assert run.outputs.model_outputs[0].model_id == MODEL
        assert tracking.history(RUN, "loss") == [(5, 1, 0.25)]
        model = tracking.rpc.GetLoggedModel(pb.GetLoggedModelRequest(model_id=MODEL)).model
        assert [(param.key, param.value) for param in model.data.params] == [("p", "1")]
        listed = tracking.artifacts.ListArtifacts(artifacts.ListArtifactsRequest(run_id=RUN))
        assert [file.path for file in listed.files] == ["a"]
        request = pb.LogMetricRequest(run_id=RUN, key="loss", value=0.5, step=2, timestamp=6)
        tracking.rpc.LogMetric(request)
        assert tracking.history(RUN, "loss") == [(5, 1, 0.25), (6, 2, 0.5)]
        assert not tracking.get_run(RUN).info.HasField("last_heartbeat_time")
        tracking.rpc.SendHeartbeat(pb.SendHeartbeatRequest(run_id=RUN))
        assert tracking.get_run(RUN).info.HasField("last_heartbeat_time")
        created = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name="new"))
        assert created.experiment_id not in {"0", "7"}


def test_what_was_deleted_before_its_time_was_recorded_has_a_time(
    tmp_path: Path, dialect: Dialect
) -> None:
    began_ms = now_ms()
    deleted = {"lifecycle_stage": "deleted"}
    rows = [
        replace(row, values=row.values | deleted)
        if row.table in {"experiment", "run", "logged_model"}
        else row
        for row in ROWS
    ]
    upgrade(dialect, tmp_path, MIGRATIONS, "0002", rows)
    with (
        closing(open_migrated(dialect, tmp_path, MIGRATIONS)) as database,
        database.read() as session,
    ):
        assert session.get_one(Experiment, 7).deleted_ms == 1
        assert session.get_one(Experiment, 0).deleted_ms is None
        assert session.scalar(select(LoggedModel.deleted_ms)) == 1
        assert began_ms <= (session.scalar(select(Run.deleted_ms)) or 0) <= now_ms()
