"""`modelyard models serve` with a registry that the test controls."""

import json
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.forging import edit_schema
from tests.support.platforms.serving_parts import (
    CLIENTS,
    NAME,
    Answered,
    FewLineRegistry,
    Load,
    ask,
    constant_function,
    constant_model,
    get,
    obedient_model,
    serving,
    slow_model,
    start_registry,
)
from tests.support.processes.ports import free_port
from tests.support.stores.answering_store import Answer, answering_store

from modelyard.models import Model

PRODUCTION = f"models:/{NAME}/Production"
ALLOWED = ("--allow-unverified", "--allow-pickle")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Version k predicts k; 4 and 5 are no pickles, 8 would run a command, 9 is damaged."""
    models = tmp_path_factory.mktemp("models")
    made = {str(k): constant_function(models / str(k), k) for k in (1, 2, 3)}
    made |= {str(k): constant_model(models / str(k), k) for k in (4, 5, 8, 9)}
    edit_schema(models / "8" / "model.skops", _call_a_command)
    described = Model.load(models / "8")
    described.flavors["sklearn"]["skops_trusted_types"] = ["os.system"]
    described.save(models / "8")
    (models / "9" / "model.skops").write_bytes(b"damaged")
    return made


def _call_a_command(schema: dict[str, Any]) -> None:
    command = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
    schema["content"]["content"]["strategy"] = command


@pytest.fixture
def registry(folders: dict[str, Path]) -> FewLineRegistry:
    return FewLineRegistry(folders)


@pytest.fixture
def address(registry: FewLineRegistry) -> Iterator[str]:
    server, port = start_registry(registry)
    yield f"grpc://127.0.0.1:{port}"
    server.drain(0)


def until(port: int, path: str, holds: Callable[[Answered], bool]) -> Answered:
    """Repeat a request until its answer is the expected one; the test's timeout ends the wait."""
    while not holds(answered := get(port, path)):
        time.sleep(0.02)  # the server needs the processor more
    return answered


def until_version(port: int, version: str) -> None:
    until(port, "/status", lambda status: bool(status.json["model_version"] == version))


def test_one_line_names_the_model_and_the_address(registry: FewLineRegistry, address: str) -> None:
    registry.promote("4")
    with serving(PRODUCTION, "--allow-unverified", MODELYARD_TRACKING_URI=address) as served:
        assert re.fullmatch(
            rf"modelyard: serving {PRODUCTION} version 4 \(not verified\) "
            r"on http://127\.0\.0\.1:\d+\n",
            served.first_line,
        )
        answered = ask(served.port)
        assert answered.json == {"predictions": [4.0]}
        assert answered.headers["x-model-name"] == NAME
        assert "x-model-digest" not in answered.headers
        assert served.stop() == 0


def test_flips_under_load_fail_no_request_and_mix_no_versions(
    registry: FewLineRegistry, address: str
) -> None:
    registry.promote("1")
    with (
        serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served,
        Load(served.port) as load,
    ):
        for version in ("2", "3", "1", "2"):
            registry.promote(version)
            until_version(served.port, version)
            load.wait_for(CLIENTS)
    assert load.failed == []
    assert load.versions == {"1", "2", "3"}


def test_a_burst_of_changes_ends_at_the_last(registry: FewLineRegistry, address: str) -> None:
    registry.promote("1")
    with (
        serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served,
        Load(served.port) as load,
    ):
        for _ in range(50):
            registry.promote("2")
            registry.promote("1")
        registry.promote("3")
        until_version(served.port, "3")
    assert load.failed == []


def test_an_empty_stage_is_not_ready_until_a_version_is_promoted(
    registry: FewLineRegistry, address: str
) -> None:
    probed = free_port()
    monitored = ("--monitoring", f"127.0.0.1:{probed}")
    with serving(PRODUCTION, *ALLOWED, *monitored, MODELYARD_TRACKING_URI=address) as served:
        assert served.first_line.startswith("modelyard: waiting at http://127.0.0.1:")
        assert (get(probed, "/livez").status, get(probed, "/readyz").status) == (200, 503)
        for answered in (get(served.port, "/ping"), get(served.port, "/health"), ask(served.port)):
            assert answered.status == 503
            assert f"No version of {NAME} is in Production" in answered.json["message"]
        registry.promote("1")
        assert served.next_line().startswith(f"modelyard: serving {PRODUCTION} version 1 ")
        assert get(served.port, "/ping").status == 200
        assert get(probed, "/readyz").status == 200
        assert b"modelyard_model_active_info" in get(probed, "/metrics").body
        assert ask(served.port).json == {"predictions": [1.0]}


