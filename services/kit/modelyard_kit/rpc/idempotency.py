"""Replies stored by idempotency key, so that a repeated mutation has one effect and one reply.

Keys are scoped to the caller's principal. A key is stored with the method, the digest of the
request and the reply in the mutation's own transaction, and kept for 25 hours (24 are promised).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from modelyard_kit.db.base import Database
from modelyard_kit.db.rows import Rows
from modelyard_kit.db.statements import Statement, inserting
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.observability.metrics import idempotent_replays

KEPT_MS = 25 * 60 * 60 * 1000
MAX_KEY_LENGTH = 128
_EXPIRED_AT_ONCE = 1_000
_FORGOTTEN_AT_ONCE = 5_000  # databases bind at most some ten thousand values

_columns = MetaData()
replies = Table(
    "idempotent_reply",
    _columns,
    Column("principal", String(255), primary_key=True),
    Column("key", String(MAX_KEY_LENGTH), primary_key=True),
    Column("method", String(255), nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False, index=True),
)
"""The migrations of each service create this table; `replies.to_metadata` adds it to its models."""

_identity = tuple_(replies.c.principal, replies.c.key)
_STORED = Statement[tuple[str, str, bytes]](
    select(replies.c.method, replies.c.request_sha256, replies.c.reply).where(
        replies.c.principal == bindparam("principal"), replies.c.key == bindparam("key")
    )
)
_STORE = Statement[tuple[()]](inserting(replies))
_FORGET = Statement[tuple[str]](
    delete(replies)
    .where(
        _identity.in_(
            select(replies.c.principal, replies.c.key)
            .where(replies.c.created_ms < bindparam("before_ms"))
            .limit(literal_column(str(_EXPIRED_AT_ONCE), Integer()))
            # Rows that another replica is deleting are skipped, not waited for.
            .with_for_update(skip_locked=True)
        )
    )
    .returning(replies.c.key)
)


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key together with the request that it was sent with.

    Attributes:
        principal: Stable id of the caller.
        key: Key as the caller sent it.
        method: RPC that was called.
        request_sha256: SHA-256 of the deterministically serialized request, hexadecimal.
    """

    principal: str
    key: str
    method: MethodDescriptor
    request_sha256: str


def is_idempotent(method: MethodDescriptor) -> bool:
    """Whether the contract declares an RPC free of side effects or idempotent, so without a key."""
    level: int = method.GetOptions().idempotency_level
    return level != MethodOptions.IDEMPOTENCY_UNKNOWN


def key_of(principal: str, key: str, method: MethodDescriptor, request: Message) -> Key | None:
    """Return the idempotency key of a call; None without one, or if the RPC needs none.

    Raises:
        InvalidArgument: The key is longer than 128 characters.
    """
    if not key or is_idempotent(method):
        return None
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidArgument(
            f"The idempotency key has {len(key)} characters; at most {MAX_KEY_LENGTH} are allowed."
        )
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    return Key(principal, key, method, digest)


def find(rows: Rows, key: Key) -> Message | None:
    """Return the reply stored under the key, or None.

    Raises:
        InvalidArgument: The key was used for another method or another request.
    """
    found = rows.ahead(_STORED, {"principal": key.principal, "key": key.key})
    if found is None:
        return None
    method, request_sha256, reply = found
    if (method, request_sha256) != (key.method.full_name, key.request_sha256):
        raise InvalidArgument(
            f"The idempotency key '{key.key}' was used before with another request; "
            "use a new key for each call.",
            key=key.key,
        )
    idempotent_replays.inc()
    return GetMessageClass(key.method.output_type).FromString(reply)


def store_reply(rows: Rows, key: Key, reply: Message, now_ms: int) -> None:
    """Store the reply in the caller's transaction."""
    rows.execute(
        _STORE,
        {
            "principal": key.principal,
            "key": key.key,
            "method": key.method.full_name,
            "request_sha256": key.request_sha256,
            "reply": reply.SerializeToString(),
            "created_ms": now_ms,
        },
    )


def forget_expired(database: Database, now_ms: int) -> None:
    """Delete the replies that have expired, in transactions of their own."""

    def forget_some(rows: Rows) -> bool:
        return len(rows.execute(_FORGET, {"before_ms": now_ms - KEPT_MS})) == _EXPIRED_AT_ONCE

    while database.fast_write(forget_some):
        pass


def forget_replies(session: Session, words: Iterable[str]) -> None:
    """Delete the replies that contain one of some words, such as the id of a purged run.

    A retry of such a call is a new call.
    """
    containing = re.compile(b"|".join(re.escape(word.encode()) for word in words))
    stored = session.execute(
        select(replies.c.principal, replies.c.key, replies.c.reply).execution_options(yield_per=500)
    )
    found = [(row.principal, row.key) for row in stored if containing.search(row.reply)]
    identity = tuple_(replies.c.principal, replies.c.key)
    for start in range(0, len(found), _FORGOTTEN_AT_ONCE):
        batch = found[start : start + _FORGOTTEN_AT_ONCE]
        session.execute(delete(replies).where(identity.in_(batch)))
