"""Real MLflow servers are imported and exported, and answer the same afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.compat import environments, running
from tests.compat.conformance.servers import mlflow_server
from tests.compat.migration.snapshot import Document, Snapshot
from tests.support.processes.up_process import Up, environment, up

import modelyard.artifacts
from modelyard_mlflow import exporting, importing

FILL = Path(__file__).parent / "migration" / "fill.py"


@dataclass(frozen=True)
class Origin:
    """An MLflow server with an example of every kind of data."""

    uri: str
    folder: Path

    @property
    def database(self) -> tuple[str, ...]:
        root = str(self.folder / "artifacts")
        return f"sqlite:///{self.folder / 'mlflow.db'}", "--artifact-root", root


@pytest.fixture(scope="module")
def origin_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    yield from filled("2.22", tmp_path_factory.mktemp("origin"))


@pytest.fixture(scope="module")
def origin_3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    yield from filled("3.17", tmp_path_factory.mktemp("origin"))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "home") as running_here:
        yield running_here
        assert running_here.stop() == 0


def filled(version: str, folder: Path) -> Iterator[Origin]:
    with mlflow_server(environments.python(version), folder) as (host, port):
        uri = f"http://{host}:{port}"
        running.run(version, FILL, env=running.variables(uri), cwd=folder)
        yield Origin(uri, folder)


def migrate(here: Up, tmp_path: Path, *arguments: str) -> Document:
    """Import and return the report; the exit code shows whether bytes were left out."""
    report = tmp_path / "report.json"
    target = ("--tracking-uri", here.instance["http"])
    code = importing.run([*arguments, *target, "--report", str(report)])
    found: Document = json.loads(report.read_text(encoding="utf-8"))
    is_whole = found["dry_run"] or "source-unverified" not in kinds(found)
    assert code == (0 if is_whole else 3)
    return found


def exported(here: Up, tmp_path: Path, uri: str) -> Document:
    """Export and return the report."""
    report = tmp_path / "report.json"
    target = ("--tracking-uri", here.instance["http"], "--to", uri)
    assert exporting.run([*target, "--report", str(report)]) == 0
    found: Document = json.loads(report.read_text(encoding="utf-8"))
    return found


def kinds(report: Document) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for difference in report["differences"]:
        found.setdefault(difference["kind"], []).append(difference["subject"])
    return found


def expected(origin: Origin) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the expected content of a Modelyard server that imported an origin."""
    there = Snapshot(origin.uri)
    experiments, models = there.experiments(), there.registered_models()
    for experiment in experiments.values():
        for model in experiment["models"].values():
            # A logged model's files are also shown below its run.
            run = next(
                run
                for run in experiment["runs"].values()
                if run["info"]["run_id"] == model["info"]["source_run_id"]
            )
            run["files"] |= {
                f"{model['info']['name']}/{path}": size for path, size in model["files"].items()
            }
    settle(models["flower"])
    return experiments, models


def settle(flower: Document) -> None:
    """Apply the changes that the report of every import lists."""
    flower["versions"]["1"]["current_stage"] = "None"  # version 3 entered it later
    flower["aliases"] = [item for item in flower["aliases"] if item["alias"] != "2024"]


def comparable(experiments: dict[str, Any], models: dict[str, Any]) -> None:
    """Remove expected differences: the times of Default, and the form of sources."""
    for field in ("creation_time", "last_update_time"):
        experiments["Default"].pop(field, None)
    for model in models.values():
        for version in model["versions"].values():
            for field in ("source", "model_id", "user_id", "run_id"):
                version.pop(field, None)


def assert_same(origin: Origin, here: Up) -> None:
    experiments, models = expected(origin)
    answers = Snapshot(here.instance["http"])
    experiments_here, models_here = answers.experiments(), answers.registered_models()
    comparable(experiments, models)
    comparable(experiments_here, models_here)
    assert experiments_here == experiments
    assert models_here == models


DIFFERENCES = {
    "alias-refused": ["registered model 'flower'"],
    "stage-changed": ["version 1 of 'flower'"],
    "source-changed": ["version 1 of 'copy of flower'"],
    "source-unverified": ["version 1 of 'elsewhere'"],
}
BY_SERVERS = {"not-moved": ["the source", "the source"]}


def test_a_server_is_imported_with_ids_histories_and_times_and_another_beside_it(
    origin_2: Origin, origin_3: Origin, here: Up, tmp_path: Path
) -> None:
    report = migrate(here, tmp_path, "--from", origin_2.uri)
    assert_same(origin_2, here)
    assert kinds(report) == DIFFERENCES | BY_SERVERS
    again = migrate(here, tmp_path, "--from", origin_2.uri)
    assert again["written"] == {}
    assert again["differences"] == report["differences"]
    assert_same(origin_2, here)

    # Its database has the same content.
    database = migrate(here, tmp_path, "--from", *origin_2.database, "--origin", origin_2.uri)
    assert database["written"] == {}
    assert_same(origin_2, here)

    # The other server has the same names and numbers: conflicts are mapped and reported.
    other = migrate(here, tmp_path, "--from", origin_3.uri)
    names = ["copy of flower", "elsewhere", "flower"]
    assert kinds(other)["name-changed"] == [f"registered model '{name}'" for name in names]
    assert sorted(kinds(other)["id-changed"]) == ["experiment 'iris'", "experiment 'old'"]
    assert migrate(here, tmp_path, "--from", origin_2.uri)["written"] == {}
    assert migrate(here, tmp_path, "--from", origin_3.uri)["written"] == {}
    models = Snapshot(here.instance["http"]).registered_models()
    assert models["flower-imported"]["versions"].keys() == models["flower"]["versions"].keys()


