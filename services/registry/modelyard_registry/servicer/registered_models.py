from __future__ import annotations

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.references.names import version_number
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call, FastCall, OnRows, fast_reads, fast_writes, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_registry import wire
from modelyard_registry.operations import aliases, registered_models
from modelyard_registry.search.registered_models import Search, search_models


class RegisteredModels:
    """RPCs on registered models, their tags and their aliases."""

    database: Database
    clock: Clock

    @fast_writes
    def CreateRegisteredModel(
        self, request: pb.CreateRegisteredModelRequest, call: FastCall
    ) -> pb.CreateRegisteredModelResponse:
        registered_models.create_model(
            call,
            request.name,
            description=given(request, "description"),
            deployment_job_id=given(request, "deployment_job_id"),
            tags=[(tag.key, tag.value) for tag in request.tags],
        )
        return pb.CreateRegisteredModelResponse(registered_model=_message(call, request.name))

    @writes
    def RenameRegisteredModel(
        self, request: pb.RenameRegisteredModelRequest, call: Call
    ) -> pb.RenameRegisteredModelResponse:
        registered_models.rename_model(
            call, request.name, request.new_name, comment=request.comment
        )
        return pb.RenameRegisteredModelResponse(registered_model=_message(call, request.new_name))

    @fast_writes
    def UpdateRegisteredModel(
        self, request: pb.UpdateRegisteredModelRequest, call: FastCall
    ) -> pb.UpdateRegisteredModelResponse:
        registered_models.update_model(
            call,
            request.name,
            description=given(request, "description"),
            deployment_job_id=given(request, "deployment_job_id"),
            deletion_protection=given(request, "deletion_protection"),
            etag=request.etag,
        )
        return pb.UpdateRegisteredModelResponse(registered_model=_message(call, request.name))

    @fast_reads
    def GetRegisteredModel(
        self, request: pb.GetRegisteredModelRequest, call: FastCall
    ) -> pb.GetRegisteredModelResponse:
        return pb.GetRegisteredModelResponse(registered_model=_message(call, request.name))

    @reads
    def SearchRegisteredModels(
        self, request: pb.SearchRegisteredModelsRequest, call: Call
    ) -> pb.SearchRegisteredModelsResponse:
        search = Search(
            request.filter,
            request.order_by,
            given(request, "max_results", 100),
            request.page_token,
        )
        found, next_page_token = search_models(call.session, search)
        latest = registered_models.latest_versions(call.rows, [row.name for row in found])
        return pb.SearchRegisteredModelsResponse(
            registered_models=[wire.registered_model(row, latest[row.name]) for row in found],
            next_page_token=next_page_token,
        )

    @fast_reads
    def GetLatestVersions(
        self, request: pb.GetLatestVersionsRequest, call: FastCall
    ) -> pb.GetLatestVersionsResponse:
        stages = [Stage.parse(text) for text in request.stages] or list(Stage)
        latest = registered_models.latest_versions(call.rows, [request.name], stages)
        if not latest[request.name]:
            registered_models.get_model(call.rows, request.name)  # must be there
        return pb.GetLatestVersionsResponse(
            model_versions=map(wire.model_version, latest[request.name])
        )

    @fast_writes
    def SetRegisteredModelTag(
        self, request: pb.SetRegisteredModelTagRequest, call: FastCall
    ) -> pb.SetRegisteredModelTagResponse:
        registered_models.set_tag(call, request.name, request.key, request.value)
        return pb.SetRegisteredModelTagResponse()

    @fast_writes
    def DeleteRegisteredModelTag(
        self, request: pb.DeleteRegisteredModelTagRequest, call: FastCall
    ) -> pb.DeleteRegisteredModelTagResponse:
        registered_models.delete_tag(call, request.name, request.key)
        return pb.DeleteRegisteredModelTagResponse()

    @fast_writes
    def SetRegisteredModelAlias(
        self, request: pb.SetRegisteredModelAliasRequest, call: FastCall
    ) -> pb.SetRegisteredModelAliasResponse:
        aliases.set_alias(call, request.name, request.alias, version_number(request.version))
        return pb.SetRegisteredModelAliasResponse()

    @fast_writes
    def DeleteRegisteredModelAlias(
        self, request: pb.DeleteRegisteredModelAliasRequest, call: FastCall
    ) -> pb.DeleteRegisteredModelAliasResponse:
        aliases.delete_alias(call, request.name, request.alias)
        return pb.DeleteRegisteredModelAliasResponse()

    @fast_writes
    def RollbackAlias(
        self, request: pb.RollbackAliasRequest, call: FastCall
    ) -> pb.RollbackAliasResponse:
        reinstated = aliases.roll_back(
            call,
            request.name,
            request.alias,
            to=version_number(request.to) if request.to else None,
            expected_holder=request.expected_holder,
            comment=request.comment,
        )
        return pb.RollbackAliasResponse(model_version=wire.model_version(reinstated))


def _message(call: OnRows, name: str) -> pb.RegisteredModel:
    found = registered_models.get_model(call.rows, name)
    latest = registered_models.latest_versions(call.rows, [name])
    return wire.registered_model(found, latest[name])
