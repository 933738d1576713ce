"""Schema migrations: one folder of Alembic revisions and one version table per service.

Alembic is imported only when a database has to be migrated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from modelyard_kit.db.base import Database, usable
from modelyard_kit.errors import FailedPrecondition, Unavailable

_OF_EACH_SERVICE = "idempotent_reply"
"""A table that the database of each service has, since its first revision."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """The schema revisions of one service.

    Attributes:
        service: Name of the service, which the version table is named after.
        folder: Folder that contains Alembic's `versions`.
        head: Revision that this code works with.
    """

    service: str
    folder: Path
    head: str

    @property
    def version_table(self) -> str:
        return f"{self.service}_version"


def current(database: Database, migrations: Migrations) -> str | None:
    """Return the revision of a database, or None for an empty one.

    Raises:
        FailedPrecondition: The database cannot be read, or is not one of the service.
    """
    with usable(migrations.service, database.remedy), database.engine.connect() as connection:
        return current_in(connection, migrations)


def current_in(connection: Connection, migrations: Migrations) -> str | None:
    """Return the revision of the database behind a connection, or None for an empty one.

    Raises:
        FailedPrecondition: The database is that of another service or application.
    """
    table = migrations.version_table
    inspector = inspect(connection)
    if not inspector.has_table(table):
        _refuse_foreign(connection.dialect.name, set(inspector.get_table_names()), migrations)
        return None
    found = connection.execute(text(f"SELECT version_num FROM {table}"))  # noqa: S608 - our own constant
    return found.scalar_one_or_none()


def _refuse_foreign(dialect: str, tables: set[str], migrations: Migrations) -> None:
    """Refuse to take the database of another service for an empty one.

    A schema of PostgreSQL may hold tables of other applications, a SQLite file may not.
    """
    others = tables if dialect == "sqlite" else tables & {_OF_EACH_SERVICE}
    if others:
        raise FailedPrecondition(
            f"The database {migrations.service} cannot be used: it has tables of another service "
            f"or application, and none of {migrations.service}. Check its location; each service "
            "needs a database or a schema of its own."
        )


def require_head(database: Database, migrations: Migrations) -> None:
    """Make a database refuse transactions until it is at the head revision, and durable.

    The check is repeated before each transaction until it passes. A newer version may migrate the
    database afterwards; this process continues, since revisions only add.
    """

    def check() -> None:
        with database.engine.connect() as connection:
            found = current_in(connection, migrations)
            risk = database.risk(connection)
        if found != migrations.head:
            raise Unavailable(
                f"The {migrations.service} database is at revision {found or 'none'}, this version "
                f"needs {migrations.head}. {_remedy(found, migrations)}",
                revision=migrations.head,
            )
        if risk:
            raise Unavailable(risk)

    database.require(check)


def _remedy(found: str | None, migrations: Migrations) -> str:
    is_newer = (found or "") > migrations.head  # revisions are numbered
    return "Use a newer Modelyard." if is_newer else "Run `modelyard migrate`."


def migrate(database: Database, migrations: Migrations) -> None:
    """Migrate a database to the head revision; do nothing if it is there already.

    One process at a time migrates a database; others wait for it.

    Raises:
        FailedPrecondition: The database is at a revision that this version does not know, or cannot
            be written.
    """
    if current(database, migrations) == migrations.head:
        return
    with usable(migrations.service, database.remedy), database.migrating() as connection:
        upgrade(connection, migrations, migrations.head)


def upgrade(connection: Connection, migrations: Migrations, revision: str) -> None:
    """Migrate a database to a revision in the transaction of `Database.migrating`.

    Raises:
        FailedPrecondition: The present or the requested revision is not known to this version.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations.folder))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with EnvironmentContext(
        config,
        scripts,
        fn=lambda present, _: scripts._upgrade_revs(revision, present),  # noqa: SLF001 - how Alembic's own command calls it
    ) as environment:
        present = current_in(connection, migrations)  # another process may have migrated it
        for needed in (present, revision):
            if needed is not None and needed not in known:
                raise FailedPrecondition(
                    f"The {migrations.service} database is at revision {needed}, which this "
                    f"version does not know; it needs {migrations.head}. Use a newer Modelyard.",
                    revision=needed,
                )
        environment.configure(connection=connection, version_table=migrations.version_table)
        environment.run_migrations()
