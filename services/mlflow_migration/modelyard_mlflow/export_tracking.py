"""Writes experiments, runs and logged models to an MLflow server.

What is written carries tags that say which run or logged model it is here, and, once it is whole,
with which etag: that is how the next export knows it.
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
from modelyard_mlflow.mlflow_destination import Item, MlflowTarget, tags_of
from modelyard_mlflow.mlflow_http import MlflowRefusal
from modelyard_mlflow.modelyard_source import Modelyard
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
    """What runs and logged models are at the other server, by their ids here."""

    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Item] = field(default_factory=dict)
    models: dict[str, Item] = field(default_factory=dict)
    model_names: dict[str, str] = field(default_factory=dict)
    """Names of logged models, which are folders of their runs where MLflow has no such models."""


class TrackingExport:
    """One export of experiments, runs and logged models.

    Args:
        source: Where they are.
        target: Where they are written.
        report: Of the export.
        steps: Shows how far it is.
        there: Filled in.
    """

    def __init__(
        self,
        source: Modelyard,
        target: MlflowTarget,
        report: Report,
        steps: ProgressBar,
        there: IdMap,
    ) -> None:
        self._source, self._target, self._report = source, target, report
        self._steps, self._there = steps, there
        self._made: set[str] = set()

    def move(self, names: Collection[str]) -> None:
        """Move experiments with all they hold.

        Args:
            names: Of the experiments; all of them if empty.

        Raises:
            Unreachable: There is no experiment of a given name.
        """
        found = [item for item in self._source.experiments() if not names or item.name in names]
        if missing := sorted(set(names) - {item.name for item in found}):
            raise Unreachable(f"There is no experiment '{missing[0]}' here.")
        for experiment in found:
            self._steps.begin(f"experiment '{experiment.name}'")
            try:
                self._move_experiment(experiment)
            except MlflowRefusal as refused:
                self._note("not-moved", f"experiment '{experiment.name}'", str(refused))

    def _move_experiment(self, experiment: pb.Experiment) -> None:
        there = self._target.experiment(experiment.name)
        self._report.count("experiments", created=there is None)
        tags = {tag.key: tag.value for tag in experiment.tags}
        if there is None:
            body = {"name": experiment.name, "tags": _items(tags)}
            created = self._target.post("mlflow/experiments/create", body)
            there = {"experiment_id": created["experiment_id"], "lifecycle_stage": "active"}
        there_id = str(there["experiment_id"])
        self._there.experiments[experiment.experiment_id] = there_id
        known = {tags_of(run["data"]).get(RUN_TAG): run for run in self._target.runs(there_id)}
        runs = list(self._source.runs(experiment.experiment_id))
        is_deleted = there.get("lifecycle_stage") == _DELETED
        stays = is_deleted and experiment.lifecycle_stage == _DELETED
        if stays and all(_is_whole(run, known.get(run.info.run_id)) for run in runs):
            for run in runs:
                self._there.runs[run.info.run_id] = known[run.info.run_id]
                self._report.count("runs", created=False)
            return
        if is_deleted:
            self._target.post("mlflow/experiments/restore", {"experiment_id": there_id})
            # Restoring takes the runs along.
            known = {tags_of(run["data"]).get(RUN_TAG): run for run in self._target.runs(there_id)}
        for key, value in tags.items():
            if tags_of(there).get(key) != value and there.get("tags") is not None:
                body = {"experiment_id": there_id, "key": key, "value": value}
                self._target.post("mlflow/experiments/set-experiment-tag", body)
        self._move_runs(experiment, runs, known)
        if experiment.lifecycle_stage == _DELETED:
            self._target.post("mlflow/experiments/delete", {"experiment_id": there_id})

    def _move_runs(
        self, experiment: pb.Experiment, runs: list[pb.Run], known: Mapping[str | None, Item]
    ) -> None:
        for run in runs:
            self._begin_run(run, known.get(run.info.run_id))
        of_runs: dict[str, list[pb.LoggedModel]] = {}
        self._move_models(experiment, of_runs)
        for run in runs:
            there = self._there.runs[run.info.run_id]
            if not _is_whole(run, there):
                try:
                    self._fill_run(run, there, of_runs.get(run.info.run_id, []))
                except MlflowRefusal as refused:
                    self._note("not-moved", f"run {run.info.run_id}", str(refused))
            deleted_there = there["info"].get("lifecycle_stage") == _DELETED
            if run.info.lifecycle_stage == _DELETED and not deleted_there:
                self._target.post("mlflow/runs/delete", {"run_id": there["info"]["run_id"]})
            self._steps.step()

    def _begin_run(self, run: pb.Run, there: Item | None) -> None:
        info = run.info
        self._report.count("runs", created=there is None)
        if there is None:
            body = {
                "experiment_id": self._there.experiments[info.experiment_id],
                "run_name": info.run_name,
                "start_time": info.start_time,
                "user_id": info.user_id,
                "tags": _items({RUN_TAG: info.run_id}),
            }
            there = self._target.post("mlflow/runs/create", body)["run"]
            self._made.add(info.run_id)
        elif there["info"].get("lifecycle_stage") == _DELETED and not _is_whole(run, there):
            self._target.post("mlflow/runs/restore", {"run_id": there["info"]["run_id"]})
            there["info"]["lifecycle_stage"] = "active"
        self._there.runs[info.run_id] = there

    def _fill_run(self, run: pb.Run, there: Item, models: list[pb.LoggedModel]) -> None:
        run_id: str = there["info"]["run_id"]
        params = {param.key: param.value for param in run.data.params}
        known = {item["key"] for item in there.get("data", {}).get("params", [])}
        missing = {key: value for key, value in params.items() if key not in known}
        self._target.log_pairs(run_id, "params", missing)
        tags = {tag.key: tag.value for tag in run.data.tags}
        if (parent := tags.get(_PARENT_TAG)) in self._there.runs:
            tags[_PARENT_TAG] = self._there.runs[parent]["info"]["run_id"]
        self._target.log_pairs(run_id, "tags", tags)
        self._log_inputs(run, there)
        self._log_model_inputs(run, run_id)
        for key in sorted({metric.key for metric in run.data.metrics}):
            self._log_metric(run, run_id, key)
        self._put_files(
            Owner(run_id=run.info.run_id),
            there["info"]["artifact_uri"],
            self._own_files(run, models),
            f"run {run.info.run_id}",
            is_new=run.info.run_id in self._made,
        )
        self._log_outputs(run, there)
        body: Item = {"run_id": run_id, "status": pb.RunStatus.Name(run.info.status)}
        if run.info.HasField("end_time"):
            body["end_time"] = run.info.end_time
        self._target.post("mlflow/runs/update", body)
        self._target.log_pairs(run_id, "tags", {ETAG_TAG: run.etag})

    def _log_metric(self, run: pb.Run, run_id: str, key: str) -> None:
        there = set() if run.info.run_id in self._made else self._target.points(run_id, key)
        curves: dict[Curve, set[Point]] = {}
        for series in self._source.series(run.info.run_id, key):
            model = self._there.models.get(series.model_id, {}).get("info", {})
            of_models = self._target.server.has_logged_models
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
            detail = f"metric '{key}': MLflow keeps infinities as the greatest numbers"
            self._note("value-changed", f"run {run.info.run_id}", detail)
        for curve, points in curves.items():
            missing = [point for point in points if _as_mlflow_keeps(point) not in there]
            self._report.count("metric points", len(missing), created=True)
            self._report.count("metric points", len(points) - len(missing), created=False)
            self._target.log_metrics(run_id, curve, sorted(missing, key=lambda p: p[:2]))

    def _log_inputs(self, run: pb.Run, there: Item) -> None:
        known = {
            (item["dataset"]["name"], item["dataset"]["digest"])
            for item in there.get("inputs", {}).get("dataset_inputs", [])
        }
        for used in run.inputs.dataset_inputs:
            dataset = used.dataset
            if (dataset.name, dataset.digest) in known:
                continue
            item: Item = {name.name: value for name, value in dataset.ListFields()}
            tags = [{"key": tag.key, "value": tag.value} for tag in used.tags]
            body = {
                "run_id": there["info"]["run_id"],
                "datasets": [{"dataset": item, "tags": tags}],
            }
            self._target.post("mlflow/runs/log-inputs", body)

    def _log_model_inputs(self, run: pb.Run, run_id: str) -> None:
        models = [
            self._there.models[used.model_id]["info"]["model_id"]
            for used in run.inputs.model_inputs
            if used.model_id in self._there.models
        ]
        if not models:
            return
        whole = self._target.server.get("mlflow/runs/get", {"run_id": run_id})["run"]
        inputs = whole.get("inputs", {}).get("model_inputs", [])
        known = {item["model_id"] for item in inputs}
        missing = [{"model_id": model_id} for model_id in models if model_id not in known]
        if missing:
            body = {"run_id": run_id, "models": missing}
            self._target.post("mlflow/runs/log-inputs", body)

    def _log_outputs(self, run: pb.Run, there: Item) -> None:
        known = {item["model_id"] for item in there.get("outputs", {}).get("model_outputs", [])}
        models = [
            {"model_id": self._there.models[made.model_id]["info"]["model_id"], "step": made.step}
            for made in run.outputs.model_outputs
            if made.model_id in self._there.models
        ]
        missing = [item for item in models if item["model_id"] not in known]
        if missing:
            body = {"run_id": there["info"]["run_id"], "models": missing}
            self._target.post("mlflow/runs/outputs", body)

    def _own_files(self, run: pb.Run, models: list[pb.LoggedModel]) -> dict[str, ArtifactFile]:
        """Return the files of a run, without those of its logged models."""
        files = self._source.files(Owner(run_id=run.info.run_id))
        for model in models:
            of_model = self._source.files(Owner(model_id=model.info.model_id))
            for path, file in of_model.items():
                seen = files.get(f"{model.info.name}/{path}")
                if seen is not None and seen.digest == file.digest:
                    del files[f"{model.info.name}/{path}"]
        return files

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
        if not self._target.takes_files(artifact_uri):
            detail = f"the server does not take files for {artifact_uri}; it must serve artifacts"
            self._note("artifacts-refused", subject, detail)
            return
        there = {} if is_new else self._target.sizes_bytes(artifact_uri)
        missing = [path for path, file in files.items() if there.get(path) != file.size_bytes]

        def fetch(path: str, folder: str) -> Path:
            return self._source.download(owner, path, folder)

        self._target.put(artifact_uri, missing, fetch)
        self._report.count("files", len(missing), created=True)
        self._report.count("files", len(files) - len(missing), created=False)
        size_bytes = sum(files[path].size_bytes for path in missing)
        self._report.count("bytes", size_bytes, created=True)

    def _move_models(
        self, experiment: pb.Experiment, of_runs: dict[str, list[pb.LoggedModel]]
    ) -> None:
        there_id = self._there.experiments[experiment.experiment_id]
        known = {tags_of(m["info"]).get(MODEL_TAG): m for m in self._target.logged_models(there_id)}
        for model in self._source.logged_models(experiment.experiment_id):
            self._there.model_names[model.info.model_id] = model.info.name
            if not self._target.server.has_logged_models:
                detail = (
                    "MLflow 2 has none: its files are a folder of its run, the rest is not kept"
                )
                self._note("not-moved", f"logged model {model.info.model_id}", detail)
                continue
            of_runs.setdefault(model.info.source_run_id, []).append(model)
            try:
                self._move_model(model, there_id, known.get(model.info.model_id))
            except MlflowRefusal as refused:
                self._note("not-moved", f"logged model {model.info.model_id}", str(refused))

    def _move_model(self, model: pb.LoggedModel, experiment_id: str, there: Item | None) -> None:
        info = model.info
        self._report.count("logged models", created=there is None)
        is_new = there is None
        if there is None:
            tags = {tag.key: tag.value for tag in info.tags} | {MODEL_TAG: info.model_id}
            body: Item = {
                "experiment_id": experiment_id,
                "name": info.name,
                "params": _items({param.key: param.value for param in model.data.params}),
                "tags": _items(tags),
            }
            if info.model_type:
                body["model_type"] = info.model_type
            if info.source_run_id in self._there.runs:
                body["source_run_id"] = self._there.runs[info.source_run_id]["info"]["run_id"]
            there = self._target.post("mlflow/logged-models", body)["model"]
        self._there.models[info.model_id] = there
        files = self._source.files(Owner(model_id=info.model_id))
        status = pb.LoggedModelStatus.Name(info.status)
        if there["info"].get("status") == status and not is_new:
            self._report.count("files", len(files), created=False)
            return
        subject = f"logged model {info.model_id}"
        uri = there["info"]["artifact_uri"]
        self._put_files(Owner(model_id=info.model_id), uri, files, subject, is_new=is_new)
        if info.status != pb.LOGGED_MODEL_PENDING:
            there_id = there["info"]["model_id"]
            body = {"model_id": there_id, "status": status}
            self._target.server.send("PATCH", f"mlflow/logged-models/{there_id}", body)

    def _note(self, kind: str, subject: str, detail: str) -> None:
        self._report.note(kind, subject, detail)


def _is_whole(run: pb.Run, there: Item | None) -> bool:
    """Whether a run was written before, to its end, as it still is."""
    return there is not None and tags_of(there.get("data", {})).get(ETAG_TAG) == run.etag


def _as_mlflow_keeps(point: Point) -> Point:
    if point.value is None or not math.isinf(point.value):
        return point
    return point._replace(value=math.copysign(sys.float_info.max, point.value))


def _items(pairs: Mapping[str, str]) -> list[Item]:
    return [{"key": key, "value": value} for key, value in pairs.items()]
