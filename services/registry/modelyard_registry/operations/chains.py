"""Hash chains of events: link, read in order, verify.

Models and endpoints each have a table of events and a table of heads. One clock counts the events
of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import scope_of
from modelyard_kit.errors import DataLoss, OutOfRange
from modelyard_kit.rpc.calls import OnRows
from modelyard_registry.models import EndpointEvent, EndpointName, Event, ModelName, RegistryClock
from modelyard_registry.rules.history import (
    FIRST_PREVIOUS_HASH,
    Document,
    canonical,
    event_hash,
)
from modelyard_registry.statements.events import TICK

_ROWS_AT_ONCE = 500

Head: TypeAlias = ModelName | EndpointName
"""The row of a name that holds the end of its chain."""

E = TypeVar("E", Event, EndpointEvent)
H = TypeVar("H", ModelName, EndpointName)


def linked(  # noqa: PLR0913 - the fields of an event
    call: OnRows,
    name: str,
    revision: int,
    head_hash: str,
    *,
    action: str,
    version: str = "",
    before: Document,
    after: Document,
    comment: str,
) -> dict[str, Any]:
    """Return the columns of an event after all others of its name; advance the clock.

    Args:
        call: Call that makes the change; provides actor, time, request id and transaction.
        name: Name of the chain, locked.
        revision: Revision of its newest event; 0 if there is none.
        head_hash: Hash of its newest event.
        action: Kind of the change.
        version: Number of the changed version; empty if the change concerns no version.
        before: Patch that undoes the change.
        after: Patch that does it.
        comment: Reason for the change.
    """
    # This locks the clock row: all other changes wait from here until the commit.
    ((clock,),) = call.rows.execute(TICK)
    columns = {
        "name": name,
        "revision": revision + 1,
        "clock": clock,
        "at_ms": call.now_ms,
        "actor": call.actor,
        "action": str(action),
        "before": canonical(before),
        "after": canonical(after),
        "comment": comment,
        "request_id": call.request_id,
        "previous_hash": head_hash,
    }
    return columns | {"hash": event_hash(columns | {"version": version})}


def events_after(
    session: Session, kind: type[E], name: str, revision: int, limit: int
) -> Sequence[E]:
    """Return the events of one name after a revision, oldest first."""
    return session.scalars(
        select(kind)
        .where(kind.name == name, kind.revision > revision)
        .order_by(kind.revision)
        .limit(limit)
    ).all()


def all_events_after(session: Session, kind: type[E], clock: int, limit: int) -> Sequence[E]:
    """Return the events of all names of a kind after a clock value, oldest first."""
    return session.scalars(
        select(kind).where(kind.clock > clock).order_by(kind.clock).limit(limit)
    ).all()


def position(session: Session, heads: type[H], name: str) -> int:
    """Return the newest revision of a name; 0 if there is none."""
    found = session.get(heads, name)
    return 0 if found is None else found.revision


def newest_clock(session: Session, kind: type[E]) -> int:
    """Return the clock value of the newest change, for callers with a scope that they may see."""
    if not scope_of(session):
        return session.scalars(select(RegistryClock.ticks)).one()
    newest = select(kind.clock).order_by(kind.clock.desc()).limit(1)
    return session.scalars(newest).one_or_none() or 0


def check_position(name: str, after: int, newest: int) -> None:
    """Refuse a position that is beyond the end of the history.

    Raises:
        OutOfRange: `after` is beyond the newest change.
    """
    if after > newest:
        counted = "revision" if name else "clock"
        raise OutOfRange(
            f"Cannot resume after {counted} {after}: the newest is {newest}. Read the current "
            f"state and resume after its {counted}.",
            newest=str(newest),
        )


def verify(session: Session, kind: type[E], head: Head) -> None:
    """Recompute the hash chain of a name and compare its end with the head.

    Raises:
        DataLoss: An event does not verify; the message names the first one.
    """
    previous_hash, revision = FIRST_PREVIOUS_HASH, 0
    events = select(kind).where(kind.name == head.name).order_by(kind.revision)
    with session.scalars(events.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        for event in rows:
            revision += 1
            chained = (event.revision, event.previous_hash) == (revision, previous_hash)
            if not chained or event_hash(event.hashed) != event.hash:
                raise _broken(head.name, revision)
            previous_hash = event.hash
    if (revision, previous_hash) != (head.revision, head.head_hash):
        raise _broken(head.name, revision + 1)


def _broken(name: str, revision: int) -> DataLoss:
    return DataLoss(
        f"The history of {name} does not verify from revision {revision} on: the event was "
        "modified or is missing.",
        name=name,
        revision=str(revision),
    )
