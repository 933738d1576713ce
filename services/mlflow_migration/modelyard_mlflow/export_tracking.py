"""Writes experiments, runs and logged models to an MLflow server.

Exported runs and logged models are tagged with their id at the source and, once complete, with the
etag, by which the next export recognizes them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.api.artifacts.v1.artifacts_pb2 import ArtifactFile
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.internal import Owner
from modelyard_mlflow.destination import Curve, Point
from modelyard_mlflow.mlflow_destination import Item, MlflowDestination, tags_of
from modelyard_mlflow.mlflow_http import MlflowRefusal
from modelyard_mlflow.modelyard_source import ModelyardSource
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import Unreachable

RUN_TAG = "modelyard.origin.run_id"
MODEL_TAG = "modelyard.origin.model_id"
ETAG_TAG = "modelyard.origin.etag"
_PARENT_TAG = "mlflow.parentRunId"
_DELETED = "deleted"


@dataclass(slots=True)
class IdMap:
    """Runs and logged models at the destination, by their ids at the source."""

    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Item] = field(default_factory=dict)
    models: dict[str, Item] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    """Ids at the source of runs and logged models that were exported in part."""
    model_names: dict[str, str] = field(default_factory=dict)
    """Names of logged models; on MLflow 2, which has none, they are folders of their runs."""


class TrackingExport:
    """One export of experiments, runs and logged models.

    Args:
        source: Server to export from.
        destination: Server to export to.
        report: Report of the export.
        progress: Progress bar.
        ids: Ids at the destination; filled in by the export.
    """

    def __init__(
        self,
        source: ModelyardSource,
        destination: MlflowDestination,
        report: Report,
        progress: ProgressBar,
        ids: IdMap,
    ) -> None:
        self._source, self._destination, self._report = source, destination, report
        self._progress, self._ids = progress, ids
        self._made: set[str] = set()

    def run(self, names: Collection[str]) -> None:
        """Export experiments with their runs and logged models.

        Args:
            names: Names of the experiments; all experiments if empty.

        Raises:
            Unreachable: An experiment of a given name does not exist.
        """
        found = [item for item in self._source.experiments() if not names or item.name in names]
        if missing := sorted(set(names) - {item.name for item in found}):
            raise Unreachable(f"The experiment '{missing[0]}' does not exist.")
        for experiment in found:
            self._progress.begin(f"experiment '{experiment.name}'")
            try:
                self._export_experiment(experiment)
            except MlflowRefusal as refused:
                self._leave_out("not-moved", f"experiment '{experiment.name}'", str(refused))

    def _export_experiment(self, experiment: pb.Experiment) -> None:
        existing = self._destination.experiment(experiment.name)
        self._report.count("experiments", created=existing is None)
        tags = {tag.key: tag.value for tag in experiment.tags}
        if existing is None:
            body = {"name": experiment.name, "tags": _items(tags)}
            created = self._destination.post("mlflow/experiments/create", body)
            existing = {"experiment_id": created["experiment_id"], "lifecycle_stage": "active"}
        destination_id = str(existing["experiment_id"])
        self._ids.experiments[experiment.experiment_id] = destination_id
        known = {
            tags_of(run["data"]).get(RUN_TAG): run for run in self._destination.runs(destination_id)
        }
        runs = list(self._source.runs(experiment.experiment_id))
        is_deleted = existing.get("lifecycle_stage") == _DELETED
        stays_deleted = is_deleted and experiment.lifecycle_stage == _DELETED
        if stays_deleted and all(_is_complete(run, known.get(run.info.run_id)) for run in runs):
            for run in runs:
                self._ids.runs[run.info.run_id] = known[run.info.run_id]
                self._report.count("runs", created=False)
            return
        if is_deleted:
            self._destination.post("mlflow/experiments/restore", {"experiment_id": destination_id})
            # Restoring the experiment restored its runs.
            known = {
                tags_of(run["data"]).get(RUN_TAG): run
                for run in self._destination.runs(destination_id)
            }
        for key, value in tags.items():
            if tags_of(existing).get(key) != value and existing.get("tags") is not None:
                body = {"experiment_id": destination_id, "key": key, "value": value}
                self._destination.post("mlflow/experiments/set-experiment-tag", body)
        self._export_runs(experiment, runs, known)
        if experiment.lifecycle_stage == _DELETED:
            self._destination.post("mlflow/experiments/delete", {"experiment_id": destination_id})

    def _export_runs(
        self, experiment: pb.Experiment, runs: list[pb.Run], known: Mapping[str | None, Item]
    ) -> None:
        for run in runs:
            self._begin_run(run, known.get(run.info.run_id))
        self._export_models(experiment)
        for run in runs:
            existing = self._ids.runs[run.info.run_id]
            if not _is_complete(run, existing):
                try:
                    self._fill_run(run, existing)
                except MlflowRefusal as refused:
                    self._ids.incomplete.add(run.info.run_id)
                    self._leave_out("not-moved", f"run {run.info.run_id}", str(refused))
            is_deleted = existing["info"].get("lifecycle_stage") == _DELETED
            if run.info.lifecycle_stage == _DELETED and not is_deleted:
                self._destination.post("mlflow/runs/delete", {"run_id": existing["info"]["run_id"]})
            self._progress.step()

    def _begin_run(self, run: pb.Run, existing: Item | None) -> None:
        info = run.info
        self._report.count("runs", created=existing is None)
        if existing is None:
            body = {
                "experiment_id": self._ids.experiments[info.experiment_id],
                "run_name": info.run_name,
                "start_time": info.start_time,
                "user_id": info.user_id,
                "tags": _items({RUN_TAG: info.run_id}),
            }
            existing = self._destination.post("mlflow/runs/create", body)["run"]
            self._made.add(info.run_id)
        elif existing["info"].get("lifecycle_stage") == _DELETED and not _is_complete(
            run, existing
        ):
            self._destination.post("mlflow/runs/restore", {"run_id": existing["info"]["run_id"]})
            existing["info"]["lifecycle_stage"] = "active"
        self._ids.runs[info.run_id] = existing

    def _fill_run(self, run: pb.Run, existing: Item) -> None:
        run_id: str = existing["info"]["run_id"]
        params = {param.key: param.value for param in run.data.params}
        known = {item["key"] for item in existing.get("data", {}).get("params", [])}
        missing = {key: value for key, value in params.items() if key not in known}
        self._destination.log_pairs(run_id, "params", missing)
        tags = {tag.key: tag.value for tag in run.data.tags}
        if (parent := tags.get(_PARENT_TAG)) in self._ids.runs:
            tags[_PARENT_TAG] = self._ids.runs[parent]["info"]["run_id"]
        self._destination.log_pairs(run_id, "tags", tags)
        self._log_inputs(run, existing)
        self._log_model_inputs(run, run_id)
        for key in sorted({metric.key for metric in run.data.metrics}):
            self._log_metric(run, run_id, key)
        self._put_files(
            Owner(run_id=run.info.run_id),
            existing["info"]["artifact_uri"],
            self._source.files(
                Owner(run_id=run.info.run_id), own_only=self._destination.server.has_logged_models
            ),
            f"run {run.info.run_id}",
            is_new=run.info.run_id in self._made,
        )
        self._log_outputs(run, existing)
        body: Item = {"run_id": run_id, "status": pb.RunStatus.Name(run.info.status)}
        if run.info.HasField("end_time"):
            body["end_time"] = run.info.end_time
        self._destination.post("mlflow/runs/update", body)
        self._destination.log_pairs(run_id, "tags", {ETAG_TAG: run.etag})

    def _log_metric(self, run: pb.Run, run_id: str, key: str) -> None:
        existing = set() if run.info.run_id in self._made else self._destination.points(run_id, key)
        curves: dict[Curve, set[Point]] = {}
        for series in self._source.series(run.info.run_id, key):
            model = self._ids.models.get(series.model_id, {}).get("info", {})
            of_models = self._destination.server.has_logged_models
            curve = Curve(
                key,
                model.get("model_id", ""),
                series.dataset_name if of_models else "",
                series.dataset_digest if of_models else "",
            )
            columns = zip(series.timestamps, series.steps, series.values, strict=True)
            points = curves.setdefault(curve, set())
            points |= {Point(t, s, None if math.isnan(v) else v) for t, s, v in columns}
        richer = set().union(*(found for curve, found in curves.items() if curve != Curve(key)))
        if Curve(key) in curves:
            curves[Curve(key)] -= richer
        points_of_all = richer.union(*curves.values())
        if any(_as_mlflow_keeps(point) != point for point in points_of_all):
            detail = f"metric '{key}': MLflow stores infinities as the largest floats"
            self._note("value-changed", f"run {run.info.run_id}", detail)
        for curve, points in curves.items():
            missing = [point for point in points if _as_mlflow_keeps(point) not in existing]
            self._report.count("metric points", len(missing), created=True)
            self._report.count("metric points", len(points) - len(missing), created=False)
            self._destination.log_metrics(run_id, curve, sorted(missing, key=lambda p: p[:2]))

    def _log_inputs(self, run: pb.Run, existing: Item) -> None:
        known = {
            (item["dataset"]["name"], item["dataset"]["digest"])
            for item in existing.get("inputs", {}).get("dataset_inputs", [])
        }
        for used in run.inputs.dataset_inputs:
            dataset = used.dataset
            if (dataset.name, dataset.digest) in known:
                continue
            item: Item = {name.name: value for name, value in dataset.ListFields()}
            tags = [{"key": tag.key, "value": tag.value} for tag in used.tags]
            body = {
                "run_id": existing["info"]["run_id"],
                "datasets": [{"dataset": item, "tags": tags}],
            }
            self._destination.post("mlflow/runs/log-inputs", body)

    def _log_model_inputs(self, run: pb.Run, run_id: str) -> None:
        models = [
            self._ids.models[used.model_id]["info"]["model_id"]
            for used in run.inputs.model_inputs
            if used.model_id in self._ids.models
        ]
        if not models:
            return
        whole = self._destination.server.get("mlflow/runs/get", {"run_id": run_id})["run"]
        inputs = whole.get("inputs", {}).get("model_inputs", [])
        known = {item["model_id"] for item in inputs}
        missing = [{"model_id": model_id} for model_id in models if model_id not in known]
        if missing:
            body = {"run_id": run_id, "models": missing}
            self._destination.post("mlflow/runs/log-inputs", body)

    def _log_outputs(self, run: pb.Run, existing: Item) -> None:
        known = {item["model_id"] for item in existing.get("outputs", {}).get("model_outputs", [])}
        models = [
            {"model_id": self._ids.models[made.model_id]["info"]["model_id"], "step": made.step}
            for made in run.outputs.model_outputs
            if made.model_id in self._ids.models
        ]
        missing = [item for item in models if item["model_id"] not in known]
        if missing:
            body = {"run_id": existing["info"]["run_id"], "models": missing}
            self._destination.post("mlflow/runs/outputs", body)

    def _put_files(
        self,
        owner: Owner,
        artifact_uri: str,
        files: Mapping[str, ArtifactFile],
        subject: str,
        *,
        is_new: bool,
    ) -> None:
        if not files:
            return
        if not self._destination.takes_files(artifact_uri):
            detail = f"the server does not accept files for {artifact_uri}; it must serve artifacts"
            self._leave_out("artifacts-refused", subject, detail)
            return
        existing = {} if is_new else self._destination.sizes_bytes(artifact_uri)
        missing = [path for path, file in files.items() if existing.get(path) != file.size_bytes]

        def fetch(path: str, folder: str) -> Path:
            return self._source.download(owner, path, folder)

        self._destination.put(artifact_uri, missing, fetch)
        self._report.count("files", len(missing), created=True)
        self._report.count("files", len(files) - len(missing), created=False)
        size_bytes = sum(files[path].size_bytes for path in missing)
        self._report.count("bytes", size_bytes, created=True)

    def _export_models(self, experiment: pb.Experiment) -> None:
        destination_id = self._ids.experiments[experiment.experiment_id]
        known = {
            tags_of(m["info"]).get(MODEL_TAG): m
            for m in self._destination.logged_models(destination_id)
        }
        for model in self._source.logged_models(experiment.experiment_id):
            self._ids.model_names[model.info.model_id] = model.info.name
            if not self._destination.server.has_logged_models:
                detail = (
                    "MLflow 2 has no logged models: the files go to a folder of the run, the rest "
                    "is lost"
                )
                self._note("not-moved", f"logged model {model.info.model_id}", detail)
                continue
            try:
                self._export_model(model, destination_id, known.get(model.info.model_id))
            except MlflowRefusal as refused:
                self._ids.incomplete.add(model.info.model_id)
                self._leave_out("not-moved", f"logged model {model.info.model_id}", str(refused))

    def _export_model(
        self, model: pb.LoggedModel, experiment_id: str, existing: Item | None
    ) -> None:
        info = model.info
        self._report.count("logged models", created=existing is None)
        is_new = existing is None
        if existing is None:
            tags = {tag.key: tag.value for tag in info.tags} | {MODEL_TAG: info.model_id}
            body: Item = {
                "experiment_id": experiment_id,
                "name": info.name,
                "params": _items({param.key: param.value for param in model.data.params}),
                "tags": _items(tags),
            }
            if info.model_type:
                body["model_type"] = info.model_type
            if info.source_run_id in self._ids.runs:
                body["source_run_id"] = self._ids.runs[info.source_run_id]["info"]["run_id"]
            existing = self._destination.post("mlflow/logged-models", body)["model"]
        self._ids.models[info.model_id] = existing
        files = self._source.files(Owner(model_id=info.model_id), own_only=True)
        status = pb.LoggedModelStatus.Name(info.status)
        if existing["info"].get("status") == status and not is_new:
            self._report.count("files", len(files), created=False)
            return
        subject = f"logged model {info.model_id}"
        uri = existing["info"]["artifact_uri"]
        self._put_files(Owner(model_id=info.model_id), uri, files, subject, is_new=is_new)
        if info.status != pb.LOGGED_MODEL_PENDING:
            destination_id = existing["info"]["model_id"]
            body = {"model_id": destination_id, "status": status}
            self._destination.server.send("PATCH", f"mlflow/logged-models/{destination_id}", body)

    def _note(self, kind: str, subject: str, detail: str) -> None:
        self._report.note(kind, subject, detail)

    def _leave_out(self, kind: str, subject: str, detail: str) -> None:
        self._report.leave_out(kind, subject, detail)


def _is_complete(run: pb.Run, existing: Item | None) -> bool:
    """Whether a run was exported completely and has not changed since."""
    return existing is not None and tags_of(existing.get("data", {})).get(ETAG_TAG) == run.etag


def _as_mlflow_keeps(point: Point) -> Point:
    if point.value is None or not math.isinf(point.value):
        return point
    return point._replace(value=math.copysign(sys.float_info.max, point.value))


def _items(pairs: Mapping[str, str]) -> list[Item]:
    return [{"key": key, "value": value} for key, value in pairs.items()]