@pytest.mark.parametrize(
    ("version", "reason"),
    [("8", "types that are not trusted: ['os.system']"), ("9", "is damaged or forged")],
)
def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(
    registry: FewLineRegistry, address: str, version: str, reason: str
) -> None:
    registry.promote("4")
    with serving(PRODUCTION, "--allow-unverified", MODELYARD_TRACKING_URI=address) as served:
        registry.promote(version)
        status = until(served.port, "/status", lambda status: bool(status.json["state_message"]))
        assert status.json["state"] == "SERVING"
        message = status.json["state_message"]
        for part in (
            f"version {version} (not verified) cannot be served",
            reason,
            "not tried again",
        ):
            assert part in message
        for _ in range(2):  # each change is looked at after the one before
            resolved = registry.resolved
            registry.promote(version)
            registry.wait_until_resolved(resolved + 1)
        assert b'swaps_total{outcome="failed"} 1.0' in get(served.port, "/metrics").body
        assert get(served.port, "/health").status == 200
        assert ask(served.port).headers["x-model-version"] == "4"

        registry.promote("5")
        until_version(served.port, "5")
        assert get(served.port, "/status").json["state_message"] == ""


def test_an_emptied_stage_keeps_its_last_version_and_is_detached(
    registry: FewLineRegistry, address: str
) -> None:
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.promote(None)
        until(served.port, "/status", lambda status: bool(status.json["state"] == "DETACHED"))
        assert get(served.port, "/ping").status == 200
        assert ask(served.port).json == {"predictions": [1.0]}

        registry.promote("1")
        until(served.port, "/status", lambda status: bool(status.json["state"] == "SERVING"))


def test_a_registry_that_is_away_stops_no_prediction_and_is_followed_again(
    registry: FewLineRegistry,
) -> None:
    registry.promote("1")
    server, port = start_registry(registry, free_port())
    address = f"grpc://127.0.0.1:{port}"
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.wait_until_watched(1)
        server.drain(0)
        assert ask(served.port).json == {"predictions": [1.0]}
        registry.promote("2")
        server, _ = start_registry(registry, port)
        until_version(served.port, "2")
        assert registry.watched_from[-1] >= 1  # resumed, not started over
    server.drain(0)


def test_a_registry_that_moved_is_followed_there(registry: FewLineRegistry) -> None:
    registry.promote("1")
    server, port = start_registry(registry)
    with answering_store() as discovery:
        discovery.answer = lambda _: _naming(port)
        address = discovery.url.partition("/object")[0]
        with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
            registry.wait_until_watched(1)
            server.drain(0)
            registry.promote("2")
            server, port = start_registry(registry)
            until_version(served.port, "2")
        server.drain(0)


def _naming(port: int) -> Answer:
    document = {"grpc": {"tracking": f":{port}", "registry": f":{port}"}}
    return Answer(body=json.dumps(document).encode())


def test_a_registry_restored_to_an_earlier_state_is_followed_from_there(
    registry: FewLineRegistry,
) -> None:
    for version in ("1", "2", "3"):
        registry.promote(version)
    server, port = start_registry(registry, free_port())
    address = f"grpc://127.0.0.1:{port}"
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.wait_until_watched(1)
        server.drain(0)
        registry.revision = 0
        registry.promote("1")
        server, _ = start_registry(registry, port)
        until_version(served.port, "1")
    server.drain(0)


