"""Calls to other services: channels, deadlines, identity, retries and errors.

Retries follow the contract: only RPCs that are free of side effects or idempotent by nature, and
only on UNAVAILABLE.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from modelyard_kit.observability import tracing
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.caller import SUBCALL_MARGIN_S, caller

Presented: TypeAlias = grpc.ChannelCredentials | None
"""TLS credentials that a connection presents; None means plaintext."""
Credentials: TypeAlias = Presented | Callable[[], Presented]
"""Fixed credentials, or a function that returns the same object until they are rotated."""
C = TypeVar("C")

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # without it a hung peer is found after 70 s
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # also the timeout of a connection attempt
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),  # delay until new replicas are found
)
_NOT_BEGUN = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["CANCELLED"],
}
"""Retries of every call: a server that stops cancels those that it has not begun.

A call that has begun is cancelled at the end of the server's grace, and commits nothing then.
"""
_RETRY = _NOT_BEGUN | {"retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}


def connect(
    target: str,
    *services: ServiceDescriptor,
    credentials: Credentials = None,
) -> grpc.Channel:
    """Open a channel to another service; it connects when first used.

    Args:
        target: `host:port`, `dns:///name:port`, `ipv4:address:port,address:port` or `unix:path`.
            Calls are balanced round-robin over all addresses of a name.
        services: Services to call; their contract decides which calls are retried.
        credentials: TLS credentials; None means plaintext.
    """
    chosen = options(*services)
    return rotating(
        credentials,
        lambda presented: (
            grpc.insecure_channel(target, options=chosen)
            if presented is None
            else grpc.secure_channel(target, presented, options=chosen)
        ),
    )


def rotating(credentials: Credentials, connect_with: Callable[[Presented], C]) -> C:
    """Return a channel that is replaced when the credentials are rotated.

    gRPC reads a client's certificate once per channel. Calls in flight stay on the previous one.

    Args:
        credentials: TLS credentials; None means plaintext.
        connect_with: Opens a channel with the given credentials.
    """
    if not callable(credentials):
        return connect_with(credentials)
    return cast(C, RotatingChannel(credentials, connect_with))


class RotatingChannel:
    """The part of a channel's interface that stubs use, for `grpc` and `grpc.aio`.

    Args:
        credentials: Returns the same object until the credentials are rotated.
        connect_with: Opens a channel with the given credentials.
    """

    def __init__(
        self, credentials: Callable[[], Presented], connect_with: Callable[[Presented], Any]
    ) -> None:
        self._credentials, self._connect_with = credentials, connect_with
        self._lock = threading.Lock()
        self._presented = credentials()
        self._channel = connect_with(self._presented)

    def current(self) -> Any:
        """Return the channel that presents the current credentials."""
        presented = self._credentials()
        with self._lock:
            if presented is not self._presented:
                self._presented, self._channel = presented, self._connect_with(presented)
            return self._channel

    def unary_unary(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._rpc(lambda channel: channel.unary_unary(*arguments, **named))

    def unary_stream(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._rpc(lambda channel: channel.unary_stream(*arguments, **named))

    def _rpc(self, make: Callable[[Any], Any]) -> Callable[..., Any]:
        made: tuple[Any, Any] = None, None

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            channel, (made_of, rpc) = self.current(), made
            if channel is not made_of:
                rpc = make(channel)
                made = channel, rpc
            return rpc(*arguments, **named)

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current(), name)


def options(*services: ServiceDescriptor) -> tuple[tuple[str, int | str], ...]:
    """Return the options of a channel, also of `grpc.aio`, for calls to these services."""
    return (*_OPTIONS, ("grpc.service_config", json.dumps(service_config(*services))))


def service_config(*services: ServiceDescriptor) -> dict[str, Any]:
    """Return gRPC's service config for calls to these services."""
    retried = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
        and not method.server_streaming
    ]
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
        "methodConfig": [
            {"name": retried, "retryPolicy": _RETRY},
            {"name": [{}], "retryPolicy": _NOT_BEGUN},
        ],
    }


def ask(service: str, rpc: Callable[..., Any], request: Any, *, token: str | None = None) -> Any:
    """Call another service on behalf of the current call.

    The caller's identity, request id and trace context are forwarded, and its deadline less 0.1 s.

    Args:
        service: Name of the service for messages, e.g. "tracking".
        rpc: Unary method of a stub.
        request: Request of the RPC.
        token: The service token, for RPCs that only services may call; None to forward the
            caller's token.

    Raises:
        Error: The error that the service raised, or `Unavailable` when it cannot be reached.
    """
    current = caller.get()
    metadata = [("x-request-id", current.request_id), ("x-modelyard-user", current.actor)]
    authorization = current.authorization if token is None else f"Bearer {token}"
    if authorization:
        metadata.append(("authorization", authorization))
    if current.traceparent:
        metadata.append((tracing.HEADER, current.traceparent))
    timeout_s = max(current.remaining_s() - SUBCALL_MARGIN_S, 0.01)
    with translated(service):
        return rpc(request, timeout=timeout_s, metadata=metadata)


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Translate the gRPC failure of a call to another service into one of our errors.

    Args:
        service: Name of the service for messages, e.g. "tracking".

    Raises:
        Error: See `grpc_errors.from_rpc`.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise grpc_errors.from_rpc(error, service) from error
