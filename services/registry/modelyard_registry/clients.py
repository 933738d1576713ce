"""Client of tracking: seals the bytes of a run or a logged model."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.references.uris import LoggedModelSource, RunSource, Sealable, parse_source
from modelyard_kit.rpc.channel import ask
from modelyard_registry.operations.model_versions import SealedSource
from modelyard_registry.rules.pinning import Pinned


@dataclass(frozen=True, slots=True)
class SealedManifest:
    """Sealed bytes, with the manifest that lists them in its canonical form."""

    pinned: Pinned
    manifest: bytes


def seal_manifest(tracking: ArtifactsServiceStub, source: Sealable) -> SealedManifest:
    """Have tracking seal the files at a source; the same files have the same digest.

    Raises:
        NotFound: There is no such run, logged model or file.
        Unavailable: Tracking cannot be reached.
    """
    if isinstance(source, RunSource):
        request = pb.SealManifestRequest(run_id=source.run_id, path=source.path or None)
    else:
        request = pb.SealManifestRequest(model_id=source.model_id, path=source.path or None)
    reply: pb.SealManifestResponse = ask("tracking", tracking.SealManifest, request)
    pinned = Pinned(
        reply.digest, reply.run_id or None, reply.experiment_id or None, reply.model_id or None
    )
    return SealedManifest(pinned, reply.manifest)


def seal_source(tracking: ArtifactsServiceStub, source: str) -> SealedSource:
    """Parse the source of a version, and have tracking seal it if it names a run or logged model.

    Raises:
        InvalidArgument: The source has one of Modelyard's schemes but is malformed.
        NotFound: There is no such run, logged model or file.
        Unavailable: Tracking cannot be reached.
    """
    parsed = parse_source(source)
    if isinstance(parsed, RunSource | LoggedModelSource):
        return seal_manifest(tracking, parsed).pinned
    return parsed
