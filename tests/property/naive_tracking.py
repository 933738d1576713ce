"""Tracking without a database: what its hot calls reply, worked out from lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.auth.scope import Scope
from modelyard_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from modelyard_tracking.rules.heartbeats import EXACTNESS_MS, LOST_AFTER_MS

Logged = tuple[tuple[str, str, str, str], int, int, float]
"""A point as logged: curve (key, model, name and digest of a dataset), timestamp, step, value."""


@dataclass
class Run:
    """A run and everything that was logged to it."""

    info: pb.RunInfo
    start_ms: int
    heartbeat_ms: int | None
    revision: int = 1
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Logged] = field(default_factory=list)

    def touch(self, now_ms: int) -> None:
        self.revision += 1
        if self.heartbeat_ms is not None and self.heartbeat_ms < now_ms - EXACTNESS_MS:
            self.heartbeat_ms = now_ms

    def message(self, now_ms: int) -> pb.Run:
        self.refresh(now_ms)
        data = pb.RunData(
            metrics=[_metric(point) for point in latest(self.points)],
            params=[pb.Param(key=key, value=self.params[key]) for key in sorted(self.params)],
            tags=[pb.RunTag(key=key, value=self.tags[key]) for key in sorted(self.tags)],
        )
        etag = f'"{self.revision}"'
        inputs, outputs = pb.RunInputs(), pb.RunOutputs()
        return pb.Run(info=self.info, data=data, inputs=inputs, outputs=outputs, etag=etag)

    def refresh(self, now_ms: int) -> None:
        """Bring the times of the last sign of life up to date."""
        self.info.ClearField("last_heartbeat_time")
        self.info.ClearField("lost_since")
        if self.heartbeat_ms is None:
            return
        self.info.last_heartbeat_time.FromMilliseconds(self.heartbeat_ms)
        if self.info.status == pb.RUNNING and self.heartbeat_ms + LOST_AFTER_MS < now_ms:
            self.info.lost_since.FromMilliseconds(self.heartbeat_ms + LOST_AFTER_MS)


def latest(points: Iterable[Logged]) -> list[Logged]:
    """Return the latest point of each key; the first of several that rank the same."""
    found: dict[str, Logged] = {}
    for point in points:
        key = point[0][0]
        if key not in found or _rank(point) > _rank(found[key]):
            found[key] = point
    return [found[key] for key in sorted(found)]


def by_curve(points: Sequence[Logged]) -> list[Logged]:
    """Return the points of one call, those of the first curve first."""
    curves = [point[0] for point in points]
    return sorted(points, key=lambda point: curves.index(point[0]))


class NaiveTracking:
    """The calls, each named as its RPC: takes the request, returns the reply or raises the error.

    Attributes:
        experiments: Names by id.
        models: Experiments of logged models.
        runs: Runs by id.
        scope: Scope of the caller.
        now_ms: Time of the call.
    """

    def __init__(self, experiments: dict[str, str], models: dict[str, str]) -> None:
        self.experiments = experiments
        self.models = models
        self.runs: dict[str, Run] = {}
        self.scope = Scope()
        self.now_ms = 0

    def create(self, request: pb.CreateRunRequest, run_id: str, name: str) -> None:
        """Add a run whose id and, unless it was given, name were made by the service."""
        tags = {tag.key: tag.value for tag in request.tags}
        start_ms = request.start_time if request.HasField("start_time") else self.now_ms
        info = pb.RunInfo(
            run_id=run_id,
            run_uuid=run_id,
            experiment_id=request.experiment_id,
            run_name=name,
            user_id=request.user_id or tags.get("mlflow.user", "") or "ada",
            status=pb.RUNNING,
            start_time=start_ms,
            artifact_uri=f"mlflow-artifacts:/{request.experiment_id}/{run_id}/artifacts",
            lifecycle_stage="active",
        )
        heartbeat_ms = self.now_ms if request.heartbeats else None
        run = self.runs[run_id] = Run(info, start_ms, heartbeat_ms)
        run.tags = {**tags, "mlflow.runName": name}

    def check_new(self, request: pb.CreateRunRequest) -> None:
        """Raise the error of a run that cannot be created."""
        self._require_experiment(request.experiment_id)
        tagged = {tag.key: tag.value for tag in request.tags}.get("mlflow.runName", "")
        if request.run_name and tagged and request.run_name != tagged:
            raise InvalidArgument(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name='{request.run_name}', mlflow.runName='{tagged}')."
            )
        _check_keys(sorted(tag.key for tag in request.tags), "tags.key")

    def GetRun(self, request: pb.GetRunRequest) -> pb.GetRunResponse:
        return pb.GetRunResponse(run=self._run(request.run_id).message(self.now_ms))

    def search(self, request: pb.SearchRunsRequest) -> list[pb.Run]:
        """Return the runs of all pages of a search without a filter."""
        found = [
            run
            for run in self.runs.values()
            if run.info.experiment_id in request.experiment_ids
            and self.scope.has_experiment(self.experiments[run.info.experiment_id])
            and run.info.lifecycle_stage == "active"
        ]
        found.sort(key=lambda run: (-run.start_ms, run.info.run_id))
        return [run.message(self.now_ms) for run in found]

    def UpdateRun(self, request: pb.UpdateRunRequest) -> pb.UpdateRunResponse:
        run = self._active_run(request.run_id)
        etag = f'"{run.revision}"'
        if request.etag and request.etag != etag:
            raise Aborted(
                f"Etag mismatch: the current etag of the run {request.run_id} is {etag}, the "
                f"request expected {request.etag}. Nothing was written; read the run again, then "
                "retry."
            )
        if request.status == pb.RUNNING:
            run.heartbeat_ms = self.now_ms if request.heartbeats else None
        elif run.heartbeat_ms is not None:
            run.heartbeat_ms = self.now_ms
        run.info.status = request.status or run.info.status
        if request.HasField("end_time"):
            run.info.end_time = request.end_time
        if request.run_name:
            run.info.run_name = run.tags["mlflow.runName"] = request.run_name
        run.revision += 1
        run.refresh(self.now_ms)
        return pb.UpdateRunResponse(run_info=run.info)

    def SendHeartbeat(self, request: pb.SendHeartbeatRequest) -> pb.SendHeartbeatResponse:
        run = self._active_run(request.run_id)
        if run.info.status == pb.RUNNING:
            run.heartbeat_ms = self.now_ms
        return pb.SendHeartbeatResponse()

    def LogMetric(self, request: pb.LogMetricRequest) -> pb.LogMetricResponse:
        points = [self._point(request)]
        _check_points(points, [""])
        self._log(request.run_id, points, {}, {})
        return pb.LogMetricResponse()

    def LogBatch(self, request: pb.LogBatchRequest) -> pb.LogBatchResponse:
        points = [self._point(metric) for metric in request.metrics]
        _check_points(points, [f"metrics[{index}]." for index in range(len(points))])
        points += _points_of(request.series)
        _check_keys([param.key for param in request.params], "params[{}].key")
        _check_keys([tag.key for tag in request.tags], "tags[{}].key")
        params = {param.key: param.value for param in request.params}
        tags = {tag.key: tag.value for tag in request.tags}
        self._log(request.run_id, points, params, tags)
        return pb.LogBatchResponse()

    def LogMetricSeries(self, request: pb.LogMetricSeriesRequest) -> pb.LogMetricSeriesResponse:
        self._log(request.run_id, _points_of(request.series), {}, {})
        return pb.LogMetricSeriesResponse()

    def LogParam(self, request: pb.LogParamRequest) -> pb.LogParamResponse:
        _check_keys([request.key], "key")
        self._log(request.run_id, [], {request.key: request.value}, {})
        return pb.LogParamResponse()

    def SetTag(self, request: pb.SetTagRequest) -> pb.SetTagResponse:
        _check_keys([request.key], "key")
        self._log(request.run_id, [], {}, {request.key: request.value})
        return pb.SetTagResponse()

    def DeleteTag(self, request: pb.DeleteTagRequest) -> pb.DeleteTagResponse:
        run = self._active_run(request.run_id)
        if request.key not in run.tags:
            raise NotFound(f"No tag with name: {request.key} in run with id {request.run_id}")
        del run.tags[request.key]
        run.touch(self.now_ms)
        return pb.DeleteTagResponse()

    def DeleteRun(self, request: pb.DeleteRunRequest) -> pb.DeleteRunResponse:
        run = self._run(request.run_id)
        if run.info.lifecycle_stage == "active":
            run.info.lifecycle_stage = "deleted"
            run.revision += 1
        return pb.DeleteRunResponse()

    def RestoreRun(self, request: pb.RestoreRunRequest) -> pb.RestoreRunResponse:
        run = self._run(request.run_id)
        if run.info.lifecycle_stage == "deleted":
            run.info.lifecycle_stage = "active"
            run.revision += 1
        return pb.RestoreRunResponse()

    def _run(self, run_id: str) -> Run:
        run = self.runs.get(run_id)
        if run is None or not self.scope.has_experiment(self.experiments[run.info.experiment_id]):
            raise NotFound(f"Run with id={run_id} not found")
        return run

    def _active_run(self, run_id: str) -> Run:
        run = self._run(run_id)
        if run.info.lifecycle_stage != "active":
            raise FailedPrecondition(
                f"The run {run_id} must be in the 'active' state. Current state is deleted."
            )
        return run

    def _require_experiment(self, experiment_id: str) -> None:
        name = self.experiments.get(experiment_id)
        if name is None or not self.scope.has_experiment(name):
            raise NotFound(f"No Experiment with id={experiment_id} exists")

    def _point(self, metric: pb.Metric | pb.LogMetricRequest) -> Logged:
        curve = (metric.key, metric.model_id, metric.dataset_name, metric.dataset_digest)
        timestamp_ms = metric.timestamp if metric.HasField("timestamp") else self.now_ms
        return curve, timestamp_ms, metric.step, metric.value

    def _log(
        self,
        run_id: str,
        points: Sequence[Logged],
        params: dict[str, str],
        tags: dict[str, str],
    ) -> None:
        run = self._active_run(run_id)
        for key, value in params.items():
            if run.params.get(key, value) != value:
                _refuse_other_param(run, key, value)
        for model_id in sorted({curve[1] for curve, *_ in points if curve[1]}):
            name = self.experiments.get(self.models.get(model_id, ""))
            if name is None or not self.scope.has_experiment(name):
                raise NotFound(f"Logged model with ID '{model_id}' not found.")
        run.touch(self.now_ms)
        run.params |= params
        run.points += by_curve(points)
        run.tags |= tags
        run.info.run_name = tags.get("mlflow.runName", run.info.run_name)


def _rank(point: Logged) -> tuple[Any, ...]:
    _, timestamp_ms, step, value = point
    return (step, timestamp_ms, -math.inf if math.isnan(value) else value, not math.isnan(value))


def _metric(point: Logged) -> pb.Metric:
    (key, model_id, name, digest), timestamp_ms, step, value = point
    return pb.Metric(
        key=key,
        value=value,
        timestamp=timestamp_ms,
        step=step,
        model_id=model_id or None,
        dataset_name=name or None,
        dataset_digest=digest or None,
    )


def _points_of(series: Iterable[pb.MetricSeries]) -> list[Logged]:
    found: list[Logged] = []
    for index, one in enumerate(series):
        curve = (one.key, one.model_id, one.dataset_name, one.dataset_digest)
        points = [
            (curve, *rest) for rest in zip(one.timestamps, one.steps, one.values, strict=True)
        ]
        negative = [point for point in points if point[1] < 0]
        _check_points([*negative, (curve, 0, 0, 0.0)][:1], [f"series[{index}]."])
        found += points
    return found


def _check_points(points: Sequence[Logged], where: Sequence[str]) -> None:
    for (curve, timestamp_ms, *_), prefix in zip(points, where, strict=True):
        key, _, name, digest = curve
        _check_keys([key], f"{prefix}key")
        if timestamp_ms < 0:
            raise InvalidArgument(
                f"Got invalid timestamp {timestamp_ms} for metric '{key}' "
                "(timestamp must be a nonnegative integer, Unix time in milliseconds)."
            )
        if bool(name) != bool(digest):
            raise InvalidArgument(
                f"Metric '{key}' has the dataset name '{name}' and digest '{digest}'; "
                "set both or neither."
            )


def _check_keys(keys: Sequence[str], parameter: str) -> None:
    for index, key in enumerate(keys):
        if key.startswith("../"):
            raise InvalidArgument(
                f"Invalid value \"{key}\" for parameter '{parameter.format(index)}' supplied: "
                "Names may be treated as files in certain cases, and must not resolve to other "
                f"names when treated as such. This name would resolve to {key!r}."
            )


def _refuse_other_param(run: Run, key: str, value: str) -> NoReturn:
    raise InvalidArgument(
        f"Changing param values is not allowed. Param with key='{key}' was already logged with "
        f"value='{run.params[key]}' for run ID='{run.info.run_id}'. Attempted logging new value "
        f"'{value}'."
    )
