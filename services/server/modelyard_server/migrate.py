"""`modelyard migrate`: bring databases to the schema of this version.

Those of the services whose URLs are given, or else those of a home, which `modelyard up` brings
there by itself. Exit codes: 0 done, or nothing to do; 1 refused, nothing was changed in the
database it names, or with --check something is to be done; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.migrations import current, migrate
from modelyard_server.settings import from_environment

AREAS = ("tracking", "registry")


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        settings = from_environment()
        options = _parser(settings.home).parse_args(argv)
        chosen = (options.tracking_database_url, options.registry_database_url)
        urls = {area: url for area, url in zip(AREAS, chosen, strict=True) if url}
        if len(set(urls.values())) < len(urls):
            raise InvalidArgument(
                "Tracking and the registry have the same database URL; each needs a database or a "
                "schema of its own."
            )
        behind = _migrate(urls, options)
    except Error as error:
        print(f"modelyard migrate: {error.message}", file=sys.stderr)
        return 1
    return 1 if behind and options.check else 0


def _parser(home: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard migrate",
        description="Bring databases to the schema of this version: those of the services whose "
        "URLs are given, or else those of the home. Exit code 1 with --check if anything is to be "
        "done.",
    )
    parser.add_argument("--home", type=Path, default=home, help="(%(default)s)")
    for area in AREAS:
        variable = f"MODELYARD_{area.upper()}_DATABASE_URL"
        parser.add_argument(
            f"--{area}-database-url",
            metavar="URL",
            default=os.environ.get(variable),
            help=f"migrate this database of {area} instead of the home's [{variable}]",
        )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, and say what would be done"
    )
    return parser


def _migrate(urls: dict[str, str], options: argparse.Namespace) -> bool:
    """Migrate the databases given, or all of the home; return whether any was behind."""
    from modelyard_server.databases import TREES, open_own
    from modelyard_server.home import Home

    behind = False
    with ExitStack() as held:
        home = options.home
        if not urls:
            home = held.enter_context(closing(Home(options.home))).path
        for area in urls or TREES:
            tree = TREES[area]
            with closing(open_own(area, urls.get(area, ""), home)) as database:
                before = current(database, tree)
                if not options.check:
                    migrate(database, tree)
            behind = behind or before != tree.head
            print(_told(area, before, tree.head, check=options.check))
    return behind


def _told(area: str, before: str | None, head: str, *, check: bool) -> str:
    if before == head:
        return f"{area}: at revision {head}"
    done = "would be migrated" if check else "migrated"
    return f"{area}: {done} from revision {before or 'none'} to {head}"
