"""Writes rows and the event that describes them: one change, one event."""

from __future__ import annotations

from typing import Any, Protocol, Self

from sqlalchemy import select

from modelyard_kit.auth.scope import check_model, scope_of
from modelyard_kit.errors import NotFound
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import Event, ModelName, ModelVersion, RegisteredModel
from modelyard_registry.operations import chains
from modelyard_registry.rules.history import (
    FIRST_PREVIOUS_HASH,
    Action,
    Document,
    Path,
    canonical,
    put,
    put_first,
)


class Documented(Protocol):
    """A row that is part of its name's document."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths that leave the document when the row is deleted."""

    @property
    def cells(self) -> dict[Path, Any]:
        """Values of the row, by their path in the document."""


class Change:
    """The change that one call makes to one name.

    Each row is flushed at once, so SQL runs in the order of the code and a stage is vacated before
    it is taken. (By default the ORM orders its updates by primary key.)

    Args:
        call: Call that makes the change; provides actor, time and transaction.
        names: Row of the name, locked.
    """

    def __init__(self, call: Call, names: ModelName) -> None:
        self.names = names
        self._call = call
        self._session = call.session
        self._before: Document = {}
        self._after: Document = {}
        self._counted: set[int] = set()

    @staticmethod
    def lock(call: Call, names: set[str]) -> None:
        """Lock several names in a fixed order, so that concurrent calls cannot deadlock."""
        wanted = select(ModelName).where(ModelName.name.in_(names)).order_by(ModelName.name)
        call.session.scalars(wanted.with_for_update()).all()

    @classmethod
    def begin(cls, call: Call, name: str) -> tuple[Self, RegisteredModel]:
        """Lock a model and start a change of it.

        Raises:
            NotFound: There is no such model.
        """
        names = call.session.get(ModelName, name, with_for_update=True)
        model = call.session.get(RegisteredModel, name)
        if names is None or model is None:
            raise no_model(name)
        return cls(call, names), model

    @classmethod
    def begin_name(cls, call: Call, name: str) -> Self:
        """Lock an unused name, creating its row if needed, and start a change of it.

        Raises:
            PermissionDenied: The name is outside the scope of the caller's token.
        """
        check_model(scope_of(call.session), name)
        names = call.session.get(ModelName, name, with_for_update=True)
        if names is not None:
            return cls(call, names)
        change = cls(
            call,
            ModelName(name=name, revision=0, next_version=1, head_hash=FIRST_PREVIOUS_HASH),
        )
        change.add(change.names)
        return change

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed so far."""
        return not self._after

    def set(self, row: Documented, **values: Any) -> None:
        """Set columns of a row; the first change of a version in a call increments its revision."""
        if isinstance(row, ModelVersion) and row.version not in self._counted:
            self._counted.add(row.version)
            values["revision"] = row.revision + 1
        old = row.cells
        for column, value in values.items():
            setattr(row, column, value)
        new = row.cells
        for path in old.keys() | new.keys():
            if old.get(path) != new.get(path):
                put_first(self._before, path, old.get(path))
                put(self._after, path, new.get(path))
        self._session.flush()

    def note_stage(self, version: ModelVersion) -> None:
        """Note the present stage in the event, which has it then even if it stays."""
        (path,) = version.paths
        put_first(self._before, (*path, "stage"), version.stage)
        put(self._after, (*path, "stage"), version.stage)

    def add(self, row: Documented) -> None:
        """Insert a row; parents before their children."""
        if isinstance(row, ModelVersion):
            self._counted.add(row.version)
        self._session.add(row)
        self._session.flush()
        self.note_added(row)

    def remove(self, row: Documented) -> None:
        """Delete a row; parents after their children."""
        self.note_removed(row)
        self._session.delete(row)
        self._session.flush()

    def note_added(self, row: Documented) -> None:
        """Note in the event that the name gains a row, without writing the row."""
        for path in row.paths:
            put_first(self._before, path, None)
        for path, value in row.cells.items():
            put(self._after, path, value)

    def note_removed(self, row: Documented) -> None:
        """Note in the event that the name loses a row, without deleting the row."""
        for path, value in row.cells.items():
            put_first(self._before, path, value)
        for path in row.paths:
            put(self._after, path, None)

    def record(self, action: Action, version: int | None = None, comment: str = "") -> None:
        """Insert the event with everything that changed since `begin`."""
        event = Event(
            name=self.names.name,
            action=action,
            version=version,
            before=canonical(self._before),
            after=canonical(self._after),
            comment=comment,
        )
        chains.append(self._session, self._call, self.names, event)


def no_model(name: str) -> NotFound:
    return NotFound(f"Registered Model with name={name} not found", name=name)
