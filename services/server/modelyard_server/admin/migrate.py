"""`modelyard migrate`: upgrade databases to the schema of this version.

Upgrades the databases whose URLs are given, or else those of a home, which `modelyard up` also
upgrades by itself. Exit codes: 0 done, or nothing to do; 1 refused, and the database named in the
message was not changed, or with --check a migration is needed; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, closing

from modelyard.command_line import Parser
from modelyard_kit.db.base import Database
from modelyard_kit.db.migrations import current, migrate
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import Error, InvalidArgument
from modelyard_server.admin import identities, installation
from modelyard_server.admin.installation import Installation
from modelyard_server.processes.home import Home, identity_file


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        options = _parser().parse_args(argv)
        target = installation.chosen(options)
        if len(set(target.urls.values())) < len(target.urls):
            raise InvalidArgument(
                "Tracking and the registry have the same database URL; each needs its own database "
                "or schema."
            )
        behind = _migrate(target, options)
        if options.adopt:
            _adopt(target)
    except Error as error:
        print(f"modelyard migrate: {error.message}", file=sys.stderr)
        return 1
    return 1 if behind and options.check else 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard migrate",
        description="Upgrade databases to the schema of this version: those of the services whose "
        "URLs are given, or else those of the home. With --check the exit code is 1 if a migration "
        "is needed.",
    )
    installation.add_arguments(parser)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="only report what would be done")
    only.add_argument(
        "--adopt",
        action="store_true",
        help="afterwards declare that both databases and the store of MODELYARD_ARTIFACTS, or the "
        "home's, belong together, whatever they belonged to before; stop the services first",
    )
    return parser


def _open(target: Installation, area: str, options: argparse.Namespace) -> Database:
    from modelyard_server.processes.databases import open_own

    if options.adopt:
        return open_database(target.database_url(area))  # also in the place of a missing one
    return open_own(area, target.urls.get(area, ""), target.settings.home)


def _adopt(target: Installation) -> None:
    with ExitStack() as held:
        if target.is_in_home:
            held.enter_context(closing(Home(target.home)))
        connections = {}
        for area in installation.AREAS:
            database = held.enter_context(closing(open_database(target.database_url(area))))
            connections[area] = held.enter_context(database.migrating())
        identity = identities.adopt(connections, target.open_store())
        identity_file(target.home).unlink(missing_ok=True)  # the next start writes the id
    print(f"Databases and store belong to the installation {identity} now.")


def _migrate(target: Installation, options: argparse.Namespace) -> bool:
    """Migrate the given databases, or all of the home; return whether any was behind."""
    from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE

    behind = False
    with ExitStack() as held:
        if target.is_in_home:
            held.enter_context(closing(Home(target.home)))
        # All are opened first: in a home, one database without the other is taken for a loss.
        areas = target.urls or MIGRATIONS_BY_SERVICE
        opened = {area: held.enter_context(closing(_open(target, area, options))) for area in areas}
        for area, database in opened.items():
            tree = MIGRATIONS_BY_SERVICE[area]
            before = current(database, tree)
            if not options.check:
                migrate(database, tree)
            behind = behind or before != tree.head
            print(_summary(area, before, tree.head, check=options.check))
    return behind


def _summary(area: str, before: str | None, head: str, *, check: bool) -> str:
    if before == head:
        return f"{area}: at revision {head}"
    done = "would be migrated" if check else "migrated"
    return f"{area}: {done} from revision {before or 'none'} to {head}"
