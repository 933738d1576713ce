"""Who may call what: one bearer token, and a permission on every method.

Without a token configured every caller may do everything, which is why such a server listens on
loopback only (`server.check_address`).
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

from modelyard.api.options.v1 import options_pb2
from modelyard_kit.errors import InvalidArgument, Unauthenticated

MIN_TOKEN_LENGTH = 16


def read_token(path: Path) -> str:
    """Read a token file: its first line, without surrounding space.

    Raises:
        InvalidArgument: The file cannot be read, or the token is shorter than 16 characters.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidArgument(f"The token file cannot be read: {error.strerror}.") from None
    if len(token) < MIN_TOKEN_LENGTH or "\n" in token:
        raise InvalidArgument(
            f"The token file must hold one line of at least {MIN_TOKEN_LENGTH} characters."
        )
    return token


def permission_of(method: MethodDescriptor) -> int:
    """Return the permission a method asks for.

    Raises:
        ValueError: The method has none; a server with such a method must not start.
    """
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    permission: int = extensions[options_pb2.permission]
    if permission == options_pb2.PERMISSION_UNSPECIFIED:
        raise ValueError(f"{method.full_name} has no permission option")
    return permission


def check_token(authorization: str, token: str | None) -> str:
    """Return the principal behind an `authorization` header.

    Args:
        authorization: The header's value; empty when there is none.
        token: The token that is right, or None when none is asked for.

    Raises:
        Unauthenticated: A token is asked for, and this is not it.
    """
    if token is None:
        return "anonymous"
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthenticated(
            "A valid bearer token is needed; set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE."
        )
    return "token"
