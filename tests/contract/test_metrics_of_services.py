"""Each metric of the registry, the edge and a served model, made to move by what it measures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.http.artifact_edge import FILES, running_edge
from tests.support.platforms.registry_service import running_registry
from tests.support.platforms.serving_parts import (
    NAME,
    FewLineRegistry,
    ask,
    constant_function,
    get,
    serving,
    start_registry,
)
from tests.support.processes.measured import measured

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import Aborted

MOVE = "modelyard_transition_total"


def test_a_move_is_counted_when_it_is_committed_and_when_it_is_refused(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry:
        registry.create_model()
        for _ in range(2):
            registry.create_version()
        done = {"from_": "None", "to": "Production", "result": "done"}
        undone = done | {"result": "undone"}
        before = measured(MOVE, **done), measured(MOVE, **undone)

        registry.move(1, "Production")
        assert (measured(MOVE, **done), measured(MOVE, **undone)) == (before[0] + 1, before[1])

        with pytest.raises(Aborted):
            registry.move(2, "Production", expected_holder="none")
        assert (measured(MOVE, **done), measured(MOVE, **undone)) == (before[0] + 1, before[1] + 1)

        registry.move(2, "Production", archive_existing_versions=True)
        back = {"from_": "Archived", "to": "Production", "result": "done"}
        before_back = measured(MOVE, **back)
        registry.roll_back()
        assert measured(MOVE, **back) == before_back + 1


def test_the_lag_of_a_watch_is_that_of_changes_it_was_there_for(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry:
        registry.create_model()
        registry.time.ms += 3_600_000
        count, total = "modelyard_watch_lag_seconds_count", "modelyard_watch_lag_seconds_sum"
        before = measured(count), measured(total)
        watch = registry.stub.WatchModels(pb.WatchModelsRequest(name="iris"))
        assert next(watch).position
        assert next(watch).event.action == pb.ModelEvent.MODEL_CREATED
        assert measured(count) == before[0]
        registry.create_version()
        assert next(watch).event.action
        watch.cancel()
        assert (measured(count), measured(total)) == (before[0] + 1, before[1])


def test_an_upload_is_pending_until_it_is_kept(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        before = measured("modelyard_upload_pending")
        seen = []

        def body() -> Iterator[bytes]:
            yield b"a"
            while measured("modelyard_upload_pending") == before:
                pass
            seen.append(measured("modelyard_upload_pending"))
            yield b"b"

        path = f"{FILES}/0/{edge.create_run()}/artifacts/a.txt"
        assert edge.ask("PUT", path, body(), {"Content-Length": "2"})[0] == 200
        assert seen == [before + 1]
        assert measured("modelyard_upload_pending") == before


def test_a_served_model_tells_who_answers_and_how_long_it_took(tmp_path: Path) -> None:
    registry = FewLineRegistry({str(k): constant_function(tmp_path / str(k), k) for k in (1, 2)})
    registry.promote("1")
    server, port = start_registry(registry)
    uri = f"models:/{NAME}/Production"
    address = f"grpc://127.0.0.1:{port}"
    with serving(
        uri, "--allow-unverified", "--allow-pickle", MODELYARD_TRACKING_URI=address
    ) as served:
        first = metrics(served.port)
        assert ask(served.port).status == 200
        assert "modelyard_model_load_seconds_count 1.0" in first
        assert active(metrics(served.port)) == {f'digest="",model="{NAME}",version="1"'}
        predicted = f'modelyard_predict_duration_seconds_count{{model="{NAME}",version="%d"}} 1.0'
        assert predicted % 1 in metrics(served.port)

        registry.promote("2")
        while active(metrics(served.port)) != {f'digest="",model="{NAME}",version="2"'}:
            time.sleep(0.02)  # the server needs the processor more
        assert ask(served.port).status == 200
        now = metrics(served.port)
        assert "modelyard_model_load_seconds_count 2.0" in now
        assert predicted % 2 in now
        while 'version="1"' in metrics(served.port):
            time.sleep(0.02)  # until the worker of the one before has ended
        assert 'modelyard_serving_request_duration_seconds_count{code="200"} 2.0' in now
        assert 'modelyard_serving_swaps_total{outcome="done"} 2.0' in now
    server.drain(5)


def metrics(port: int) -> str:
    return get(port, "/metrics").body.decode()


def active(text: str) -> set[str]:
    return set(re.findall(r"modelyard_model_active_info\{(.*)\} 1\.0", text))
