"""API tokens as the registry's own server knows them."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.support.databases.dialects import Dialect, open_migrated

from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.errors import Unauthenticated
from modelyard_kit.rpc.calls import Call
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.operations.tokens import create_token, valid_tokens
from modelyard_registry.rules.tokens import NewToken
from modelyard_registry.servicer.access import own_tokens

HOUR_MS = 60 * 60 * 1000
NOW_MS = 1_700_000_000_000
TOKEN = "modelyard_0123456789_" + "s" * 43


def make(session: Session, expires_ms: int) -> None:
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    new = NewToken(TOKEN.split("_")[1], sha256, "ci", "VIEWER", (), (), expires_ms)
    create_token(Call(session, "ada", "request", NOW_MS), new)


def test_a_clock_that_was_fast_for_a_while_invalidates_no_token(
    tmp_path: Path, dialect: Dialect
) -> None:
    clock = [NOW_MS]
    with closing(open_migrated(dialect, tmp_path, MIGRATIONS)) as database:
        with database.write() as session:
            make(session, expires_ms=NOW_MS + HOUR_MS)
        tokens = Tokens(own_tokens(database, lambda: clock[0]), lambda: clock[0])
        clock[0] = NOW_MS + 8 * HOUR_MS
        with pytest.raises(Unauthenticated, match="'ci' has expired"):
            tokens.identify(TOKEN)
        clock[0] = NOW_MS
        assert tokens.identify(TOKEN).name == "ci"


def test_tokens_that_expired_long_ago_are_not_returned(tmp_path: Path, dialect: Dialect) -> None:
    with closing(open_migrated(dialect, tmp_path, MIGRATIONS)) as database:
        with database.write() as session:
            make(session, expires_ms=NOW_MS + HOUR_MS)
        with database.read() as session:
            assert valid_tokens(session, -1, NOW_MS + 26 * HOUR_MS) == (1, [])
