"""Rows to messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import ArtifactStore, Digest, Manifest
from modelyard_registry.models import Event, ModelVersion, RegisteredModel

DOWNLOAD_EXPIRES_S = 15 * 60


def registered_model(
    row: RegisteredModel, latest_versions: Sequence[ModelVersion] = ()
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
        revision=row.names.revision,
        deletion_protection=row.deletion_protection,
    )


def model_version(row: ModelVersion) -> pb.ModelVersion:
    return pb.ModelVersion(
        name=row.name,
        version=str(row.version),
        creation_timestamp=row.created_ms,
        last_updated_timestamp=row.updated_ms,
        user_id=row.user_id,
        current_stage=row.stage,
        description=row.description,
        source=row.source,
        run_id=row.run_id,
        status=row.status,
        tags=[pb.ModelVersionTag(key=tag.key, value=tag.value) for tag in row.tags],
        run_link=row.run_link,
        aliases=[alias.alias for alias in row.aliases],
        model_id=row.model_id,
        etag=row.etag,
        experiment_id=row.experiment_id,
        digest=row.digest or "",
        verified=row.verified,
    )


def model_event(row: Event) -> pb.ModelEvent:
    create_time = Timestamp()
    create_time.FromMilliseconds(row.at_ms)
    return pb.ModelEvent(
        name=row.name,
        revision=row.revision,
        clock=row.clock,
        create_time=create_time,
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


def object_downloads(store: ArtifactStore, manifest: Manifest) -> Iterator[pb.ObjectDownload]:
    """Yield where to GET each object of a manifest, once."""
    objects: dict[Digest, int] = {}
    for file in manifest.files:
        whole = () if file.parts else ((file.digest, file.size_bytes),)
        objects.update(whole)
        objects.update((part.digest, part.size_bytes) for part in file.parts)
    for digest, size_bytes in objects.items():
        url = store.presign_get(digest, DOWNLOAD_EXPIRES_S)
        yield pb.ObjectDownload(digest=digest, size_bytes=size_bytes, url=url)
