"""The address of the server, and the channels to it.

An address is `http(s)://host:port` of a gateway, which names the gRPC targets, or
`grpc(s)://host:port`, each with an optional `user:token@` before the host. Without an address, the
local home's instance is used, and started if necessary.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from modelyard import _environment, _settings
from modelyard._documents import read_json
from modelyard._environment import export, setting
from modelyard.exceptions import InvalidParameter, ModelyardException, Unavailable
from modelyard.redaction import redacted, redacted_text

if TYPE_CHECKING:
    from google.protobuf.message import Message

_DISCOVERY_PATH = "/.well-known/modelyard"
_DISCOVERY_TIMEOUT_S = 10.0
_MAX_DISCOVERY_BYTES = 65_536
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # otherwise a hung peer is detected after 70 s
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # also the timeout of connecting
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    # Otherwise a new channel to a restarted server waits for the old channel's back-off.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),  # a new replica is found within this time
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
)


@dataclass(frozen=True, slots=True)
class Targets:
    """gRPC targets by area, in gRPC's syntax."""

    tracking: str
    registry: str
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """The `user:token@` of an address.

    Attributes:
        user: Name of the user; may be empty.
        token: Token, which MLflow's clients send as the password.
    """

    user: str
    token: str = field(repr=False)


@dataclass(slots=True)
class Connection:
    """Channels to one server, opened when first used.

    Attributes:
        uri: Address of the server without its credentials, for messages.
        is_local: Whether the server is the local home's instance, which may stop when idle.
        has_answered: Whether the server has answered a call.
        credentials: Credentials of the address; None if it has none.
        rpcs: gRPC's callables for the channels, by type of the request; each made when first used.
    """

    uri: str
    targets: Targets
    is_local: bool = False
    has_answered: bool = False
    credentials: Credentials | None = None
    rpcs: dict[type[Message], Any] = field(default_factory=dict)
    _channels: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def channel(self, area: str) -> Any:
        """Return the channel to an area's target: "tracking" or "registry"."""
        with self._lock:
            target = getattr(self.targets, area)
            if target not in self._channels:
                self._channels[target] = _open_channel(target, secure=self.targets.secure)
            return self._channels[target]

    def move(self, targets: Targets) -> None:
        """Use other targets from now on."""
        with self._lock:
            if targets != self.targets:
                # Not closed: calls of other threads may be about to use them, and would fail.
                self.targets, self._channels, self.rpcs = targets, {}, {}


def _open_channel(target: str, *, secure: bool) -> Any:
    import grpc

    if secure:
        from modelyard._transport import tls

        return grpc.secure_channel(target, tls.channel_credentials(), options=_OPTIONS)
    return grpc.insecure_channel(target, options=_OPTIONS)


class _State:
    """The addresses set by `set_tracking_uri` and `set_registry_uri`, and the open connections."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tracking_uri: str | None = None
        self.registry_uri: str | None = None
        self.open: dict[str, Connection] = {}
        self.inherited: list[Connection] = []

    def forget_inherited(self) -> None:
        """After a fork: drop the parent's channels, which must be neither used nor closed here.

        What is known of the servers stays, so that a child that starts during an outage waits too.
        """
        self.inherited += self.open.values()
        self.open = {
            key: Connection(
                known.uri, known.targets, known.is_local, known.has_answered, known.credentials
            )
            for key, known in self.open.items()
        }
        self.lock = threading.RLock()


_state = _State()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_state.forget_inherited)


@contextmanager
def isolated() -> Iterator[None]:
    """Restore the addresses and drop all connections at the end of the block."""
    chosen = _state.tracking_uri, _state.registry_uri
    try:
        with _environment.isolated():
            yield
    finally:
        with _state.lock:
            _state.tracking_uri, _state.registry_uri = chosen
            _state.open.clear()


def set_tracking_uri(uri: str | None) -> None:
    """Set the address of the tracking server for calls from now on, also of child processes.

    Args:
        uri: `http(s)://host:port` or `grpc(s)://host:port`; None or "" for the environment's
            address, or the local home if that is not set. With `user:token@` before the host, the
            token is used for calls to this server, before that of the environment.

    Raises:
        InvalidParameter: The address has another form.
    """
    text = str(uri) if uri else None
    if text:
        check(text)
    with _state.lock:
        _state.tracking_uri = text
        export("TRACKING_URI", text)


def set_registry_uri(uri: str | None) -> None:
    """Set the address for registered models, also of child processes.

    None or "" means the environment's address, or the tracking server's if that is not set.
    """
    text = str(uri) if uri else None
    if text:
        check(text)
    with _state.lock:
        _state.registry_uri = text
        export("REGISTRY_URI", text)


def tracking_uri() -> str | None:
    """Return the address in use; None for the local home."""
    return _state.tracking_uri or setting("TRACKING_URI")


def registry_uri() -> str | None:
    """Return the address for registered models; None for the local home."""
    return _state.registry_uri or setting("REGISTRY_URI") or tracking_uri()


def connect(uri: str | None) -> Connection:
    """Return the open connection to a server; open one if there is none.

    Args:
        uri: Address of the server; None for the local home.

    Raises:
        InvalidParameter: The address is malformed.
        Unavailable: The server does not answer, or no local instance could be started.
    """
    key = uri or ""
    with _state.lock:
        if key not in _state.open:
            _state.open[key] = _connect(uri)
        return _state.open[key]


def opened(uri: str | None) -> Connection | None:
    """Return the open connection to a server; None if there is none."""
    return _state.open.get(uri or "")


def host(uri: str | None) -> str | None:
    """Return the host name of a server; None for the local home's."""
    return urllib.parse.urlsplit(uri).hostname if uri else None


