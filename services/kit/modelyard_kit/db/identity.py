"""The identity of an installation: which databases and which store belong together.

Each database has the installation's id in the table `installation`, the store has it in a mark, and
a mark for each service whose database has joined. A database joins once: when it has no id, and the
store has no mark of its service. docs/adr/0029 has the reasons.
"""

from __future__ import annotations

import math
import threading
import time

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.artifacts.marks import INSTALLATION, is_id, member, new_id, shown
from modelyard_kit.db.base import Database
from modelyard_kit.errors import FailedPrecondition, Unavailable

_columns = MetaData()
installations = Table(
    "installation",
    _columns,
    Column("area", String(16), primary_key=True),
    Column("id", String(32), nullable=False),
)
"""The migrations of each service create this table; `to_metadata` adds it to its models.

A database that has joined an installation has one row.
"""


def id_in(source: Connection | Session, area: str) -> str | None:
    """Return the id in a database of a service; None if it has joined no installation yet."""
    found = source.execute(select(installations.c.id).where(installations.c.area == area))
    return found.scalar_one_or_none()


class Identity:
    """The id of a service's database, compared with the one of its store.

    Args:
        area: "tracking" or "registry".
        database: Database of the service, at the head of its revisions.
        store: Store of the installation.
        objects: Table of the objects that the database knows; a database that knows none cannot
            join a store that has some. None for a service that knows none.
    """

    fresh_s = 10.0
    """How long an answer of the store is used by `check`, seconds: probes are frequent."""

    def __init__(
        self, area: str, database: Database, store: ArtifactStore, objects: Table | None = None
    ) -> None:
        self._area = area
        self._database = database
        self._store = store
        self._objects = objects
        self._checking = threading.Lock()
        self._is_member = False
        self._checked = -math.inf

    def check(self) -> None:
        """Compare the ids; at the first check, join the store's installation if it may.

        A store that cannot be reached is not another store: once they agreed, the check passes.

        Raises:
            Unavailable: The ids differ, the database or the store has none beside others that have
                one, or the store cannot be reached at the first check.
        """
        try:
            with self._checking:
                own = self._own() or self._join()
                if time.monotonic() - self._checked >= self.fresh_s:
                    self._compare(own)
        except _StoreAway as error:
            if not self._is_member:
                raise Unavailable(str(error)) from error
            self._checked = time.monotonic()
        except _Different as error:
            raise Unavailable(str(error)) from error

    def require(self) -> str:
        """Return the id, after a comparison that uses no earlier answer of the store.

        Raises:
            FailedPrecondition: The ids differ or cannot be compared.
            Unavailable: The database cannot be used.
        """
        try:
            with self._checking:
                own = self._own() or self._join()
                self._compare(own)
        except _Different as error:
            raise FailedPrecondition(str(error)) from error
        except DBAPIError as error:
            raise self._database.explain(error) or error from error
        return own

    def _own(self) -> str | None:
        with self._database.engine.connect() as connection:
            return id_in(connection, self._area)

    def _compare(self, own: str) -> None:
        found = self._mark(INSTALLATION)
        if found != own:
            self._checked = -math.inf
            raise _Different(
                f"The {self._area} database belongs to the installation {shown(own)}, the artifact "
                f"store to {shown(found)}, so nothing is served or changed. Correct "
                f"MODELYARD_ARTIFACTS or MODELYARD_{self._area.upper()}_DATABASE_URL, or restore "
                "what was lost. Only if they do belong together: `modelyard migrate --adopt`."
            )
        if not self._is_member:
            if self._mark(member(self._area)) is None:
                self._set_mark(member(self._area), own)
            self._is_member = True
        self._checked = time.monotonic()

    def _join(self) -> str:
        """Record the store's id in the database; first create it in a store that has none."""
        if self._mark(member(self._area)) is not None:
            own = self._own()  # another replica may have just joined
            if own is not None:
                return own
            raise self._is_new(f"has had a database of {self._area}")
        if self._knows_none() and any(self._store.list_objects()):
            raise self._is_new("has objects")
        found = self._mark(INSTALLATION)
        if found is None:
            self._set_mark(INSTALLATION, new_id())
            found = self._mark(INSTALLATION)  # of the process that was first
        if found is None or not is_id(found):
            raise _Different(
                f"The artifact store belongs to the installation {shown(found)}, so nothing is "
                "served or changed. Restore its mark `installation`, or run `modelyard migrate "
                "--adopt`."
            )
        try:
            with self._database.migrating() as connection:
                connection.execute(insert(installations).values(area=self._area, id=found))
        except IntegrityError:  # another replica was first, and has recorded the same id
            pass
        return found

    def _is_new(self, evidence: str) -> _Different:
        return _Different(
            f"The {self._area} database is new, but the artifact store {evidence}, so nothing is "
            f"served or changed. Correct MODELYARD_{self._area.upper()}_DATABASE_URL or "
            "MODELYARD_ARTIFACTS, or restore the database from a backup. Only if this new database "
            "is to replace the one before: `modelyard migrate --adopt`."
        )

    def _knows_none(self) -> bool:
        if self._objects is None:
            return False
        with self._database.engine.connect() as connection:
            return connection.execute(select(self._objects).limit(1)).first() is None

    def _mark(self, name: str) -> str | None:
        try:
            return self._store.mark(name)
        except Unavailable as error:
            raise _StoreAway(
                f"The identity of the artifact store cannot be read: {error.message}"
            ) from error

    def _set_mark(self, name: str, text: str) -> None:
        try:
            self._store.set_mark(name, text)
        except Unavailable as error:
            raise _StoreAway(
                f"The identity of the installation cannot be recorded in the artifact store: "
                f"{error.message} Tracking and the registry need permission to write "
                "sha256/installation*."
            ) from error


class _Different(Exception):
    """The ids differ."""


class _StoreAway(_Different):
    """The store did not answer, so its id is not known."""
