"""What the registry asks of tracking: to pin the bytes of a run or a logged model."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.references.uris import LoggedModelSource, RunSource, Sealable, parse_source
from modelyard_kit.rpc.channel import ask
from modelyard_registry.operations.model_versions import Kept
from modelyard_registry.rules.pinning import Pinned


@dataclass(frozen=True, slots=True)
class Sealed:
    """Pinned bytes, with the manifest that lists them in its canonical form."""

    pinned: Pinned
    manifest: bytes


def seal(tracking: ArtifactsServiceStub, source: Sealable) -> Sealed:
    """Ask tracking to seal what is at a source; the same files have the same digest.

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
    return Sealed(pinned, reply.manifest)


def keep(tracking: ArtifactsServiceStub, source: str) -> Kept:
    """Find out what a version is to be made from: sealed, if only tracking can tell.

    Raises:
        InvalidArgument: The source has one of our schemes but none of its forms.
        NotFound: There is no such run, logged model or file.
        Unavailable: Tracking cannot be reached.
    """
    parsed = parse_source(source)
    if isinstance(parsed, RunSource | LoggedModelSource):
        return seal(tracking, parsed).pinned
    return parsed
