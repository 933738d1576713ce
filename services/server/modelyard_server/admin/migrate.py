"""`modelyard migrate`: upgrade databases to the schema of this version.

Upgrades the databases whose URLs are given, or else those of a home, which `modelyard up` also
upgrades by itself. Exit codes: 0 done, or nothing to do; 1 refused, and the database named in the
message was not changed, or with --check a migration is needed; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import sys
from contextlib import ExitStack, closing

from modelyard.command_line import Parser
from modelyard_kit.db.migrations import current, migrate
from modelyard_kit.errors import Error, InvalidArgument
from modelyard_server.admin import installation
from modelyard_server.admin.installation import Installation


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
        behind = _migrate(target, check=options.check)
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
    parser.add_argument("--check", action="store_true", help="only report what would be done")
    return parser


def _migrate(target: Installation, *, check: bool) -> bool:
    """Migrate the given databases, or all of the home; return whether any was behind."""
    from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE, open_own
    from modelyard_server.processes.home import Home

    behind = False
    with ExitStack() as held:
        if target.is_in_home:
            held.enter_context(closing(Home(target.home)))
        # All are opened first: in a home, one database without the other is taken for a loss.
        opened = {
            area: held.enter_context(
                closing(open_own(area, target.urls.get(area, ""), target.settings.home))
            )
            for area in target.urls or MIGRATIONS_BY_SERVICE
        }
        for area, database in opened.items():
            tree = MIGRATIONS_BY_SERVICE[area]
            before = current(database, tree)
            if not check:
                migrate(database, tree)
            behind = behind or before != tree.head
            print(_summary(area, before, tree.head, check=check))
    return behind


def _summary(area: str, before: str | None, head: str, *, check: bool) -> str:
    if before == head:
        return f"{area}: at revision {head}"
    done = "would be migrated" if check else "migrated"
    return f"{area}: {done} from revision {before or 'none'} to {head}"