def test_a_registry_that_is_unreachable_at_the_start_is_awaited(
    registry: FewLineRegistry,
) -> None:
    registry.promote("1")
    port = free_port()
    address = f"grpc://127.0.0.1:{port}"
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        assert "cannot be reached" in served.first_line
        server, _ = start_registry(registry, port)
        assert served.next_line().startswith(f"modelyard: serving {PRODUCTION} version 1 ")
    server.drain(0)


def test_a_number_is_served_without_being_watched(registry: FewLineRegistry, address: str) -> None:
    registry.promote("1")
    uri = f"models:/{NAME}/2"
    with serving(uri, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.promote("3")
        assert ask(served.port).json == {"predictions": [2.0]}
    assert registry.watched_from == []


def test_an_unverified_version_is_opened_only_if_allowed(
    registry: FewLineRegistry, address: str
) -> None:
    registry.promote("1")
    with serving(PRODUCTION, MODELYARD_TRACKING_URI=address) as served:
        assert "is not verified" in served.first_line
        assert "--allow-unverified" in served.first_line
        assert ask(served.port).status == 503


def test_an_unverified_version_whose_source_is_no_folder_is_refused(
    registry: FewLineRegistry, address: str
) -> None:
    registry.folders = {"1": Path("https:/example.org/model")}
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        assert "its source is not a folder on this machine" in served.first_line


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children]


def test_a_killed_worker_is_replaced(registry: FewLineRegistry, address: str) -> None:
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        (worker,) = workers_of(served.process.pid)
        os.kill(worker, signal.SIGKILL)
        until(served.port, "/metrics", lambda metrics: b"deaths_total 1.0" in metrics.body)
        until(served.port, "/ping", lambda ping: ping.status == 200)
        assert ask(served.port).json == {"predictions": [1.0]}
        assert workers_of(served.process.pid) != [worker]


def test_a_worker_does_not_outlive_a_killed_parent(registry: FewLineRegistry, address: str) -> None:
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        (worker,) = workers_of(served.process.pid)
        pidfd = os.pidfd_open(worker)
        served.process.kill()
        ended, _, _ = select.select([pidfd], [], [], 60)
        os.close(pidfd)
        assert ended


def test_a_stop_waits_for_the_request_in_flight(
    registry: FewLineRegistry, address: str, tmp_path: Path
) -> None:
    registry.folders = {"1": obedient_model(tmp_path / "model")}
    registry.promote("1")
    begun, go_on = (tmp_path / "model" / name for name in ("begun", "go_on"))
    for pipe in (begun, go_on):
        os.mkfifo(pipe)
    with (
        serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served,
        ThreadPoolExecutor() as pool,
    ):
        row = {"instances": [["wait", str(begun), str(go_on)]]}
        answer = pool.submit(ask, served.port, body=json.dumps(row).encode())
        begun.write_text("")
        served.process.terminate()
        go_on.write_text("now")
        assert answer.result().json == {"predictions": ["now"]}
        assert served.process.wait(60) == 0


def test_the_old_version_answers_while_the_new_one_loads_and_one_overtaken_is_never_served(
    registry: FewLineRegistry, address: str, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "slow" / "begun", tmp_path / "slow" / "go_on"
    slow = slow_model(tmp_path / "slow", begun, go_on)
    registry.folders = registry.folders | {"8": slow}
    registry.promote("1")
    with (
        serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served,
        Load(served.port) as load,
    ):
        registry.promote("8")
        begun.write_text("")
        load.wait_for(CLIENTS)
        assert get(served.port, "/ping").status == 200
        registry.promote("3")
        go_on.write_text("now")
        until_version(served.port, "3")
    assert load.failed == []
    assert load.versions <= {"1", "3"}


def test_a_stop_does_not_wait_for_a_version_that_is_being_loaded(
    registry: FewLineRegistry, address: str, tmp_path: Path
) -> None:
    begun = tmp_path / "slow" / "begun"
    slow = slow_model(tmp_path / "slow", begun, begun.with_name("go_on"))
    registry.folders = registry.folders | {"8": slow}
    registry.promote("1")
    with serving(PRODUCTION, *ALLOWED, MODELYARD_TRACKING_URI=address) as served:
        registry.promote("8")
        begun.write_text("")
        assert served.stop() == 0
