"""A real platform for the client's tests, in this process and in a throw-away home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import modelyard
from modelyard.__main__ import main
from modelyard._fluent.state import process, thread
from modelyard._transport import instances
from modelyard.client import MlflowClient
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test sees settings of the machine, nor leaves any to the next."""
    for name in ("TRACKING_URI", "REGISTRY_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_ID"):
        monkeypatch.delenv(f"MODELYARD_{name}", raising=False)
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "cache"))
    yield
    modelyard.set_tracking_uri(None)
    modelyard.set_registry_uri(None)
    thread.runs.clear()
    thread.last_run_id = None
    process.open_run_ids.clear()
    process.experiment_id = None
    if instances.is_held(instances.home()):
        assert main(["down"]) == 0


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    instance = Embedded(UpSettings(home=tmp_path_factory.mktemp("home"), port=0, grpc_port=0))
    yield instance
    instance.stop()


@pytest.fixture
def client(platform: Embedded) -> MlflowClient:
    modelyard.set_tracking_uri(platform.http)
    return MlflowClient()
