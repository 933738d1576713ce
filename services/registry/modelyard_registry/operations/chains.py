"""Hash chains of events: append, read in order, verify.

Models and endpoints each have a table of events and a table of heads. One clock counts the events
of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import scope_of
from modelyard_kit.errors import DataLoss, OutOfRange
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import EndpointEvent, EndpointName, Event, ModelName, RegistryClock
from modelyard_registry.rules.history import FIRST_PREVIOUS_HASH, event_hash

_ROWS_AT_ONCE = 500

Head: TypeAlias = ModelName | EndpointName
"""The row of a name that holds the end of its chain."""

E = TypeVar("E", Event, EndpointEvent)
H = TypeVar("H", ModelName, EndpointName)


def append(session: Session, call: Call, head: Head, event: Event | EndpointEvent) -> None:
    """Insert an event after all others of its name.

    Args:
        session: Transaction of the change.
        call: Call that makes the change; provides actor, time and request id.
        head: Head of the name, locked.
        event: Event with name, action, patches and comment; the other fields are set here.
    """
    event.revision = head.revision + 1
    # This locks the clock row: all other changes wait from here until the commit.
    tick = update(RegistryClock).values(ticks=RegistryClock.ticks + 1)
    event.clock = session.scalars(tick.returning(RegistryClock.ticks)).one()
    event.at_ms = call.now_ms
    event.actor = call.actor
    event.request_id = call.request_id
    event.previous_hash = head.head_hash
    event.hash = event_hash(event.hashed)
    head.revision, head.head_hash = event.revision, event.hash
    session.add(event)
    session.flush()


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
