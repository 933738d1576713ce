"""A database as an old MLflow left it: no run names, datasets, logged models or aliases."""

from __future__ import annotations

import sqlite3

RUN = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32

_TABLES = """
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
"""


def fill(connection: sqlite3.Connection) -> None:
    """Make a deleted run with two points, and a model with version 2 of 1 to 3."""
    connection.executescript(_TABLES)
    connection.execute("INSERT INTO experiments VALUES (1, 'e', '/x', 'active')")
    uri = f"/x/1/{RUN}/artifacts"
    add_run(connection, RUN, "deleted", uri)
    connection.execute("INSERT INTO tags VALUES ('t', NULL, ?)", (RUN,))
    connection.execute("INSERT INTO latest_metrics VALUES ('m', 0, 2, 1, 1, ?)", (RUN,))
    for point in ((0, 2, 1, 1), (0.5, 1, 0, 0)):
        connection.execute("INSERT INTO metrics VALUES ('m', ?, ?, ?, ?, ?)", (*point, RUN))
    connection.execute("INSERT INTO registered_models VALUES ('f', 1, NULL, NULL)")
    for number, stage in ((1, "Deleted_Internal"), (2, "Staging"), (3, "Deleted_Internal")):
        add_version(connection, number, stage)
    connection.commit()


def add_run(connection: sqlite3.Connection, run_id: str, stage: str, uri: str) -> None:
    row = (run_id, "FINISHED", 5, None, stage, uri, 1, None)
    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def add_version(connection: sqlite3.Connection, number: int, stage: str) -> None:
    row = ("f", number, 3, None, "d", None, stage, "s3://b", RUN, "READY", None, None)
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO model_versions VALUES ({marks})", row)  # noqa: S608 - only marks
