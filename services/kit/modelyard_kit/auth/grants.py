"""Who may call what: a token, and a permission on every method.

The service token may do everything; API tokens do what their role and scope allow (see
`modelyard_kit.auth.tokens`). Without a token configured every caller may do everything, which is
why such a server listens on loopback only (`server.check_address`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor

from modelyard.api.access.v1.access_pb2 import Role
from modelyard.api.options.v1.options_pb2 import Permission, permission
from modelyard_kit.auth.roles import EVERYTHING, role_name, roles_with
from modelyard_kit.auth.scope import EVERYTHING as UNSCOPED
from modelyard_kit.auth.scope import Scope
from modelyard_kit.errors import InvalidArgument, PermissionDenied, Unauthenticated

MIN_TOKEN_LENGTH = 16
API_TOKEN = re.compile(r"modelyard_([0-9A-Za-z]{10})_[0-9A-Za-z]{43}")
"""An API token: its id, which may be known, and its secret."""

_NONE_GIVEN: Mapping[str, Permission] = MappingProxyType({})
_WANTED = "A valid bearer token is needed; set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE."


@dataclass(frozen=True, slots=True)
class Grant:
    """Who a caller is, and what it may do.

    Attributes:
        principal: Whose idempotency keys these are.
        name: Of its API token, which history says did it; empty if the caller names itself.
        role: Of its API token; None for others, who may do everything.
        scope: What its token is good for.
        expires_ms: When its token ends, Unix time in milliseconds; None for never.
        permissions: What it may do.
    """

    principal: str
    name: str = ""
    role: Role | None = None
    scope: Scope = UNSCOPED
    expires_ms: int | None = None
    permissions: frozenset[Permission] = EVERYTHING


ANONYMOUS = Grant("anonymous")
"""A caller of a server that asks for no token."""
SERVICES = Grant("token")
"""A bearer of the service token."""


class ApiTokens(Protocol):
    """What knows the API tokens; `modelyard_kit.auth.tokens.Tokens` in a server."""

    def identify(self, token: str) -> Grant:
        """Return what a token grants; raises `Unauthenticated`, or `Unavailable`."""


def read_token(path: Path) -> str:
    """Read a token file: its one line, without surrounding space or a byte order mark.

    Raises:
        InvalidArgument: The file cannot be read, or holds anything but one line of at least 16
            printable ASCII characters, which are what a header can carry.
    """
    try:
        token = path.read_text(encoding="utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise InvalidArgument(
            f"The token file cannot be read: {error.strerror}. MODELYARD_TOKEN_FILE names '{path}'."
        ) from None
    if len(token) < MIN_TOKEN_LENGTH or not (token.isascii() and token.isprintable()):
        raise InvalidArgument(
            f"The token file must hold one line of at least {MIN_TOKEN_LENGTH} printable ASCII "
            f"characters. MODELYARD_TOKEN_FILE names '{path}'."
        )
    return token


def read_service_token(path: Path) -> str:
    """Read the file of the service token, as `read_token` does.

    Raises:
        InvalidArgument: Or it holds an API token, whose bearer could do everything here.
    """
    token = read_token(path)
    if API_TOKEN.fullmatch(token):
        raise InvalidArgument(
            "The token file holds an API token; a server needs the services' own, which may do "
            "everything: a long random text that no person or job is given."
        )
    return token


def permission_of(
    method: MethodDescriptor, permissions: Mapping[str, Permission] = _NONE_GIVEN
) -> Permission:
    """Return the permission a method asks for.

    Args:
        method: Of our contract or of another one.
        permissions: By the names of methods; goes before the option of the contract.

    Raises:
        ValueError: The method has none; a server with such a method must not start.
    """
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    needed: Permission = permissions.get(method.name) or extensions[permission]
    if needed == Permission.PERMISSION_UNSPECIFIED:
        raise ValueError(f"{method.full_name} has no permission, by its option or given for it")
    return needed


def check_token(authorization: str, token: str | None) -> None:
    """Refuse a caller without the one token that is right.

    Args:
        authorization: The value of the header `authorization`; empty when there is none.
        token: The token that is right, or None when none is asked for.

    Raises:
        Unauthenticated: A token is asked for, and this is not it.
    """
    if token is not None and not _is(token, token_of(authorization)):
        raise Unauthenticated(_WANTED)


def identify(authorization: str, token: str | None, named: ApiTokens | None) -> Grant:
    """Return who is behind an `authorization` header.

    Args:
        authorization: Its value; empty when there is none.
        token: The service token, or None when none is asked for.
        named: The API tokens, if this server takes them.

    Raises:
        Unauthenticated: A token is asked for, and this is none.
        Unavailable: Whether this is one cannot be told now.
    """
    if token is None:
        return ANONYMOUS
    given = token_of(authorization)
    if _is(token, given):
        return SERVICES
    if named is None or not given:
        raise Unauthenticated(_WANTED)
    return named.identify(given)


def require(grant: Grant, method: MethodDescriptor, needed: Permission) -> None:
    """Refuse a call that its caller may not make.

    Args:
        grant: Of the caller.
        method: What is called.
        needed: The permission it asks for.

    Raises:
        PermissionDenied: Names the permission, the token, its role and the roles that would do.
    """
    if needed not in grant.permissions:
        raise _denied(grant, method, needed)
    if needed == Permission.ADMIN and grant.scope:
        raise PermissionDenied(
            f"{method.name} is about everything; the token '{grant.name}' is good for "
            f"{grant.scope} only. Use an admin's token without patterns.",
            permission=Permission.Name(needed),
        )


def check_time(grant: Grant, now_ms: int) -> None:
    """Refuse a token whose time is over.

    Args:
        grant: Of its bearer.
        now_ms: Unix time in milliseconds.

    Raises:
        Unauthenticated: It has expired.
    """
    if grant.expires_ms is not None and grant.expires_ms <= now_ms:
        raise Unauthenticated(f"The token '{grant.name}' has expired; ask for a new one.")


def token_of(authorization: str) -> str:
    """Return the token in an `authorization` header, or nothing.

    It is what follows `Bearer`, or the password of `Basic`, whatever user that names: MLflow's
    clients send a password so.
    """
    scheme, _, given = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return given.strip()
        case "basic":
            try:
                credentials = base64.b64decode(given, validate=True).decode()
            except (binascii.Error, ValueError):
                return ""
            return credentials.partition(":")[2]
    return ""


def token_id(authorization: str) -> str:
    """Return the id of the API token in an `authorization` header, valid or not, for logs."""
    named = API_TOKEN.fullmatch(token_of(authorization))
    return named[1] if named else ""


def _is(token: str, given: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _denied(grant: Grant, method: MethodDescriptor, needed: Permission) -> PermissionDenied:
    name = Permission.Name(needed)
    role = "its role" if grant.role is None else f"the role {role_name(grant.role)}"
    able = roles_with(needed)
    would_do = f"{' or '.join(able)} would do" if able else "services only make this call"
    return PermissionDenied(
        f"{method.name} needs the permission {name}, which {role} of the token '{grant.name}' "
        f"does not have; {would_do}.",
        permission=name,
    )
