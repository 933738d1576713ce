"""The declarative base, and the columns that all events share."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import BigInteger, String, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from modelyard_kit.db.identity import installations
from modelyard_kit.rpc import idempotency


class Base(DeclarativeBase):
    pass


def table_of(rows: type[Base]) -> Table:
    """Return the table of a class, for statements of Core."""
    return cast("Table", rows.__table__)


idempotency.replies.to_metadata(Base.metadata)
installations.to_metadata(Base.metadata)


class Chained:
    """Columns of an event: one change of one name, with the hash of the event before it.

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
        """Number of the changed version, as text; empty if the event concerns no version."""
        return ""

    @property
    def hashed(self) -> dict[str, Any]:
        """The fields that the hash is computed over."""
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
