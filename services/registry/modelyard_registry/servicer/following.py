"""Streams of events, of one name or of all of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import grpc

from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.db.notify import Notifier, follow
from modelyard_registry.metrics import watch_lag
from modelyard_registry.operations import chains
from modelyard_registry.operations.chains import E, H

_EVENTS_AT_ONCE = 100


class Watched(Protocol):
    """The attributes of a servicer that a stream needs."""

    database: Database
    clock: Clock
    notifier: Notifier
    is_stopping: Callable[[], bool]


def changes_of(
    servicer: Watched,
    context: grpc.ServicerContext,
    kind: type[E],
    heads: type[H],
    name: str,
    after: int,
) -> Iterator[tuple[E | None, int]]:
    """Yield every change once and in order, until the caller cancels or the server stops.

    Args:
        servicer: Servicer of the stream.
        context: Context of the call.
        kind: Table of the events.
        heads: Table with the newest revision of each name.
        name: Name to follow; empty for all names of the kind.
        after: Revision of the name, or clock value without a name, to resume after.

    Yields:
        An event and its position; None and the newest position for a heartbeat.

    Raises:
        OutOfRange: `after` is beyond the newest change.
    """
    position = after

    def newest() -> int:
        with servicer.database.read() as session:
            if name:
                return chains.position(session, heads, name)
            return chains.newest_clock(session, kind)

    chains.check_position(name, after, newest())
    opened_ms = servicer.clock()

    def read() -> Sequence[E]:
        with servicer.database.read() as session:
            if name:
                return chains.events_after(session, kind, name, position, _EVENTS_AT_ONCE)
            return chains.all_events_after(session, kind, position, _EVENTS_AT_ONCE)

    def is_active() -> bool:
        return context.is_active() and not servicer.is_stopping()

    for event in follow(read, servicer.notifier, is_active):
        if event is None:
            yield None, newest()
            continue
        if event.at_ms >= opened_ms:
            watch_lag.observe(max(servicer.clock() - event.at_ms, 0) / 1000)
        position = event.revision if name else event.clock
        yield event, position
