"""Imports experiments, runs and logged models.

Three passes: first all experiments and runs, so that every new id is known; then logged models;
then metrics and artifacts of runs. A run or experiment that is deleted at the source is active only
while its content is written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.internal import Owner
from modelyard_mlflow.artifacts import REFUSALS, ArtifactCopier, Missing
from modelyard_mlflow.destination import Curve, Destination, Point
from modelyard_mlflow.limits import Note, fit, refused_key
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import DEFAULT_EXPERIMENT_ID, Reader, Tree, Unreachable

_ACTIVE, _DELETED = "active", "deleted"
_DEFAULT_NAME = "Default"
_MODEL_VERSIONS_TAG = "mlflow.modelVersions"
# Tags whose values name runs or logged models.
_NAMING_IDS = {"mlflow.parentRunId", "mlflow.log-model.history"}
_MAX_REQUEST_BYTES = 7 << 20


@dataclass(slots=True)
class IdMap:
    """Ids and names at the destination, by those at the source."""

    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    experiment_of_run: dict[str, str] = field(default_factory=dict)
    """Ids at the source."""
    owners: dict[str, Owner] = field(default_factory=dict)
    """Run or logged model at the destination, by artifact URI at the source."""
    places: dict[tuple[str, str], Owner] = field(default_factory=dict)
    """Logged model at the destination, by its run there and its name."""
    missing: Missing = field(default_factory=Missing)
    """Files that could not be copied."""

    def renamed(self) -> dict[str, str]:
        """Return the changed ids of runs and logged models, by the old ones."""
        both = (self.runs, self.models)
        return {old: new for ids in both for old, new in ids.items() if old != new}


class TrackingImport:
    """One import of experiments, runs and logged models.

    Args:
        reader: Reader of the source.
        destination: Destination of the import.
        report: Report of the import.
        progress: Progress bar.
        ids: Ids at the destination, filled in; has the names of registered models already.
    """

    def __init__(
        self,
        reader: Reader,
        destination: Destination,
        report: Report,
        progress: ProgressBar,
        ids: IdMap,
    ) -> None:
        self._reader, self._destination, self._report = reader, destination, report
        self._progress, self._ids = progress, ids
        self._artifacts = ArtifactCopier(reader, destination, report, ids.missing)
        self._experiments: dict[str, pb.Experiment] = {}
        self._deleted_runs: dict[str, pb.Run] = {}
        self._made_runs: set[str] = set()
        self._open: set[str] = set()
        self._model_points: dict[str, dict[Curve, set[Point]]] = {}

    def run(self, names: Collection[str]) -> None:
        """Import experiments with their runs and logged models.

        Args:
            names: Names of the experiments; all experiments if empty.

        Raises:
            Unreachable: The source fails, or has no experiment of a given name.
        """
        self._progress.begin("experiments")
        found = [item for item in self._reader.experiments() if not names or item.name in names]
        if missing := sorted(set(names) - {item.name for item in found}):
            raise Unreachable(f"The source has no experiment '{missing[0]}'.")
        for experiment in found:
            self._import_experiment(experiment)
        runs = len(self._ids.runs)
        self._progress.begin("logged models")
        for experiment_id in self._experiments:
            for model in self._reader.logged_models(experiment_id):
                self._import_model(model)
                self._progress.step()
        self._progress.begin("metrics and artifacts of runs", runs)
        for experiment_id in self._experiments:
            for run in self._reader.runs(experiment_id):
                self._import_content(run)
                self._progress.step()
            self._close(experiment_id)

    def open_run(self, run_id: str) -> None:
        """Restore a deleted run, and its deleted experiment, until the experiment is complete."""
        experiment_id = self._ids.experiment_of_run[run_id]
        self._open_experiment(experiment_id)
        if run_id in self._deleted_runs and run_id not in self._open:
            active = pb.Run.FromString(self._deleted_runs[run_id].SerializeToString())
            active.info.lifecycle_stage = _ACTIVE
            self._destination.run(active)
            self._open.add(run_id)

    def is_active(self, run_id: str) -> bool:
        """Whether a run was imported, and neither it nor its experiment is deleted."""
        experiment = self._experiments.get(self._ids.experiment_of_run.get(run_id, ""))
        if experiment is None or experiment.lifecycle_stage == _DELETED:
            return False
        return run_id not in self._deleted_runs

    def _import_experiment(self, experiment: pb.Experiment) -> None:
        experiment_id = experiment.experiment_id
        subject = f"experiment '{experiment.name}'"
        fit(experiment, self._noting(subject))
        is_default = experiment.name == _DEFAULT_NAME or experiment_id == DEFAULT_EXPERIMENT_ID
        if is_default and experiment.lifecycle_stage == _DELETED:
            self._report.note(
                "state-changed", subject, "deleted at the source; Default cannot be deleted"
            )
            experiment.lifecycle_stage = _ACTIVE
        try:
            new_id, created = self._destination.experiment(experiment)
        except REFUSALS as refusal:
            self._report.leave_out("not-moved", subject, refusal.message)
            return
        self._report.count("experiments", created=created)
        if new_id != experiment_id:
            self._report.note("id-changed", subject, f"the id {experiment_id} is now {new_id}")
        self._experiments[experiment_id] = experiment
        self._ids.experiments[experiment_id] = new_id
        for run in self._reader.runs(experiment_id):
            self._import_run(run)

    def _import_run(self, run: pb.Run) -> None:
        run_id = run.info.run_id
        subject = f"run {run_id}"
        try:
            message = self._run_message(run)
            new_id, created = self._destination.run(message)
        except REFUSALS as refusal:
            self._report.leave_out("not-moved", subject, refusal.message)
            return
        self._report.count("runs", created=created)
        if created:
            self._made_runs.add(run_id)
        if new_id != run_id:
            self._report.note("id-changed", subject, f"the new id is {new_id}")
        self._ids.runs[run_id] = new_id
        self._ids.experiment_of_run[run_id] = run.info.experiment_id
        self._ids.owners[run.info.artifact_uri.rstrip("/")] = Owner(run_id=new_id)
        if message.info.lifecycle_stage == _DELETED:
            self._deleted_runs[run_id] = message

    def _run_message(self, run: pb.Run) -> pb.Run:
        """Return a run to be written, with new ids, without its logged models."""
        message = pb.Run(info=run.info)
        message.data.params.extend(run.data.params)
        message.data.tags.extend(run.data.tags)
        message.inputs.dataset_inputs.extend(run.inputs.dataset_inputs)
        note = self._noting(f"run {run.info.run_id}")
        experiment = self._experiments[run.info.experiment_id]
        info = message.info
        info.experiment_id = self._ids.experiments[info.experiment_id]
        if experiment.lifecycle_stage == _DELETED and info.lifecycle_stage != _DELETED:
            note("state-changed", "deleted, as its experiment is deleted")
            info.lifecycle_stage = _DELETED
        if not info.HasField("start_time"):
            note("value-changed", "it has no start time; set to 0")
            info.start_time = 0
        if not info.run_name.strip():
            info.ClearField("run_name")
        fit(message, note)
        self._name_ids(message.data.tags, note)
        for part in ("profile", "schema"):
            if message.ByteSize() > _MAX_REQUEST_BYTES:
                note("value-dropped", f"{part} of its datasets: too large in total")
                for used in message.inputs.dataset_inputs:
                    used.dataset.ClearField(part)
        return message

    def _name_ids(self, tags: Collection[pb.RunTag], note: Note) -> None:
        for old, new in self._ids.renamed().items():
            for tag in tags:
                if tag.key in _NAMING_IDS and old in tag.value:
                    tag.value = tag.value.replace(old, new)
                    note("reference-changed", f"tag {tag.key} refers to {new} instead of {old}")

    def _import_model(self, model: pb.LoggedModel) -> None:
        model_id, run_id = model.info.model_id, model.info.source_run_id
        subject = f"logged model {model_id}"
        message = self._model_message(model, self._noting(subject))
        try:
            new_id, created = self._destination.logged_model(message)
        except REFUSALS as refusal:
            self._report.leave_out("not-moved", subject, refusal.message)
            return
        self._report.count("logged models", created=created)
        if new_id != model_id:
            detail = f"the new id is {new_id}; the MLmodel file keeps {model_id}"
            self._report.note("id-changed", subject, detail)
        owner = Owner(model_id=new_id)
        self._ids.models[model_id] = new_id
        self._ids.owners[model.info.artifact_uri.rstrip("/")] = owner
        self._ids.places[message.info.source_run_id, message.info.name] = owner
        self._keep_points(model, new_id)

        def open_model() -> None:
            self._open_experiment(model.info.experiment_id)
            if message.info.source_run_id:
                self.open_run(run_id)

        tree = Tree(model.info.artifact_uri, model_id=model_id)
        if self._artifacts.copy(tree, owner, subject, open_model):
            self._destination.logged_model(message)  # restores the source's time of change

    def _model_message(self, model: pb.LoggedModel, note: Note) -> pb.LoggedModel:
        message = pb.LoggedModel(info=model.info)
        message.data.params.extend(model.data.params)
        info = message.info
        run_id = info.source_run_id
        if run_id and self._ids.experiment_of_run.get(run_id) != info.experiment_id:
            note("reference-dropped", f"the run {run_id} is not in the model's experiment")
            info.ClearField("source_run_id")
        elif run_id:
            info.source_run_id = self._ids.runs[run_id]
        info.experiment_id = self._ids.experiments[info.experiment_id]
        fit(message, note)
        for tag in info.tags:
            for old, new in self._ids.registered.items():
                old_name, new_name = f'"name": "{old}"', f'"name": "{new}"'
                if tag.key == _MODEL_VERSIONS_TAG and old != new and old_name in tag.value:
                    tag.value = tag.value.replace(old_name, new_name)
                    detail = f"tag {tag.key} refers to '{new}' instead of '{old}'"
                    note("reference-changed", detail)
        return message

    def _keep_points(self, model: pb.LoggedModel, model_id: str) -> None:
        """Remember a logged model's points until the run that logged them is written."""
        for metric in model.data.metrics:
            dataset = ("", "")
            if metric.dataset_name and metric.dataset_digest:
                dataset = (metric.dataset_name, metric.dataset_digest)
            curves = self._model_points.setdefault(metric.run_id, {})
            curve = Curve(metric.key, model_id, *dataset)
            curves.setdefault(curve, set()).add(Point.of(metric))

    def _import_content(self, run: pb.Run) -> None:
        run_id = run.info.run_id
        new_id = self._ids.runs.get(run_id)
        if new_id is None:
            return  # refused before, or created since
        subject = f"run {run_id}"
        try:
            self._import_metrics(run, new_id)
            tree, owner = Tree(run.info.artifact_uri, run_id=run_id), Owner(run_id=new_id)
            self._artifacts.copy(tree, owner, subject, lambda: self.open_run(run_id))
            message = self._run_message(run)
            self._add_models(run, message)
            self._destination.run(message)
        except REFUSALS as refusal:
            self._report.leave_out("not-moved", subject, refusal.message)

    def _import_metrics(self, run: pb.Run, new_id: str) -> None:
        run_id = run.info.run_id
        stored = {} if run_id in self._made_runs else self._destination.points(new_id)
        of_models = self._model_points.pop(run_id, {})
        keys = {metric.key for metric in run.data.metrics} | {curve.key for curve in of_models}
        for key in sorted(keys):
            if reason := refused_key(key):
                self._report.note("value-dropped", f"run {run_id}", f"metric {key!r}: {reason}")
                continue
            curves = {curve: points for curve, points in of_models.items() if curve.key == key}
            known: set[Point] = set().union(*curves.values())
            curves[Curve(key)] = {Point.of(m) for m in self._reader.history(run_id, key)} - known
            for curve, points in curves.items():
                missing = sorted(points - stored.get(curve, set()), key=lambda p: p[:2])
                self._report.count("metric points", len(missing), created=True)
                self._report.count("metric points", len(points) - len(missing), created=False)
                if missing:
                    self.open_run(run_id)
                    self._destination.log(new_id, curve, missing)

    def _add_models(self, run: pb.Run, message: pb.Run) -> None:
        subject = f"run {run.info.run_id}"
        for used in run.inputs.model_inputs:
            if new_id := self._ids.models.get(used.model_id):
                message.inputs.model_inputs.add(model_id=new_id)
            else:
                detail = f"the input {used.model_id} was not imported"
                self._report.note("reference-dropped", subject, detail)
        for made in run.outputs.model_outputs:
            if new_id := self._ids.models.get(made.model_id):
                message.outputs.model_outputs.add(model_id=new_id, step=made.step)
            else:
                detail = f"the output {made.model_id} was not imported"
                self._report.note("reference-dropped", subject, detail)

    def _open_experiment(self, experiment_id: str) -> None:
        experiment = self._experiments[experiment_id]
        if experiment.lifecycle_stage == _DELETED and experiment_id not in self._open:
            active = pb.Experiment.FromString(experiment.SerializeToString())
            active.lifecycle_stage = _ACTIVE
            self._destination.experiment(active)
            self._open.add(experiment_id)

    def _close(self, experiment_id: str) -> None:
        # Also if it was not opened: writing to it has changed its times.
        self._destination.experiment(self._experiments[experiment_id])
        self._open.discard(experiment_id)

    def _noting(self, subject: str) -> Note:
        return lambda kind, detail: self._report.note(kind, subject, detail)
