"""Statements on the events of models and on the clock of all histories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)

from modelyard_kit.db.statements import Statement, inserting
from modelyard_registry.models import Event, ModelName, ModelVersion, RegistryClock, table_of
from modelyard_registry.rules.history import Action
from modelyard_registry.search.restriction import RESTRICTIONS
from modelyard_registry.statements.model_versions import is_ready

_events = table_of(Event)
_names = table_of(ModelName)
_versions = table_of(ModelVersion)
_clock = table_of(RegistryClock)


class Change(NamedTuple):
    """The columns of an event that a rollback reads."""

    revision: int
    action: str
    version: int | None
    before: str
    after: str


class Given(NamedTuple):
    """The event that gave a number to a version."""

    clock: int
    version: int


class Patch(NamedTuple):
    """What an event changed, and when."""

    clock: int
    version: int | None
    before: str
    after: str


def _is(action: Action) -> ColumnElement[bool]:
    return _events.c.action == literal_column(f"'{action}'")


def _is_any(actions: Iterable[Action]) -> ColumnElement[bool]:
    return or_(*map(_is, actions))


_is_of_period = and_(
    _events.c.name == bindparam("name"),
    _events.c.clock >= bindparam("start"),
    _events.c.clock < bindparam("end"),
)
_gives_number = and_(_is_of_period, _is_any((Action.VERSION_CREATED, Action.VERSION_IMPORTED)))
_ONE = literal_column("1", BigInteger())
_patch = select(_events.c.clock, _events.c.version, _events.c.before, _events.c.after)
_ready = select(_versions.c.version).where(_versions.c.name == bindparam("model"), is_ready)

TICK: Final = Statement[tuple[int]](
    update(_clock).values(ticks=_clock.c.ticks + _ONE).returning(_clock.c.ticks)
)
APPEND: Final = Statement[tuple[()]](inserting(_events))
MOVE_HEAD: Final = Statement[tuple[()]](
    update(_names)
    .where(_names.c.name == bindparam("of"))
    .values(
        {
            column: bindparam(column)
            for column in ("revision", "head_hash", "next_version", "renamed_from")
        }
    ),
    later=True,
)
MOVES: Final = Statement(
    select(*(_events.c[column] for column in Change._fields))
    .where(
        _is_of_period,
        _events.c.revision < bindparam("below"),
        or_(
            _events.c.action == bindparam("rollback"),
            and_(
                or_(_events.c.action == bindparam("moved"), _is(Action.VERSION_IMPORTED)),
                _events.c.version.in_(_ready),
            ),
        ),
    )
    .order_by(_events.c.revision.desc())
    .limit(bindparam("limit", type_=BigInteger())),
    Change,
    restrictions=RESTRICTIONS,
)
"""What a rollback must know, newest first: rollbacks, and moves of versions that can be served."""
BEGINNING: Final = Statement(
    # By revision: the primary key gives this order.
    _patch.where(
        _is_of_period,
        _is_any((Action.MODEL_CREATED, Action.MODEL_RENAMED, Action.MODEL_DELETED)),
    )
    .order_by(_events.c.revision.desc())
    .limit(_ONE),
    Patch,
    restrictions=RESTRICTIONS,
)
"""The newest event of a time that began or ended a model's life under the name."""
RENAMES: Final = Statement(
    _patch.where(_is_of_period, _is(Action.MODEL_RENAMED)), Patch, restrictions=RESTRICTIONS
)
GIVEN: Final = Statement(
    select(_events.c.clock, _events.c.version).where(_gives_number),
    Given,
    restrictions=RESTRICTIONS,
)
GIVEN_NUMBER: Final = Statement[tuple[int]](
    select(_events.c.clock)
    .where(_gives_number, _events.c.version == bindparam("version"))
    .limit(_ONE),
    restrictions=RESTRICTIONS,
)
"""The event that gave a certain number."""
IMPORTED_AFTER: Final = Statement(
    _patch.where(_is_of_period, _is(Action.VERSION_IMPORTED), _events.c.at_ms > bindparam("at_ms")),
    Patch,
    restrictions=RESTRICTIONS,
)
PATCHES: Final = Statement[tuple[str]](
    select(_events.c.after)
    .where(
        _events.c.name == bindparam("name"),
        _events.c.revision
        <= select(func.max(_events.c.revision))
        .where(_events.c.name == bindparam("name"), _events.c.at_ms <= bindparam("at_ms"))
        .correlate(None)
        .scalar_subquery(),
    )
    .order_by(_events.c.revision),
    restrictions=RESTRICTIONS,
)
"""The patches of a name until a time, oldest first."""
