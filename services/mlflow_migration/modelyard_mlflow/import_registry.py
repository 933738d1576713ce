"""Writes registered models and versions of an origin.

Names come first, because tags of logged models mention them; versions come after the runs and
logged models whose bytes they pin.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.exceptions import InvalidState, NotFound
from modelyard.internal import Owner
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.names import check_alias
from modelyard_kit.references.uris import LoggedModelSource, RunSource, parse_source
from modelyard_mlflow.artifacts import REFUSALS, Trees
from modelyard_mlflow.destination import Destination
from modelyard_mlflow.import_tracking import IdMap, TrackingImport
from modelyard_mlflow.limits import Note, fit
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import (
    DEFAULT_EXPERIMENT_ID,
    OriginVersion,
    Reader,
    Tree,
    Unreachable,
    Unreadable,
)

_NO_STAGE = "None"
_HELD_ONCE = ("Staging", "Production")
_OURS = ("runs:/", "models:/", "mlflow-artifacts:/")
_NOT_IN_MODEL_NAMES = re.compile(r"[/:.%\"']")


class RegistryImport:
    """One import of registered models.

    Args:
        reader: The origin.
        target: Where they are written.
        report: Of the import.
        steps: Shows how far it is.
        here: What things are called here; names of registered models are filled in.
        tracking: Knows which runs and logged models were moved.
        origin: Names the origin.
        host: Names it in URIs of files that stay there.
    """

    def __init__(
        self,
        reader: Reader,
        target: Destination,
        report: Report,
        steps: ProgressBar,
        here: IdMap,
        tracking: TrackingImport,
        *,
        origin: str,
        host: str,
    ) -> None:
        self._reader, self._target, self._report = reader, target, report
        self._steps, self._here, self._tracking = steps, here, tracking
        self._origin, self._host = origin, host
        self._trees = Trees(reader, target, report)
        self._models: list[pb.RegisteredModel] = []

    def move_names(self, names: Collection[str]) -> None:
        """Move registered models without their versions.

        Args:
            names: Of the models; all of them if empty.

        Raises:
            Unreachable: The origin fails, or has no registered model of a given name.
        """
        self._steps.begin("registered models")
        found = [m for m in self._reader.registered_models() if not names or m.name in names]
        if missing := sorted(set(names) - {model.name for model in found}):
            raise Unreachable(f"The origin has no registered model '{missing[0]}'.")
        for model in found:
            subject = f"registered model '{model.name}'"
            model.ClearField("latest_versions")
            name = model.name
            fit(model, self._noting(subject))
            try:
                here, created = self._write_model(model)
            except REFUSALS as refusal:
                self._report.note("not-moved", subject, refusal.message)
                continue
            self._report.count("registered models", created=created)
            if here != name:
                self._report.note("name-changed", subject, f"its name is '{here}' here")
            self._here.registered[name] = here
            self._models.append(model)

    def move_versions(self) -> None:
        """Move the versions of the models that were moved, in order of their numbers."""
        self._steps.begin("versions of registered models", len(self._models))
        for model in self._models:
            self._move_versions_of(model)
            self._write_model(model)  # its time of change is the origin's again
            self._steps.step()

    def _write_model(self, model: pb.RegisteredModel) -> tuple[str, bool]:
        bare = pb.RegisteredModel.FromString(model.SerializeToString())
        bare.ClearField("aliases")
        return self._target.registered_model(bare, self._reader.next_version(model.name))

    def _move_versions_of(self, model: pb.RegisteredModel) -> None:
        versions = list(self._reader.versions(model.name))
        self._leave_one_holder(versions)
        self._give_aliases(model, versions)
        blocked = [found for found in versions if not self._move_version(found)]
        # Holders that change places get their stage when the others have left it.
        for found in blocked:
            if not self._move_version(found, settle=True):
                stage = found.message.current_stage
                detail = f"it is in None: another version holds {stage} here"
                self._report.note("stage-changed", _subject(found), detail)

    def _leave_one_holder(self, versions: list[OriginVersion]) -> None:
        for stage in _HELD_ONCE:
            holders = [found for found in versions if found.message.current_stage == stage]
            holders.sort(key=lambda found: _freshness(found.message))
            for found in holders[:-1]:
                keeper = holders[-1].message.version
                detail = f"it moves from {stage} to None: version {keeper} came there later"
                self._report.note("stage-changed", _subject(found), detail)
                found.message.current_stage = _NO_STAGE

    def _give_aliases(self, model: pb.RegisteredModel, versions: list[OriginVersion]) -> None:
        by_number = {found.message.version: found.message for found in versions}
        for found in versions:
            found.message.ClearField("aliases")
        for item in model.aliases:
            subject = f"registered model '{model.name}'"
            try:
                check_alias(item.alias)
            except InvalidArgument as refusal:
                self._report.note("alias-refused", subject, refusal.message)
                continue
            if item.version in by_number:
                by_number[item.version].aliases.append(item.alias)
            else:
                detail = f"alias '{item.alias}' points to version {item.version}, which is gone"
                self._report.note("alias-refused", subject, detail)

    def _move_version(self, found: OriginVersion, *, settle: bool = False) -> bool:
        """Write a version; return False if another one holds its stage.

        Args:
            found: The version.
            settle: Whether it was written without its stage before.
        """
        message = pb.ModelVersion.FromString(found.message.SerializeToString())
        subject = _subject(found)
        fit(message, self._noting(subject))
        message.ClearField("model_id")
        if message.run_id in self._here.runs:
            message.run_id = self._here.runs[message.run_id]
        if not message.current_stage:
            message.current_stage = _NO_STAGE
        message.source = self._source(found)
        try:
            created = self._write_version(found, message)
        except InvalidState:
            if not settle:
                message.current_stage = _NO_STAGE
                _, created = self._target.version(message)
                self._report.count("versions", created=created)
            return False
        except REFUSALS as refusal:
            self._report.note("not-moved", subject, refusal.message)
            return True
        if not settle:
            self._report.count("versions", created=created)
        return True

    def _write_version(self, found: OriginVersion, message: pb.ModelVersion) -> bool:
        try:
            _, created = self._target.version(message)
        except NotFound:
            # The run or logged model was moved, but has no files there.
            message.source = self._as_text(found)
            _, created = self._target.version(message)
        return created

    def _source(self, found: OriginVersion) -> str:
        """Return where a version's bytes are, in terms of what is here."""
        text = found.message.source
        name = self._here.registered[found.message.name]
        # What is sealed stays as it is, even if more of the origin has been moved since.
        here = self._target.source(name, found.message.version)
        for uri in (text, found.location):
            here = here or self._in_a_tree(uri)
        here = here or self._own_model(found)
        if not here:
            return self._as_text(found)
        if here != text:
            detail = f"its source is {here} for {text}"
            self._report.note("source-changed", _subject(found), detail)
        return here

    def _in_a_tree(self, uri: str) -> str:
        """Return the URI here of files of a run or logged model that was moved; else empty."""
        if uri.startswith("runs:/"):
            run_id, _, path = uri.removeprefix("runs:/").partition("/")
            here = self._here.runs.get(run_id, "")
            return here and f"runs:/{here}/{path}".rstrip("/")
        if uri.startswith("models:/m-"):
            here = self._here.models.get(uri.removeprefix("models:/"), "")
            return here and f"models:/{here}"
        root, rest = uri.rstrip("/"), ""
        while root and root not in self._here.owners:
            root, _, name = root.rpartition("/")
            rest = f"{name}/{rest}".rstrip("/")
        owner = self._here.owners.get(root)
        if owner is None:
            return ""
        if uri.startswith("mlflow-artifacts:") and (owner.run_id or owner.model_id or "") in uri:
            return uri if isinstance(parse_source(uri), RunSource | LoggedModelSource) else ""
        if owner.run_id:
            return f"runs:/{owner.run_id}/{rest}".rstrip("/")
        return f"models:/{owner.model_id}" if not rest else ""

    def _own_model(self, found: OriginVersion) -> str:
        """Put a version's bytes into a logged model of its own; return its URI, or empty."""
        version = found.message
        tree = Tree(found.location)
        try:
            if not any(True for _ in self._reader.files(tree)):
                return ""
        except Unreadable:
            return ""
        key = f"{self._origin}\0{version.name}\0{version.version}"
        info = tracking_pb2.LoggedModelInfo(
            model_id=f"m-{hashlib.sha256(key.encode()).hexdigest()[:32]}",
            experiment_id=DEFAULT_EXPERIMENT_ID,
            name=_NOT_IN_MODEL_NAMES.sub("_", version.name),
            status=tracking_pb2.LOGGED_MODEL_READY,
            creation_timestamp_ms=version.creation_timestamp,
            last_updated_timestamp_ms=version.creation_timestamp,
        )
        if self._tracking.is_active(version.run_id):
            info.source_run_id = self._here.runs[version.run_id]
            experiment_id = self._here.experiment_of_run[version.run_id]
            info.experiment_id = self._here.experiments[experiment_id]
        message = tracking_pb2.LoggedModel(info=info)
        try:
            model_id, _ = self._target.logged_model(message)
        except REFUSALS as refusal:
            self._report.note("artifacts-refused", _subject(found), refusal.message)
            return ""
        if self._trees.copy(tree, Owner(model_id=model_id), _subject(found), lambda: None):
            self._target.logged_model(message)
        return f"models:/{model_id}"

    def _as_text(self, found: OriginVersion) -> str:
        """Return a source that is kept and never opened, and say so."""
        text = found.message.source or found.location or f"unknown:{found.message.version}"
        if text.startswith(_OURS) and "://" not in text:
            # Read as one of ours otherwise; this is how a URI names another server.
            text = text.replace(":/", f"://{self._host}/", 1)
        detail = f"its bytes are out of reach; its source is kept as text: {text}"
        self._report.note("source-unverified", _subject(found), detail)
        return text

    def _noting(self, subject: str) -> Note:
        return lambda kind, detail: self._report.note(kind, subject, detail)


def _subject(found: OriginVersion) -> str:
    return f"version {found.message.version} of '{found.message.name}'"


def _freshness(version: pb.ModelVersion) -> tuple[int, int]:
    return version.last_updated_timestamp, int(version.version)
