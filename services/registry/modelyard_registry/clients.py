"""Client of tracking: seals the bytes of a run or a logged model."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.artifacts import MODEL_FILE, Manifest
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.uris import LoggedModelSource, RunSource, Sealable, parse_source
from modelyard_kit.rpc.channel import ask
from modelyard_registry.operations.model_versions import SealedSource
from modelyard_registry.rules.pinning import Pinned

_MAX_SHOWN_NAMES = 5


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
