"""Schema revisions: one Alembic tree and one version table a service.

Alembic is imported only when there is something to do: comparing two strings needs no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from modelyard_kit.db.base import Database, usable
from modelyard_kit.errors import FailedPrecondition, Unavailable


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions of one service.

    Args:
        service: Its name, which the version table carries.
        folder: Holds Alembic's `versions`.
        head: The revision this code works with.
    """

    service: str
    folder: Path
    head: str

    @property
    def version_table(self) -> str:
        return f"{self.service}_version"


def current(database: Database, tree: Migrations) -> str | None:
    """Return the revision the database is at, or None for an empty one.

    Raises:
        FailedPrecondition: The database cannot be read.
    """
    with usable(tree.service, database.remedy), database.engine.connect() as connection:
        return current_in(connection, tree)


def current_in(connection: Connection, tree: Migrations) -> str | None:
    """Return the revision of the database behind a connection, or None for an empty one."""
    if not inspect(connection).has_table(tree.version_table):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {tree.version_table}"))  # noqa: S608 - our own constant
    return found.scalar_one_or_none()


def require_head(database: Database, tree: Migrations) -> None:
    """Have a database refuse transactions until it is at the tree's head, and durable.

    It is looked at again whenever somebody wants a transaction, until it fits. Later a newer
    version may migrate it: this process goes on, since revisions only add what it does not use.
    """

    def check() -> None:
        with database.engine.connect() as connection:
            found = current_in(connection, tree)
            risk = database.risk(connection)
        if found != tree.head:
            raise Unavailable(
                f"The {tree.service} database is at revision {found or 'none'}, this version needs "
                f"{tree.head}. {_remedy(found, tree)}",
                revision=tree.head,
            )
        if risk:
            raise Unavailable(risk)

    database.require(check)


def _remedy(found: str | None, tree: Migrations) -> str:
    # Revisions are numbered.
    return "Use a newer Modelyard." if (found or "") > tree.head else "Run `modelyard migrate`."


def migrate(database: Database, tree: Migrations) -> None:
    """Bring the database to the tree's head; nothing happens when it is there.

    One process at a time migrates a database; others wait for it.

    Raises:
        FailedPrecondition: The database is at a revision this version does not know, or it cannot
            be written.
    """
    if current(database, tree) == tree.head:
        return
    with usable(tree.service, database.remedy), database.migrating() as connection:
        upgrade(connection, tree, tree.head)


def upgrade(connection: Connection, tree: Migrations, revision: str) -> None:
    """Bring a database to a revision in the transaction of `Database.migrating`.

    Raises:
        FailedPrecondition: The database is at a revision this version does not know, or is to be
            brought to one.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(tree.folder))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with EnvironmentContext(
        config,
        scripts,
        fn=lambda present, _: scripts._upgrade_revs(revision, present),  # noqa: SLF001 - how Alembic's own command calls it
    ) as environment:
        present = current_in(connection, tree)  # another process may have migrated meanwhile
        for needed in (present, revision):
            if needed is not None and needed not in known:
                raise FailedPrecondition(
                    f"The {tree.service} database is at revision {needed}, which this version does "
                    f"not know; it needs {tree.head}. Use a newer Modelyard.",
                    revision=needed,
                )
        environment.configure(connection=connection, version_table=tree.version_table)
        environment.run_migrations()
