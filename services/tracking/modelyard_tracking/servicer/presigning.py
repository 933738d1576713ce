from __future__ import annotations

from pathlib import PurePosixPath

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import UrlSigner, logical_path
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, reads
from modelyard_kit.rpc.fields import given
from modelyard_tracking.operations import artifacts, levels, trees
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.rules.values import ARTIFACT_ROOT, checked_run_id
from modelyard_tracking.servicer.checking import Checking
from modelyard_tracking.servicer.owners import owner_of

_UPLOAD_S = 15 * 60
_DOWNLOAD_S = 5 * 60


class Presigning(Checking):
    """RPCs that return presigned URLs of single files."""

    signer: UrlSigner

    @reads
    def CreatePresignedUploadUrl(
        self, request: pb.CreatePresignedUploadUrlRequest, call: Call
    ) -> pb.CreatePresignedUploadUrlResponse:
        owner, path = owner_of(request), logical_path(request.path)
        expires_s = given(request, "expiration", _UPLOAD_S)
        root_uri = trees.root_uri(call.session, owner)
        artifacts.require_writable(call.session, owner)
        expires_at_s = call.now_ms // 1000 + expires_s
        url = self.signer.file_url("PUT", _url_path(root_uri, path), expires_at_s)
        return pb.CreatePresignedUploadUrlResponse(presigned_url=url)

    def CreatePresignedDownloadUrl(
        self, request: pb.CreatePresignedDownloadUrlRequest, context: grpc.ServicerContext
    ) -> pb.CreatePresignedDownloadUrlResponse:
        owner = Owner(OwnerKind.RUN, checked_run_id(request.run_id))
        path = logical_path(request.path)
        expires_s = given(request, "expiration", _DOWNLOAD_S)
        with self.database.read(caller.get().remaining_s()) as session:
            root_uri = trees.root_uri(session, owner)
            file = levels.file_at(session, owner, path)
        if file.parts:  # served by the gateway, which verifies the bytes
            expires_at_s = self.clock() // 1000 + expires_s
            url = self.signer.file_url("GET", _url_path(root_uri, path), expires_at_s)
        else:
            self._require_intact(context, owner, [file.digest])
            url = self.store.presign_get(file.digest, expires_s, PurePosixPath(path).name)
        return pb.CreatePresignedDownloadUrlResponse(presigned_url=url, file_size=file.size_bytes)


def _url_path(root_uri: str, path: str) -> str:
    return f"{root_uri.removeprefix(ARTIFACT_ROOT)}/{path}"
