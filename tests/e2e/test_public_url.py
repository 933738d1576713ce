"""Signed URLs begin with the public URL as it was meant, and lead to the edge behind it."""

from __future__ import annotations

import http.client
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from tests.support.processes.ports import free_port
from tests.support.processes.service_processes import installation

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

DATA = b"bytes of a model"


def ask(method: str, url: str, prefix: str, body: bytes = b"") -> bytes:
    """Send a request to a signed URL; the prefix is removed, as a proxy with that prefix does."""
    parts = urlsplit(url)
    path = f"{parts.path.removeprefix(prefix)}?{parts.query}"
    with closing(http.client.HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request(method, path, body)
        reply = connection.getresponse()
        answer = reply.read()
        assert reply.status == 200, answer
        return answer


def go_and_come_back(tracking: str, base: str, prefix: str) -> None:
    """Upload a file to the URL that is signed for it, and download it from another.

    Args:
        tracking: The gRPC target.
        base: What both URLs begin with.
        prefix: The path at the end of that.
    """
    with grpc.insecure_channel(tracking) as channel:
        artifacts, stub = ArtifactsServiceStub(channel), TrackingServiceStub(channel)
        run_id = stub.CreateRun(tracking_pb2.CreateRunRequest(experiment_id="0")).run.info.run_id
        file = {"run_id": run_id, "path": "model.bin", "expiration": 600}
        upload = artifacts.CreatePresignedUploadUrl(pb.CreatePresignedUploadUrlRequest(**file))
        assert upload.presigned_url.startswith(f"{base}/artifacts/files/")
        ask("PUT", upload.presigned_url, prefix, DATA)
        asked = pb.CreatePresignedDownloadUrlRequest(**file)
        download = artifacts.CreatePresignedDownloadUrl(asked).presigned_url
    assert download.startswith(f"{base}/artifacts/objects/")
    assert ask("GET", download, prefix) == DATA


@pytest.mark.parametrize("path", ["", "/", "/models", "/models/"])
def test_signed_urls_of_up_work_with_and_without_a_slash_at_the_end(
    path: str, tmp_path: Path
) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    port = urlsplit(base).port or 0
    settings = UpSettings(home=tmp_path / "home", port=port, grpc_port=0, public_url=base + path)
    with ExitStack() as undo:
        platform = Embedded(settings)
        undo.callback(platform.stop)
        prefix = path.rstrip("/")
        assert platform.http == base + prefix
        go_and_come_back(platform.grpc, base + prefix, prefix)


@pytest.mark.parametrize("path", ["/", "/models/"])
def test_signed_urls_of_the_services_work_with_a_slash_at_the_end(
    path: str, tmp_path: Path
) -> None:
    with installation(tmp_path, path=path) as running:
        tracking = running.settings["MODELYARD_TRACKING_LISTEN"]
        prefix = path.rstrip("/")
        go_and_come_back(tracking, running.url + prefix, prefix)
