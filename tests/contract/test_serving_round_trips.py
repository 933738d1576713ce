"""The number of times that `modelyard models serve` resolves models, counted on the wire.

An answer with downloads costs the registry a read of the manifest and a signed URL for each object.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.platforms.serving_parts import ask, constant_function, get, serving

import modelyard
from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.tracking import MlflowClient
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

NAME = "iris"
_SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]


@dataclass
class Relay:
    """Forwards to a registry, and records the requests to resolve."""

    registry: Any
    resolved: list[registry_pb2.ResolveModelRequest] = field(default_factory=list)

    @property
    def downloads(self) -> list[str]:
        """URIs that were resolved with download URLs."""
        return [
            asked.uri
            for asked in self.resolved
            if asked.include_downloads or not asked.HasField("include_downloads")
        ]

    def ResolveModel(
        self, request: registry_pb2.ResolveModelRequest, _: grpc.ServicerContext
    ) -> registry_pb2.ResolveModelResponse:
        self.resolved.append(request)
        reply: registry_pb2.ResolveModelResponse = self.registry.ResolveModel(request)
        return reply

    def WatchModels(
        self, request: registry_pb2.WatchModelsRequest, context: grpc.ServicerContext
    ) -> Iterator[registry_pb2.WatchModelsResponse]:
        stream = self.registry.WatchModels(request)
        context.add_callback(stream.cancel)
        try:
            yield from stream
        except grpc.RpcError:
            return  # the watcher disconnected


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[Relay, str]]:
    """Yield a relay and its address, for two versions of a model, the first in Production."""
    platform = Embedded(UpSettings(home=tmp_path / "home", port=0, grpc_port=0))
    modelyard.set_tracking_uri(platform.http)
    for answer in (1, 2):
        with modelyard.start_run() as run:
            folder = constant_function(tmp_path / str(answer), answer)
            modelyard.log_artifacts(folder, "model")
        modelyard.register_model(f"runs:/{run.info.run_id}/model", NAME)
    promote("1")
    with grpc.insecure_channel(platform.grpc) as channel:
        relay, server = Relay(RegistryServiceStub(channel)), RpcServer()
        server.add(_SERVICE, relay, threads=4, streams=4)
        [port] = server.start("127.0.0.1:0")
        yield relay, f"grpc://127.0.0.1:{port}"
        server.drain(0)
    modelyard.set_tracking_uri(None)
    platform.stop()


def promote(version: str) -> None:
    MlflowClient().transition_model_version_stage(NAME, version, "Production")


def test_a_swap_resolves_with_downloads_once(relay: tuple[Relay, str], tmp_path: Path) -> None:
    registry, address = relay
    variables = {"MODELYARD_TRACKING_URI": address, "MODELYARD_CACHE": str(tmp_path / "cache")}
    with serving(f"models:/{NAME}/Production", "--allow-pickle", **variables) as served:
        assert ask(served.port).json == {"predictions": [1.0]}
        assert registry.downloads == [f"models:/{NAME}/1"]
        promote("2")
        while get(served.port, "/status").json["model_version"] != "2":
            threading.Event().wait(0.02)
        assert registry.downloads == [f"models:/{NAME}/1", f"models:/{NAME}/2"]


def test_a_fixed_reference_is_resolved_once(relay: tuple[Relay, str], tmp_path: Path) -> None:
    registry, address = relay
    variables = {"MODELYARD_TRACKING_URI": address, "MODELYARD_CACHE": str(tmp_path / "cache")}
    with serving(f"models:/{NAME}/2", "--allow-pickle", **variables) as served:
        assert ask(served.port).json == {"predictions": [2.0]}
    assert len(registry.resolved) == 1
