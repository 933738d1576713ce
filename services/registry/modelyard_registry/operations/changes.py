"""One change, one event: rows are written here, and what is written is what the event says."""

from __future__ import annotations

from typing import Any, Protocol, Self

from sqlalchemy import select

from modelyard_kit.auth.scope import check_new_model
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
    """A row that stands in its name's document."""

    @property
    def places(self) -> tuple[Path, ...]:
        """What is gone from the document when the row is."""

    @property
    def cells(self) -> dict[Path, Any]:
        """Its values by where they stand."""


class Change:
    """What one call does to one name.

    Each row is flushed at once: SQL runs in the order of the code, so a stage is vacated before
    it is taken (an ORM left to itself orders its updates by primary key).

    Args:
        call: Who does it, when, and in which transaction.
        names: The row of the name, locked.
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
        """Lock several names in order, so that nobody who does the same waits for the other."""
        wanted = select(ModelName).where(ModelName.name.in_(names)).order_by(ModelName.name)
        call.session.scalars(wanted.with_for_update()).all()

    @classmethod
    def begin(cls, call: Call, name: str) -> tuple[Self, RegisteredModel]:
        """Lock a model that is to be changed.

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
        """Lock a name that is to be given to a model, for the first time or again.

        Raises:
            PermissionDenied: The caller's token is not good for models of that name.
        """
        check_new_model(call.session, name)
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
        """Whether everything is as it was."""
        return not self._after

    def set(self, row: Documented, **values: Any) -> None:
        """Change columns of a row; a version counts its changes."""
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

    def add(self, row: Documented) -> None:
        """Insert a row; parents before what stands in them."""
        if isinstance(row, ModelVersion):
            self._counted.add(row.version)
        self._session.add(row)
        self._session.flush()
        self.gain(row)

    def remove(self, row: Documented) -> None:
        """Delete a row; parents after what stands in them."""
        self.lose(row)
        self._session.delete(row)
        self._session.flush()

    def gain(self, row: Documented) -> None:
        """Say that a row is the name's now, without writing it."""
        for path in row.places:
            put_first(self._before, path, None)
        for path, value in row.cells.items():
            put(self._after, path, value)

    def lose(self, row: Documented) -> None:
        """Say that a row is the name's no more, without deleting it."""
        for path, value in row.cells.items():
            put_first(self._before, path, value)
        for path in row.places:
            put(self._after, path, None)

    def record(self, action: Action, version: int | None = None, comment: str = "") -> None:
        """Insert the event that says what was done since `begin`."""
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
