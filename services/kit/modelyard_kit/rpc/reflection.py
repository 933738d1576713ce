"""gRPC server reflection: tools such as grpcurl ask a server for its contract.

It is mounted as any other service, so callers need a token where other services require one. Every
role has the permission, since the contract is public.
"""

from __future__ import annotations

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit.rpc.server import RpcServer

_SERVICE = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_STREAMS = 4  # a client opens one for all of its requests, and closes it


def mount(server: RpcServer) -> None:
    """Mount reflection of the services of a server.

    Args:
        server: Server with all of its services added, not started yet.
    """
    names = (*server.readiness.services(), _HEALTH.full_name, _SERVICE.full_name)
    server.add(
        _SERVICE,
        ReflectionServicer(names),
        permissions={"ServerReflectionInfo": Permission.REGISTRY_READ},  # which every role has
        area="reflection",
        threads=1,
        streams=_STREAMS,
    )
