"""Model versions: registering, stages, rollback, tags."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard import _wire
from modelyard._client.calls import Calls
from modelyard._client.registered_models import RegisteredModels
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.entities import PagedList
from modelyard.entities.model_registry import ModelVersion, ResolvedModel
from modelyard.exceptions import InvalidParameter

STAGES = ("None", "Staging", "Production", "Archived")
# Registering seals a manifest first; a model of many files takes its time.
_REGISTER_DEADLINE_S = 60.0


class ModelVersions(RegisteredModels, Calls):
    def create_model_version(  # noqa: PLR0913 - MLflow's signature, and one
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: float | None = 300,
        model_id: str | None = None,
        *,
        create_registered_model: bool = False,
    ) -> ModelVersion:
        """Register the next version of a model, pinning its bytes.

        Args:
            name: Of a registered model, an existing one unless `create_registered_model` is set.
            source: `runs:/<run>/<path>`, `models:/m-<id>` or `models:/<name>/<version>`. Another
                text is kept as it is, unverified.
            run_id: Must agree with the source.
            tags: Values are turned to text.
            run_link: Kept as it is.
            description: At most 5,000 characters.
            await_creation_for: Of no effect: a version is READY when this returns.
            model_id: Must agree with the source.
            create_registered_model: Create the registered model, in the same step, if there is none
                of that name.

        Raises:
            NotFound: No such model, run or path.
        """
        request = pb.CreateModelVersionRequest(
            name=name,
            source=source,
            run_id=run_id,
            tags=[pb.ModelVersionTag(key=k, value=str(v)) for k, v in (tags or {}).items()],
            run_link=run_link,
            description=description,
            model_id=model_id,
            create_registered_model=create_registered_model,
        )
        reply = self._registry(request, pb.CreateModelVersionResponse, _REGISTER_DEADLINE_S)
        return _wire.model_version(reply.model_version)

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Register the bytes of a version under another name, which is made if need be.

        Args:
            src_model_uri: `models:/<name>/<version or stage>` or `models:/<name>@<alias>`.
            dst_name: The model that gets a new version.

        Returns:
            The new version, with the source's description and tags, in stage None.
        """
        copied = self.resolve(src_model_uri).version
        if copied is None:
            raise InvalidParameter(
                f"Invalid source '{src_model_uri}': expected the URI of a registered version, "
                "such as models:/iris/3."
            )
        return self.create_model_version(
            dst_name,
            f"models:/{copied.name}/{copied.version}",
            tags=copied.tags,
            description=copied.description or None,
            create_registered_model=True,
        )

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version.

        Args:
            name: Which model.
            version: A number, a stage in any case or an alias, looked for in this order.

        Raises:
            NotFound: There is none, or the stage is empty.
        """
        request = pb.GetModelVersionRequest(name=name, version=str(version))
        reply = self._registry(request, pb.GetModelVersionResponse)
        return _wire.model_version(reply.model_version)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the highest version in each of some stages; in every stage by default."""
        request = pb.GetLatestVersionsRequest(name=name, stages=stages)
        reply = self._registry(request, pb.GetLatestVersionsResponse)
        return [_wire.model_version(item) for item in reply.model_versions]

    def get_model_version_stages(self, name: str, version: str | int) -> list[str]:
        """Return the stages a version can be in."""
        self.get_model_version(name, version)
        return list(STAGES)

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the bytes of a version are: its manifest's, or its unverified source."""
        request = pb.GetModelVersionDownloadUriRequest(name=name, version=str(version))
        return self._registry(request, pb.GetModelVersionDownloadUriResponse).artifact_uri

    def update_model_version(
        self,
        name: str,
        version: str | int,
        description: str | None = None,
        *,
        etag: str | None = None,
    ) -> ModelVersion:
        """Change the description.

        Raises:
            Aborted: The etag given is not the version's any more.
        """
        request = pb.UpdateModelVersionRequest(
            name=name, version=str(version), description=description, etag=etag
        )
        reply = self._registry(request, pb.UpdateModelVersionResponse)
        return _wire.model_version(reply.model_version)

    def transition_model_version_stage(
        self,
        name: str,
        version: str | int,
        stage: str,
        archive_existing_versions: bool = False,  # noqa: FBT001, FBT002 - MLflow's signature
        *,
        comment: str | None = None,
        etag: str | None = None,
        expected_holder: str | int | None = None,
    ) -> ModelVersion:
        """Move a version to a stage; the version that holds Staging or Production leaves it.

        Args:
            name: Which model.
            version: A number.
            stage: None, Staging, Production or Archived, in any case.
            archive_existing_versions: Move the present holder to Archived instead of None.
            comment: Why; kept in the history.
            etag: If given, the version's must still be this one.
            expected_holder: If given, the version that must still hold the stage, or "none".

        Raises:
            Aborted: Somebody else changed the version or the stage first.
            InvalidParameter: There is no such stage.
        """
        request = pb.TransitionModelVersionStageRequest(
            name=name,
            version=str(version),
            stage=stage,
            archive_existing_versions=archive_existing_versions,
            comment=comment,
            etag=etag,
            expected_holder=None if expected_holder is None else str(expected_holder),
        )
        reply = self._registry(request, pb.TransitionModelVersionStageResponse)
        return _wire.model_version(reply.model_version)

    def rollback(
        self,
        name: str,
        stage: str,
        comment: str | None = None,
        *,
        expected_holder: str | int | None = None,
    ) -> ModelVersion:
        """Reinstate the version that held a stage before; the present one goes to Archived.

        Args:
            name: Which model.
            stage: Staging or Production.
            comment: Why; kept in the history.
            expected_holder: If given, the version that must still hold the stage.

        Returns:
            The version that holds the stage now.

        Raises:
            InvalidState: No earlier holder is left.
        """
        request = pb.RollbackStageRequest(
            name=name,
            stage=stage,
            comment=comment,
            expected_holder=None if expected_holder is None else str(expected_holder),
        )
        reply = self._registry(request, pb.RollbackStageResponse)
        return _wire.model_version(reply.model_version)

    def delete_model_version(
        self, name: str, version: str | int, *, force: bool = False, comment: str | None = None
    ) -> None:
        """Delete a version, permanently; its number is not used again.

        Args:
            name: Which model.
            version: A number.
            force: Also when the model is protected from deletion or the version is in use.
            comment: Why; kept in the history.
        """
        request = pb.DeleteModelVersionRequest(
            name=name, version=str(version), force=force, comment=comment
        )
        self._registry(request, pb.DeleteModelVersionResponse)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return one page of the versions that match a filter.

        Args:
            filter_string: Such as `name='iris' and current_stage='Production'`.
            max_results: 1 to 200,000.
            order_by: Such as `["version_number DESC"]`.
            page_token: The `token` of the page before.
        """
        request = pb.SearchModelVersionsRequest(
            filter=filter_string, max_results=max_results, order_by=order_by, page_token=page_token
        )
        reply = self._registry(request, pb.SearchModelVersionsResponse)
        found = [_wire.model_version(item) for item in reply.model_versions]
        return PagedList(found, reply.next_page_token or None)

    def set_model_version_tag(
        self,
        name: str,
        version: str | int | None = None,
        key: str | None = None,
        value: Any = None,
        stage: str | None = None,
    ) -> None:
        """Set a tag of at most 100,000 characters, on a version or the latest one in a stage."""
        request = pb.SetModelVersionTagRequest(
            name=name, version=self._number(name, version, stage), key=key, value=str(value)
        )
        self._registry(request, pb.SetModelVersionTagResponse)

    def delete_model_version_tag(
        self,
        name: str,
        version: str | int | None = None,
        key: str | None = None,
        stage: str | None = None,
    ) -> None:
        """Delete a tag of a version or of the latest one in a stage; none of that key is fine."""
        request = pb.DeleteModelVersionTagRequest(
            name=name, version=self._number(name, version, stage), key=key
        )
        self._registry(request, pb.DeleteModelVersionTagResponse)

    def _number(self, name: str, version: str | int | None, stage: str | None) -> str:
        if (version is None) == (stage is None):
            raise InvalidParameter("Give either a version or a stage, not both or neither.")
        return str(version) if stage is None else self.get_model_version(name, stage).version

    def resolve(self, uri: str, as_of: dt.datetime | None = None) -> ResolvedModel:
        """Return what a model URI stands for.

        Args:
            uri: `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`,
                `models:/m-<id>` or `runs:/<run>/<path>`.
            as_of: What a stage or alias stood for at that time, which must have a time zone.

        Raises:
            NotFound: Nothing, now or then.
            InvalidParameter: The URI is malformed.
        """
        request = pb.ResolveModelRequest(uri=uri)
        if as_of is not None:
            if as_of.tzinfo is None:
                raise InvalidParameter(f"The time {as_of} has no time zone.")
            then = Timestamp()
            then.FromDatetime(as_of)
            request.as_of.CopyFrom(then)
        reply = self._registry(request, pb.ResolveModelResponse, _REGISTER_DEADLINE_S)
        return _wire.resolved_model(uri, reply)
