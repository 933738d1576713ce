"""Backups between databases: of other kinds, revisions and owners."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import column, func, select, table, text
from tests.support.databases.backups import back_up, databases_in, is_refused, rows_of
from tests.support.databases.dialects import Dialect
from tests.support.platforms.filled_home import running
from tests.support.platforms.tracking_service import refused

from modelyard_kit.db.migrations import Migrations, current, migrate
from modelyard_kit.db.open import open_database
from modelyard_server.admin import backup, restore
from modelyard_server.admin.backups import contents
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a backup that tests only read."""
    return back_up(tmp_path_factory.mktemp("backed-up"))


def test_it_goes_from_sqlite_to_postgresql_and_back_unchanged(
    backed_up: Path, tmp_path: Path
) -> None:
    flags, urls = databases_in(tmp_path / "p", "postgresql")
    assert restore.run([str(backed_up), *flags]) == 0
    again = tmp_path / "again"
    assert backup.run([str(again), *flags]) == 0
    rows = rows_of(again)
    assert rows == rows_of(backed_up)
    assert rows["tracking/purged.jsonl.gz"]
    assert rows["tracking/missing_artifact.jsonl.gz"]
    for area, url in urls.items():
        database = open_database(url)
        assert current(database, MIGRATIONS_BY_SERVICE[area]) == MIGRATIONS_BY_SERVICE[area].head
        database.close()
    home = tmp_path / "back"
    assert restore.run([str(again), "--home", str(home)]) == 0
    with running(home) as platform:
        assert platform.versions() == {"iris/2": "None", "iris/3": "Production"}
        assert platform.create_experiment("third") == "2"
        living = next(run for run in platform.runs() if run.info.HasField("last_heartbeat_time"))
        with refused("INVALID_STATE", "'model/vocab' (out of reach)"):
            platform.register(living.info.run_id)


def test_postgresql_numbers_new_rows_after_the_old_ones(backed_up: Path, tmp_path: Path) -> None:
    flags, urls = databases_in(tmp_path / "p", "postgresql")
    assert restore.run([str(backed_up), *flags]) == 0
    database = open_database(urls["tracking"])
    with database.engine.begin() as connection:
        for name in ("experiment", "metric_chunk"):
            key = f"{name.rpartition('_')[2]}_id"
            last: int = connection.execute(
                select(func.max(column(key))).select_from(table(name))
            ).scalar_one()
            sequence = func.pg_get_serial_sequence(name, key)
            assert connection.scalar(select(func.nextval(sequence))) == last + 1
    database.close()


def test_a_backup_of_an_older_revision_is_brought_to_this_one(
    tmp_path: Path, dialect: Dialect
) -> None:
    flags, urls = databases_in(tmp_path / "old", dialect)
    for area, url in urls.items():
        database = open_database(url)
        migrate(database, Migrations(area, MIGRATIONS_BY_SERVICE[area].folder, "0001"))
        database.close()
    assert backup.run([str(tmp_path / "backup"), *flags]) == 0
    assert contents.read(tmp_path / "backup").services["registry"].revision == "0001"
    assert restore.run([str(tmp_path / "backup"), "--home", str(tmp_path / "new")]) == 0
    with running(tmp_path / "new") as platform:
        platform.fill()


def test_tables_of_others_are_left_alone(backed_up: Path, tmp_path: Path) -> None:
    flags, urls = databases_in(tmp_path / "p", "postgresql")
    for url in urls.values():
        with closing(open_database(url)) as database, database.engine.begin() as connection:
            connection.execute(text("CREATE TABLE others AS SELECT now() AS at"))
    assert restore.run([str(backed_up), *flags]) == 0
    assert backup.run([str(tmp_path / "again"), *flags]) == 0
    assert rows_of(tmp_path / "again") == rows_of(backed_up)
    with closing(open_database(urls["tracking"])) as database, database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM others")) == 1


def test_a_database_of_a_newer_version_is_not_backed_up(
    tmp_path: Path, dialect: Dialect, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, urls = databases_in(tmp_path / "new", dialect)
    for area, url in urls.items():
        with closing(open_database(url)) as database:
            migrate(database, MIGRATIONS_BY_SERVICE[area])
            with database.engine.begin() as connection:
                newer = text(f"UPDATE {area}_version SET version_num = '9999'")  # noqa: S608 - ours
                connection.execute(newer)
    said = is_refused(capsys, backup.run, [str(tmp_path / "backup"), *flags])
    assert "at revision 9999" in said
    assert "Use a newer Modelyard" in said


@pytest.mark.parametrize("url", ["postgresql://ada:secret@db:port/x", "x", "oracle://db/x"])
def test_an_address_that_cannot_be_read_is_said_in_one_line(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--tracking-database-url", url, "--registry-database-url", url]
    argv = [str(tmp_path / "backup"), "--home", str(tmp_path / "home"), *flags]
    said = is_refused(capsys, backup.run, argv)
    assert "secret" not in said
    assert "database" in said.lower()
