"""How one service calls another: channel, deadline, identity, retries, errors.

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
from modelyard_kit.rpc.calls import NEIGHBOUR_MARGIN_S, caller

Shown: TypeAlias = grpc.ChannelCredentials | None
Credentials: TypeAlias = Shown | Callable[[], Shown]
"""For TLS; of a callable always one object until others are to be used. None to do without."""
C = TypeVar("C")

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # without it a hung peer is found after 70 s
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long a connection may take to be made, too
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),  # how soon new replicas are found
)
_RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def connect(
    target: str,
    *services: ServiceDescriptor,
    credentials: Credentials = None,
) -> grpc.Channel:
    """Open a channel to a neighbour; it connects when first used.

    Args:
        target: `host:port`, `dns:///name:port`, `ipv4:address:port,address:port` or `unix:path`.
            Calls go round over all addresses that a name has.
        services: Those that will be called, whose contract decides what is retried.
        credentials: For TLS; None to connect without.
    """
    chosen = options(*services)
    return rotating(
        credentials,
        lambda shown: (
            grpc.insecure_channel(target, options=chosen)
            if shown is None
            else grpc.secure_channel(target, shown, options=chosen)
        ),
    )


def rotating(credentials: Credentials, connect_with: Callable[[Shown], C]) -> C:
    """Return a channel, dialled anew when what it is to show has changed.

    gRPC reads a client's certificate once a channel. Calls in flight go on over the one before.
    """
    if not callable(credentials):
        return connect_with(credentials)
    return cast(C, RotatingChannel(credentials, connect_with))


class RotatingChannel:
    """As much of a channel as stubs use, of threads or of an event loop."""

    def __init__(
        self, credentials: Callable[[], Shown], connect_with: Callable[[Shown], Any]
    ) -> None:
        self._credentials, self._dial_with = credentials, connect_with
        self._lock = threading.Lock()
        self._shown = credentials()
        self._channel = connect_with(self._shown)

    def now(self) -> Any:
        shown = self._credentials()
        with self._lock:
            if shown is not self._shown:
                self._shown, self._channel = shown, self._dial_with(shown)
            return self._channel

    def unary_unary(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._rpc(lambda channel: channel.unary_unary(*arguments, **named))

    def unary_stream(self, *arguments: Any, **named: Any) -> Callable[..., Any]:
        return self._rpc(lambda channel: channel.unary_stream(*arguments, **named))

    def _rpc(self, make: Callable[[Any], Any]) -> Callable[..., Any]:
        made: tuple[Any, Any] = None, None

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            channel, (made_of, rpc) = self.now(), made
            if channel is not made_of:
                rpc = make(channel)
                made = channel, rpc
            return rpc(*arguments, **named)

        return call

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now(), name)


def options(*services: ServiceDescriptor) -> tuple[tuple[str, int | str], ...]:
    """Return the options of a channel for calls to these services, `grpc.aio` ones too."""
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
        "methodConfig": [{"name": retried, "retryPolicy": _RETRY}],
    }


def ask(neighbour: str, rpc: Callable[..., Any], request: Any, *, token: str | None = None) -> Any:
    """Call a neighbour on behalf of the present call.

    The caller's identity and request id travel along, and so does its deadline, less 0.1 s.

    Args:
        neighbour: Its name for messages, e.g. "tracking".
        rpc: A unary method of a stub.
        request: Its request.
        token: The services' own, to ask for what only services may; None to show the caller's.

    Raises:
        Error: What the neighbour raised, or `Unavailable` when it cannot be reached.
    """
    who = caller.get()
    metadata = [("x-request-id", who.request_id), ("x-modelyard-user", who.actor)]
    authorization = who.authorization if token is None else f"Bearer {token}"
    if authorization:
        metadata.append(("authorization", authorization))
    if who.traceparent:
        metadata.append((tracing.HEADER, who.traceparent))
    timeout_s = max(who.remaining_s() - NEIGHBOUR_MARGIN_S, 0.01)
    with translated(neighbour):
        return rpc(request, timeout=timeout_s, metadata=metadata)


@contextmanager
def translated(neighbour: str) -> Iterator[None]:
    """Turn a failed call into the error it stands for."""
    try:
        yield
    except grpc.RpcError as error:
        raise grpc_errors.from_rpc(error, neighbour) from error
