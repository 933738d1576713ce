"""Databases of MLflow as older releases left them, and files that are none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.compat.migration.old_database import RUN, fill

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_mlflow import importing
from modelyard_mlflow.database_reader import DatabaseReader
from modelyard_mlflow.local_files import LocalFiles

NOWHERE = LocalFiles(None, trusts_paths=False)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow # 1%.db"
    with closing(sqlite3.connect(path)) as connection:
        fill(connection)
    return path


def test_an_old_schema_is_read_for_what_it_has(old: Path) -> None:
    before = old.read_bytes()
    with closing(DatabaseReader(f"sqlite:///{old}", NOWHERE)) as reader:
        (experiment,) = reader.experiments()
        assert (experiment.experiment_id, experiment.name) == ("1", "e")
        assert not experiment.HasField("creation_time")
        (run,) = reader.runs("1")
        assert (run.info.status, run.info.start_time) == (pb.FINISHED, 5)
        assert not run.info.HasField("end_time")
        assert [(tag.key, tag.value) for tag in run.data.tags] == [("t", "")]
        points = [(p.timestamp, p.step, str(p.value)) for p in reader.history(RUN, "m")]
        assert points == [(1, 0, "0.5"), (2, 1, "nan")]
        assert list(reader.logged_models("1")) == []
        (model,) = reader.registered_models()
        assert not model.HasField("last_updated_timestamp")
        (version,) = reader.versions("f")
        assert (version.message.version, version.location) == ("2", "s3://b")
        assert reader.next_version("f") == 4
        assert reader.left_out() == []
    assert old.read_bytes() == before


def test_a_database_of_something_else_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be read as one" * 9)
    for name, said in (("other.db", "is not an MLflow database"), ("text.db", "cannot be read")):
        assert importing.run(["--from", f"sqlite:///{tmp_path / name}", "--dry-run"]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_folder_for_artifacts_that_is_not_there_is_refused(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--from", f"sqlite:///{old}", "--artifact-root", "/no/such/folder", "--dry-run"]
    assert importing.run(arguments) == 1
    assert "The artifact root /no/such/folder is not a folder" in capsys.readouterr().err


def test_what_is_named_and_not_there_is_refused(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, noun in (("--experiment", "experiment"), ("--model", "registered model")):
        assert importing.run(["--from", f"sqlite:///{old}", option, "x", "--dry-run"]) == 1
        assert f"The source has no {noun} 'x'." in capsys.readouterr().err


def test_a_dry_run_of_a_database_needs_no_server(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    assert importing.run(["--from", f"sqlite:///{old}", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Would write: registered models 1, experiments 1, runs 1, metric points 2" in said
    assert "artifacts-unreadable" in said
    assert not (tmp_path / "home").exists()
