from __future__ import annotations

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.identity import id_in
from modelyard_kit.references.names import version_number
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias, parse_reference
from modelyard_kit.rpc.calls import (
    Call,
    FastCall,
    fast_reads,
    fast_writes,
    reads,
    stored_reply,
    writes,
)
from modelyard_kit.rpc.fields import given
from modelyard_registry import wire
from modelyard_registry.clients import seal_source
from modelyard_registry.operations import damage, model_versions, registered_models, stages
from modelyard_registry.operations.model_versions import Registration, SealedSource
from modelyard_registry.search.registered_models import Search, search_versions
from modelyard_registry.servicer.copying import Copying
from modelyard_registry.servicer.fields import page_start


class ModelVersions(Copying):
    """RPCs on versions, their stages and their tags."""

    clock: Clock

    def CreateModelVersion(
        self, request: pb.CreateModelVersionRequest, context: grpc.ServicerContext
    ) -> pb.CreateModelVersionResponse:
        reply: pb.CreateModelVersionResponse | None = stored_reply(self, request)
        if reply is not None:
            return reply
        sealed = seal_source(self.tracking, request.source, require_model=request.require_model)
        self._require_intact(sealed)
        return self._create(request, context, sealed)

    @fast_writes
    def _create(
        self, request: pb.CreateModelVersionRequest, call: FastCall, sealed: SealedSource
    ) -> pb.CreateModelVersionResponse:
        if request.create_registered_model:
            registered_models.ensure_model(call, request.name)
        created = model_versions.create_version(
            call,
            request.name,
            Registration(
                source=request.source,
                run_id=request.run_id,
                model_id=request.model_id,
                run_link=given(request, "run_link"),
                description=given(request, "description"),
                tags=[(tag.key, tag.value) for tag in request.tags],
                require_model=request.require_model,
            ),
            sealed,
        )
        return pb.CreateModelVersionResponse(model_version=wire.model_version(created))

    @fast_writes
    def UpdateModelVersion(
        self, request: pb.UpdateModelVersionRequest, call: FastCall
    ) -> pb.UpdateModelVersionResponse:
        updated = model_versions.update_version(
            call,
            request.name,
            version_number(request.version),
            description=given(request, "description"),
            etag=request.etag,
        )
        return pb.UpdateModelVersionResponse(model_version=wire.model_version(updated))

    @fast_writes
    def TransitionModelVersionStage(
        self, request: pb.TransitionModelVersionStageRequest, call: FastCall
    ) -> pb.TransitionModelVersionStageResponse:
        moved = stages.transition_stage(
            call,
            request.name,
            version_number(request.version),
            Stage.parse(request.stage),
            archive_existing=request.archive_existing_versions,
            etag=request.etag,
            expected_holder=request.expected_holder,
            comment=request.comment,
        )
        return pb.TransitionModelVersionStageResponse(model_version=wire.model_version(moved))

    @fast_writes
    def RollbackStage(
        self, request: pb.RollbackStageRequest, call: FastCall
    ) -> pb.RollbackStageResponse:
        reinstated = stages.roll_back(
            call,
            request.name,
            Stage.parse(request.stage),
            to=version_number(request.to) if request.to else None,
            expected_holder=request.expected_holder,
            comment=request.comment,
        )
        return pb.RollbackStageResponse(model_version=wire.model_version(reinstated))

    @fast_reads
    def GetModelVersion(
        self, request: pb.GetModelVersionRequest, call: FastCall
    ) -> pb.GetModelVersionResponse:
        reference = parse_reference(request.version)
        found = model_versions.find_version(call.rows, request.name, reference)
        return pb.GetModelVersionResponse(model_version=wire.model_version(found))

    @fast_reads
    def GetModelVersionByAlias(
        self, request: pb.GetModelVersionByAliasRequest, call: FastCall
    ) -> pb.GetModelVersionByAliasResponse:
        alias = Alias.parse(request.alias)
        found = model_versions.find_version(call.rows, request.name, alias)
        return pb.GetModelVersionByAliasResponse(model_version=wire.model_version(found))

    @fast_reads
    def GetModelVersionDownloadUri(
        self, request: pb.GetModelVersionDownloadUriRequest, call: FastCall
    ) -> pb.GetModelVersionDownloadUriResponse:
        reference = parse_reference(request.version)
        found = model_versions.find_version(call.rows, request.name, reference)
        pinned = f"mlflow-artifacts:/manifests/{found.digest}"
        return pb.GetModelVersionDownloadUriResponse(
            artifact_uri=pinned if found.verified else found.source
        )

    @reads
    def SearchModelVersions(
        self, request: pb.SearchModelVersionsRequest, call: Call
    ) -> pb.SearchModelVersionsResponse:
        search = Search(
            request.filter,
            request.order_by,
            given(request, "max_results", 10_000),
            request.page_token,
        )
        found, next_page_token = search_versions(call.session, search)
        return pb.SearchModelVersionsResponse(
            model_versions=map(wire.model_version, found), next_page_token=next_page_token
        )

    @fast_writes
    def SetModelVersionTag(
        self, request: pb.SetModelVersionTagRequest, call: FastCall
    ) -> pb.SetModelVersionTagResponse:
        number = version_number(request.version)
        model_versions.set_tag(call, request.name, number, request.key, request.value)
        return pb.SetModelVersionTagResponse()

    @fast_writes
    def DeleteModelVersionTag(
        self, request: pb.DeleteModelVersionTagRequest, call: FastCall
    ) -> pb.DeleteModelVersionTagResponse:
        number = version_number(request.version)
        model_versions.delete_tag(call, request.name, number, request.key)
        return pb.DeleteModelVersionTagResponse()

    @writes
    def SetDamagedManifests(
        self, request: pb.SetDamagedManifestsRequest, call: Call
    ) -> pb.SetDamagedManifestsResponse:
        damage.replace(
            call.session, {Digest(found.digest): found.damage for found in request.manifests}
        )
        return pb.SetDamagedManifestsResponse()

    @reads
    def ListPinnedManifests(
        self, request: pb.ListPinnedManifestsRequest, call: Call
    ) -> pb.ListPinnedManifestsResponse:
        limit = given(request, "page_size", 1000)
        query = paging.fingerprint("pinned manifests")
        after = page_start(request.page_token, query, "")
        digests = model_versions.pinned_digests(call.session, after, limit + 1)
        page = digests[:limit]
        more = paging.encode((page[-1],), query) if len(digests) > limit else ""
        return pb.ListPinnedManifestsResponse(
            digests=page,
            next_page_token=more,
            installation_id=id_in(call.session, "registry"),
        )
