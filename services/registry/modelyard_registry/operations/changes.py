"""Writes rows and the event that describes them: one change, one event."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeVar, cast

from modelyard_kit.auth.scope import check_model
from modelyard_kit.db.statements import Statement, Values
from modelyard_kit.errors import NotFound
from modelyard_kit.rpc.calls import OnRows
from modelyard_registry.operations import chains
from modelyard_registry.rules.history import (
    FIRST_PREVIOUS_HASH,
    Action,
    Document,
    Path,
    put,
    put_first,
)
from modelyard_registry.statements.events import APPEND, MOVE_HEAD
from modelyard_registry.statements.model_versions import Version
from modelyard_registry.statements.registered_models import (
    LOCKED,
    LOCKED_NAMES,
    MODEL,
    Model,
    Names,
)
from modelyard_registry.statements.writing import deletion, insertion, key_of, updating


class Documented(Protocol):
    """A row that is part of its name's document, a named tuple."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths that leave the document when the row is deleted."""

    @property
    def cells(self) -> dict[Path, Any]:
        """Values of the row, by their path in the document."""

    def path_of(self, column: str, /) -> Path:
        """Return the path of a column."""

    def _asdict(self) -> dict[str, Any]: ...


Row = TypeVar("Row", bound=Documented)


class Change:
    """The change that one call makes to one name.

    SQL runs in the order of the code, so a stage is vacated before it is taken.

    Args:
        call: Call that makes the change; provides actor, time and transaction.
        names: Row of the name, locked. It is written with the event.
    """

    def __init__(self, call: OnRows, names: Names) -> None:
        self.names = names
        self._call = call
        self._rows = call.rows
        self._before: Document = {}
        self._after: Document = {}
        self._counted: set[int] = set()

    @staticmethod
    def lock(call: OnRows, names: set[str]) -> None:
        """Lock several names in a fixed order, so that concurrent calls cannot deadlock."""
        call.rows.execute(LOCKED, {"names": names})

    @classmethod
    def begin(cls, call: OnRows, name: str) -> tuple[Self, Model]:
        """Lock a model and start a change of it.

        Raises:
            NotFound: There is no such model.
        """
        change, model, _ = cls.begin_reading(call, name)
        return change, model

    @classmethod
    def begin_reading(
        cls, call: OnRows, name: str, *others: tuple[Statement[Any], Values]
    ) -> tuple[Self, Model, list[list[Any]]]:
        """Lock a model, start a change of it, and return the rows of other statements too.

        Raises:
            NotFound: There is no such model.
        """
        values = {"name": name}
        # Each statement sees what was committed before the first one got its lock.
        asked: list[tuple[Statement[Any], Values]] = [(LOCKED_NAMES, values), (MODEL, values)]
        names, models, *found = call.rows.execute_all([*asked, *others])
        if not names or not models:
            raise no_model(name)
        return cls(call, names[0]), models[0], found

    @classmethod
    def begin_name(cls, call: OnRows, name: str) -> Self:
        """Lock an unused name, creating its row if needed, and start a change of it.

        Raises:
            PermissionDenied: The name is outside the scope of the caller's token.
        """
        check_model(call.rows.scope, name)
        names = call.rows.first(LOCKED_NAMES, {"name": name})
        if names is not None:
            return cls(call, names)
        change = cls(call, Names(name, 0, 1, FIRST_PREVIOUS_HASH, None))
        change.add(change.names)
        return change

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed so far."""
        return not self._after

    def set(self, row: Row, **values: Any) -> Row:
        """Set columns of a row and return it.

        The first change of a version in a call increments its revision.
        """
        if isinstance(row, Version) and row.version not in self._counted:
            self._counted.add(row.version)
            values["revision"] = row.revision + 1
        changed = self._note(row, values)
        if not changed:
            return row
        self._rows.execute(updating(type(row), *changed), changed | key_of(row))
        return cast("Row", cast("Any", row)._replace(**changed))

    def set_names(self, **values: Any) -> None:
        """Set columns of the name's row."""
        self._note(self.names, values)
        self.names = self.names._replace(**values)

    def note_stage(self, version: Version) -> None:
        """Note the present stage in the event, which has it then even if it stays."""
        path = version.path_of("stage")
        put_first(self._before, path, version.stage)
        put(self._after, path, version.stage)

    def add(self, row: Documented) -> None:
        """Insert a row; parents before their children."""
        if isinstance(row, Version):
            self._counted.add(row.version)
        self._rows.execute(insertion(type(row)), row._asdict())
        self.note_added(row)

    def remove(self, row: Documented) -> None:
        """Delete a row; parents after their children."""
        self.note_removed(row)
        self._rows.execute(deletion(type(row)), key_of(row))

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
        event = chains.linked(
            self._call,
            self.names.name,
            self.names.revision,
            self.names.head_hash,
            action=action,
            version="" if version is None else str(version),
            before=self._before,
            after=self._after,
            comment=comment,
        )
        self._rows.execute(APPEND, event | {"version": version})
        self.names = self.names._replace(revision=event["revision"], head_hash=event["hash"])
        self._rows.execute(MOVE_HEAD, self.names._asdict() | {"of": self.names.name})

    def _note(self, row: Documented, values: dict[str, Any]) -> dict[str, Any]:
        """Note columns of a row in the event, and return those whose values differ."""
        changed = {
            column: value for column, value in values.items() if value != getattr(row, column)
        }
        for column, value in changed.items():
            path = row.path_of(column)
            put_first(self._before, path, getattr(row, column))
            put(self._after, path, value)
        return changed


def no_model(name: str) -> NotFound:
    return NotFound(f"Registered Model with name={name} not found", name=name)
