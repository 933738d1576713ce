"""The HTTP edge in front of services that record requests, for tests of the transcoder."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard_gateway.app import Gateway
from modelyard_gateway.backends import SERVICES, Backend
from modelyard_gateway.codec import raw
from modelyard_gateway.server import HttpServer
from modelyard_gateway.transcoder import bindings
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.http.listening import listen
from modelyard_kit.rpc.server import RpcServer

METHODS = [m for services in SERVICES.values() for service in services for m in service.methods]
ROUTES = [
    (method, verb, path)
    for method in METHODS
    if not raw.request_field(method)
    for verb, path in bindings(method)
]
"""RPCs whose route takes and returns JSON."""

Behavior = Callable[[Any, grpc.ServicerContext], Message]


@dataclass
class Answer:
    """A response of the edge."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json", self.body
        return json.loads(self.body)

    def refusal(self) -> tuple[int, str, str]:
        error = self.json()
        return self.status, error["error_code"], error["message"]


@dataclass
class Edge:
    """A running edge.

    Attributes:
        server: Server of the services.
        asked: Names, requests and metadata of the RPCs that arrived at the services.
        behaviors: Implementations by RPC; an RPC without one returns an empty message.
    """

    server: RpcServer
    port: int = 0
    asked: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    behaviors: dict[str, Behavior] = field(default_factory=dict)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(
        self,
        method: str,
        path: str,
        document: object = None,
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
    ) -> Answer:
        with closing(self.connection()) as connection:
            return ask(connection, method, path, document, headers, body)

    def replies(self, rpc: str, reply: Message) -> None:
        self.behaviors[rpc] = lambda _request, _context: reply

    def raises(self, rpc: str, error: Exception) -> None:
        def behavior(_request: Any, _context: grpc.ServicerContext) -> Message:
            raise error

        self.behaviors[rpc] = behavior


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    document: object = None,
    headers: dict[str, str] | None = None,
    body: bytes | Iterator[bytes] | None = None,
) -> Answer:
    """Send a request over a kept connection; a document is sent as JSON."""
    kind = {} if document is None else {"Content-Type": "application/json"}
    sent = body if document is None else json.dumps(document).encode()
    connection.request(method, path, sent, {**kind, **(headers or {})})
    reply = connection.getresponse()
    return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())


@contextmanager
def running_edge(
    folder: Path, token: str | None = None, tokens: Tokens | None = None
) -> Iterator[Edge]:
    server = RpcServer(token, tokens=tokens)
    edge = Edge(server)
    for services in SERVICES.values():
        for service in services:
            methods = {m.name: _behavior(edge, m) for m in service.methods}
            server.add(service, type("Asked", (), methods)(), threads=2, streams=1)
    (grpc_port,) = server.start("127.0.0.1:0")
    signer = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1")
    gateway = Gateway(
        [Backend(area, f"127.0.0.1:{grpc_port}", f":{grpc_port}") for area in SERVICES],
        LocalStore(folder, signer),
        signer,
        server.active,
        host="127.0.0.1",
        token=token,
    )
    listener = listen("127.0.0.1", 0)
    edge.port = listener.getsockname()[1]
    http_server = HttpServer(gateway, listener, grace_s=5)
    http_server.start()
    try:
        yield edge
    finally:
        http_server.stop()
        listener.close()
        server.drain(5)


def _behavior(edge: Edge, method: MethodDescriptor) -> Any:
    empty = GetMessageClass(method.output_type)

    def behavior(_self: object, request: Any, context: grpc.ServicerContext) -> Message:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        edge.asked.append((method.name, request, metadata))
        chosen = edge.behaviors.get(method.name)
        return empty() if chosen is None else chosen(request, context)

    return behavior
