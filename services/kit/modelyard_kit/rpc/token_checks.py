"""Fetches the API tokens that servers check (`modelyard_kit.auth.tokens`) from the registry."""

from __future__ import annotations

from typing import Any

import grpc

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.api.access.v1.access_service_pb2_grpc import AccessServiceStub
from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.roles import ROLES
from modelyard_kit.auth.scope import Scope
from modelyard_kit.auth.tokens import Fetch, KnownToken, Snapshot
from modelyard_kit.rpc.channel import translated

_FETCH_TIMEOUT_S = 2.0


def from_registry(channel: grpc.Channel, token: str) -> Fetch:
    """Return a function that fetches the tokens from the registry.

    Args:
        channel: Channel to `AccessService`.
        token: The service token.
    """
    stub: Any = AccessServiceStub(channel)
    metadata = (("authorization", f"Bearer {token}"),)

    def fetch(revision: int) -> Snapshot | None:
        request = pb.ListTokenChecksRequest(revision=revision)
        with translated("registry"):
            reply = stub.ListTokenChecks(request, timeout=_FETCH_TIMEOUT_S, metadata=metadata)
        return snapshot_of(reply, revision)

    return fetch


def snapshot_of(reply: pb.ListTokenChecksResponse, known_revision: int) -> Snapshot | None:
    """Return the snapshot in a reply, or None if its revision is the known one."""
    if reply.revision == known_revision:
        return None
    return Snapshot(reply.revision, {check.id: _known(check) for check in reply.tokens})


def _known(check: pb.TokenCheck) -> KnownToken:
    expires_ms = check.expire_time.ToMilliseconds() if check.HasField("expire_time") else None
    return KnownToken(
        check.sha256,
        Grant(
            principal=f"token:{check.id}",
            name=check.name,
            role=check.role,
            scope=Scope(tuple(check.models), tuple(check.experiments), check.name),
            expires_ms=expires_ms,
            # A role of a newer version has no permissions here.
            permissions=ROLES.get(check.role, frozenset()),
        ),
    )