def disconnect(connection: Connection) -> None:
    """Drop a connection, so that the next call discovers the server again."""
    with _state.lock:
        for key, known in list(_state.open.items()):
            if known is connection:
                # Not closed: calls of other threads may be about to use it, and would fail.
                del _state.open[key]


def look_again(connection: Connection, timeout_s: float) -> None:
    """Discover a server again after a call did not reach it.

    The local home's instance is looked up by the next call, which starts it if it has stopped. A
    gateway may have been restarted with other targets; if it returns none, the known ones stay.

    Args:
        connection: Connection of the failed call.
        timeout_s: Maximum wait for the gateway, seconds.
    """
    if connection.is_local:
        disconnect(connection)
        return
    parts = check(connection.uri)
    if parts.scheme in {"http", "https"}:
        # Without an answer the call fails again, with its own error.
        with suppress(ModelyardException):
            limit_s = min(timeout_s, _DISCOVERY_TIMEOUT_S)
            connection.move(_discover(connection.uri, parts, connection.credentials, limit_s))


def _connect(uri: str | None) -> Connection:
    _settings.check()
    if uri is None:
        from modelyard._transport import instances

        home = instances.home()
        if "MODELYARD_HOME" in os.environ:
            export("HOME", str(home))  # absolute, also for children and after a change of folder
        instance = instances.ensure(home)
        targets = Targets(instance.socket, instance.socket)
        return Connection(uri=instance.http, targets=targets, is_local=True)
    parts = check(uri)
    host_and_port = parts.netloc.rpartition("@")[2]
    shown = urllib.parse.urlunsplit(parts._replace(netloc=host_and_port))
    known = credentials(uri)
    if parts.scheme in {"grpc", "grpcs"}:
        targets = Targets(host_and_port, host_and_port, secure=parts.scheme == "grpcs")
    else:
        targets = _discover(shown, parts, known, _DISCOVERY_TIMEOUT_S)
    return Connection(shown, targets, credentials=known)


@lru_cache(maxsize=16)
def credentials(uri: str | None) -> Credentials | None:
    """Return the credentials of an address; None if it has none.

    Raises:
        InvalidParameter: The address is malformed.
    """
    parts = check(uri) if uri else None
    if parts is None or not parts.password:
        return None
    user, token = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    return Credentials(user, token)


def check(uri: str) -> urllib.parse.SplitResult:
    """Parse an address.

    Raises:
        InvalidParameter: It is not the address of a server.
    """
    wanted = "expected http(s)://host:port or grpc(s)://host:port"
    invalid = f"Invalid tracking URI '{redacted(uri)}': {wanted}"
    try:
        parts = urllib.parse.urlsplit(uri)
        port = parts.port
    except ValueError:
        parts, port = None, None
    if parts is None or "@" in parts.path + parts.query + parts.fragment:
        encoded = "; percent-encode the special characters of user and token" if "@" in uri else ""
        raise InvalidParameter(f"{invalid}{encoded}.")
    if parts.scheme not in {"http", "https", "grpc", "grpcs"}:
        raise InvalidParameter(f"{invalid}. {_in_a_folder()}")
    if not parts.hostname or (port is None and parts.scheme.startswith("grpc")):
        raise InvalidParameter(f"{invalid}.")
    return parts


def _in_a_folder() -> str:
    from modelyard._transport import instances

    if instances.is_possible():
        return (
            "To keep everything in a local folder, set MODELYARD_HOME to it and leave the tracking "
            "URI unset."
        )
    return instances.NOT_HERE


def _discover(
    uri: str, parts: urllib.parse.SplitResult, known: Credentials | None, timeout_s: float
) -> Targets:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    from modelyard._transport.http import basic, open_url

    request = urllib.request.Request(uri.rstrip("/") + _DISCOVERY_PATH)  # noqa: S310 - `check` allows http(s) only
    if known:  # for a proxy in front of the gateway, and not for a server it redirects to
        request.add_unredirected_header("Authorization", basic(known.user, known.token))
    try:
        with open_url(request, timeout_s=timeout_s) as reply:
            document = read_json(reply.read(_MAX_DISCOVERY_BYTES))
        return targets_of(document["grpc"], parts)
    except urllib.error.HTTPError as error:
        with error:
            raise ModelyardException(
                f"{uri} answered {error.code} to {_DISCOVERY_PATH}: it is not a Modelyard server."
            ) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unavailable(f"{uri} cannot be reached: {_why(reason, parts)}") from None
    except HTTPException:
        raise ModelyardException(
            f"{uri} does not speak HTTP; if it is a gRPC port, use grpc://{parts.netloc.rpartition('@')[2]}."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelyardException(
            f"{uri} did not return gRPC targets for {_DISCOVERY_PATH}: it is not a Modelyard "
            "server."
        ) from None


def _why(reason: object, parts: urllib.parse.SplitResult) -> str:
    """Return a readable reason for a missing answer."""
    import ssl

    from modelyard._transport import tls

    explained = tls.explained(str(reason))
    hung_up = isinstance(reason, ConnectionResetError | ConnectionAbortedError | ssl.SSLError)
    if parts.scheme == "https" and hung_up and not explained:
        return (
            "it closes the connection; does it require a client certificate "
            "(MODELYARD_TLS_CERT_FILE and MODELYARD_TLS_KEY_FILE)?"
        )
    return f"{explained or redacted_text(str(reason))}."  # it may name a proxy


def targets_of(grpc_targets: dict[str, str], parts: urllib.parse.SplitResult) -> Targets:
    """Return the targets of a discovery document; `:port` means the host of the request."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname

    def target(area: str) -> str:
        named = grpc_targets[area]
        return f"{host}{named}" if named.startswith(":") else named

    return Targets(target("tracking"), target("registry"), secure=parts.scheme == "https")
