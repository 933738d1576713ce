"""What all tables are made of, and what every event has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from modelyard_kit.rpc import idempotency


class Base(DeclarativeBase):
    pass


idempotency.replies.to_metadata(Base.metadata)


class Chained:
    """What every event has: one change of one name, with the hash of the one before.

    Triggers refuse to update or delete a row.
    """

    clock: Mapped[int] = mapped_column(BigInteger, unique=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(256))
    action: Mapped[str] = mapped_column(String(30))
    before: Mapped[str] = mapped_column(Text)
    after: Mapped[str] = mapped_column(Text)
    comment: Mapped[str] = mapped_column(String(5000))
    request_id: Mapped[str] = mapped_column(String(64))
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    @property
    def number(self) -> str:
        """The version it was done to, as text; empty for none."""
        return ""

    @property
    def hashed(self) -> dict[str, Any]:
        """What its hash is computed over."""
        columns = (
            "name",
            "revision",
            "clock",
            "at_ms",
            "actor",
            "action",
            "before",
            "after",
            "comment",
            "request_id",
            "previous_hash",
        )
        return {column: getattr(self, column) for column in columns} | {"version": self.number}
