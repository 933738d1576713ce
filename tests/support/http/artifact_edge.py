"""Tracking, registry and the HTTP edge over one store, for tests of artifacts over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tests.support.http.port import HttpPort

import modelyard_registry.app
import modelyard_tracking.app
from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_gateway.app import Gateway
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_gateway.backends import Backend
from modelyard_gateway.server import HttpServer
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_kit.http.listening import listen
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer

API = "/api/2.0/mlflow-artifacts"
FILES = f"{API}/artifacts"


@dataclass
class Edge(HttpPort):
    """A running edge, with helpers for common calls."""

    port: int
    folder: Path
    store: ArtifactStore
    signer: UrlSigner
    server: HttpServer
    tracking: Any
    artifacts: Any
    registry: Any

    def json(self, method: str, path: str, document: object = None, **headers: str) -> Any:
        """Return the JSON of a response, which must have status 200."""
        body = None if document is None else json.dumps(document).encode()
        kind = {"Content-Type": "application/json"} if body else {}
        status, _, answer = self.ask(method, path, body, {**kind, **headers})
        assert status == 200, answer
        return json.loads(answer)

    def refusal(self, method: str, path: str, *request: Any) -> tuple[int, str, str]:
        """Return status, error code and message of a response, which must be an error."""
        status, headers, answer = self.ask(method, path, *request)
        assert headers["content-type"] == "application/json", answer
        document = json.loads(answer)
        return status, document["error_code"], document["message"]

    def listed(self, path: str) -> dict[str, int | None]:
        """Return sizes by name, None for a folder, of one folder as the proxy lists it."""
        files = self.json("GET", f"{FILES}?path={path}").get("files", [])
        assert all(set(file) - {"file_size"} == {"path", "is_dir"} for file in files)
        return {file["path"]: file.get("file_size") for file in files}

    def create_run(self) -> str:
        request = tracking_pb2.CreateRunRequest(experiment_id="0")
        return str(self.tracking.CreateRun(request).run.info.run_id)

    def create_model(self, run_id: str) -> str:
        """Create a logged model that is ready as soon as it has files."""
        request = tracking_pb2.CreateLoggedModelRequest(
            experiment_id="0", name="model", source_run_id=run_id
        )
        return str(self.tracking.CreateLoggedModel(request).model.info.model_id)

    def register(self, run_id: str, path: str = "model", name: str = "iris") -> str:
        """Register the files at a path of a run; return the digest of their manifest."""
        request = registry_pb2.CreateModelVersionRequest(name=name, source=f"runs:/{run_id}/{path}")
        return str(self.registry.CreateModelVersion(request).model_version.digest)

    def digest_of(self, run_id: str, path: str) -> artifacts_pb2.ArtifactFile:
        request = artifacts_pb2.GetArtifactsRequest(run_id=run_id, path=path)
        file: artifacts_pb2.ArtifactFile = self.artifacts.GetArtifacts(request).files[0]
        return file

    def left_behind(self) -> list[Path]:
        """Return the files below the store and the spool folder, without the store's identity."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path for path in files if not path.name.startswith("installation")]


@contextmanager
def running_edge(
    folder: Path,
    *,
    token: str | None = None,
    limits: UploadLimits | None = None,
    store: ArtifactStore | None = None,
) -> Iterator[Edge]:
    """Run an edge over databases in `folder`, and a store there unless one is given."""
    port = [0]
    signer = UrlSigner(b"s" * 32, lambda: f"http://127.0.0.1:{port[0]}")
    bytes_folder = folder / "bytes"
    store = store or LocalStore(bytes_folder / "objects", signer)
    spool = bytes_folder / "spool"
    spool.mkdir(parents=True)
    server = RpcServer(token)
    listener = listen("127.0.0.1", 0)
    port[0] = listener.getsockname()[1]
    socket = f"unix:{folder}/grpc.sock"
    tracking = connect(socket)
    server.on_close(tracking.close)
    for app, area in ((modelyard_tracking.app, "tracking"), (modelyard_registry.app, "registry")):
        database = open_database(f"sqlite:///{folder}/{area}.db")
        server.on_close(database.close)
        migrate(database, app.MIGRATIONS)
        if area == "tracking":
            modelyard_tracking.app.mount(
                server, database, store, signer, registry=tracking, token=token
            )
        else:
            modelyard_registry.app.mount(server, database, store, tracking, token=token)
    server.start(socket)
    gateway = Gateway(
        [Backend(area, socket, ":0") for area in ("tracking", "registry", "serving")],
        store,
        signer,
        server.active,
        host="127.0.0.1",
        token=token,
        uploads=limits or UploadLimits(folder=spool),
    )
    http_server = HttpServer(gateway, listener, grace_s=1)
    http_server.start()
    with grpc.insecure_channel(socket) as channel:
        yield Edge(
            port[0],
            bytes_folder,
            store,
            signer,
            http_server,
            _Stub(TrackingServiceStub(channel), token),
            _Stub(ArtifactsServiceStub(channel), token),
            _Stub(RegistryServiceStub(channel), token),
        )
    http_server.stop()
    listener.close()
    server.drain(5)


class _Stub:
    """A stub whose calls carry the valid token."""

    def __init__(self, stub: Any, token: str | None) -> None:
        self._stub = stub
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)

    def __getattr__(self, rpc: str) -> Any:
        return lambda request: getattr(self._stub, rpc)(
            request, timeout=30, metadata=self._metadata
        )
