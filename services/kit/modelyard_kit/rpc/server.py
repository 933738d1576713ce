"""A gRPC server: services with thread pools of their own, health checks, graceful shutdown.

Each service has its own threads: with a shared pool, services that call each other could deadlock,
each holding threads that the other one needs.
"""

from __future__ import annotations

import ipaddress
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit import descriptors
from modelyard_kit.auth.grants import permission_of
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.errors import InvalidArgument, Unavailable, Unimplemented
from modelyard_kit.observability.metrics import watch_streams
from modelyard_kit.rpc import health
from modelyard_kit.rpc.admission import Admission, Door
from modelyard_kit.rpc.health import Readiness
from modelyard_kit.rpc.interceptors import wrap
from modelyard_kit.rpc.places import RETRY_AFTER_S, Places
from modelyard_kit.tls import ServerTls

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half of the calls
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_metadata_size", 8192),
    ("grpc.absolute_max_metadata_size", 16384),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # without it a hung peer is found after 70 s
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # Clients reconnect now and then, and so find added replicas.
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.max_connection_idle_ms", 60_000),  # clients connect again at their next call
    ("grpc.server_handshake_timeout_ms", 10_000),  # also of connections that send nothing
)
_MAX_CONNECTIONS = "grpc.max_allowed_incoming_connections"  # of each port; others are closed
_HEALTH_THREADS = 4
_STREAMS_END_S = 2.0  # streams poll once a second; one still open then has a client that stalls


