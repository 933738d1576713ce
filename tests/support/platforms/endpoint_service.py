"""Endpoints of a registry behind a real socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tests.support.databases.dialects import Dialect
from tests.support.platforms.registry_service import Registry, running_registry

from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard.api.serving.v1 import endpoint_service_pb2
from modelyard.api.serving.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.channel import connect

URI = "models:/fraud/Production"
ENDPOINTS = endpoint_service_pb2.DESCRIPTOR.services_by_name["EndpointService"]


def target(uri: str = URI, role: str = "STABLE", **fields: Any) -> dict[str, Any]:
    share = fields or {"weight": 100}
    return {"model_uri": uri, "role": role} | share


def spec(**fields: Any) -> pb.EndpointSpec:
    """Return a spec of one target with further fields."""
    return pb.EndpointSpec(**{"targets": [target()]} | fields)


@dataclass
class Endpoints:
    """Helpers for the endpoint RPCs of a registry."""

    registry: Registry
    stub: Any

    def call(self, rpc: str, request: Any, **metadata: str) -> Any:
        """Call one RPC as `ada`; a refusal is raised as the kit's error."""
        pairs = {"x-modelyard-user": "ada"} | {
            key.replace("_", "-"): value for key, value in metadata.items()
        }
        try:
            return getattr(self.stub, rpc)(request, timeout=30, metadata=tuple(pairs.items()))
        except grpc.RpcError as error:
            raise grpc_errors.from_rpc(error, "registry") from error

    def create(
        self, endpoint_id: str = "fraud", spec: pb.EndpointSpec | None = None, comment: str = ""
    ) -> pb.Endpoint:
        wanted = pb.EndpointSpec(targets=[target()]) if spec is None else spec
        request = pb.CreateEndpointRequest(
            endpoint_id=endpoint_id, endpoint=pb.Endpoint(spec=wanted), comment=comment
        )
        reply: pb.CreateEndpointResponse = self.call("CreateEndpoint", request)
        return reply.endpoint

    def get(self, endpoint_id: str = "fraud") -> pb.Endpoint:
        request = pb.GetEndpointRequest(endpoint_id=endpoint_id)
        reply: pb.GetEndpointResponse = self.call("GetEndpoint", request)
        return reply.endpoint

    def update(
        self, given: dict[str, Any], paths: Sequence[str], etag: str = "", comment: str = ""
    ) -> pb.Endpoint:
        """Update `fraud`; without paths there is no mask."""
        request = pb.UpdateEndpointRequest(
            endpoint_id="fraud",
            endpoint=pb.Endpoint(spec=pb.EndpointSpec(**given), etag=etag),
            comment=comment,
        )
        request.update_mask.paths.extend(paths)
        if not paths:
            request.ClearField("update_mask")
        reply: pb.UpdateEndpointResponse = self.call("UpdateEndpoint", request)
        return reply.endpoint

    def delete(self, endpoint_id: str = "fraud", etag: str = "", comment: str = "") -> None:
        request = pb.DeleteEndpointRequest(endpoint_id=endpoint_id, etag=etag, comment=comment)
        self.call("DeleteEndpoint", request)

    def report(self, **fields: Any) -> None:
        """Report the one target of `fraud`."""
        request = pb.ReportServingRequest(
            endpoint_id="fraud", targets=[{"model_uri": URI} | fields]
        )
        self.call("ReportServing", request)

    def events(self, endpoint_id: str = "fraud") -> list[pb.EndpointEvent]:
        request = pb.ListEndpointEventsRequest(endpoint_id=endpoint_id, page_size=1000)
        return list(self.call("ListEndpointEvents", request).events)

    def watch(self, **fields: Any) -> Any:
        return self.stub.WatchEndpoints(pb.WatchEndpointsRequest(**fields), timeout=30)


@contextmanager
def running_endpoints(folder: Path, dialect: Dialect = "sqlite") -> Iterator[Endpoints]:
    with (
        running_registry(folder, dialect) as registry,
        connect(registry.target, ENDPOINTS) as channel,
    ):
        yield Endpoints(registry, EndpointServiceStub(channel))
