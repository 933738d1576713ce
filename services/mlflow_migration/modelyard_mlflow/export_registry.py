"""Writes registered models and versions to an MLflow server.

The server assigns the version numbers: for a gap, a version is created and deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.internal import Owner, fetch_model
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.uris import LoggedModelSource, RunSource, parse_source
from modelyard_mlflow.export_tracking import IdMap
from modelyard_mlflow.mlflow_destination import Item, MlflowDestination, tags_of
from modelyard_mlflow.mlflow_http import MlflowRefusal
from modelyard_mlflow.modelyard_source import ModelyardSource
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import Unreachable

NAME_TAG = "modelyard.origin.name"
VERSION_TAG = "modelyard.origin.version"
DIGEST_TAG = "modelyard.origin.digest"
_DEFAULT_EXPERIMENT = "0"
_FOLDER = "model"
_NO_STAGE = "None"


class RegistryExport:
    """One export of registered models.

    Args:
        source: Server to export from.
        destination: Server to export to.
        report: Report of the export.
        progress: Progress bar.
        ids: Runs and logged models that were exported.
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
        self._carriers: dict[str, Item] = {}

    def run(self, names: Collection[str]) -> None:
        """Export registered models with their versions.

        Args:
            names: Names of the models; all models if empty.

        Raises:
            Unreachable: A model of a given name does not exist.
        """
        found = [
            item for item in self._source.registered_models() if not names or item.name in names
        ]
        if missing := sorted(set(names) - {item.name for item in found}):
            raise Unreachable(f"The registered model '{missing[0]}' does not exist.")
        self._progress.begin("registered models", len(found))
        for model in found:
            try:
                self._export_model(model)
            except MlflowRefusal as refused:
                self._leave_out("not-moved", f"registered model '{model.name}'", str(refused))
            self._progress.step()

    def _export_model(self, model: pb.RegisteredModel) -> None:
        existing = self._destination.registered_model(model.name)
        tags = {tag.key: tag.value for tag in model.tags} | {NAME_TAG: model.name}
        if existing is None:
            body: Item = {"name": model.name, "tags": _items(tags)}
            if model.description:
                body["description"] = model.description
            self._destination.post("mlflow/registered-models/create", body)
        elif NAME_TAG not in tags_of(existing):
            detail = "the server has a model of this name that was not exported from this server"
            self._leave_out("not-moved", f"registered model '{model.name}'", detail)
            return
        else:
            self._update_model(model, existing, tags)
        self._report.count("registered models", created=existing is None)
        self._export_versions(model)
        self._set_aliases(model, existing or {})

    def _update_model(
        self, model: pb.RegisteredModel, existing: Item, tags: dict[str, str]
    ) -> None:
        if existing.get("description", "") != model.description:
            body = {"name": model.name, "description": model.description}
            self._destination.server.send("PATCH", "mlflow/registered-models/update", body)
        for key, value in tags.items():
            if tags_of(existing).get(key) != value:
                body = {"name": model.name, "key": key, "value": value}
                self._destination.post("mlflow/registered-models/set-tag", body)

    def _export_versions(self, model: pb.RegisteredModel) -> None:
        existing = {item["version"]: item for item in self._destination.versions(model.name)}
        for number, item in list(existing.items()):
            if tags_of(item).get(VERSION_TAG) != number:
                self._delete(model.name, number)  # created for a gap by an interrupted export
                del existing[number]
        for version in self._source.versions(model.name):
            subject = f"version {version.version} of '{model.name}'"
            found = existing.get(version.version)
            self._report.count("versions", created=found is None)
            try:
                if found is None:
                    found = self._create(version, subject)
                if found is not None:
                    self._update_version(version, found)
            except MlflowRefusal as refused:
                self._leave_out("not-moved", subject, str(refused))

    def _create(self, version: pb.ModelVersion, subject: str) -> Item | None:
        body = self._body(version, subject)
        while True:
            made: Item = self._destination.post("mlflow/model-versions/create", body)[
                "model_version"
            ]
            if int(made["version"]) == int(version.version):
                return made
            self._delete(version.name, made["version"])
            if int(made["version"]) > int(version.version):
                detail = (
                    f"the server continues with {made['version']}: it had later versions before"
                )
                self._leave_out("not-moved", subject, detail)
                return None

    def _body(self, version: pb.ModelVersion, subject: str) -> Item:
        tags = {tag.key: tag.value for tag in version.tags}
        tags[VERSION_TAG] = version.version
        if version.digest:
            tags[DIGEST_TAG] = version.digest
        body: Item = {"name": version.name, "tags": _items(tags)}
        if version.description:
            body["description"] = version.description
        if version.run_link:
            body["run_link"] = version.run_link
        return body | self._source_of(version, subject)

    def _source_of(self, version: pb.ModelVersion, subject: str) -> Item:
        """Return the source, run and model of a version at the destination."""
        run = self._ids.runs.get(version.run_id)
        of_run = {"run_id": run["info"]["run_id"]} if run else {}
        if not version.verified:
            self._note("source-unverified", subject, f"the source is text: {version.source}")
            return {"source": version.source, **of_run}
        is_whole = self._ids.incomplete.isdisjoint({version.run_id, version.model_id})
        model = self._ids.models.get(version.model_id)
        owner = Owner(model_id=version.model_id)
        if model and is_whole and self._source.digest(owner, "", own_only=True) == version.digest:
            model_id = model["info"]["model_id"]
            return {"source": f"models:/{model_id}", "model_id": model_id, **of_run}
        path = self._path_in_run(version) if is_whole else None
        if run and path is not None and model is None:
            return {"source": f"{run['info']['artifact_uri']}/{path}".rstrip("/"), **of_run}
        carrier = self._carrier(version)["info"]
        detail = f"the bytes are in run {carrier['run_id']}, which was created for the version"
        self._note("source-changed", subject, detail)
        return {"source": f"{carrier['artifact_uri']}/{_FOLDER}", "run_id": carrier["run_id"]}

    def _path_in_run(self, version: pb.ModelVersion) -> str | None:
        """Return the path of a version's bytes in its run's tree; None if they are elsewhere."""
        try:
            source = parse_source(version.source)
        except InvalidArgument:
            return None
        if isinstance(source, LoggedModelSource) and not source.path:
            path = self._ids.model_names.get(source.model_id, "")
        elif isinstance(source, RunSource) and source.run_id == version.run_id:
            path = source.path
        else:
            return None
        owner, own_only = Owner(run_id=version.run_id), self._destination.server.has_logged_models
        is_same = self._source.digest(owner, path, own_only=own_only) == version.digest
        return path if is_same else None

    def _carrier(self, version: pb.ModelVersion) -> Item:
        """Return a run at the destination that holds the bytes of a version."""
        if not self._carriers:
            for run in self._destination.runs(_DEFAULT_EXPERIMENT):
                self._carriers[tags_of(run["data"]).get(DIGEST_TAG, "")] = run
        if version.digest not in self._carriers:
            body = {
                "experiment_id": _DEFAULT_EXPERIMENT,
                "run_name": f"{version.name} version {version.version}",
                "start_time": version.creation_timestamp,
            }
            run = self._destination.post("mlflow/runs/create", body)["run"]
            self._upload(version, run["info"]["artifact_uri"])
            run_id = run["info"]["run_id"]
            self._destination.log_pairs(run_id, "tags", {DIGEST_TAG: version.digest})
            end = {"run_id": run_id, "status": "FINISHED", "end_time": version.creation_timestamp}
            self._destination.post("mlflow/runs/update", end)
            self._carriers[version.digest] = run
        return self._carriers[version.digest]

    def _upload(self, version: pb.ModelVersion, artifact_uri: str) -> None:
        model = fetch_model(f"models:/{version.name}/{version.version}")
        root = model.path
        paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]

        def find(path: str, folder: str) -> Path:  # noqa: ARG001 - the file is local already
            return root / path

        self._destination.put(f"{artifact_uri}/{_FOLDER}", paths, find)
        self._report.count("files", len(paths), created=True)

    def _update_version(self, version: pb.ModelVersion, existing: Item) -> None:
        named = {"name": version.name, "version": version.version}
        if existing.get("description", "") != version.description:
            body = {**named, "description": version.description}
            self._destination.server.send("PATCH", "mlflow/model-versions/update", body)
        tags = tags_of(existing)
        for tag in version.tags:
            if tags.get(tag.key) != tag.value:
                body = {**named, "key": tag.key, "value": tag.value}
                self._destination.post("mlflow/model-versions/set-tag", body)
        if existing.get("current_stage", _NO_STAGE) != version.current_stage:
            body = {**named, "stage": version.current_stage}
            self._destination.post(
                "mlflow/model-versions/transition-stage",
                {**body, "archive_existing_versions": False},
            )

    def _set_aliases(self, model: pb.RegisteredModel, existing: Item) -> None:
        wanted = {item.alias: item.version for item in model.aliases}
        known = {item["alias"]: item["version"] for item in existing.get("aliases", [])}
        for alias, version in wanted.items():
            if known.get(alias) != version:
                body = {"name": model.name, "alias": alias, "version": version}
                try:
                    self._destination.post("mlflow/registered-models/alias", body)
                except MlflowRefusal as refused:
                    detail = f"alias '{alias}': {refused}"
                    self._note("alias-refused", f"registered model '{model.name}'", detail)
        for alias in sorted(known.keys() - wanted.keys()):
            body = {"name": model.name, "alias": alias}
            self._destination.server.send("DELETE", "mlflow/registered-models/alias", body)

    def _delete(self, name: str, version: str) -> None:
        body = {"name": name, "version": version}
        self._destination.server.send("DELETE", "mlflow/model-versions/delete", body)

    def _note(self, kind: str, subject: str, detail: str) -> None:
        self._report.note(kind, subject, detail)

    def _leave_out(self, kind: str, subject: str, detail: str) -> None:
        self._report.leave_out(kind, subject, detail)


def _items(pairs: dict[str, str]) -> list[Item]:
    return [{"key": key, "value": value} for key, value in pairs.items()]
