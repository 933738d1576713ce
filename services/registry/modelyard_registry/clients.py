"""Client of tracking: seals the bytes of a run or a logged model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.artifacts import MODEL_FILE, ArtifactStore, Digest, Manifest
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.errors import DataLoss, InvalidArgument
from modelyard_kit.references.uris import LoggedModelSource, RunSource, Sealable, parse_source
from modelyard_kit.rpc.channel import ask
from modelyard_registry.operations.model_versions import SealedSource
from modelyard_registry.rules.pinning import Pinned

_MAX_SHOWN_NAMES = 5
_DIGESTS_AT_ONCE = 1_000  # the contract's limit


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
        reply.digest,
        reply.run_id or None,
        reply.experiment_id or None,
        reply.model_id or None,
        Manifest.from_bytes(reply.manifest).has_model,
    )
    return SealedManifest(pinned, reply.manifest)


def seal_source(
    tracking: ArtifactsServiceStub, source: str, *, require_model: bool = False
) -> SealedSource:
    """Parse the source of a version, and have tracking seal it if it names a run or logged model.

    Raises:
        InvalidArgument: The source has one of Modelyard's schemes but is malformed; or a model is
            required, and the files are none.
        NotFound: There is no such run, logged model or file.
        Unavailable: Tracking cannot be reached.
    """
    parsed = parse_source(source)
    if isinstance(parsed, RunSource | LoggedModelSource):
        sealed = seal_manifest(tracking, parsed)
        if require_model:
            _refuse_other_files(source, Manifest.from_bytes(sealed.manifest))
        return sealed.pinned
    return parsed


def require_intact(
    tracking: ArtifactsServiceStub, store: ArtifactStore, digest: str, token: str | None
) -> None:
    """Have tracking check the bytes that a version is pinned to.

    Args:
        tracking: Client of tracking.
        store: Store with the manifest.
        digest: Digest of the manifest.
        token: The service token; None if there is none.

    Raises:
        DataLoss: Bytes are missing or wrong.
        Unavailable: Tracking cannot be reached.
    """
    _, manifest = read_manifest(store, digest)
    paths = {item.digest: file.path for file in manifest.files for item in file.parts or (file,)}
    for batch in _batches(paths):
        request = pb.InspectObjectsRequest(digests=batch)
        reply: pb.InspectObjectsResponse = ask(
            "tracking", tracking.InspectObjects, request, token=token
        )
        for damaged in reply.damaged:
            raise DataLoss(
                f"The bytes of '{paths[Digest(damaged)]}' are damaged in the store or missing from "
                f"it (object {damaged}); log the file again.",
                digest=damaged,
            )


def _batches(digests: Iterable[str]) -> Iterator[list[str]]:
    left = iter(digests)
    while batch := list(islice(left, _DIGESTS_AT_ONCE)):
        yield batch


def _refuse_other_files(source: str, manifest: Manifest) -> None:
    if manifest.has_model:
        return
    paths = [file.path for file in manifest.files]
    names = sorted({path.partition("/")[0] for path in paths})
    shown = ", ".join(repr(name) for name in names[:_MAX_SHOWN_NAMES])
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    models = [path.removesuffix(f"/{MODEL_FILE}") for path in paths]
    models = [model for model, path in zip(models, paths, strict=True) if model != path]
    right = (
        f"register {source.rstrip('/')}/{models[0]}, which has one"
        if models
        else "log a model and register its folder, such as runs:/<run_id>/model"
    )
    raise InvalidArgument(
        f"The source {source} is no model: it has no {MODEL_FILE} file at its root, where there is "
        f"{shown}{more}. Instead, {right}.",
        source=source,
    )
