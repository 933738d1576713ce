"""`modelyard migrate`, told that both services have one database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect
from tests.support.databases.dialects import Dialect, empty_url

from modelyard_kit.db.open import open_database
from modelyard_server.admin import migrate


def is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], tracking: str, registry: str
) -> str:
    flags = ["--tracking-database-url", tracking, "--registry-database-url", registry]
    assert migrate.run(["--home", str(folder), *flags]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_one_url_for_both_services_is_refused_and_changes_nothing(
    tmp_path: Path, dialect: Dialect, capsys: pytest.CaptureFixture[str]
) -> None:
    url = empty_url(dialect, tmp_path)
    said = is_refused(tmp_path, capsys, url, url)
    assert "the same database URL" in said
    with closing(open_database(url)) as database:
        assert inspect(database.engine).get_table_names() == []


@pytest.mark.postgres
def test_one_schema_by_two_urls_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = empty_url("postgresql", tmp_path)
    said = is_refused(tmp_path, capsys, url, f"{url}?application_name=registry")
    assert "each service needs a database or a schema of its own" in said
