"""The whole platform with a service token, and API tokens to call it with."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from modelyard.api.access.v1 import access_pb2 as access
from modelyard_gateway.backends import SERVICES
from modelyard_gateway.transcoder import bindings
from modelyard_kit.rpc.grpc_errors import error_info
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

SERVICE_TOKEN = "the-token-of-the-services"
METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}.{method.name}": method
    for services in SERVICES.values()
    for service in services
    for method in service.methods
}
_ids = count(1)


@dataclass
class Refusal:
    """The status of a refused call."""

    code: grpc.StatusCode
    message: str
    metadata: Mapping[str, str]


@dataclass
class Platform:
    """A running platform; calls carry the service token unless another one is given."""

    embedded: Embedded
    channel: grpc.Channel
    roles: dict[str, str] = field(default_factory=dict)
    """A token of each role without a scope, by role."""

    def call(self, rpc: str, token: str = SERVICE_TOKEN, **fields: Any) -> Any:
        """Call `Service.Rpc` and return the reply."""
        method = METHODS[rpc]
        request = GetMessageClass(method.input_type)(**fields)
        return self.send(method, request, f"Bearer {token}")

    def send(self, method: MethodDescriptor, request: Any, authorization: str) -> Any:
        """Call an RPC and return the reply, or the first message of a stream."""
        make: Any = self.channel.unary_stream if method.server_streaming else None
        make = make or self.channel.unary_unary
        rpc = make(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        metadata = [("authorization", authorization)] if authorization else []
        answer = rpc(request, timeout=30, metadata=metadata)
        if not method.server_streaming:
            return answer
        first = next(answer)
        answer.cancel()
        return first

    def refusal(self, method: MethodDescriptor, request: Any, authorization: str) -> Refusal | None:
        """Call an RPC and return its refusal, or None if it succeeded."""
        try:
            self.send(method, request, authorization)
        except grpc.RpcError as error:
            ended: Any = error  # the error of a call has its status
            info = error_info(error)
            metadata = {} if info is None else dict(info.metadata)
            return Refusal(ended.code(), str(ended.details()), metadata)
        return None

    def token(self, role: str, **fields: Any) -> str:
        """Make an API token."""
        number = next(_ids)
        token_id = f"{number:010d}"
        token = f"modelyard_{token_id}_{hashlib.sha256(token_id.encode()).hexdigest()[:43]}"
        given: dict[str, Any] = {"name": f"{role}-{number}"} | fields
        self.call(
            "AccessService.CreateToken",
            id=token_id,
            sha256=hashlib.sha256(token.encode()).hexdigest(),
            role=role.upper(),
            **given,
        )
        return token

    def http(
        self, verb: str, path: str, authorization: str, document: object = None
    ) -> tuple[int, Any]:
        """Send a request to the HTTP edge; return status and JSON."""
        address = self.embedded.http.removeprefix("http://")
        headers = {"Content-Type": "application/json"} if document is not None else {}
        if authorization:
            headers["Authorization"] = authorization
        with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            body = None if document is None else json.dumps(document)
            connection.request(verb, path, body, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")

    def status(self, path: str, token: str) -> int:
        """GET a path, whatever its media type, and return the status."""
        address = self.embedded.http.removeprefix("http://")
        with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            reply.read()
            return reply.status

    def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """PUT an object to a signed URL."""
        address = self.embedded.http.removeprefix("http://")
        with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
            connection.request("PUT", url.removeprefix(self.embedded.http), body, dict(headers))
            reply = connection.getresponse()
            assert reply.status < 300, reply.read()


@contextmanager
def running_platform(folder: Path, **settings: str) -> Iterator[Platform]:
    """Run the platform in this process on free ports, with additional settings."""
    token_file = folder / "token"
    token_file.write_text(SERVICE_TOKEN)
    home = folder / "home"
    embedded = Embedded(
        UpSettings(home=home, port=0, grpc_port=0, token_file=token_file, **settings)  # type: ignore[arg-type]  # texts only
    )
    try:
        with grpc.insecure_channel(embedded.grpc) as channel:
            platform = Platform(embedded, channel)
            for role in access.Role.keys()[1:]:
                platform.roles[role.lower()] = platform.token(role.lower())
            yield platform
    finally:
        embedded.stop()


def first_route(method: MethodDescriptor) -> tuple[str, str] | None:
    """Return verb and path of an RPC at the HTTP edge, or None if it has none there."""
    return next(bindings(method), None)
