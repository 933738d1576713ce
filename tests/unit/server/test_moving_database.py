"""Databases of MLflow as older releases left them, and files that are none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_server.moving import importing
from modelyard_server.moving.database_reader import DatabaseReader
from modelyard_server.moving.local_files import LocalFiles

NOWHERE = LocalFiles(None, trusts_paths=False)
RUN = "0123456789abcdef0123456789abcdef"

# What MLflow 2.0 had, without what came later: run names, datasets, logged models, aliases.
OLD = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT,
    lifecycle_stage TEXT);
CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, status TEXT, start_time BIGINT, end_time BIGINT,
    lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER, user_id TEXT);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE latest_metrics (key TEXT, value FLOAT, timestamp BIGINT, step BIGINT,
    is_nan BOOLEAN, run_uuid TEXT);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, step BIGINT, is_nan BOOLEAN,
    run_uuid TEXT);
CREATE TABLE registered_models (name TEXT, creation_time BIGINT, last_updated_time BIGINT,
    description TEXT);
CREATE TABLE registered_model_tags (name TEXT, key TEXT, value TEXT);
CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT,
    last_updated_time BIGINT, description TEXT, user_id TEXT, current_stage TEXT, source TEXT,
    run_id TEXT, status TEXT, status_message TEXT, run_link TEXT);
CREATE TABLE model_version_tags (name TEXT, version INTEGER, key TEXT, value TEXT);
INSERT INTO experiments VALUES (1, 'e', '/x', 'active');
INSERT INTO runs VALUES ('0123456789abcdef0123456789abcdef', 'FINISHED', 5, NULL, 'deleted',
    '/x/1/0123456789abcdef0123456789abcdef/artifacts', 1, NULL);
INSERT INTO tags VALUES ('t', NULL, '0123456789abcdef0123456789abcdef');
INSERT INTO latest_metrics VALUES ('m', 0, 2, 1, 1, '0123456789abcdef0123456789abcdef');
INSERT INTO metrics VALUES ('m', 0, 2, 1, 1, '0123456789abcdef0123456789abcdef'), ('m', 0.5, 1, 0, 0, '0123456789abcdef0123456789abcdef');
INSERT INTO registered_models VALUES ('f', 1, NULL, NULL);
INSERT INTO model_versions VALUES
    ('f', 1, 1, 2, NULL, NULL, 'Deleted_Internal', NULL, NULL, 'READY', NULL, NULL),
    ('f', 2, 3, NULL, 'd', NULL, 'Staging', 's3://b', '0123456789abcdef0123456789abcdef', 'READY', NULL, NULL),
    ('f', 3, 1, 2, NULL, NULL, 'Deleted_Internal', NULL, NULL, 'READY', NULL, NULL);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow # 1%.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD)
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
    for name, said in (("other.db", "is no database of an MLflow"), ("text.db", "cannot be read")):
        assert importing.run(["--from", f"sqlite:///{tmp_path / name}", "--dry-run"]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_folder_for_artifacts_that_is_not_there_is_refused(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--from", f"sqlite:///{old}", "--artifact-root", "/no/such/folder", "--dry-run"]
    assert importing.run(arguments) == 1
    assert "There is no folder /no/such/folder" in capsys.readouterr().err


def test_what_is_named_and_not_there_is_refused(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, noun in (("--experiment", "experiment"), ("--model", "registered model")):
        assert importing.run(["--from", f"sqlite:///{old}", option, "x", "--dry-run"]) == 1
        assert f"The origin has no {noun} 'x'." in capsys.readouterr().err


def test_a_dry_run_of_a_database_needs_no_server(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    assert importing.run(["--from", f"sqlite:///{old}", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Would write: 1 registered models, 1 experiments, 1 runs, 2 metric points" in said
    assert "artifacts-unreadable" in said
    assert not (tmp_path / "home").exists()
