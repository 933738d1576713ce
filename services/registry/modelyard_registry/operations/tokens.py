"""API tokens: created and revoked, never deleted, so that names in the history stay unique."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey
from modelyard_kit.errors import AlreadyExists, NotFound
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import ApiToken, ApiTokenRevision
from modelyard_registry.rules.tokens import NewToken, check_expiry, check_name, check_scope

_EXPIRED_INCLUDED_MS = 24 * 60 * 60 * 1000


def create_token(call: Call, new: NewToken) -> ApiToken:
    """Create a token; a repeated call with the same fields returns the same token.

    Raises:
        InvalidArgument: A pattern is not valid, the name is reserved, or the expiry is not in the
            future.
        AlreadyExists: Another token has the id or the name; it may be expired or revoked.
    """
    check_scope(new)
    counter = _lock(call.session)
    present = call.session.get(ApiToken, new.id)
    if present is not None:
        if _fields_of(present) != new:
            raise AlreadyExists(
                f"A token with the id {new.id} and other fields already exists.", id=new.id
            )
        return present
    check_name(new.name)
    check_expiry(new.expires_ms, call.now_ms)
    if call.session.scalar(select(ApiToken.id).where(ApiToken.name == new.name)) is not None:
        raise AlreadyExists(
            f"A token named '{new.name}' exists or existed. Names appear in the history and are "
            "never reused; choose another name.",
            name=new.name,
        )
    token = ApiToken(
        id=new.id,
        sha256=new.sha256,
        name=new.name,
        role=new.role,
        models=json.dumps(new.models),
        experiments=json.dumps(new.experiments),
        created_by=call.actor,
        created_ms=call.now_ms,
        expires_ms=new.expires_ms,
    )
    call.session.add(token)
    counter.revision += 1
    return token


def revoke_token(call: Call, token_id: str) -> ApiToken:
    """Revoke a token permanently; revoking it again changes nothing.

    Raises:
        NotFound: There is no such token.
    """
    counter = _lock(call.session)
    token = call.session.get(ApiToken, token_id)
    if token is None:
        raise NotFound(
            f"There is no token with the id {token_id}; ListTokens returns all tokens.",
            id=token_id,
        )
    if token.revoked_ms is None:
        token.revoked_ms, token.revoked_by = call.now_ms, call.actor
        counter.revision += 1
    return token


def list_tokens(
    session: Session, page_size: int, page_token: str
) -> tuple[Sequence[ApiToken], str]:
    """Return a page of all tokens, newest first, and the page token of the next page."""
    keys = [
        SortKey(ApiToken.created_ms.expression, ascending=False, nullable=False),
        SortKey(ApiToken.id.expression, nullable=False),
    ]
    query = paging.fingerprint("tokens")
    rows = select(ApiToken, *paging.key_columns(keys)).order_by(*paging.order_clauses(keys))
    cursor = paging.decode(page_token, query)
    if cursor is not None:
        rows = rows.where(paging.after(keys, cursor))
    found = session.execute(rows.limit(page_size + 1)).all()
    page, next_page_token = paging.cut(found, page_size, keys, query)
    return [row[0] for row in page], next_page_token


def valid_tokens(
    session: Session, known_revision: int, now_ms: int
) -> tuple[int, Sequence[ApiToken]]:
    """Return the current revision and, unless the caller has it, the tokens that may be valid.

    Tokens that expired less than a day ago are included: callers cache the reply until the revision
    changes and check the expiry by their own clocks, and this clock may be set back meanwhile.
    """
    revision = session.scalars(select(ApiTokenRevision.revision)).one()
    if revision == known_revision:
        return revision, []
    valid = select(ApiToken).where(
        ApiToken.revoked_ms.is_(None),
        or_(ApiToken.expires_ms.is_(None), ApiToken.expires_ms > now_ms - _EXPIRED_INCLUDED_MS),
    )
    return revision, session.scalars(valid.order_by(ApiToken.id)).all()


def _lock(session: Session) -> ApiTokenRevision:
    """Lock and return the revision counter, so that changes of tokens run one at a time."""
    return session.get_one(ApiTokenRevision, 1, with_for_update=True)


def _fields_of(token: ApiToken) -> NewToken:
    return NewToken(
        id=token.id,
        sha256=token.sha256,
        name=token.name,
        role=token.role,
        models=tuple(token.model_patterns),
        experiments=tuple(token.experiment_patterns),
        expires_ms=token.expires_ms,
    )
