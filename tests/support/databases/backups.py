"""Shared parts of the tests of backups: rows, empty databases to restore into, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect, empty_url
from tests.support.platforms.filled_home import running

from modelyard_server.admin import backup
from modelyard_server.admin.backups import contents
from modelyard_server.admin.backups.rows import read_rows
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE


def back_up(folder: Path) -> Path:
    """Fill a platform and return the folder of its backup."""
    with running(folder / "home") as platform:
        platform.fill()
        assert backup.run([str(folder / "backup"), "--home", str(platform.home)]) == 0
    return folder / "backup"


def rows_of(folder: Path) -> dict[str, list[str]]:
    """All rows of a backup by service and table, in an order of their own."""
    found = contents.read(folder)
    return {
        table.file: sorted(map(repr, read_rows(folder / table.file, table.rows)))
        for dump in found.services.values()
        for table in dump.tables.values()
    }


def databases_in(folder: Path, dialect: Dialect) -> tuple[list[str], dict[str, str]]:
    """Return the settings that name new databases to the commands, and their URLs."""
    urls = {}
    for area in MIGRATIONS_BY_SERVICE:
        (folder / area).mkdir(parents=True)
        urls[area] = empty_url(dialect, folder / area)
    flags = [part for area, url in urls.items() for part in (f"--{area}-database-url", url)]
    return [*flags, "--home", str(folder / "home")], urls


def is_refused(
    capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], int], argv: list[str]
) -> str:
    capsys.readouterr()
    assert command(argv) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err
