"""`modelyard models serve` with a version whose files are no model."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.platforms.serving_parts import (
    NAME,
    FewLineRegistry,
    ask,
    constant_function,
    get,
    serving,
    start_registry,
)
from tests.support.processes.up_process import environment

PRODUCTION = f"models:/{NAME}/Production"
ALLOWED = ("--allow-unverified", "--allow-pickle")


@pytest.fixture
def registry(tmp_path: Path) -> FewLineRegistry:
    """Versions 1 and 2 are models, 7 is a folder without MLmodel."""
    notes = tmp_path / "notes"
    notes.mkdir()
    models = {str(k): constant_function(tmp_path / str(k), k) for k in (1, 2)}
    return FewLineRegistry({**models, "7": notes})


@pytest.fixture
def address(registry: FewLineRegistry) -> Iterator[str]:
    server, port = start_registry(registry)
    yield f"grpc://127.0.0.1:{port}"
    server.drain(0)


@pytest.mark.parametrize("uri", [PRODUCTION, f"models:/{NAME}/7"])
def test_a_reference_that_names_no_model_at_the_start_ends_with_the_reason(
    registry: FewLineRegistry, address: str, uri: str
) -> None:
    registry.promote("7")
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", "models", "serve", "-m", uri, "-p", "0", *ALLOWED],
        capture_output=True,
        text=True,
        check=False,
        env=environment(MODELYARD_TRACKING_URI=address),
        timeout=60,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"models:/{NAME}/7 is no model: its files have no MLmodel at their root" in last
    assert "Traceback" not in done.stderr


def test_a_stage_that_gets_no_model_keeps_the_version_before_and_shows_the_reason(
    registry: FewLineRegistry, address: str
) -> None:
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.promote("7")
        while not (message := get(served.port, "/status").json["state_message"]):
            time.sleep(0.02)  # the server needs the processor more
        assert f"models:/{NAME}/7 is no model" in message
        assert message.endswith("The last version still answers.")
        assert ask(served.port).headers["x-model-version"] == "1"
        registry.promote("2")
        while get(served.port, "/status").json["model_version"] != "2":
            time.sleep(0.02)
        assert get(served.port, "/status").json["state_message"] == ""
