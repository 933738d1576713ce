"""Changes at the origin since the last import are imported by the next one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.compat.migration.old_database import OTHER, RUN, add_run, add_version, fill
from tests.compat.migration.snapshot import Snapshot
from tests.support.processes.up_process import Up, up

from modelyard import MlflowClient
from modelyard.api.registry.v1 import registry_pb2
from modelyard.internal import rpc
from modelyard_mlflow import importing

Change = Callable[[sqlite3.Connection], Any]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "home") as running:
        yield running
        assert running.stop() == 0


class Origin:
    """A database that changes between imports into one server."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._path, self._uri = folder / "mlflow.db", uri
        self.change(fill)

    def change(self, change: Change) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            change(connection)
            connection.commit()

    def imported(self) -> dict[str, Any]:
        """Import and return the model afterwards; the bytes of its versions are out of reach."""
        source = f"sqlite:///{self._path}"
        assert importing.run(["--from", source, "--tracking-uri", self._uri]) == 3
        found: dict[str, Any] = Snapshot(self._uri).registered_models()["f"]
        return found


@pytest.fixture
def origin(here: Up, tmp_path: Path) -> Origin:
    return Origin(tmp_path, here.instance["http"])


def stages(model: dict[str, Any]) -> dict[str, str]:
    return {number: found["current_stage"] for number, found in model["versions"].items()}


def set_stages(**wanted: str) -> Change:
    def change(connection: sqlite3.Connection) -> None:
        for name, stage in wanted.items():
            row = (stage, int(name.removeprefix("v")))
            connection.execute("UPDATE model_versions SET current_stage = ? WHERE version = ?", row)

    return change


def test_versions_that_swap_stages_do_so_here(origin: Origin, here: Up) -> None:
    origin.change(lambda connection: add_version(connection, 4, "Production"))
    assert stages(origin.imported()) == {"2": "Staging", "4": "Production"}
    origin.change(set_stages(v2="Production", v4="Staging"))
    assert stages(origin.imported()) == {"2": "Production", "4": "Staging"}
    origin.change(set_stages(v2="Archived", v4="Production"))
    assert stages(origin.imported()) == {"2": "Archived", "4": "Production"}
    request = registry_pb2.VerifyHistoryRequest(name="f")
    verified = rpc.call(here.instance["http"], request, registry_pb2.VerifyHistoryResponse)
    assert verified.revision


def test_a_stage_that_was_reassigned_here_is_kept_and_reported(
    origin: Origin, here: Up, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.imported()
    client = MlflowClient(here.instance["http"])
    # The numbers up to 3 were used at the origin: none of them is used again.
    mine = client.create_model_version("f", "s3://mine")
    assert mine.version == "4"
    client.transition_model_version_stage("f", "4", "Staging")
    capsys.readouterr()
    assert stages(origin.imported()) == {"2": "None", "4": "Staging"}
    output = capsys.readouterr().out
    assert (
        "version 2 of 'f': in stage None: another version holds Staging at the destination"
        in output
    )


def test_runs_that_were_restored_tagged_and_extended_are_so_here(origin: Origin, here: Up) -> None:
    origin.imported()
    client = MlflowClient(here.instance["http"])
    assert client.get_run(RUN).info.lifecycle_stage == "deleted"
    assert len(client.get_metric_history(RUN, "m")) == 2

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE runs SET lifecycle_stage = 'active', end_time = 9")
        connection.execute("DELETE FROM tags")
        connection.execute("INSERT INTO metrics VALUES ('m', 7, 8, 9, 0, ?)", (RUN,))
        connection.execute("INSERT INTO params VALUES ('p', 'v', ?)", (RUN,))
        add_run(connection, OTHER, "deleted", "/x")
        connection.execute("INSERT INTO tags VALUES ('mlflow.parentRunId', ?, ?)", (RUN, OTHER))

    origin.change(change)
    origin.imported()
    run = client.get_run(RUN)
    assert (run.info.lifecycle_stage, run.info.end_time) == ("active", 9)
    assert run.data.params == {"p": "v"}
    assert "t" not in run.data.tags
    assert [point.value for point in client.get_metric_history(RUN, "m")][-1] == 7
    assert client.get_run(OTHER).data.tags["mlflow.parentRunId"] == RUN


def test_an_experiment_that_was_deleted_is_filled_and_deleted_again(
    origin: Origin, here: Up
) -> None:
    deleted = "UPDATE experiments SET lifecycle_stage = 'deleted'"
    origin.change(lambda connection: connection.execute(deleted))
    origin.imported()
    client = MlflowClient(here.instance["http"])
    assert client.get_experiment("1").lifecycle_stage == "deleted"
    assert len(client.get_metric_history(RUN, "m")) == 2
    assert client.get_run(RUN).info.lifecycle_stage == "deleted"
