"""Model versions: registration, stages, rollback, tags."""

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
from modelyard.entities.model_registry import Deletion, ModelVersion, ResolvedModel
from modelyard.exceptions import InvalidParameter

STAGES = ("None", "Staging", "Production", "Archived")
# Registering seals a manifest first, which takes long for a model of many files.
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
        require_model: bool = False,
    ) -> ModelVersion:
        """Register the next version of a model, pinning its bytes.

        Args:
            name: Name of a registered model, which must exist unless `create_registered_model`.
            source: `runs:/<run>/<path>`, `models:/m-<id>` or `models:/<name>/<version>`. Any other
                text is stored as given, and the version is unverified.
            run_id: Id of the run that made the model; must agree with the source.
            tags: Tags of the version; values are converted to text.
            run_link: Link to the run, stored as given.
            description: Text of at most 5,000 characters.
            await_creation_for: Ignored: the version is READY when the call returns.
            model_id: Id of the logged model; must agree with the source.
            create_registered_model: Create the registered model in the same transaction if it does
                not exist.
            require_model: Refuse files of this server without MLmodel at their root.

        Raises:
            NotFound: The registered model, the run or the path does not exist.
            InvalidParameter: The files are no model, and `require_model` is set.
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
            require_model=require_model,
        )
        reply = self._registry(request, pb.CreateModelVersionResponse, _REGISTER_DEADLINE_S)
        return _wire.model_version(reply.model_version)

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Register the bytes of a version under another name.

        Args:
            src_model_uri: `models:/<name>/<version or stage>` or `models:/<name>@<alias>`.
            dst_name: Name of the model that gets a new version; created if it does not exist.

        Returns:
            The new version, with the source's description and tags, in stage None.

        Raises:
            InvalidParameter: `src_model_uri` is not the URI of a registered version.
            NotFound: The version does not exist.
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
            name: Name of the registered model.
            version: Number, stage in any case, or alias; interpreted in this order.

        Raises:
            NotFound: The version does not exist, or no version is in the stage.
        """
        request = pb.GetModelVersionRequest(name=name, version=str(version))
        reply = self._registry(request, pb.GetModelVersionResponse)
        return _wire.model_version(reply.model_version)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the highest version in each of the given stages; in every stage by default."""
        request = pb.GetLatestVersionsRequest(name=name, stages=stages)
        reply = self._registry(request, pb.GetLatestVersionsResponse)
        return [_wire.model_version(item) for item in reply.model_versions]

    def get_model_version_stages(self, name: str, version: str | int) -> list[str]:
        """Return the stages a version can be in."""
        self.get_model_version(name, version)
        return list(STAGES)

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return the URI of a version's bytes: its manifest's, or the unverified source."""
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
        """Change the description of a version.

        Raises:
            Aborted: `etag` is given and is not the version's current one.
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
        """Move a version to a stage; Staging and Production have one holder, which leaves.

        Args:
            name: Name of the registered model.
            version: Number of the version.
            stage: None, Staging, Production or Archived, in any case.
            archive_existing_versions: Move the previous holder to Archived instead of None.
            comment: Reason for the change, kept in the history.
            etag: Expected etag of the version.
            expected_holder: Number of the version expected to hold the stage, or "none".

        Raises:
            Aborted: The etag or the holder is not the expected one.
            NotFound: The version does not exist.
            InvalidParameter: The stage does not exist.
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
        stage: str | None = None,
        comment: str | None = None,
        *,
        alias: str | None = None,
        to: str | int | None = None,
        expected_holder: str | int | None = None,
    ) -> ModelVersion:
        """Reinstate an earlier holder of a stage, or point an alias back at an earlier version.

        The present holder of a stage moves to Archived. Each further rollback goes further back: it
        passes over versions that a rollback took out, until they are moved into the stage, or the
        alias is set to them, again.

        Args:
            name: Name of the registered model.
            stage: Staging or Production; None for a rollback of an alias.
            comment: Reason for the rollback, kept in the history.
            alias: The alias, which may have been deleted; None for a rollback of a stage.
            to: Number of the earlier holder, also one that a rollback took out; by default the
                newest that no rollback took out.
            expected_holder: Number of the version expected to hold the stage or alias, or "none".

        Returns:
            The version that now holds the stage or alias.

        Raises:
            Aborted: Another version than `expected_holder` holds the stage or alias.
            InvalidState: No such holder exists and is ready; the message lists what `to` can be.
            InvalidParameter: Both or neither of `stage` and `alias` are given.
        """
        if (stage is None) == (alias is None):
            raise InvalidParameter("Give either a stage or an alias, not both or neither.")
        chosen = {
            "to": None if to is None else str(to),
            "expected_holder": None if expected_holder is None else str(expected_holder),
        }
        if alias is None:
            of_stage = pb.RollbackStageRequest(name=name, stage=stage, comment=comment, **chosen)
            reinstated = self._registry(of_stage, pb.RollbackStageResponse).model_version
        else:
            of_alias = pb.RollbackAliasRequest(name=name, alias=alias, comment=comment, **chosen)
            reinstated = self._registry(of_alias, pb.RollbackAliasResponse).model_version
        return _wire.model_version(reinstated)

    def delete_model_version(
        self, name: str, version: str | int, *, force: bool = False, comment: str | None = None
    ) -> Deletion:
        """Delete a version permanently, also if it is in use; its number is not used again.

        Args:
            name: Name of the registered model.
            version: Number of the version.
            force: Delete even if it is protected from deletion; needs an admin's token and a
                comment.
            comment: Reason for the deletion, kept in the history.

        Returns:
            The stage and aliases that were given up, and the endpoints that refer to the version.

        Raises:
            InvalidState: The version is protected, and `force` is not given.
            NotFound: The version does not exist.
        """
        request = pb.DeleteModelVersionRequest(
            name=name, version=str(version), force=force, comment=comment
        )
        return _wire.deletion(self._registry(request, pb.DeleteModelVersionResponse))

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return one page of the versions that match a filter.

        Args:
            filter_string: Filter such as `name='iris' and current_stage='Production'`.
            max_results: Maximum number of versions on the page, 1 to 200,000.
            order_by: Columns such as `["version_number DESC"]`.
            page_token: `token` of the previous page.
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
        """Set a tag of a version, or of the latest one in a stage; at most 100,000 characters."""
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
        """Delete a tag of a version, or of the latest one in a stage, if it exists."""
        request = pb.DeleteModelVersionTagRequest(
            name=name, version=self._number(name, version, stage), key=key
        )
        self._registry(request, pb.DeleteModelVersionTagResponse)

    def _number(self, name: str, version: str | int | None, stage: str | None) -> str:
        if (version is None) == (stage is None):
            raise InvalidParameter("Give either a version or a stage, not both or neither.")
        return str(version) if stage is None else self.get_model_version(name, stage).version

    def resolve(self, uri: str, as_of: dt.datetime | None = None) -> ResolvedModel:
        """Resolve a model URI to a version or logged model.

        Args:
            uri: `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`,
                `models:/m-<id>` or `runs:/<run>/<path>`.
            as_of: Resolve a stage or alias as of this time, which must have a time zone.

        Raises:
            NotFound: The URI does not resolve, or did not at that time.
            InvalidParameter: The URI is malformed, or the time has no time zone.
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