def test_an_import_killed_at_any_point_is_finished_by_the_next(
    origin_3: Origin, here: Up, tmp_path: Path
) -> None:
    for sign in ("logged models", "metrics and artifacts", "versions of registered models"):
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard", "import", "mlflow", "--from", origin_3.uri],
            env=environment(MODELYARD_TRACKING_URI=here.instance["http"]),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        with process:
            assert process.stderr is not None
            assert any(line.startswith(sign) for line in process.stderr)
            process.kill()
    report = migrate(here, tmp_path, "--from", origin_3.uri)
    assert_same(origin_3, here)
    assert kinds(report) == DIFFERENCES | BY_SERVERS
    iris = Snapshot(here.instance["http"]).experiments()["iris"]
    assert iris["runs"]["parent"]["read"] == [iris["models"]["second"]["info"]["model_id"]]
    assert migrate(here, tmp_path, "--from", origin_3.uri)["written"] == {}


def test_a_database_is_imported_with_its_artifact_root_in_parts_or_whole(
    origin_3: Origin, here: Up, tmp_path: Path
) -> None:
    answers = Snapshot(here.instance["http"])
    before = answers.experiments()
    dry = migrate(here, tmp_path, "--from", *origin_3.database, "--dry-run")
    assert (dry["dry_run"], dry["written"]["runs"]) == (True, 4)
    assert (answers.experiments(), answers.registered_models()) == (before, {})

    migrate(here, tmp_path, "--from", *origin_3.database, "--experiment", "old")
    assert set(answers.experiments()) == {"Default", "old"}
    assert answers.registered_models() == {}

    # The database also has numbers of deleted versions, so that nothing is missing.
    report = migrate(here, tmp_path, "--from", *origin_3.database)
    assert_same(origin_3, here)
    assert kinds(report) == DIFFERENCES
    assert migrate(here, tmp_path, "--from", *origin_3.database)["written"] == {}


def test_a_model_without_its_runs_is_imported_with_its_bytes(
    origin_2: Origin, here: Up, tmp_path: Path
) -> None:
    report = migrate(here, tmp_path, "--from", origin_2.uri, "--model", "flower")
    assert report["written"]["versions"] == 4
    assert "source-unverified" not in kinds(report)
    flower = Snapshot(here.instance["http"]).registered_models()["flower"]
    model_uri = flower["versions"]["3"]["source"]
    with tempfile.TemporaryDirectory() as folder:
        modelyard.set_tracking_uri(here.instance["http"])
        path = modelyard.artifacts.download_artifacts(artifact_uri=model_uri, dst_path=folder)
        assert Path(path, "data", "model.bin").read_bytes() == b"bytes"
    # Its runs may be imported later: versions keep their bytes.
    migrate(here, tmp_path, "--from", origin_2.uri)
    assert flower == Snapshot(here.instance["http"]).registered_models()["flower"]


@pytest.fixture
def fresh_3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("fresh")
    with mlflow_server(environments.python("3.17"), folder) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture
def fresh_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("fresh")
    with mlflow_server(environments.python("2.22"), folder) as (host, port):
        yield f"http://{host}:{port}"


def test_a_round_trip_loses_only_what_the_report_lists(
    origin_3: Origin, fresh_3: str, here: Up, tmp_path: Path
) -> None:
    migrate(here, tmp_path, "--from", origin_3.uri)
    report = exported(here, tmp_path, fresh_3)
    assert kinds(report) == {
        "source-unverified": ["version 1 of 'elsewhere'"],
        "not-kept": ["MLflow"] * 4,
    }
    there = portable(Snapshot(origin_3.uri))
    settle(there[1]["flower"])
    experiments, models = portable(Snapshot(fresh_3))
    assert experiments == there[0]
    assert models == there[1]
    again = exported(here, tmp_path, fresh_3)
    assert again["written"] == {}
    assert portable(Snapshot(fresh_3)) == there


def test_an_export_to_mlflow_2_puts_logged_models_below_their_runs(
    origin_3: Origin, fresh_2: str, here: Up, tmp_path: Path
) -> None:
    migrate(here, tmp_path, "--from", *origin_3.database)
    report = exported(here, tmp_path, fresh_2)
    assert len(kinds(report)["not-moved"]) == 2  # the logged models, as such
    experiments, models = portable(Snapshot(fresh_2))
    child = experiments["iris"]["runs"]["child"]
    assert {"model/MLmodel", "model/data/model.bin"} <= child["files"].keys()
    assert models["flower"]["versions"].keys() == {"1", "3", "4"} | {"5"}
    assert exported(here, tmp_path, fresh_2)["written"] == {}


def portable(server: Snapshot) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of a server, with names instead of ids and without times set by MLflow."""
    experiments, models = server.experiments(), server.registered_models()
    names = {}
    for experiment in experiments.values():
        del experiment["experiment_id"]
        for name, run in experiment["runs"].items():
            names[run["info"]["run_id"]] = name
            del run["info"]["experiment_id"]
        for name, model in experiment["models"].items():
            names[model["info"]["model_id"]] = name
            del model["info"]["experiment_id"]
    without = ("creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp")
    ms = ("creation_timestamp_ms", "last_updated_timestamp_ms", "source", "user_id")

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {
                # Sorted by ids there, whose order is not that of the names.
                key: sorted(plain(item)) if key in {"outputs", "read"} else plain(item)
                for key, item in value.items()
                if key not in (*without, *ms, "mlflow.modelVersions")
                and not key.startswith("modelyard.")
            }
            return {key: item for key, item in kept.items() if item != {}}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    return plain(experiments), plain(models)
