"""Registered models: names, aliases, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from modelyard import _wire
from modelyard._client.calls import Calls
from modelyard._client.watches import Watch
from modelyard._extras import require_extra
from modelyard._transport import rpc
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.entities import PagedList
from modelyard.entities.model_registry import (
    Deletion,
    ModelEvent,
    ModelVersion,
    RegisteredModel,
    VerifiedHistory,
)

_EVENTS_PER_PAGE = 1000


class RegisteredModels(Calls):
    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a registered model, to register versions under.

        Args:
            name: Unique name of at most 256 characters, not blank, without "/" and ":".
            tags: Tags of the model; values are converted to text.
            description: Text of at most 5,000 characters.
            deployment_job_id: Id of a deployment job, stored as given.

        Raises:
            AlreadyExists: The name is taken.
        """
        request = pb.CreateRegisteredModelRequest(
            name=name,
            tags=[pb.RegisteredModelTag(key=k, value=str(v)) for k, v in (tags or {}).items()],
            description=description,
            deployment_job_id=deployment_job_id,
        )
        reply = self._registry(request, pb.CreateRegisteredModelResponse)
        return _wire.registered_model(reply.registered_model)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model.

        Raises:
            NotFound: The model does not exist.
        """
        request = pb.GetRegisteredModelRequest(name=name)
        reply = self._registry(request, pb.GetRegisteredModelResponse)
        return _wire.registered_model(reply.registered_model)

    def rename_registered_model(
        self, name: str, new_name: str, *, comment: str | None = None
    ) -> RegisteredModel:
        """Rename a model with its versions to an unused name, or back to one of its former names.

        Raises:
            AlreadyExists: The name is taken, or had versions of other models.
        """
        request = pb.RenameRegisteredModelRequest(name=name, new_name=new_name, comment=comment)
        reply = self._registry(request, pb.RenameRegisteredModelResponse)
        return _wire.registered_model(reply.registered_model)

    def update_registered_model(
        self,
        name: str,
        description: str | None = None,
        deployment_job_id: str | None = None,
        *,
        deletion_protection: bool | None = None,
        etag: str | None = None,
    ) -> RegisteredModel:
        """Change the given fields of a model; None leaves a field as it is.

        Args:
            name: Name of the registered model.
            description: Text of at most 5,000 characters.
            deployment_job_id: Id of a deployment job, stored as given.
            deletion_protection: Whether deletions without `force` are refused; the tag
                `modelyard.deletion_protection` is the same setting.
            etag: Expected etag of the model.

        Raises:
            Aborted: The etag is not the expected one.
            NotFound: The model does not exist.
        """
        request = pb.UpdateRegisteredModelRequest(
            name=name, description=description, deployment_job_id=deployment_job_id, etag=etag
        )
        if deletion_protection is not None:
            request.deletion_protection = deletion_protection
        reply = self._registry(request, pb.UpdateRegisteredModelResponse)
        return _wire.registered_model(reply.registered_model)

    def delete_registered_model(
        self, name: str, *, force: bool = False, comment: str | None = None
    ) -> Deletion:
        """Delete a model with all its versions permanently, also if it is in use.

        Args:
            name: Name of the registered model.
            force: Delete even if the model is protected from deletion; needs an admin's token and a
                comment.
            comment: Reason for the deletion, kept in the history.

        Returns:
            The stages and aliases that were given up, and the endpoints that refer to the model.

        Raises:
            InvalidState: The model is protected, and `force` is not given.
            NotFound: The model does not exist.
        """
        request = pb.DeleteRegisteredModelRequest(name=name, force=force, comment=comment)
        return _wire.deletion(self._registry(request, pb.DeleteRegisteredModelResponse))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return one page of the models that match a filter.

        Args:
            filter_string: Filter such as `name LIKE 'iris%' OR tags.team = 'ds'`.
            max_results: Maximum number of models on the page, 1 to 1,000.
            order_by: Columns such as `["last_updated_timestamp DESC"]`.
            page_token: `token` of the previous page.
        """
        request = pb.SearchRegisteredModelsRequest(
            filter=filter_string, max_results=max_results, order_by=order_by, page_token=page_token
        )
        reply = self._registry(request, pb.SearchRegisteredModelsResponse)
        found = [_wire.registered_model(item) for item in reply.registered_models]
        return PagedList(found, reply.next_page_token or None)

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model; the value is converted to text, at most 100,000 characters."""
        request = pb.SetRegisteredModelTagRequest(name=name, key=key, value=str(value))
        self._registry(request, pb.SetRegisteredModelTagResponse)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model, if it exists."""
        request = pb.DeleteRegisteredModelTagRequest(name=name, key=key)
        self._registry(request, pb.DeleteRegisteredModelTagResponse)

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Point an alias at a version, also if it pointed at another before.

        Args:
            name: Name of the registered model.
            alias: Letters, digits, "_" and "-"; not "latest", "v<digits>", digits or a stage.
            version: Number of the version.

        Raises:
            NotFound: The version does not exist.
            InvalidParameter: The alias is not allowed.
        """
        request = pb.SetRegisteredModelAliasRequest(name=name, alias=alias, version=str(version))
        self._registry(request, pb.SetRegisteredModelAliasResponse)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias, if it exists."""
        request = pb.DeleteRegisteredModelAliasRequest(name=name, alias=alias)
        self._registry(request, pb.DeleteRegisteredModelAliasResponse)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version an alias points at; "latest" is the highest version.

        Raises:
            NotFound: The model has no such alias.
        """
        request = pb.GetModelVersionByAliasRequest(name=name, alias=alias)
        reply = self._registry(request, pb.GetModelVersionByAliasResponse)
        return _wire.model_version(reply.model_version)

    @overload
    def history(
        self, name: str, after_revision: int = 0, *, as_frame: Literal[False] = False
    ) -> list[ModelEvent]: ...

    @overload
    def history(self, name: str, after_revision: int = 0, *, as_frame: Literal[True]) -> Any: ...

    def history(self, name: str, after_revision: int = 0, *, as_frame: bool = False) -> Any:
        """Return every change of a model, oldest first: actor, time, before, after and comment.

        Args:
            name: Name of the model; a deleted or renamed model keeps its history.
            after_revision: Return only changes after this revision.
            as_frame: Return a DataFrame with a row for each change instead of `ModelEvent`s.

        Raises:
            NotFound: The name was never used.
        """
        if as_frame:
            require_extra("history with as_frame=True", "sklearn", "pandas")
        request = pb.ListModelEventsRequest(
            name=name, after_revision=after_revision, page_size=_EVENTS_PER_PAGE
        )
        pages = rpc.pages(self._registry, request, pb.ListModelEventsResponse)
        events = [_wire.model_event(item) for page in pages for item in page.events]
        return _frame(events) if as_frame else events

    def verify_history(self, name: str) -> VerifiedHistory:
        """Recompute the hash chain of a model's history on the server.

        Args:
            name: Name of the model; a deleted or renamed model keeps its history.

        Raises:
            DataLoss: An event was changed or is missing; the message names the first one.
            NotFound: The name was never used.
        """
        reply = self._registry(pb.VerifyHistoryRequest(name=name), pb.VerifyHistoryResponse)
        return VerifiedHistory(name, reply.revision, reply.hash)

    def watch(
        self, name: str, after_revision: int | None = None, *, timeout_s: float | None = None
    ) -> Watch:
        """Iterate over the changes of a model as they happen.

        Each change comes once and in order, also across a restart of the server. The iteration
        ends after `timeout_s`, or when the watch is closed, also by another thread or a `with`.

        Args:
            name: Name of the registered model.
            after_revision: Begin after this revision; by default with the next change.
            timeout_s: Duration of the watch in seconds; without end by default.

        Raises:
            NotFound: The model does not exist; raised by this call.
            OutOfRange: The history has no such revision; raised by the iteration, like
                `Unavailable` when the server cannot be reached for five minutes.
        """
        if after_revision is None:
            after_revision = self.get_registered_model(name).revision
        return Watch(self._registry_address, name, after_revision, timeout_s)


def _frame(events: Sequence[ModelEvent]) -> Any:
    import pandas as pd

    columns = (
        *("revision", "time", "actor", "action", "version", "previous_stage", "stage"),
        *("comment", "sentence"),
    )
    rows = [[getattr(event, column) for column in columns] for event in events]
    return pd.DataFrame(rows, columns=list(columns))
