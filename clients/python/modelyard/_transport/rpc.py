"""Sends RPCs: deadline, retries, identity, idempotency keys, errors."""

from __future__ import annotations

import getpass
import math
import os
import random
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from modelyard._transport import connections, signs_of_life
from modelyard._transport.failures import Failure
from modelyard._transport.outages import outages
from modelyard._transport.quiet_grpc import grpc
from modelyard.exceptions import InvalidParameter

DEADLINE_S = 10.0
"""Maximum wait for the answer to one attempt."""
_PATIENCE_S = 600.0
"""Maximum wait of a change for a server that is away.

Upgrades and fail-overs take seconds to a few minutes; a pod whose volume has to be detached from a
dead node is back after 6 minutes and its start.
"""
READS = ("Check", "Get", "List", "Resolve", "Search", "Verify")
"""First words of the names of read-only RPCs."""
_MAX_PATIENCE_S = 86_400.0
"""Servers know the idempotency key of a repeated call for a day."""
_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 2.0
_SERVICES = {
    "tracking": ("TrackingService", "tracking"),
    "artifacts": ("ArtifactsService", "tracking"),
    "registry": ("RegistryService", "registry"),
    "endpoint": ("EndpointService", "registry"),
    "access": ("AccessService", "registry"),
}
"""The service of the requests in a file of the contract, and the area whose target serves it."""

