"""`modelyard migrate`: bring the databases of a home to the schema of this version.

`modelyard up` does so by itself; this is for doing it at a time of one's own choosing.
Exit codes: 0 done; 1 refused, nothing was changed in the database it names; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from modelyard_kit.errors import Error
from modelyard_kit.migrations import current, migrate
from modelyard_server.settings import from_environment


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    try:
        settings = from_environment()
        parser = argparse.ArgumentParser(prog="modelyard migrate", description=__doc__)
        parser.add_argument("--home", type=Path, default=settings.home, help="(%(default)s)")
        _migrate(parser.parse_args(argv).home)
    except Error as error:
        print(f"modelyard migrate: {error.message}", file=sys.stderr)
        return 1
    return 0


def _migrate(path: Path) -> None:
    from modelyard_server.embedded import TREES, open_home_database
    from modelyard_server.home import Home

    with closing(Home(path)) as home:
        for area, tree in TREES.items():
            with closing(open_home_database(home, area)) as database:
                before = current(database, tree)
                migrate(database, tree)
            was = "" if before == tree.head else f" (was at {before or 'none'})"
            print(f"{area}: at revision {tree.head}{was}")
