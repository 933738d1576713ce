"""`modelyard migrate`: bring databases to the schema of this version.

Those of the services whose URLs are given, or else those of a home, which `modelyard up` brings
there by itself. Exit codes: 0 done, or nothing to do; 1 refused, nothing was changed in the
database it names, or with --check something is to be done; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, closing

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
                "Tracking and the registry have the same database URL; each needs a database or a "
                "schema of its own."
            )
        behind = _migrate(target, check=options.check)
    except Error as error:
        print(f"modelyard migrate: {error.message}", file=sys.stderr)
        return 1
    return 1 if behind and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard migrate",
        description="Bring databases to the schema of this version: those of the services whose "
        "URLs are given, or else those of the home. Exit code 1 with --check if anything is to be "
        "done.",
    )
    installation.add_arguments(parser)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, and say what would be done"
    )
    return parser


def _migrate(target: Installation, *, check: bool) -> bool:
    """Migrate the databases given, or all of the home; return whether any was behind."""
    from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE, open_own
    from modelyard_server.processes.home import Home

    behind = False
    with ExitStack() as held:
        if target.is_in_home:
            held.enter_context(closing(Home(target.home)))
        for area in target.urls or MIGRATIONS_BY_SERVICE:
            tree = MIGRATIONS_BY_SERVICE[area]
            url = target.urls.get(area, "")
            with closing(open_own(area, url, target.settings.home)) as database:
                before = current(database, tree)
                if not check:
                    migrate(database, tree)
            behind = behind or before != tree.head
            print(_told(area, before, tree.head, check=check))
    return behind


def _told(area: str, before: str | None, head: str, *, check: bool) -> str:
    if before == head:
        return f"{area}: at revision {head}"
    done = "would be migrated" if check else "migrated"
    return f"{area}: {done} from revision {before or 'none'} to {head}"
