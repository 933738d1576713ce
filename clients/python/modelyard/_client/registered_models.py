"""Registered models: names, aliases, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard import _wire
from modelyard._client.calls import Calls
from modelyard._transport import rpc
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.entities import PagedList
from modelyard.entities.model_registry import ModelEvent, ModelVersion, RegisteredModel

_EVENTS_PER_PAGE = 1000


class RegisteredModels(Calls):
    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a name to register versions under.

        Args:
            name: Not blank, no "/" or ":", at most 256 characters.
            tags: Values are turned to text.
            description: At most 5,000 characters.
            deployment_job_id: Kept as it is.

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
            NotFound: There is none of that name.
        """
        request = pb.GetRegisteredModelRequest(name=name)
        reply = self._registry(request, pb.GetRegisteredModelResponse)
        return _wire.registered_model(reply.registered_model)

    def rename_registered_model(
        self, name: str, new_name: str, *, comment: str | None = None
    ) -> RegisteredModel:
        """Rename a model, with its versions, to a name that never had any."""
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
        """Change what is given.

        Args:
            name: Which model.
            description: At most 5,000 characters.
            deployment_job_id: Kept as it is.
            deletion_protection: Whether deletes are refused unless they say `force`.
            etag: If given, the model's must still be this one.

        Raises:
            Aborted: The etag is stale.
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
    ) -> None:
        """Delete a model with all its versions, permanently.

        Args:
            name: Which model.
            force: Also when it is protected from deletion or in use.
            comment: Why; kept in the history.

        Raises:
            InvalidState: It is protected or in use, and `force` is not given.
        """
        request = pb.DeleteRegisteredModelRequest(name=name, force=force, comment=comment)
        self._registry(request, pb.DeleteRegisteredModelResponse)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return one page of the models that match a filter.

        Args:
            filter_string: Such as `name LIKE 'iris%' OR tags.team = 'ds'`.
            max_results: 1 to 1,000.
            order_by: Such as `["last_updated_timestamp DESC"]`.
            page_token: The `token` of the page before.
        """
        request = pb.SearchRegisteredModelsRequest(
            filter=filter_string, max_results=max_results, order_by=order_by, page_token=page_token
        )
        reply = self._registry(request, pb.SearchRegisteredModelsResponse)
        found = [_wire.registered_model(item) for item in reply.registered_models]
        return PagedList(found, reply.next_page_token or None)

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of at most 100,000 characters."""
        request = pb.SetRegisteredModelTagRequest(name=name, key=key, value=str(value))
        self._registry(request, pb.SetRegisteredModelTagResponse)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag; none of that key is fine."""
        request = pb.DeleteRegisteredModelTagRequest(name=name, key=key)
        self._registry(request, pb.DeleteRegisteredModelTagResponse)

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Let an alias name a version, moving it if it named another.

        Args:
            name: Which model.
            alias: Letters, digits, "_" and "-"; not "latest", "v<digits>", digits or a stage.
            version: A number.
        """
        request = pb.SetRegisteredModelAliasRequest(name=name, alias=alias, version=str(version))
        self._registry(request, pb.SetRegisteredModelAliasResponse)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias; none of that name is fine."""
        request = pb.DeleteRegisteredModelAliasRequest(name=name, alias=alias)
        self._registry(request, pb.DeleteRegisteredModelAliasResponse)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version an alias names; "latest" names the highest.

        Raises:
            NotFound: There is no such alias.
        """
        request = pb.GetModelVersionByAliasRequest(name=name, alias=alias)
        reply = self._registry(request, pb.GetModelVersionByAliasResponse)
        return _wire.model_version(reply.model_version)

    def history(self, name: str, after_revision: int = 0) -> list[ModelEvent]:
        """Return every change of a model, oldest first: who, when, from what to what, why.

        Args:
            name: Which model; a deleted or renamed one still has its history.
            after_revision: Only changes after this one.
        """
        request = pb.ListModelEventsRequest(
            name=name, after_revision=after_revision, page_size=_EVENTS_PER_PAGE
        )
        pages = rpc.pages(self._registry, request, pb.ListModelEventsResponse)
        return [_wire.model_event(item) for page in pages for item in page.events]
