"""A lane with real worker processes."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.platforms.serving_parts import (
    constant_function,
    constant_model,
    eventually,
    obedient_model,
)

from modelyard_kit.errors import DeadlineExceeded, InvalidArgument, Unavailable
from modelyard_serving.runtime.process import LoadFailed, ModelFailed, Process, Request
from modelyard_serving.runtime.worker_queue import WorkerQueue

LOAD_S = 60.0


def question(*row: Any) -> Request:
    return Request("application/json", json.dumps({"instances": [row]}).encode(), "r-1")


@asynccontextmanager
async def opened(
    folder: Path, *, allow_pickle: bool = False, timeout_s: float = 60
) -> AsyncIterator[WorkerQueue]:
    start = partial(Process.start, folder, allow_pickle=allow_pickle, timeout_s=LOAD_S)
    lane = WorkerQueue(await start(), start, timeout_s)
    try:
        yield lane
    finally:
        await lane.close()


async def is_up(lane: WorkerQueue) -> bool:
    return lane.is_up


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


@pytest.fixture(scope="module")
def obedient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return obedient_model(tmp_path_factory.mktemp("models") / "obedient")


def test_a_loaded_model_answers_and_refuses_what_it_does_not_take(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(constant_model(tmp_path / "model", 3)) as lane:
            assert await lane.ask(question(1, 2, 3, 4)) == b'{"predictions":[3.0]}'
            with pytest.raises(InvalidArgument, match="expects 4 columns, got 2"):
                await lane.ask(question(1, 2))
            csv = Request("text/csv", b"a,b,c,d\n1,2,3,4\n5,6,7,8\n", "r-2")
            assert await lane.ask(csv) == b'{"predictions":[3.0,3.0]}'

    run(scenario)


def test_a_crash_fails_only_the_request_that_was_running(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            first_pid = lane.pid
            words = ("before", "die", "after", "later")
            asked = [asyncio.create_task(lane.ask(question(word))) for word in words]
            answers = await asyncio.gather(*asked, return_exceptions=True)

            assert isinstance(answers[1], Unavailable)
            assert [answers[0], *answers[2:]] == [
                b'{"predictions":["before"]}',
                b'{"predictions":["after"]}',
                b'{"predictions":["later"]}',
            ]
            assert lane.pid != first_pid

    run(scenario)


def test_a_worker_killed_while_idle_is_replaced_without_being_asked(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            killed = lane.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)

            async def is_replaced() -> bool:
                return lane.pid not in {None, killed}

            await eventually(is_replaced)
            assert await lane.ask(question("again")) == b'{"predictions":["again"]}'

    run(scenario)


def test_a_prediction_that_hangs_is_ended_and_the_next_is_answered(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True, timeout_s=1) as lane:
            hanging = asyncio.create_task(lane.ask(question("hang")))
            waiting = asyncio.create_task(lane.ask(question("next")))

            with pytest.raises(DeadlineExceeded, match="within 1 seconds"):
                await hanging
            assert await waiting == b'{"predictions":["next"]}'

    run(scenario)


def test_whoever_gives_up_while_waiting_is_not_asked_for(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            running = asyncio.create_task(lane.ask(question("first")))
            given_up = asyncio.create_task(lane.ask(question("die")))
            patient = asyncio.create_task(lane.ask(question("last")))
            await asyncio.sleep(0)
            given_up.cancel()

            assert await running == b'{"predictions":["first"]}'
            assert await patient == b'{"predictions":["last"]}'

    run(scenario)


def test_an_exception_in_the_model_is_logged_and_not_told(
    obedient: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            with pytest.raises(ModelFailed) as failed:
                await lane.ask(question("fail", "somebody's data"))
            assert "somebody's data" not in failed.value.message
            assert await lane.ask(question("go on")) == b'{"predictions":["go on"]}'

    run(scenario)

    logged = json.loads(capfd.readouterr().err.splitlines()[0])
    assert logged["request"] == "r-1"
    assert "ValueError" in logged["traceback"]


def test_a_worker_knows_neither_settings_nor_credentials(
    obedient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", "a-token-of-sixteen")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            environment = json.loads(await lane.ask(question("environment")))["predictions"]
            assert not [name for name in environment if name.startswith(("MODELYARD", "AWS"))]
            assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "1"

    run(scenario)


def test_what_a_model_prints_is_not_taken_for_an_answer(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as lane:
            assert await lane.ask(question("say")) == b'{"predictions":["say"]}'

    run(scenario)


def test_a_lane_that_cannot_get_a_worker_back_refuses_at_once_and_recovers(tmp_path: Path) -> None:
    folder, hidden = constant_function(tmp_path / "model", 3), tmp_path / "hidden"

    async def scenario() -> None:
        async with opened(folder, allow_pickle=True) as lane:
            folder.rename(hidden)
            assert lane.pid is not None
            os.kill(lane.pid, signal.SIGKILL)

            async def is_refused() -> bool:
                try:
                    await lane.ask(question(1, 2, 3, 4))
                except Unavailable as refused:
                    return "cannot be started again" in refused.message
                return False

            await eventually(is_refused)
            assert not lane.is_up
            hidden.rename(folder)
            await eventually(partial(is_up, lane))
            assert await lane.ask(question(1, 2, 3, 4)) == b'{"predictions":[3.0]}'

    run(scenario)


def test_a_model_is_warmed_with_its_example_before_it_is_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = constant_model(tmp_path / "model", 3, input_example=[[1.0, 2.0, 3.0, 4.0]])
    (folder / "serving_input_example.json").write_text('{"inputs": [[1.0]]}')

    async def scenario() -> None:
        with pytest.raises(LoadFailed, match="fails on its own input example"):
            await Process.start(folder, allow_pickle=False, timeout_s=LOAD_S)

    run(scenario)
    assert "fails on its own input example" in capfd.readouterr().err


def test_a_pickle_is_loaded_only_where_it_was_allowed(obedient: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(LoadFailed, match="--allow-pickle"):
            await Process.start(obedient, allow_pickle=False, timeout_s=LOAD_S)

    run(scenario)


def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = constant_model(tmp_path / "model", 3)
    (folder / "model.skops").write_bytes(b"PK not a zip")

    async def scenario() -> None:
        with pytest.raises(LoadFailed) as refused:
            await Process.start(folder, allow_pickle=False, timeout_s=LOAD_S)
        assert str(tmp_path) not in str(refused.value)
        assert "\n" not in str(refused.value)

    run(scenario)


def test_a_model_that_takes_too_long_to_load_is_given_up(obedient: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(LoadFailed, match=r"within 0\.001 s"):
            await Process.start(obedient, allow_pickle=True, timeout_s=0.001)

    run(scenario)


def test_a_worker_ends_when_nobody_holds_the_other_end(obedient: Path) -> None:
    async def scenario() -> None:
        process = await Process.start(obedient, allow_pickle=True, timeout_s=LOAD_S)
        await process.stop()
        assert process.ending == "ended with 0"

    run(scenario)
