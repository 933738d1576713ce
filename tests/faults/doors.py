"""How a client process reaches the services: by gRPC, or by JSON over HTTP through the gateway."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_service_pb2, tracking_service_pb2_grpc
from modelyard_gateway.transcoder import bindings
from modelyard_kit.http.errors import STATUS

INDEFINITE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
"""What was asked may have been done or not, and may still be done."""

BUG = "internal error (request id"
"""How a service says that it does not know what went wrong."""

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_retries", 0),  # what is sent again, and what not, is the workload's choice
]
_CODES = {
    "INVALID_PARAMETER_VALUE": grpc.StatusCode.INVALID_ARGUMENT,
    "RESOURCE_ALREADY_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
    "INVALID_STATE": grpc.StatusCode.FAILED_PRECONDITION,
    "RESOURCE_DOES_NOT_EXIST": grpc.StatusCode.NOT_FOUND,
    "ABORTED": grpc.StatusCode.ABORTED,
    "RESOURCE_EXHAUSTED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "INTERNAL_ERROR": grpc.StatusCode.INTERNAL,
}
_JSON = {"content-type": "application/json"}
assert _CODES.keys() <= STATUS.keys()


def connect(target: str) -> grpc.Channel:
    return grpc.insecure_channel(target, options=_OPTIONS)


def registry_stub(channel: grpc.Channel) -> Any:
    return registry_service_pb2_grpc.RegistryServiceStub(channel)


def tracking_stub(channel: grpc.Channel) -> Any:
    return tracking_service_pb2_grpc.TrackingServiceStub(channel)


class Refused(grpc.RpcError):
    """A request over HTTP that was refused, or of which nothing more is known."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return str(self)


class HttpDoor:
    """The RPCs of both services as the gateway offers them, under a stub's names.

    Args:
        address: `host:port` of the gateway.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        services = (
            registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
            tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"],
        )
        self._methods = {method.name: method for service in services for method in service.methods}

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        method = self._methods[rpc]

        def call(
            request: Message,
            *,
            timeout: float,
            metadata: Sequence[tuple[str, str]],
            wait_for_ready: bool,
        ) -> Any:
            assert wait_for_ready, "HTTP always waits for a listener"
            status, body = self._send(method, request, timeout, dict(metadata))
            if status == http.client.OK:
                reply = GetMessageClass(method.output_type)()
                return json_format.Parse(body, reply, ignore_unknown_fields=True)
            error = json.loads(body)
            code = _CODES.get(error["error_code"], grpc.StatusCode.UNAVAILABLE)
            raise Refused(code, error["message"])

        return call

    def _send(
        self, method: MethodDescriptor, request: Message, timeout: float, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        verb, path = next(iter(bindings(method)))
        fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
        body = None if verb == "GET" else json.dumps(fields)
        target = f"{path}?{urlencode(fields)}" if verb == "GET" else path
        host, _, port = self._address.partition(":")
        deadline = time.monotonic() + timeout
        while True:
            connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
            try:
                connection.connect()
            except ConnectionRefusedError as error:  # nothing was sent: it is down for now
                if time.monotonic() > deadline:
                    raise Refused(grpc.StatusCode.UNAVAILABLE, "no listener") from error
                time.sleep(0.02)
                continue
            try:
                connection.request(verb, target, body, headers | _JSON)
                reply = connection.getresponse()
                return reply.status, reply.read()
            except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
                raise Refused(grpc.StatusCode.UNAVAILABLE, repr(error)) from error
            finally:
                connection.close()
