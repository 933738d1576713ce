"""Schema revisions: one Alembic tree and one version table a service.

Alembic is imported only when there is something to do: comparing two strings needs no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect, text

from modelyard_kit.db import Database, usable
from modelyard_kit.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Tree:
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


def current(database: Database, tree: Tree) -> str | None:
    """Return the revision the database is at, or None for an empty one.

    Raises:
        FailedPrecondition: The database cannot be read.
    """
    with usable(tree.service), database.engine.connect() as connection:
        if not inspect(connection).has_table(tree.version_table):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {tree.version_table}"))  # noqa: S608 - our own constant
        return found.scalar_one_or_none()


def migrate(database: Database, tree: Tree) -> None:
    """Bring the database to the tree's head; nothing happens when it is there.

    Raises:
        FailedPrecondition: The database is at a revision this version does not know, or it cannot
            be written.
    """
    present = current(database, tree)
    if present == tree.head:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(tree.folder))
    scripts = ScriptDirectory.from_config(config)
    if present is not None and present not in {
        script.revision for script in scripts.walk_revisions()
    }:
        raise FailedPrecondition(
            f"The {tree.service} database is at revision {present}, which this version does not "
            f"know; it needs {tree.head}. Use a newer Modelyard.",
            revision=present,
        )
    with (
        usable(tree.service),
        database.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE").begin() as connection,
        EnvironmentContext(
            config,
            scripts,
            fn=lambda revision, _: scripts._upgrade_revs(tree.head, revision),  # noqa: SLF001 - how Alembic's own command calls it
        ) as environment,
    ):
        environment.configure(connection=connection, version_table=tree.version_table)
        environment.run_migrations()
