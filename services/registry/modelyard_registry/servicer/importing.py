from __future__ import annotations

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.references.names import version_number
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call, writes
from modelyard_kit.rpc.fields import given, require
from modelyard_registry import wire
from modelyard_registry.clients import seal_source
from modelyard_registry.models import READY
from modelyard_registry.operations import importing, registered_models
from modelyard_registry.operations.importing import OriginalModel, OriginalVersion
from modelyard_registry.operations.model_versions import Registration, SealedSource
from modelyard_registry.rules.names import MAX_IMPORTED_NUMBER, checked_between
from modelyard_registry.servicer.copying import Copying


class Importing(Copying):
    """RPCs that import models and versions of another registry."""

    clock: Clock

    @writes
    def ImportRegisteredModel(
        self, request: pb.ImportRegisteredModelRequest, call: Call
    ) -> pb.ImportRegisteredModelResponse:
        original = _model(request.registered_model, request.next_version)
        name, created = importing.import_model(call, request.origin, original)
        model = registered_models.get_model(call.rows, name)
        latest = registered_models.latest_versions(call.rows, [name])
        return pb.ImportRegisteredModelResponse(
            registered_model=wire.registered_model(model, latest[name]), created=created
        )

    def ImportModelVersion(
        self, request: pb.ImportModelVersionRequest, context: grpc.ServicerContext
    ) -> pb.ImportModelVersionResponse:
        original = _version(request.model_version)
        with self.database.read() as session:
            before = importing.pinned_before(session, request.origin, original)
        sealed = before or seal_source(self.tracking, original.registration.source)
        self._require_intact(sealed)
        return self._import(request, context, original, sealed)

    @writes
    def _import(
        self,
        request: pb.ImportModelVersionRequest,
        call: Call,
        original: OriginalVersion,
        sealed: SealedSource,
    ) -> pb.ImportModelVersionResponse:
        version, created = importing.import_version(call, request.origin, original, sealed)
        return pb.ImportModelVersionResponse(
            model_version=wire.model_version(version), created=created
        )


def _model(message: pb.RegisteredModel, next_version: int) -> OriginalModel:
    where = "registered_model."
    require(message, where, "name", "creation_timestamp")
    return OriginalModel(
        name=message.name,
        user_id=message.user_id,
        description=given(message, "description"),
        deployment_job_id=given(message, "deployment_job_id"),
        deletion_protection=given(message, "deletion_protection"),
        created_ms=message.creation_timestamp,
        updated_ms=given(message, "last_updated_timestamp", message.creation_timestamp),
        tags=[(tag.key, tag.value) for tag in message.tags],
        next_version=next_version,
    )


def _version(message: pb.ModelVersion) -> OriginalVersion:
    where = "model_version."
    require(message, where, "name", "version", "source", "creation_timestamp")
    number = version_number(message.version)
    return OriginalVersion(
        name=message.name,
        version=checked_between(number, f"{where}version", 1, MAX_IMPORTED_NUMBER),
        registration=Registration(
            source=message.source,
            run_id=message.run_id,
            model_id=message.model_id,
            run_link=given(message, "run_link"),
            description=given(message, "description"),
            tags=[(tag.key, tag.value) for tag in message.tags],
        ),
        stage=Stage.parse(message.current_stage or Stage.NONE),
        status=pb.ModelVersionStatus.Name(message.status) if message.status else READY,
        user_id=message.user_id,
        created_ms=message.creation_timestamp,
        updated_ms=given(message, "last_updated_timestamp", message.creation_timestamp),
        aliases=list(message.aliases),
        unverified_reason=given(message, "unverified_reason"),
    )
