"""MLflow's REST API and our own, derived from the contract without code per RPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import grpc
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.responses import Response

from modelyard_gateway.backends import SERVICES, Channels
from modelyard_gateway.bodies import Bodies
from modelyard_gateway.calls import metadata_of, parsed, refused
from modelyard_gateway.codec import raw, warning_header
from modelyard_gateway.codec.decode import decode
from modelyard_gateway.codec.encode import encode
from modelyard_gateway.codec.query import object_of
from modelyard_gateway.routes import Routes
from modelyard_kit.errors import Cancelled, FailedPrecondition, InvalidArgument
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request

MAX_BODY_BYTES = 8 << 20
"""Largest body, and largest message that the services accept. A message is rarely larger than its
JSON, unless it consists mostly of numbers."""

_DEADLINE_S = 60.0
_MAX_PARAMETERS = 1024
_LARGE_BYTES = 64 << 10
_WATCH_AFTER_S = 0.25
_MLFLOW = "/api/2.0/mlflow/"
_JSON = {"content-type": "application/json"}

Call = Callable[..., Any]
Read = Callable[[Request], Awaitable[Message]]


class Transcoder:
    """Answers HTTP requests by calls to the services.

    Args:
        channels: Channels to the services; routes of an area without one answer 501.
        bodies: Admits the bodies of the requests.
    """

    def __init__(self, channels: Channels, bodies: Bodies) -> None:
        self._channels = channels
        self._bodies = bodies

    def mount(self, routes: Routes) -> None:
        """Add a route for each HTTP binding of a method of the contract."""
        for area, services in SERVICES.items():
            for method in (method for service in services for method in service.methods):
                handler = self._handler(area, method) if area in self._channels else _not_configured
                for verb, path in bindings(method):
                    routes.template(verb, path, handler, path)
                    routes.template(verb, "/ajax-api/" + path.removeprefix("/api/"), handler, path)

    def _handler(self, area: str, method: MethodDescriptor) -> Callable[..., Awaitable[Response]]:
        service = method.containing_service
        path = f"/{service.full_name}/{method.name}"
        calls: list[Call] = []
        read, respond = self._reader(method), _responder(method)
        is_mlflows = area == "tracking" and any(
            template.startswith(_MLFLOW) for _, template in bindings(method)
        )

        async def handle(request: Request) -> Response:
            if not calls:
                calls.append(self._channels.of(area).unary_unary(path))
            try:
                async with self._bodies.admitted(request, area, method, MAX_BODY_BYTES):
                    data = _checked(await read(request))
                    reply = await _answer(area, calls[0], data, request)
            except FailedPrecondition as refusal:
                if not is_mlflows:
                    raise
                # MLflow's clients know the code of a write to something deleted.
                raise InvalidArgument(refusal.message, **refusal.metadata) from None
            if len(reply) > _LARGE_BYTES:
                return await asyncio.to_thread(respond, reply)
            return respond(reply)

        return handle

    def _reader(self, method: MethodDescriptor) -> Read:
        field = raw.request_field(method)
        kind = method.input_type
        return partial(_raw_message, kind, field) if field else partial(self._message, kind)

    async def _message(self, kind: Descriptor, request: Request) -> Message:
        body = await _body(request)
        if request.method in {"GET", "HEAD"} and not body:
            message = decode(kind, object_of(kind, request.pairs(_MAX_PARAMETERS)))
        elif len(body) > _LARGE_BYTES:
            message = await self._bodies.decoded(lambda: decode(kind, parsed(request, body)))
        else:
            message = decode(kind, parsed(request, body))
        _put_variables(message, request.path_params)
        return message


async def _not_configured(_request: Request) -> Response:
    raise HttpError(
        501,
        "NOT_IMPLEMENTED",
        "This installation has no serving service; `modelyard models serve` answers predictions.",
    )


def bindings(method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    """Yield the HTTP methods and paths of an RPC; internal and streaming RPCs have none."""
    extensions: Any = method.GetOptions().Extensions  # the type stubs lack editions
    rule = extensions[annotations_pb2.http]
    if rule.WhichOneof("pattern") is None:
        return
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        yield verb.upper(), getattr(binding, verb)


def _responder(method: MethodDescriptor) -> Callable[[bytes], Response]:
    field = raw.response_field(method)
    kind = GetMessageClass(method.output_type)

    def respond(reply: bytes) -> Response:
        return Response(encode(kind.FromString(reply)), headers=_JSON)

    def respond_with_warnings(reply: bytes) -> Response:
        message = kind.FromString(reply)
        headers = warning_header.take(message)
        return Response(encode(message), headers=_JSON | headers)

    def respond_raw(reply: bytes) -> Response:
        body, headers = raw.encode(field, kind.FromString(reply))
        return Response(body, headers=headers)

    if field:
        return respond_raw
    return respond_with_warnings if warning_header.has_warnings(method.output_type) else respond


async def _body(request: Request) -> bytes:
    body = await request.exchange.read(MAX_BODY_BYTES)
    if body is None:
        raise _too_large()
    return body


async def _raw_message(kind: Descriptor, field: str, request: Request) -> Message:
    body = await _body(request)
    message = raw.decode(kind, field, body, request.exchange.header(b"content-type"))
    _put_variables(message, request.path_params)
    return message


def _checked(message: Message) -> bytes:
    data = message.SerializeToString()
    if len(data) > MAX_BODY_BYTES:
        raise _too_large()
    return data


def _put_variables(message: Message, variables: dict[str, str]) -> None:
    for name, text in variables.items():
        if message.HasField(name) and getattr(message, name) != text:
            raise InvalidArgument(
                f"Parameter '{name}' is '{text[:100]}' in the path and different in the body; "
                "leave it out of the body."
            )
        setattr(message, name, text)


async def _answer(area: str, call: Call, data: bytes, request: Request) -> bytes:
    """Call a service; cancel the call when the client disconnects."""
    running = call(data, timeout=_DEADLINE_S, metadata=metadata_of(request))
    watching: list[asyncio.Task[None]] = []

    def watch() -> None:
        watching.append(asyncio.create_task(_cancel_on_disconnect(request, running)))

    # Most calls end before a task that watches their client is worth its cost.
    timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, watch)
    try:
        reply: bytes = await running
    except grpc.RpcError as error:
        raise refused(area, error, request.exchange.request_id) from error
    except asyncio.CancelledError:
        if not any(task.done() for task in watching):
            raise
        raise Cancelled("The client disconnected before the answer.") from None
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()
    return reply


async def _cancel_on_disconnect(request: Request, running: Any) -> None:
    await request.exchange.gone()
    running.cancel()


def _too_large() -> HttpError:
    return HttpError(
        413,
        "INVALID_PARAMETER_VALUE",
        f"The request is larger than {MAX_BODY_BYTES >> 20} MiB; send it in several parts.",
    )
