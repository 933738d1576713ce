"""Authentication by token, and authorization by the permission of each method.

The service token has every permission; API tokens have those of their role, within their scope
(`modelyard_kit.auth.tokens`). A server without a configured token grants every caller everything,
and therefore listens on loopback only (`server.check_address`).
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
"""Form of an API token. The id, which is the only group, is public; the rest is secret."""

PERMISSION_ONLY = ("x-modelyard-permission-only", "1")
"""Metadata of a call that ends, with an empty reply, after the check of token and permission."""

_ADMIN = Permission.ADMIN
_NO_OVERRIDES: Mapping[str, Permission] = MappingProxyType({})
_UNAUTHENTICATED = "A valid bearer token is required; set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE."


@dataclass(frozen=True, slots=True)
class Grant:
    """The identity and permissions of a caller.

    Attributes:
        principal: Stable id of the caller; idempotency keys are scoped to it.
        name: Name of the API token, recorded as the actor in history; empty for a self-declared
            user.
        role: Role of the API token; None for callers without one, who may do everything.
        scope: Models and experiments that the token is restricted to.
        expires_ms: Expiry of the token, Unix time in milliseconds; None if it never expires.
        permissions: Permissions of the caller.
    """

    principal: str
    name: str = ""
    role: Role | None = None
    scope: Scope = UNSCOPED
    expires_ms: int | None = None
    permissions: frozenset[Permission] = EVERYTHING


ANONYMOUS = Grant("anonymous")
"""The grant of every caller of a server without authentication."""
SERVICES = Grant("token")
"""The grant of the service token."""


class ApiTokens(Protocol):
    """Identifies API tokens; in a server, `modelyard_kit.auth.tokens.Tokens`."""

    def identify(self, token: str, since: float | None = None) -> Grant:
        """Return the grant of a token; raises `Unauthenticated` or `Unavailable`."""

    def identify_known(self, token: str) -> Grant | None:
        """Return the grant of a token, None if its id is unknown; raises `Unauthenticated`."""


def read_token(path: Path) -> str:
    """Read a token file: its one line, without surrounding space or a byte order mark.

    Raises:
        InvalidArgument: The file cannot be read, or is not one line of at least 16 printable ASCII
            characters, the characters that a header can carry.
    """
    try:
        token = path.read_text(encoding="utf-8-sig", errors="replace").strip()
    except OSError as error:
        raise InvalidArgument(
            f"The token file cannot be read: {error.strerror}. MODELYARD_TOKEN_FILE names '{path}'."
        ) from None
    if not is_strong(token):
        raise InvalidArgument(
            f"The token file must hold one line of at least {MIN_TOKEN_LENGTH} printable ASCII "
            f"characters. MODELYARD_TOKEN_FILE names '{path}'."
        )
    return token


def is_strong(token: str) -> bool:
    """Whether a server may be started with a token: 16 or more printable ASCII characters."""
    return len(token) >= MIN_TOKEN_LENGTH and token.isascii() and token.isprintable()


def read_service_token(path: Path) -> str:
    """Read the file of the service token, as `read_token` does.

    Raises:
        InvalidArgument: As `read_token`, or the file holds an API token, whose bearer would have
            every permission.
    """
    token = read_token(path)
    if API_TOKEN.fullmatch(token):
        raise InvalidArgument(
            "The token file holds an API token, but a server needs the service token, which has "
            "every permission: a long random text that is not given to any person or job."
        )
    return token


def permission_of(
    method: MethodDescriptor, permissions: Mapping[str, Permission] = _NO_OVERRIDES
) -> Permission:
    """Return the permission that callers of a method need.

    Args:
        method: Method of our contract or of another one.
        permissions: Permissions by method name; they override the option of the contract.

    Raises:
        ValueError: The method has no permission; a server with such a method must not start.
    """
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    needed: Permission = permissions.get(method.name) or extensions[permission]
    if needed == Permission.PERMISSION_UNSPECIFIED:
        raise ValueError(f"{method.full_name} has no permission, neither by its option nor given")
    return needed


def check_token(authorization: str, token: str | None) -> None:
    """Refuse a caller without the expected token.

    Args:
        authorization: Value of the header `authorization`; empty without one.
        token: Expected token; None for no authentication.

    Raises:
        Unauthenticated: The header does not carry the expected token.
    """
    if token is not None and not _is(token, token_of(authorization)):
        raise Unauthenticated(_UNAUTHENTICATED)


def identify(
    authorization: str,
    token: str | None,
    api_tokens: ApiTokens | None,
    since: float | None = None,
) -> Grant:
    """Return the grant of the caller that sent an `authorization` header.

    Args:
        authorization: Value of the header; empty without one.
        token: The service token; None for no authentication.
        api_tokens: Identifies API tokens; None to accept the service token only.
        since: Monotonic time in seconds; an unknown token is compared with the tokens at this time
            or later. None for now.

    Raises:
        Unauthenticated: The header carries no valid token.
        Unavailable: The token cannot be checked now.
    """
    grant = identify_known(authorization, token, api_tokens)
    if grant is None and api_tokens is not None:
        return api_tokens.identify(token_of(authorization), since)
    if grant is None:
        raise Unauthenticated(_UNAUTHENTICATED)
    return grant


def identify_known(
    authorization: str, token: str | None, api_tokens: ApiTokens | None
) -> Grant | None:
    """Return the grant of a caller without waiting for any other process.

    Args:
        authorization: Value of the header; empty without one.
        token: The service token; None for no authentication.
        api_tokens: Identifies API tokens; None to accept the service token only.

    Returns:
        The grant, or None if the token must be looked up with `identify`.

    Raises:
        Unauthenticated: The header carries no valid token.
    """
    if token is None:
        return ANONYMOUS
    given = token_of(authorization)
    if _is(token, given):
        return SERVICES
    if api_tokens is None or not given:
        raise Unauthenticated(_UNAUTHENTICATED)
    return api_tokens.identify_known(given)


def require(grant: Grant, method: MethodDescriptor, needed: Permission) -> None:
    """Refuse a call that its caller is not permitted to make.

    Args:
        grant: Grant of the caller.
        method: Method that is called.
        needed: Permission that the method needs.

    Raises:
        PermissionDenied: The grant lacks the permission; names the permission, the token, its role
            and the roles that have the permission.
    """
    require_permission(grant, method.name, needed)
    if needed == _ADMIN and grant.scope:
        raise PermissionDenied(
            f"{method.name} concerns all models and experiments; the token '{grant.name}' is "
            f"restricted to {grant.scope}. Use an admin's token without patterns.",
            permission=Permission.Name(needed),
        )


def require_permission(grant: Grant, action: str, needed: Permission) -> None:
    """Refuse an action whose permission the caller lacks.

    Args:
        grant: Grant of the caller.
        action: Subject of the error message: the method, or what a field of its request asks for.
        needed: Permission that the action needs.

    Raises:
        PermissionDenied: The grant lacks the permission; names it as `require` does.
    """
    if needed not in grant.permissions:
        raise _denied(grant, action, needed)


def check_time(grant: Grant, now_ms: int) -> None:
    """Refuse an expired token.

    Args:
        grant: Grant of the token.
        now_ms: Current Unix time in milliseconds.

    Raises:
        Unauthenticated: The token has expired.
    """
    if grant.expires_ms is not None and grant.expires_ms <= now_ms:
        raise Unauthenticated(f"The token '{grant.name}' has expired; ask for a new one.")


def token_of(authorization: str) -> str:
    """Return the token in an `authorization` header; empty if there is none.

    The token follows `Bearer`, or is the password of `Basic` with any user name: MLflow's clients
    send it that way.
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
    match = API_TOKEN.fullmatch(token_of(authorization))
    return match[1] if match else ""


def _is(token: str, given: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _denied(grant: Grant, action: str, needed: Permission) -> PermissionDenied:
    name = Permission.Name(needed)
    role = "its role" if grant.role is None else f"the role {role_name(grant.role)}"
    able = roles_with(needed)
    remedy = f"use a token of role {' or '.join(able)}" if able else "only services have it"
    return PermissionDenied(
        f"{action} needs the permission {name}, which {role} of the token '{grant.name}' "
        f"does not have; {remedy}.",
        permission=name,
    )