class RpcServer:
    """Services on one port or socket.

    Args:
        token: The service token; None for no authentication.
        tls: Certificate for TCP ports; None means plaintext. Unix sockets never use TLS.
        tokens: API tokens that are accepted besides `token`; None to accept no others.
    """

    def __init__(
        self,
        token: str | None = None,
        tls: ServerTls | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self._token = token
        self.tokens = None if token is None else tokens
        self._credentials = None if tls is None else tls.grpc_credentials()
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._door = Door(token, self.tokens)
        self._calls: list[Places] = []
        self._streams: list[Places] = []
        self._starting: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []
        self._server: grpc.Server | None = None
        self.unbuilt: list[str] = []
        """Full names of the mounted RPCs without an implementation."""
        self.active = ActiveCalls()
        self.stopping = threading.Event()
        self.readiness = Readiness()

    def add(
        self,
        service: ServiceDescriptor,
        servicer: object,
        *,
        permissions: Mapping[str, Permission] = MappingProxyType({}),
        area: str = "",
        threads: int = 16,
        streams: int = 0,
        problem: Callable[[], str] = str,
    ) -> None:
        """Mount a service.

        Args:
            service: Service of our contract or of another one; methods that the servicer does not
                define answer UNIMPLEMENTED.
            servicer: Object with a method for each RPC that is built.
            permissions: Permissions by method name; other methods have the option of our contract.
            area: Name that problems are reported under; by default taken from the package.
                Required for a service that is not of our contract.
            threads: Number of unary calls that run at once; four times as many may be queued.
            streams: Number of server streams that may be open, each on a thread of its own; one
                caller may have three quarters of them.
            problem: Returns the problem that makes the service not ready, such as a database that
                cannot be reached, in a sentence; empty if it is ready.

        Raises:
            ValueError: A method has no permission or is client streaming only, `permissions` names
                an unknown method, or the area is missing.
        """
        needed = _needed(service, permissions)
        calls = Places.of_calls(service.name, threads, self._door.opened)
        watches = Places.of_streams(service.name, streams, self._door.opened)
        self._calls.append(calls)
        self._streams.append(watches)
        self.readiness.add(service.full_name, problem, area, calls.problem)
        handlers = {}
        for method in service.methods:
            behavior = self._behavior(method, servicer)
            if method.server_streaming:
                behavior = self._ending(behavior)
            behavior = wrap(behavior, method, needed[method], self._token, self.tokens)
            behavior = self._door.guarding(self.active.counting(behavior, method), method)
            places = watches if method.server_streaming else calls
            behavior.experimental_thread_pool = places  # type: ignore[attr-defined]  # read by grpc
            handlers[method.name] = _handler(method, behavior)
        self._handlers.append(Admission(self._door, handlers, needed))

    def _behavior(self, method: MethodDescriptor, servicer: object) -> Callable[..., Any]:
        behavior = getattr(servicer, method.name, None)
        generated = getattr(behavior, "__module__", "").endswith("_pb2_grpc")
        if behavior is not None and not generated:
            return behavior  # type: ignore[no-any-return]  # a servicer's method
        self.unbuilt.append(method.full_name)

        def unimplemented(_request: Any, _context: grpc.ServicerContext) -> Any:
            raise Unimplemented(f"{method.name} is in the contract but not built yet.")

        return unimplemented

    def _ending(self, behavior: Callable[..., Any]) -> Callable[..., Any]:
        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            watch_streams.inc()
            try:
                yield from behavior(request, context)
                if self.stopping.is_set() and context.is_active():
                    stopping = Unavailable(
                        "The server is stopping; retry on another replica or after its restart."
                    )
                    raise stopping.after(RETRY_AFTER_S)
            finally:
                watch_streams.dec()

        return stream

    def on_start(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the server starts to serve."""
        self._starting.append(callback)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the last call has ended."""
        self._closing.append(callback)

    def start(self, *addresses: str) -> list[int]:
        """Listen and serve.

        Args:
            addresses: `host:port` (port 0 chooses a free one) or `unix:path`.

        Returns:
            The port of each address; 1 for a socket.

        Raises:
            InvalidArgument: An address is public without authentication, or already in use.
        """
        for address in addresses:
            check_address(address, self._token)
        checks = Places.of_calls("health", _HEALTH_THREADS, self._door.opened)
        self._calls.append(checks)
        self._handlers.append(self._health())
        options = (*_OPTIONS, (_MAX_CONNECTIONS, descriptors.for_rpc()))
        server = grpc.server(checks, handlers=self._handlers, options=options)
        ports = [_bind(server, address, self._credentials) for address in addresses]
        if self.tokens is not None:
            self.tokens.start()
        self._door.start()
        for callback in self._starting:
            callback()
        server.start()
        self._server = server
        return ports

    def _health(self) -> Admission:
        """Return the handlers of health checks, which need no token and have own places."""
        behaviors = health.behaviors(self.readiness)
        handlers = {
            method.name: _handler(method, self._door.guarding(behavior, method))
            for method, behavior in behaviors.items()
        }
        return Admission(self._door, handlers, dict.fromkeys(behaviors))

    def drain(self, grace_s: float) -> None:
        """Refuse new calls, let those in flight end, then close everything.

        Args:
            grace_s: How long calls in flight may take, seconds; streams end within 2.
        """
        self.readiness.leave()
        self.stopping.set()
        if self._server is not None:
            stopped = self._server.stop(grace_s)
            if not stopped.wait(min(_STREAMS_END_S, grace_s)):
                for call in itertools.chain(*(places.running() for places in self._streams)):
                    call.cancel()
                stopped.wait()
        for places in self._calls + self._streams:
            places.shutdown(wait=True, cancel_futures=True)
        self._door.close()
        if self.tokens is not None:
            self.tokens.close()
        for callback in reversed(self._closing):
            callback()


class ActiveCalls:
    """Counts running calls; lets a caller wait for an idle period."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._changed_at = time.monotonic()

    def counting(
        self, behavior: Callable[..., Any], method: MethodDescriptor
    ) -> Callable[..., Any]:
        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            with self:
                return behavior(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self:
                yield from behavior(request, context)

        return stream if method.server_streaming else unary

    def __enter__(self) -> None:
        self._count(1)

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            self._changed_at = time.monotonic()

    def wait_until_idle_for(self, seconds: float, stop: threading.Event) -> bool:
        """Block until no call has run for `seconds`; return False when `stop` is set first."""
        left = seconds
        while not stop.wait(left):
            with self._lock:
                idle = 0 if self._running else time.monotonic() - self._changed_at
            if idle >= seconds:
                return True
            left = seconds - idle
        return False


def _needed(
    service: ServiceDescriptor, permissions: Mapping[str, Permission]
) -> dict[MethodDescriptor, Permission]:
    """Return the permission of each method, after checking that all can be mounted."""
    unknown = permissions.keys() - {method.name for method in service.methods}
    if unknown:
        raise ValueError(f"permission for {min(unknown)}, which {service.full_name} does not have")
    for method in service.methods:
        if method.client_streaming and not method.server_streaming:
            raise ValueError(f"{method.full_name} is client streaming only, which is not supported")
    return {method: permission_of(method, permissions) for method in service.methods}


def check_address(address: str, token: str | None) -> None:
    """Refuse to listen on a public address without authentication.

    Raises:
        InvalidArgument: `address` is neither a socket nor loopback, and there is no token.
    """
    if token is not None or address.startswith("unix:"):
        return
    host = address.rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidArgument(
            f"Refusing to listen on {address} without authentication; "
            "set MODELYARD_TOKEN_FILE, or listen on 127.0.0.1.",
            address=address,
        )


def _bind(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None or address.startswith("unix:"):
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise InvalidArgument(
            f"Cannot listen on {address}: it is in use, or not an address of this machine. "
            "Stop the process that listens there, or choose another address.",
            address=address,
        ) from None


def _handler(method: MethodDescriptor, behavior: Callable[..., Any]) -> Any:
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(behavior)  # all handlers map bytes to bytes
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(behavior)
    return grpc.unary_unary_rpc_method_handler(behavior)
