"""Conversion of rows to messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.api.access.v1 import access_pb2
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.serving.v1 import endpoint_pb2
from modelyard_kit.artifacts import ArtifactStore, Digest, Manifest
from modelyard_kit.auth.grants import ANONYMOUS, Grant
from modelyard_registry.models import (
    FAILED_REGISTRATION,
    ApiToken,
    Endpoint,
    EndpointEvent,
    Event,
    ModelVersion,
    RegisteredModel,
)
from modelyard_registry.operations.deletions import Released
from modelyard_registry.rules.history import Document
from modelyard_registry.statements.model_versions import Version
from modelyard_registry.statements.registered_models import ShownModel

DOWNLOAD_EXPIRES_S = 15 * 60


def registered_model(
    row: ShownModel | RegisteredModel, latest_versions: Sequence[Version] = ()
) -> pb.RegisteredModel:
    return pb.RegisteredModel(
        name=row.name,
        creation_timestamp=row.created_ms,
        last_updated_timestamp=row.updated_ms,
        user_id=row.user_id,
        description=row.description,
        latest_versions=map(model_version, latest_versions),
        tags=[pb.RegisteredModelTag(key=tag.key, value=tag.value) for tag in row.tags],
        aliases=[
            pb.RegisteredModelAlias(alias=alias.alias, version=str(alias.version))
            for alias in row.aliases
        ],
        deployment_job_id=row.deployment_job_id,
        etag=row.etag,
        revision=row.revision,
        deletion_protection=row.deletion_protection,
    )


def model_version(row: Version | ModelVersion) -> pb.ModelVersion:
    message = pb.ModelVersion(
        name=row.name,
        version=str(row.version),
        creation_timestamp=row.created_ms,
        last_updated_timestamp=row.updated_ms,
        user_id=row.user_id,
        current_stage=row.stage,
        description=row.description or "",
        source=row.source,
        run_id=row.run_id or "",
        status=FAILED_REGISTRATION if row.damage else row.status,
        status_message=row.damage,
        damage=row.damage,
        tags=[pb.ModelVersionTag(key=tag.key, value=tag.value) for tag in row.tags],
        run_link=row.run_link or "",
        aliases=[alias.alias for alias in row.aliases],
        model_id=row.model_id,
        etag=row.etag,
        experiment_id=row.experiment_id,
        digest=row.digest or "",
        verified=row.verified,
        unverified_reason=row.unverified_reason,
    )
    if row.has_model is not None:
        message.has_model = row.has_model
    return message


def released_version(released: Released) -> pb.ReleasedVersion:
    return pb.ReleasedVersion(
        version=str(released.version), stage=released.stage, aliases=released.aliases
    )


def model_event(row: Event) -> pb.ModelEvent:
    return pb.ModelEvent(
        name=row.name,
        revision=row.revision,
        clock=row.clock,
        create_time=_timestamp(row.at_ms),
        actor=row.actor,
        action=row.action,
        version=None if row.version is None else str(row.version),
        before=row.before,
        after=row.after,
        comment=row.comment,
        request_id=row.request_id,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def endpoint(row: Endpoint) -> endpoint_pb2.Endpoint:
    return endpoint_pb2.Endpoint(
        endpoint_id=row.name,
        spec=ParseDict(row.wanted, endpoint_pb2.EndpointSpec()),
        status=endpoint_pb2.EndpointStatus(targets=map(_target_status, row.statuses)),
        create_time=_timestamp(row.created_ms),
        update_time=_timestamp(row.updated_ms),
        etag=row.etag,
        revision=row.names.revision,
    )


def _target_status(status: Document) -> endpoint_pb2.TargetStatus:
    fields = {key: value for key, value in status.items() if key != "since_ms"}
    since_time = _timestamp(status["since_ms"])
    return endpoint_pb2.TargetStatus(since_time=since_time, **fields)


def endpoint_event(row: EndpointEvent) -> endpoint_pb2.EndpointEvent:
    return endpoint_pb2.EndpointEvent(
        endpoint_id=row.name,
        revision=row.revision,
        clock=row.clock,
        create_time=_timestamp(row.at_ms),
        actor=row.actor,
        action=row.action,
        before=row.before,
        after=row.after,
        comment=row.comment,
        request_id=row.request_id,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def document(message: Message) -> Document:
    """Return the JSON object of a message, without times and unset or empty fields."""
    found = {
        field.name: _plain(field, value)
        for field, value in message.ListFields()
        if not isinstance(value, Timestamp)
    }
    return {name: value for name, value in found.items() if value not in (None, "", {}, [])}


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return [document(item) for item in value] if field.is_repeated else document(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name if value else None
    return value


def object_downloads(
    store: ArtifactStore, manifest: Manifest, expires_s: int
) -> Iterator[pb.ObjectDownload]:
    """Yield a GET URL for each distinct object of a manifest, presigned for `expires_s` seconds."""
    objects: dict[Digest, int] = {}
    for file in manifest.files:
        whole = () if file.parts else ((file.digest, file.size_bytes),)
        objects.update(whole)
        objects.update((part.digest, part.size_bytes) for part in file.parts)
    for digest, size_bytes in objects.items():
        url = store.presign_get(digest, expires_s)
        yield pb.ObjectDownload(digest=digest, size_bytes=size_bytes, url=url)


def token(row: ApiToken) -> access_pb2.Token:
    return access_pb2.Token(
        id=row.id,
        name=row.name,
        role=row.role,
        models=row.model_patterns,
        experiments=row.experiment_patterns,
        created_by=row.created_by,
        create_time=_timestamp(row.created_ms),
        expire_time=_timestamp(row.expires_ms),
        revoke_time=_timestamp(row.revoked_ms),
        revoked_by=row.revoked_by,
    )


def token_checks(revision: int, rows: Sequence[ApiToken]) -> access_pb2.ListTokenChecksResponse:
    return access_pb2.ListTokenChecksResponse(
        revision=revision,
        tokens=[
            access_pb2.TokenCheck(
                id=row.id,
                sha256=row.sha256,
                name=row.name,
                role=row.role,
                models=row.model_patterns,
                experiments=row.experiment_patterns,
                expire_time=_timestamp(row.expires_ms),
            )
            for row in rows
        ],
    )


def caller(grant: Grant) -> access_pb2.GetCallerResponse:
    return access_pb2.GetCallerResponse(
        name=grant.name or ("" if grant == ANONYMOUS else grant.principal),
        role=grant.role,
        models=grant.scope.models,
        experiments=grant.scope.experiments,
        expire_time=_timestamp(grant.expires_ms),
        permissions=sorted(grant.permissions),
    )


def _timestamp(time_ms: int | None) -> Timestamp | None:
    if time_ms is None:
        return None
    timestamp = Timestamp()
    timestamp.FromMilliseconds(time_ms)
    return timestamp
