"""Imports registered models and versions.

Names come first, because tags of logged models refer to them; versions come after the runs and
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
from modelyard_mlflow.artifacts import REFUSALS, ArtifactCopier, described
from modelyard_mlflow.destination import Destination
from modelyard_mlflow.import_tracking import IdMap, TrackingImport
from modelyard_mlflow.limits import Note, fit
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import (
    DEFAULT_EXPERIMENT_ID,
    Reader,
    SourceVersion,
    Tree,
    Unreachable,
    Unreadable,
)

_NO_STAGE = "None"
_MAX_REASON_CHARACTERS = 5_000
_HELD_ONCE = ("Staging", "Production")
_OURS = ("runs:/", "models:/", "mlflow-artifacts:/")
_NOT_IN_MODEL_NAMES = re.compile(r"[/:.%\"']")


class RegistryImport:
    """One import of registered models.

    Args:
        reader: Reader of the source.
        destination: Destination of the import.
        report: Report of the import.
        progress: Progress bar.
        ids: Ids at the destination; names of registered models are filled in.
        tracking: Import of the runs and logged models.
        origin: Name of the origin.
        host: Host of the origin, for URIs of files that are not imported.
    """

    def __init__(
        self,
        reader: Reader,
        destination: Destination,
        report: Report,
        progress: ProgressBar,
        ids: IdMap,
        tracking: TrackingImport,
        *,
        origin: str,
        host: str,
    ) -> None:
        self._reader, self._destination, self._report = reader, destination, report
        self._progress, self._ids, self._tracking = progress, ids, tracking
        self._origin, self._host = origin, host
        self._artifacts = ArtifactCopier(reader, destination, report, ids.missing)
        self._models: list[pb.RegisteredModel] = []

    def import_names(self, names: Collection[str]) -> None:
        """Import registered models without their versions.

        Args:
            names: Names of the models; all models if empty.

        Raises:
            Unreachable: The source fails, or has no registered model of a given name.
        """
        self._progress.begin("registered models")
        found = [m for m in self._reader.registered_models() if not names or m.name in names]
        if missing := sorted(set(names) - {model.name for model in found}):
            raise Unreachable(f"The source has no registered model '{missing[0]}'.")
        for model in found:
            subject = f"registered model '{model.name}'"
            model.ClearField("latest_versions")
            name = model.name
            fit(model, self._noting(subject))
            try:
                new_name, created = self._write_model(model)
            except REFUSALS as refusal:
                self._report.leave_out("not-moved", subject, refusal.message)
                continue
            self._report.count("registered models", created=created)
            if new_name != name:
                self._report.note("name-changed", subject, f"the new name is '{new_name}'")
            self._ids.registered[name] = new_name
            self._models.append(model)

    def import_versions(self) -> None:
        """Import the versions of the imported models, in order of their numbers."""
        self._progress.begin("versions of registered models", len(self._models))
        for model in self._models:
            self._import_versions_of(model)
            self._write_model(model)  # restores the source's time of change
            self._progress.step()

    def _write_model(self, model: pb.RegisteredModel) -> tuple[str, bool]:
        bare = pb.RegisteredModel.FromString(model.SerializeToString())
        bare.ClearField("aliases")
        return self._destination.registered_model(bare, self._reader.next_version(model.name))

    def _import_versions_of(self, model: pb.RegisteredModel) -> None:
        versions = list(self._reader.versions(model.name))
        self._leave_one_holder(versions)
        self._give_aliases(model, versions)
        blocked = [found for found in versions if not self._import_version(found)]
        # Versions that swap stages get theirs once the previous holders have left.
        for found in blocked:
            if not self._import_version(found, settle=True):
                stage = found.message.current_stage
                detail = f"in stage None: another version holds {stage} at the destination"
                self._report.note("stage-changed", _subject(found), detail)

    def _leave_one_holder(self, versions: list[SourceVersion]) -> None:
        for stage in _HELD_ONCE:
            holders = [found for found in versions if found.message.current_stage == stage]
            holders.sort(key=lambda found: _freshness(found.message))
            for found in holders[:-1]:
                keeper = holders[-1].message.version
                detail = f"moved from {stage} to None: version {keeper} entered {stage} later"
                self._report.note("stage-changed", _subject(found), detail)
                found.message.current_stage = _NO_STAGE

    def _give_aliases(self, model: pb.RegisteredModel, versions: list[SourceVersion]) -> None:
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
                detail = (
                    f"alias '{item.alias}' points to version {item.version}, which does not exist"
                )
                self._report.note("alias-refused", subject, detail)

    def _import_version(self, found: SourceVersion, *, settle: bool = False) -> bool:
        """Write a version; return False if another version holds its stage.

        Args:
            found: The version at the source.
            settle: Whether the version was written without its stage before.
        """
        message = pb.ModelVersion.FromString(found.message.SerializeToString())
        subject = _subject(found)
        fit(message, self._noting(subject))
        message.ClearField("model_id")
        if message.run_id in self._ids.runs:
            message.run_id = self._ids.runs[message.run_id]
        if not message.current_stage:
            message.current_stage = _NO_STAGE
        message.source, message.unverified_reason = self._source(found)
        try:
            created = self._write_version(found, message)
        except InvalidState:
            if not settle:
                message.current_stage = _NO_STAGE
                _, created = self._destination.version(message)
                self._report.count("versions", created=created)
            return False
        except REFUSALS as refusal:
            self._report.leave_out("not-moved", subject, refusal.message)
            return True
        if not settle:
            self._report.count("versions", created=created)
        return True

    def _write_version(self, found: SourceVersion, message: pb.ModelVersion) -> bool:
        try:
            _, created = self._destination.version(message)
        except NotFound:
            # The run or logged model was imported, and has no files.
            reason = f"there are no files at {message.source}"
            message.source, message.unverified_reason = self._as_text(found, reason)
            _, created = self._destination.version(message)
        return created

    def _source(self, found: SourceVersion) -> tuple[str, str]:
        """Return the source of a version at the destination, and why it cannot be pinned to it."""
        text = found.message.source
        name = self._ids.registered[found.message.name]
        # A sealed version keeps its source, even if more of the origin has been imported since.
        source = self._destination.source(name, found.message.version)
        for uri in () if source else (text, found.location):
            source = source or self._in_a_tree(uri)
            if source and (missing := self._missing_at(source)):
                return self._as_text(found, described(missing))
        reason = ""
        if not source:
            source, reason = self._own_model(found)
        if not source:
            return self._as_text(found, reason)
        if source != text:
            detail = f"the source is {source} instead of {text}"
            self._report.note("source-changed", _subject(found), detail)
        return source, ""

    def _missing_at(self, uri: str) -> dict[str, str]:
        """Return why a folder at the destination is not whole, by path; empty if it is."""
        source, missing, places = parse_source(uri), self._ids.missing, self._ids.places
        if isinstance(source, RunSource):
            name, _, inside = source.path.partition("/")
            place, model = (source.run_id, name), places.get((source.run_id, name))
            if model is None:
                return missing.below(Owner(run_id=source.run_id), source.path)
        elif isinstance(source, LoggedModelSource):
            inside, model = source.path, Owner(model_id=source.model_id)
            place = next((place for place, owner in places.items() if owner == model), ("", ""))
        else:
            return {}
        beside = missing.below(Owner(run_id=place[0]), f"{place[1]}/{inside}".rstrip("/"))
        return missing.below(model, inside) | {path: why for path, why in beside.items() if path}

    def _in_a_tree(self, uri: str) -> str:
        """Return the new URI of files of an imported run or logged model; empty for other files."""
        if uri.startswith("runs:/"):
            run_id, _, path = uri.removeprefix("runs:/").partition("/")
            new_id = self._ids.runs.get(run_id, "")
            return new_id and f"runs:/{new_id}/{path}".rstrip("/")
        if uri.startswith("models:/m-"):
            new_id = self._ids.models.get(uri.removeprefix("models:/"), "")
            return new_id and f"models:/{new_id}"
        root, rest = uri.rstrip("/"), ""
        while root and root not in self._ids.owners:
            root, _, name = root.rpartition("/")
            rest = f"{name}/{rest}".rstrip("/")
        owner = self._ids.owners.get(root)
        if owner is None:
            return ""
        if uri.startswith("mlflow-artifacts:") and (owner.run_id or owner.model_id or "") in uri:
            return uri if isinstance(parse_source(uri), RunSource | LoggedModelSource) else ""
        if owner.run_id:
            return f"runs:/{owner.run_id}/{rest}".rstrip("/")
        return f"models:/{owner.model_id}" if not rest else ""

    def _own_model(self, found: SourceVersion) -> tuple[str, str]:
        """Copy a version's bytes to a new logged model.

        Returns:
            Its URI, empty if the bytes are not all there, and why they are not.
        """
        version = found.message
        tree = Tree(found.location)
        try:
            if not any(True for _ in self._reader.files(tree)):
                return "", f"there are no files at {tree.uri}"
        except Unreadable as unreadable:
            return "", str(unreadable)
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
            info.source_run_id = self._ids.runs[version.run_id]
            experiment_id = self._ids.experiment_of_run[version.run_id]
            info.experiment_id = self._ids.experiments[experiment_id]
        message = tracking_pb2.LoggedModel(info=info)
        try:
            model_id, _ = self._destination.logged_model(message)
        except REFUSALS as refusal:
            self._report.leave_out("artifacts-refused", _subject(found), refusal.message)
            return "", refusal.message
        owner = Owner(model_id=model_id)
        if self._artifacts.copy(tree, owner, _subject(found), lambda: None):
            self._destination.logged_model(message)
        missing = self._ids.missing.below(owner)
        return ("", described(missing)) if missing else (f"models:/{model_id}", "")

    def _as_text(self, found: SourceVersion, reason: str) -> tuple[str, str]:
        """Return a source that is stored as text only, with the reason, and report it."""
        text = found.message.source or found.location or f"unknown:{found.message.version}"
        if text.startswith(_OURS) and "://" not in text:
            # With a host the URI names another server; otherwise it would be taken as local.
            text = text.replace(":/", f"://{self._host}/", 1)
        detail = f"{reason}; the source is stored as text: {text}"
        self._report.leave_out("source-unverified", _subject(found), detail)
        return text, reason.encode("utf-8", "backslashreplace").decode()[:_MAX_REASON_CHARACTERS]

    def _noting(self, subject: str) -> Note:
        return lambda kind, detail: self._report.note(kind, subject, detail)


def _subject(found: SourceVersion) -> str:
    return f"version {found.message.version} of '{found.message.name}'"


def _freshness(version: pb.ModelVersion) -> tuple[int, int]:
    return version.last_updated_timestamp, int(version.version)
