from __future__ import annotations

from contextlib import suppress

import grpc

from modelyard.api.artifacts.v1.artifacts_pb2 import InspectObjectsRequest
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.errors import DataLoss, Error
from modelyard_kit.references.uris import VersionSource, parse_model_uri
from modelyard_kit.rpc.calls import FastCall, fast_reads
from modelyard_kit.rpc.channel import ask
from modelyard_registry import wire
from modelyard_registry.clients import seal_manifest
from modelyard_registry.operations import resolving
from modelyard_registry.servicer.fields import milliseconds
from modelyard_registry.servicer.manifests import Manifests


class Resolving:
    """RPCs that resolve model URIs and digests to bytes."""

    database: Database
    clock: Clock
    manifests: Manifests
    tracking: ArtifactsServiceStub
    token: str | None

    def ResolveModel(
        self, request: pb.ResolveModelRequest, context: grpc.ServicerContext
    ) -> pb.ResolveModelResponse:
        source = parse_model_uri(request.uri)
        if isinstance(source, VersionSource):
            reply = self._version(request, context, source)
        else:
            sealed = seal_manifest(self.tracking, source)
            reply = pb.ResolveModelResponse(
                digest=sealed.pinned.digest,
                run_id=sealed.pinned.run_id,
                model_id=sealed.pinned.model_id,
                experiment_id=sealed.pinned.experiment_id,
            )
        if not request.HasField("include_downloads") or request.include_downloads:
            found = self._manifest(reply.digest)
            reply.manifest = found.manifest
            reply.downloads.extend(found.downloads)
        return reply

    def GetPinnedManifest(
        self, request: pb.GetPinnedManifestRequest, _context: grpc.ServicerContext
    ) -> pb.GetPinnedManifestResponse:
        digest = Digest(request.digest)
        with self.database.read() as session:
            resolving.require_pinned(session, digest)
        return self._manifest(digest)

    def _manifest(self, digest: str) -> pb.GetPinnedManifestResponse:
        """Read a manifest; a damaged one is reported to tracking, so that its versions show it."""
        try:
            return self.manifests.read(digest)
        except DataLoss:
            request = InspectObjectsRequest(digests=[digest], reread=True)
            with suppress(Error):
                ask("tracking", self.tracking.InspectObjects, request, token=self.token)
            raise

    @fast_reads
    def _version(
        self, request: pb.ResolveModelRequest, call: FastCall, source: VersionSource
    ) -> pb.ResolveModelResponse:
        as_of_ms = milliseconds(request.as_of, "as_of") if request.HasField("as_of") else None
        found = resolving.resolve_version(call.rows, source, as_of_ms)
        return pb.ResolveModelResponse(
            model_version=wire.model_version(found),
            digest=found.digest,
            run_id=found.run_id,
            model_id=found.model_id,
            experiment_id=found.experiment_id,
            revision=found.model_revision,
        )
