"""Every call goes through here: deadline, retries, identity, idempotency, errors."""

from __future__ import annotations

import getpass
import os
import urllib.parse
import uuid
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from modelyard import _connection, exceptions
from modelyard.api.errors.v1 import errors_pb2
from modelyard.exceptions import (
    Cancelled,
    DeadlineExceeded,
    InvalidParameter,
    ModelyardException,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)

DEADLINE_S = 10.0
_DETAILS_KEY = "grpc-status-details-bin"
_ERROR_INFO_URL = "type.googleapis.com/google.rpc.ErrorInfo"
_SERVICES = {
    "tracking": "TrackingService",
    "artifacts": "ArtifactsService",
    "registry": "RegistryService",
    "access": "AccessService",
}

Reply = TypeVar("Reply", bound=Message)


def call(
    uri: str | None, request: Message, reply: type[Reply], *, timeout_s: float = DEADLINE_S
) -> Reply:
    """Call the RPC that a request belongs to.

    It is sent again when the server cannot be reached, with the same idempotency key, so that it
    has one effect; a local instance that ended meanwhile is started again.

    Args:
        uri: Address of the server; None for the local home.
        request: Message `FooRequest` of RPC `Foo`.
        reply: Type `FooResponse`.
        timeout_s: For all attempts together, seconds.

    Raises:
        ModelyardException: What the server refused or why it could not be reached.
    """
    metadata = _metadata(uuid.uuid4().hex)
    connection = _connection.connect(uri)
    try:
        return _send(connection, request, reply, metadata, timeout_s)
    except grpc.RpcError as error:
        if not (connection.is_local and _is_transport_failure(error)):
            raise _exception(error, connection, timeout_s) from None
    _connection.disconnect(connection)
    connection = _connection.connect(uri)
    try:
        return _send(connection, request, reply, metadata, timeout_s)
    except grpc.RpcError as error:
        raise _exception(error, connection, timeout_s) from None


def _send(
    connection: _connection.Connection,
    request: Message,
    reply: type[Reply],
    metadata: tuple[tuple[str, str], ...],
    timeout_s: float,
) -> Reply:
    package = request.DESCRIPTOR.file.package
    area = package.split(".")[2]
    method = request.DESCRIPTOR.name.removesuffix("Request")
    rpc = connection.channel(area).unary_unary(
        f"/{package}.{_SERVICES[area]}/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=reply.FromString,
    )
    answer: Reply = rpc(request, timeout=timeout_s, metadata=metadata)
    return answer


def _metadata(idempotency_key: str) -> tuple[tuple[str, str], ...]:
    metadata = (
        ("idempotency-key", idempotency_key),
        ("x-request-id", uuid.uuid4().hex),
        # Names may hold any letter, headers only ASCII.
        ("x-modelyard-user", urllib.parse.quote(user(), safe=" !#$&'()*+,/:;=?@[]")),
    )
    token = _token()
    return (*metadata, ("authorization", f"Bearer {token}")) if token else metadata


def user() -> str:
    """Return who calls: `MLFLOW_TRACKING_USERNAME`, or the name of the operating system's user."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or _login_name()


@cache
def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without an entry
        return f"uid-{os.getuid()}"


def _token() -> str | None:
    token = os.environ.get("MODELYARD_TOKEN")
    path = os.environ.get("MODELYARD_TOKEN_FILE")
    if not token and path:
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise InvalidParameter(
                f"MODELYARD_TOKEN_FILE names '{path}', which cannot be read."
            ) from None
    if token and not (token.isascii() and token.isprintable()):
        raise InvalidParameter("The token must be one line of printable ASCII characters.")
    return token


def _is_transport_failure(error: grpc.RpcError) -> bool:
    return error.code() is grpc.StatusCode.UNAVAILABLE and _error_info(error) is None


def _exception(
    error: grpc.RpcError, connection: _connection.Connection, timeout_s: float
) -> ModelyardException:
    info = _error_info(error)
    if info is not None:
        return _BY_REASON.get(info.reason, ModelyardException)(error.details() or info.reason)
    server, details = connection.uri, error.details()
    by_code = {
        grpc.StatusCode.UNAVAILABLE: Unavailable(
            f"The server at {server} cannot be reached. Is it running?"
        ),
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded(
            f"The server at {server} did not answer within {timeout_s:g} s."
        ),
        grpc.StatusCode.UNIMPLEMENTED: Unimplemented(
            f"The server at {server} does not have this call; is it too old?"
        ),
        grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted(
            f"The server at {server} refused: {details}."
        ),
        grpc.StatusCode.CANCELLED: Cancelled("The call was cancelled."),
    }
    failed = ModelyardException(f"The server at {server} failed: {details}.")
    return by_code.get(error.code(), failed)


def _reasons() -> dict[str, type[ModelyardException]]:
    known = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    kinds = {kind.code: kind for kind in known if issubclass(kind, ModelyardException)}
    return {name: kinds[name] for name in errors_pb2.Reason.keys() if name in kinds}  # noqa: SIM118 - an enum wrapper is no dict


_BY_REASON = _reasons()


def _error_info(error: Any) -> errors_pb2.ErrorInfo | None:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            try:
                status = errors_pb2.Status.FromString(value)
                found = [d for d in status.details if d.type_url == _ERROR_INFO_URL]
                info = errors_pb2.ErrorInfo.FromString(found[0].value) if found else None
            except DecodeError:
                return None
            return info if info is not None and info.domain == "modelyard" else None
    return None