Reply = TypeVar("Reply", bound=Message)
_waits: ContextVar[bool] = ContextVar("waits", default=True)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Make the calls of a block fail within seconds if the server is away."""
    token = _waits.set(False)
    try:
        yield
    finally:
        _waits.reset(token)


def patience_s() -> float:
    """Return how long a change waits for a server that is away, seconds.

    Raises:
        InvalidParameter: `MODELYARD_TIMEOUT_S` is not a number of seconds up to a day.
    """
    text = os.environ.get("MODELYARD_TIMEOUT_S")
    if not text:
        return _PATIENCE_S if _waits.get() else DEADLINE_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _MAX_PATIENCE_S:
        raise InvalidParameter(
            f"Invalid MODELYARD_TIMEOUT_S '{text}': expected a number of seconds, more than 0 and "
            f"at most {_MAX_PATIENCE_S:.0f}."
        )
    return seconds if _waits.get() else min(seconds, DEADLINE_S)


def call(
    uri: str | None,
    request: Message,
    reply: type[Reply],
    *,
    timeout_s: float | None = None,
    answer_s: float = DEADLINE_S,
) -> Reply:
    """Call the RPC that a request belongs to.

    The call is retried with the same idempotency key, so that it takes effect once: after the delay
    that the refusal names if the server is overloaded or stopping; with back-off if the connection
    broke or could not be established. A server that has never answered gets four attempts, since
    its address is probably wrong; any other is retried until the deadline. A local instance that
    has stopped is started again.

    Args:
        uri: Address of the server; None for the local home.
        request: Message `FooRequest` of RPC `Foo`.
        reply: Type `FooResponse` of the reply.
        timeout_s: Deadline of all attempts together, seconds; by default `answer_s` for an RPC that
            only reads, and `patience_s()` for a change.
        answer_s: Deadline of each attempt, seconds, if `timeout_s` is left out.

    Raises:
        ModelyardException: The server refused the call or could not be reached; the message warns
            if a change may have been made nevertheless.
    """
    metadata = _metadata(connections.credentials(uri))
    is_change = not request.DESCRIPTOR.name.startswith(READS)
    if timeout_s is None:
        timeout_s = _total_s(answer_s) if is_change else answer_s
    else:
        answer_s = timeout_s
    # The start of a local instance is not part of the deadline.
    connection = connections.connect(uri)
    begun = time.monotonic()
    deadline = begun + timeout_s
    attempts = _Attempts(is_change=is_change)
    while True:
        try:
            left_s = max(min(deadline - time.monotonic(), answer_s), 0.001)
            answer = _send(connection, request, reply, metadata, left_s)
        except grpc.RpcError as error:
            failure = Failure(error)
            pause_s = attempts.pause_s(failure, connection)
            next_attempt = time.monotonic() + (pause_s or 0.0)
            if pause_s is None or next_attempt >= deadline:
                raise failure.exception(
                    connection.uri, timeout_s, may_be_done=attempts.may_be_done
                ) from None
            why = failure.exception(connection.uri, answer_s, may_be_done=False).message
            outages.waiting(connection.uri, why, begun, next_attempt, deadline)
        else:
            _note_answer(connection, request)
            return answer
        if failure.is_of_transport:
            connections.look_again(connection, deadline - time.monotonic() - pause_s)
        time.sleep(pause_s)
        connection = connections.connect(uri)


def _note_answer(connection: connections.Connection, request: Message) -> None:
    connection.has_answered = True
    outages.answered(connection.uri)
    if not request.DESCRIPTOR.name.startswith(READS):
        signs_of_life.written(getattr(request, "run_id", ""))


def call_once(uri: str | None, request: Message, reply: type[Message], *, timeout_s: float) -> bool:
    """Call an RPC once and return whether the server answered, be it with a refusal.

    A server that no other call has connected to is not called, and no local instance is started.
    """
    connection = connections.opened(uri)
    if connection is None:
        return False
    try:
        _send(connection, request, reply, _metadata(connections.credentials(uri)), timeout_s)
    except grpc.RpcError as error:
        failure = Failure(error)
        if not (failure.is_of_transport or failure.is_late):
            return True
        if not connection.is_local:
            connections.look_again(connection, timeout_s)
        return False
    return True


def _total_s(answer_s: float) -> float:
    """Return the deadline of a change: one that takes long has time for one attempt at least."""
    return max(answer_s, patience_s()) if answer_s > DEADLINE_S else patience_s()


def pages(
    caller: Callable[[Message, type[Reply]], Reply], request: Message, reply: type[Reply]
) -> Iterator[Reply]:
    """Yield the reply of each page of a list or search, to the last.

    Args:
        caller: Calls an RPC, as `call` does.
        request: Of the first page; its `page_token` becomes that of each further one.
        reply: Type `FooResponse`, which has a `next_page_token`.

    Raises:
        ModelyardException: As of `call`, at any page.
    """
    asked: Any = request  # the type has no fields
    while True:
        page: Any = caller(request, reply)
        yield page
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


class _Attempts:
    """Decides on retries of a call."""

    def __init__(self, *, is_change: bool) -> None:
        self._is_change = is_change
        self._made = 0
        self.may_be_done = False
        """Whether a failed attempt may have made a change."""

    def pause_s(self, failure: Failure, connection: connections.Connection) -> float | None:
        """Return the delay before the next attempt, seconds; None for no further attempt."""
        self._made += 1
        self.may_be_done |= self._is_change and failure.may_have_arrived
        if not failure.is_of_transport:
            connection.has_answered = True
        if not (failure.may_pass or (self._is_change and failure.is_late)):
            return None
        # Jitter, so that callers that were refused together do not retry together.
        jitter: float = random.uniform(1.0, 1.2)  # noqa: S311 - not a secret
        if failure.retry_after_s is not None:
            return jitter * failure.retry_after_s
        waits = connection.has_answered and (
            _waits.get() if self._is_change else failure.is_of_transport
        )
        if self._made >= _ATTEMPTS and not waits:
            return None
        return jitter * min(_FIRST_BACKOFF_S * 2.0 ** (self._made - 1), _MAX_BACKOFF_S)


def _send(
    connection: connections.Connection,
    request: Message,
    reply: type[Reply],
    metadata: tuple[tuple[str, str], ...],
    timeout_s: float,
) -> Reply:
    # Read before the channel: `move` replaces both, so no callable of an old channel is kept.
    rpcs = connection.rpcs
    rpc = rpcs.get(type(request))
    if rpc is None:
        kind: Any = request.DESCRIPTOR  # the stubs have two types of it
        path, area = method_of(kind)
        rpc = rpcs[type(request)] = connection.channel(area).unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
    answer: Reply = rpc(request, timeout=timeout_s, metadata=metadata)
    return answer


def stream(
    connection: connections.Connection,
    request: Message,
    reply: type[Reply],
    *,
    timeout_s: float | None,
) -> Any:
    """Open the server stream that a request belongs to.

    Args:
        connection: Connection to the server.
        request: Message `FooRequest` of RPC `Foo`.
        reply: Type `FooResponse` of the messages.
        timeout_s: Duration of the stream in seconds; None for no end.

    Returns:
        gRPC's call: iterates over the messages, and has `cancel()`. It raises `grpc.RpcError`.
    """
    kind: Any = request.DESCRIPTOR  # the stubs have two types of it
    path, area = method_of(kind)
    rpc = connection.channel(area).unary_stream(
        path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=reply.FromString,
    )
    metadata = _metadata(connection.credentials)
    return rpc(request, timeout=timeout_s, metadata=metadata)


def method_of(request: Descriptor) -> tuple[str, str]:
    """Return the path of the RPC of a request type, and the area whose target serves it.

    Args:
        request: Type `FooRequest` of RPC `Foo`.
    """
    service, area = _SERVICES[Path(request.file.name).stem]
    return f"/{request.file.package}.{service}/{request.name.removesuffix('Request')}", area


def _metadata(of_address: connections.Credentials | None) -> tuple[tuple[str, str], ...]:
    name = (of_address.user if of_address else "") or user()
    token = of_address.token if of_address else _token()
    return (
        ("idempotency-key", os.urandom(16).hex()),
        ("x-request-id", os.urandom(16).hex()),
        *_identity(name, token),
    )


@lru_cache(maxsize=16)
def _identity(name: str, token: str | None) -> tuple[tuple[str, str], ...]:
    if token and not (token.isascii() and token.isprintable()):
        raise InvalidParameter("The token must be one line of printable ASCII characters.")
    # Names may hold any letter, headers only ASCII.
    user_header = ("x-modelyard-user", urllib.parse.quote(name, safe=" !#$&'()*+,/:;=?@[]"))
    return (user_header, ("authorization", f"Bearer {token}")) if token else (user_header,)


def user() -> str:
    """Return the caller's name: `MLFLOW_TRACKING_USERNAME`, or the operating system's user."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or _login_name()


@cache
def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _token() -> str | None:
    token = os.environ.get("MODELYARD_TOKEN")
    path = os.environ.get("MODELYARD_TOKEN_FILE")
    if not token and path:
        try:
            token = Path(path).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            raise InvalidParameter(
                f"MODELYARD_TOKEN_FILE names '{path}', which cannot be read."
            ) from None
    for twin in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"):
        token = token or os.environ.get(twin)
    return token
