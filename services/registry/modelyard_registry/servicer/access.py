from __future__ import annotations

import grpc

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard_kit.auth.tokens import Fetch, Snapshot, Tokens
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, reads, writes
from modelyard_kit.rpc.fields import given
from modelyard_kit.rpc.token_checks import snapshot_of
from modelyard_registry import wire
from modelyard_registry.operations import tokens
from modelyard_registry.rules.tokens import NewToken
from modelyard_registry.servicer.fields import milliseconds


class AccessServicer:
    """All RPCs of `AccessService`.

    Args:
        database: Database of the registry.
        clock: Returns Unix time in milliseconds.
        token_cache: Tokens that this server checks calls with; None if it accepts no API tokens.
    """

    def __init__(self, database: Database, clock: Clock, token_cache: Tokens | None) -> None:
        self.database = database
        self.clock = clock
        self._token_cache = token_cache

    def CreateToken(
        self, request: pb.CreateTokenRequest, context: grpc.ServicerContext
    ) -> pb.CreateTokenResponse:
        reply = self._create(request, context)
        self._refresh_own_cache()
        return reply

    @writes
    def _create(self, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        expire_time = given(request, "expire_time")
        new = NewToken(
            id=request.id,
            sha256=request.sha256,
            name=request.name,
            role=pb.Role.Name(request.role),
            models=tuple(request.models),
            experiments=tuple(request.experiments),
            expires_ms=None if expire_time is None else milliseconds(expire_time, "expire_time"),
        )
        return pb.CreateTokenResponse(token=wire.token(tokens.create_token(call, new)))

    @reads
    def ListTokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        limit = given(request, "page_size", 100)
        found, next_page_token = tokens.list_tokens(call.session, limit, request.page_token)
        return pb.ListTokensResponse(tokens=map(wire.token, found), next_page_token=next_page_token)

    def RevokeToken(
        self, request: pb.RevokeTokenRequest, context: grpc.ServicerContext
    ) -> pb.RevokeTokenResponse:
        reply = self._revoke(request, context)
        self._refresh_own_cache()
        return reply

    @writes
    def _revoke(self, request: pb.RevokeTokenRequest, call: Call) -> pb.RevokeTokenResponse:
        return pb.RevokeTokenResponse(token=wire.token(tokens.revoke_token(call, request.id)))

    @reads
    def ListTokenChecks(
        self, request: pb.ListTokenChecksRequest, call: Call
    ) -> pb.ListTokenChecksResponse:
        known = given(request, "revision", -1)
        revision, found = tokens.valid_tokens(call.session, known, call.now_ms)
        return wire.token_checks(revision, found)

    def GetCaller(
        self, _request: pb.GetCallerRequest, _context: grpc.ServicerContext
    ) -> pb.GetCallerResponse:
        return wire.caller(caller.get().grant)

    def _refresh_own_cache(self) -> None:
        if self._token_cache is not None:
            self._token_cache.refresh()


def own_tokens(database: Database, clock: Clock) -> Fetch:
    """Return a function that reads the tokens from the registry's own database."""

    def fetch(revision: int) -> Snapshot | None:
        with database.read() as session:
            present, found = tokens.valid_tokens(session, revision, clock())
            return snapshot_of(wire.token_checks(present, found), revision)

    return fetch
