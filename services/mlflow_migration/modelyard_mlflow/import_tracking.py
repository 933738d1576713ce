"""Writes experiments, runs and logged models of an origin.

Three passes: first all experiments and runs, so that every id here is known; then logged models;
then what runs hold. A run or experiment that was deleted at the origin is written as active only
while something that it holds is written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.internal import Owner
from modelyard_mlflow.artifacts import REFUSALS, Trees
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
    """What things of the origin are called here; keys are the origin's ids and names."""

    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    experiment_of_run: dict[str, str] = field(default_factory=dict)
    """Ids of the origin."""
    owners: dict[str, Owner] = field(default_factory=dict)
    """Whose files are below an artifact URI."""

    def renamed(self) -> dict[str, str]:
        """Return the runs and logged models that have another id here."""
        both = (self.runs, self.models)
        return {old: new for ids in both for old, new in ids.items() if old != new}


class TrackingImport:
    """One import of experiments, runs and logged models.

    Args:
        reader: The origin.
        target: Where they are written.
        report: Of the import.
        steps: Shows how far it is.
        here: Filled in; names of registered models are there already.
    """

    def __init__(
        self, reader: Reader, target: Destination, report: Report, steps: ProgressBar, here: IdMap
    ) -> None:
        self._reader, self._target, self._report = reader, target, report
        self._steps, self._here = steps, here
        self._trees = Trees(reader, target, report)
        self._experiments: dict[str, pb.Experiment] = {}
        self._deleted_runs: dict[str, pb.Run] = {}
        self._made_runs: set[str] = set()
        self._open: set[str] = set()
        self._model_points: dict[str, dict[Curve, set[Point]]] = {}

    def move(self, names: Collection[str]) -> None:
        """Move experiments with all they hold.

        Args:
            names: Of the experiments; all of them if empty.

        Raises:
            Unreachable: The origin fails, or has no experiment of a given name.
        """
        self._steps.begin("experiments")
        found = [item for item in self._reader.experiments() if not names or item.name in names]
        if missing := sorted(set(names) - {item.name for item in found}):
            raise Unreachable(f"The origin has no experiment '{missing[0]}'.")
        for experiment in found:
            self._move_experiment(experiment)
        runs = len(self._here.runs)
        self._steps.begin("logged models")
        for experiment_id in self._experiments:
            for model in self._reader.logged_models(experiment_id):
                self._move_model(model)
                self._steps.step()
        self._steps.begin("metrics and artifacts of runs", runs)
        for experiment_id in self._experiments:
            for run in self._reader.runs(experiment_id):
                self._move_content(run)
                self._steps.step()
            self._close(experiment_id)

    def open_run(self, run_id: str) -> None:
        """Make a run writable until its experiment is done, if it or its experiment was deleted."""
        experiment_id = self._here.experiment_of_run[run_id]
        self._open_experiment(experiment_id)
        if run_id in self._deleted_runs and run_id not in self._open:
            active = pb.Run.FromString(self._deleted_runs[run_id].SerializeToString())
            active.info.lifecycle_stage = _ACTIVE
            self._target.run(active)
            self._open.add(run_id)

    def is_active(self, run_id: str) -> bool:
        """Whether a run was moved, and neither it nor its experiment was deleted."""
        experiment = self._experiments.get(self._here.experiment_of_run.get(run_id, ""))
        if experiment is None or experiment.lifecycle_stage == _DELETED:
            return False
        return run_id not in self._deleted_runs

    def _move_experiment(self, experiment: pb.Experiment) -> None:
        experiment_id = experiment.experiment_id
        subject = f"experiment '{experiment.name}'"
        fit(experiment, self._noting(subject))
        is_default = experiment.name == _DEFAULT_NAME or experiment_id == DEFAULT_EXPERIMENT_ID
        if is_default and experiment.lifecycle_stage == _DELETED:
            self._report.note("state-changed", subject, "it was deleted; Default stays")
            experiment.lifecycle_stage = _ACTIVE
        try:
            here, created = self._target.experiment(experiment)
        except REFUSALS as refusal:
            self._report.note("not-moved", subject, refusal.message)
            return
        self._report.count("experiments", created=created)
        if here != experiment_id:
            self._report.note("id-changed", subject, f"its id {experiment_id} is {here} here")
        self._experiments[experiment_id] = experiment
        self._here.experiments[experiment_id] = here
        for run in self._reader.runs(experiment_id):
            self._move_run(run)

    def _move_run(self, run: pb.Run) -> None:
        run_id = run.info.run_id
        subject = f"run {run_id}"
        try:
            message = self._run_message(run)
            here, created = self._target.run(message)
        except REFUSALS as refusal:
            self._report.note("not-moved", subject, refusal.message)
            return
        self._report.count("runs", created=created)
        if created:
            self._made_runs.add(run_id)
        if here != run_id:
            self._report.note("id-changed", subject, f"its id is {here} here")
        self._here.runs[run_id] = here
        self._here.experiment_of_run[run_id] = run.info.experiment_id
        self._here.owners[run.info.artifact_uri.rstrip("/")] = Owner(run_id=here)
        if message.info.lifecycle_stage == _DELETED:
            self._deleted_runs[run_id] = message

    def _run_message(self, run: pb.Run) -> pb.Run:
        """Return a run to be written, in terms of ids here, without its logged models."""
        message = pb.Run(info=run.info)
        message.data.params.extend(run.data.params)
        message.data.tags.extend(run.data.tags)
        message.inputs.dataset_inputs.extend(run.inputs.dataset_inputs)
        note = self._noting(f"run {run.info.run_id}")
        experiment = self._experiments[run.info.experiment_id]
        info = message.info
        info.experiment_id = self._here.experiments[info.experiment_id]
        if experiment.lifecycle_stage == _DELETED and info.lifecycle_stage != _DELETED:
            note("state-changed", "it is deleted here, as its experiment is")
            info.lifecycle_stage = _DELETED
        if not info.HasField("start_time"):
            note("value-changed", "it has no start time; 0 is put")
            info.start_time = 0
        if not info.run_name.strip():
            info.ClearField("run_name")
        fit(message, note)
        self._name_ids(message.data.tags, note)
        for part in ("profile", "schema"):
            if message.ByteSize() > _MAX_REQUEST_BYTES:
                note("value-dropped", f"{part} of its datasets: they are too large together")
                for used in message.inputs.dataset_inputs:
                    used.dataset.ClearField(part)
        return message

    def _name_ids(self, tags: Collection[pb.RunTag], note: Note) -> None:
        for old, new in self._here.renamed().items():
            for tag in tags:
                if tag.key in _NAMING_IDS and old in tag.value:
                    tag.value = tag.value.replace(old, new)
                    note("reference-changed", f"tag {tag.key} names {new} for {old}")

    def _move_model(self, model: pb.LoggedModel) -> None:
        model_id, run_id = model.info.model_id, model.info.source_run_id
        subject = f"logged model {model_id}"
        message = self._model_message(model, self._noting(subject))
        try:
            here, created = self._target.logged_model(message)
        except REFUSALS as refusal:
            self._report.note("not-moved", subject, refusal.message)
            return
        self._report.count("logged models", created=created)
        if here != model_id:
            detail = f"its id is {here} here; its MLmodel file says {model_id}"
            self._report.note("id-changed", subject, detail)
        owner = Owner(model_id=here)
        self._here.models[model_id] = here
        self._here.owners[model.info.artifact_uri.rstrip("/")] = owner
        self._keep_points(model, here)

        def open_model() -> None:
            self._open_experiment(model.info.experiment_id)
            if message.info.source_run_id:
                self.open_run(run_id)

        tree = Tree(model.info.artifact_uri, model_id=model_id)
        if self._trees.copy(tree, owner, subject, open_model):
            self._target.logged_model(message)  # its time of change is the origin's again

    def _model_message(self, model: pb.LoggedModel, note: Note) -> pb.LoggedModel:
        message = pb.LoggedModel(info=model.info)
        message.data.params.extend(model.data.params)
        info = message.info
        run_id = info.source_run_id
        if run_id and self._here.experiment_of_run.get(run_id) != info.experiment_id:
            note("reference-dropped", f"its run {run_id} is not in its experiment")
            info.ClearField("source_run_id")
        elif run_id:
            info.source_run_id = self._here.runs[run_id]
        info.experiment_id = self._here.experiments[info.experiment_id]
        fit(message, note)
        for tag in info.tags:
            for old, new in self._here.registered.items():
                name, name_here = f'"name": "{old}"', f'"name": "{new}"'
                if tag.key == _MODEL_VERSIONS_TAG and old != new and name in tag.value:
                    tag.value = tag.value.replace(name, name_here)
                    note("reference-changed", f"tag {tag.key} names '{new}' for '{old}'")
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

    def _move_content(self, run: pb.Run) -> None:
        run_id = run.info.run_id
        here = self._here.runs.get(run_id)
        if here is None:
            return  # refused before, or started since
        subject = f"run {run_id}"
        try:
            self._move_metrics(run, here)
            tree, owner = Tree(run.info.artifact_uri, run_id=run_id), Owner(run_id=here)
            self._trees.copy(tree, owner, subject, lambda: self.open_run(run_id))
            message = self._run_message(run)
            self._add_models(run, message)
            self._target.run(message)
        except REFUSALS as refusal:
            self._report.note("not-moved", subject, refusal.message)

    def _move_metrics(self, run: pb.Run, here: str) -> None:
        run_id = run.info.run_id
        there = {} if run_id in self._made_runs else self._target.points(here)
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
                missing = sorted(points - there.get(curve, set()), key=lambda p: p[:2])
                self._report.count("metric points", len(missing), created=True)
                self._report.count("metric points", len(points) - len(missing), created=False)
                if missing:
                    self.open_run(run_id)
                    self._target.log(here, curve, missing)

    def _add_models(self, run: pb.Run, message: pb.Run) -> None:
        subject = f"run {run.info.run_id}"
        for used in run.inputs.model_inputs:
            if here := self._here.models.get(used.model_id):
                message.inputs.model_inputs.add(model_id=here)
            else:
                detail = f"its input {used.model_id} was not moved"
                self._report.note("reference-dropped", subject, detail)
        for made in run.outputs.model_outputs:
            if here := self._here.models.get(made.model_id):
                message.outputs.model_outputs.add(model_id=here, step=made.step)
            else:
                detail = f"its output {made.model_id} was not moved"
                self._report.note("reference-dropped", subject, detail)

    def _open_experiment(self, experiment_id: str) -> None:
        experiment = self._experiments[experiment_id]
        if experiment.lifecycle_stage == _DELETED and experiment_id not in self._open:
            active = pb.Experiment.FromString(experiment.SerializeToString())
            active.lifecycle_stage = _ACTIVE
            self._target.experiment(active)
            self._open.add(experiment_id)

    def _close(self, experiment_id: str) -> None:
        # Also when it was not opened: what was written to it has changed its times.
        self._target.experiment(self._experiments[experiment_id])
        self._open.discard(experiment_id)

    def _noting(self, subject: str) -> Note:
        return lambda kind, detail: self._report.note(kind, subject, detail)
