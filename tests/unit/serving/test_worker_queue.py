"""A worker queue with real worker processes."""

import asyncio
import json
import os
import select
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import skops.io
from sklearn.feature_extraction.text import CountVectorizer
from tests.support.platforms.serving_parts import (
    NAME,
    FewLineRegistry,
    constant_function,
    constant_model,
    eventually,
    loading_model,
    obedient_model,
    start_registry,
)

from modelyard_kit.errors import DeadlineExceeded, InvalidArgument, Unavailable
from modelyard_serving.clients import Registry
from modelyard_serving.endpoint import Endpoint
from modelyard_serving.following import Follower
from modelyard_serving.runtime.process import (
    Confinement,
    LoadFailed,
    ModelFailed,
    Process,
    Request,
)
from modelyard_serving.runtime.worker_queue import WorkerQueue

LOAD_S = 60.0


def request(*row: Any) -> Request:
    return Request("application/json", json.dumps({"instances": [row]}).encode(), "r-1")


@asynccontextmanager
async def opened(
    folder: Path, *, allow_pickle: bool = False, timeout_s: float = 60
) -> AsyncIterator[WorkerQueue]:
    start = partial(Process.start, folder, allow_pickle=allow_pickle, timeout_s=LOAD_S)
    queue = WorkerQueue(await start(), start, timeout_s)
    try:
        yield queue
    finally:
        await queue.close()


async def is_up(queue: WorkerQueue) -> bool:
    return queue.is_up


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


@pytest.fixture(scope="module")
def obedient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return obedient_model(tmp_path_factory.mktemp("models") / "obedient")


def test_a_loaded_model_answers_and_refuses_invalid_input(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(constant_model(tmp_path / "model", 3)) as queue:
            assert await queue.ask(request(1, 2, 3, 4)) == b'{"predictions":[3.0]}'
            with pytest.raises(InvalidArgument, match="expects 4 columns, got 2"):
                await queue.ask(request(1, 2))
            csv = Request("text/csv", b"a,b,c,d\n1,2,3,4\n5,6,7,8\n", "r-2")
            assert await queue.ask(csv) == b'{"predictions":[3.0,3.0]}'

    run(scenario)


def test_a_crash_fails_only_the_request_that_was_running(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            first_pid = queue.pid
            words = ("before", "die", "after", "later")
            asked = [asyncio.create_task(queue.ask(request(word))) for word in words]
            answers = await asyncio.gather(*asked, return_exceptions=True)

            assert isinstance(answers[1], Unavailable)
            assert [answers[0], *answers[2:]] == [
                b'{"predictions":["before"]}',
                b'{"predictions":["after"]}',
                b'{"predictions":["later"]}',
            ]
            assert queue.pid != first_pid

    run(scenario)


def test_a_worker_killed_while_idle_is_replaced(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            killed = queue.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)

            async def is_replaced() -> bool:
                return queue.pid not in {None, killed}

            await eventually(is_replaced)
            assert await queue.ask(request("again")) == b'{"predictions":["again"]}'

    run(scenario)


def test_a_prediction_that_hangs_is_ended_and_the_next_is_answered(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True, timeout_s=1) as queue:
            hanging = asyncio.create_task(queue.ask(request("hang")))
            waiting = asyncio.create_task(queue.ask(request("next")))

            with pytest.raises(DeadlineExceeded, match="within 1 seconds"):
                await hanging
            assert await waiting == b'{"predictions":["next"]}'

    run(scenario)


def test_a_request_cancelled_while_waiting_is_not_predicted(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            running = asyncio.create_task(queue.ask(request("first")))
            given_up = asyncio.create_task(queue.ask(request("die")))
            patient = asyncio.create_task(queue.ask(request("last")))
            await asyncio.sleep(0)
            given_up.cancel()

            assert await running == b'{"predictions":["first"]}'
            assert await patient == b'{"predictions":["last"]}'

    run(scenario)


def test_an_exception_in_the_model_is_logged_and_not_returned(
    obedient: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            with pytest.raises(ModelFailed) as failed:
                await queue.ask(request("fail", "personal data"))
            assert "personal data" not in failed.value.message
            assert await queue.ask(request("go on")) == b'{"predictions":["go on"]}'

    run(scenario)

    logged = json.loads(capfd.readouterr().err.splitlines()[0])
    assert logged["request"] == "r-1"
    assert "ValueError" in logged["traceback"]


def test_a_worker_has_neither_settings_nor_credentials(
    obedient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", "a-token-of-sixteen")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            environment = json.loads(await queue.ask(request("environment")))["predictions"]
            assert not [name for name in environment if name.startswith(("MODELYARD", "AWS"))]
            assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "1"

    run(scenario)


def test_output_of_a_model_does_not_mix_with_answers(obedient: Path) -> None:
    async def scenario() -> None:
        async with opened(obedient, allow_pickle=True) as queue:
            assert await queue.ask(request("say")) == b'{"predictions":["say"]}'

    run(scenario)


def test_a_queue_without_a_worker_refuses_at_once_and_recovers(tmp_path: Path) -> None:
    folder, hidden = constant_function(tmp_path / "model", 3), tmp_path / "hidden"

    async def scenario() -> None:
        async with opened(folder, allow_pickle=True) as queue:
            folder.rename(hidden)
            assert queue.pid is not None
            os.kill(queue.pid, signal.SIGKILL)

            async def is_refused() -> bool:
                try:
                    await queue.ask(request(1, 2, 3, 4))
                except Unavailable as refused:
                    return "cannot be started again" in refused.message
                return False

            await eventually(is_refused)
            assert not queue.is_up
            hidden.rename(folder)
            await eventually(partial(is_up, queue))
            assert await queue.ask(request(1, 2, 3, 4)) == b'{"predictions":[3.0]}'

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


def test_a_pickle_is_loaded_only_if_allowed(obedient: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(LoadFailed, match="--allow-pickle"):
            await Process.start(obedient, allow_pickle=False, timeout_s=LOAD_S)

    run(scenario)


def test_a_model_that_takes_its_input_for_names_of_files_is_refused(tmp_path: Path) -> None:
    folder = constant_model(tmp_path / "model", 3)
    reader = CountVectorizer(analyzer="char").fit(["abc"]).set_params(input="filename")
    skops.io.dump(reader, folder / "model.skops")

    async def scenario() -> None:
        with pytest.raises(LoadFailed, match=r"CountVectorizer.input is none of 'content'"):
            await Process.start(folder, allow_pickle=False, timeout_s=LOAD_S)

    run(scenario)


def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = constant_model(tmp_path / "model", 3)
    (folder / "model.skops").write_bytes(b"PK not a zip")

    async def scenario() -> None:
        with pytest.raises(LoadFailed) as refused:
            await Process.start(folder, allow_pickle=False, timeout_s=LOAD_S)
        assert str(tmp_path) not in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not refused.value.may_pass

    run(scenario)


@pytest.mark.parametrize(
    ("command", "reason", "may_pass"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL while loading it", True),
        ("os._exit(0)", "ended with 0 while loading it", False),
        ("sys.exit(0)", "SystemExit", False),
    ],
)
def test_a_load_that_another_process_kills_may_pass_the_next_time(
    command: str, reason: str, *, may_pass: bool, tmp_path: Path
) -> None:
    folder = loading_model(tmp_path / "model", command)

    async def scenario() -> None:
        with pytest.raises(LoadFailed, match=reason) as failed:
            await Process.start(folder, allow_pickle=True, timeout_s=LOAD_S)
        assert failed.value.may_pass is may_pass

    run(scenario)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def test_the_processes_of_a_model_end_with_its_worker(tmp_path: Path) -> None:
    folder = loading_model(tmp_path / "model", "os.fork() or time.sleep(600)")

    async def scenario() -> None:
        process = await Process.start(folder, allow_pickle=True, timeout_s=LOAD_S)
        child = os.pidfd_open(child_of(process.pid))
        await process.stop()
        ended, _, _ = await asyncio.to_thread(select.select, [child], [], [], LOAD_S)
        assert ended == [child]
        os.close(child)

    run(scenario)


def test_a_version_whose_process_is_killed_at_each_load_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard_serving.following._MAX_KILLED", 2)
    monkeypatch.setattr("modelyard_serving.following._FIRST_PAUSE_S", 0.0)
    folder = loading_model(tmp_path / "model", "os.kill(os.getpid(), signal.SIGKILL)")
    server, port = start_registry(FewLineRegistry({"1": folder}))
    monkeypatch.setenv("MODELYARD_TRACKING_URI", f"grpc://127.0.0.1:{port}")
    endpoint = Endpoint(f"models:/{NAME}/1")
    follower = Follower(
        endpoint,
        Registry(None, allow_unverified=True),
        allow_pickle=True,
        timeout_s=LOAD_S,
        confinement=Confinement(),
    )

    async def scenario() -> None:
        await follower.run()
        await follower.close()

    run(scenario)
    server.drain(0)
    assert "was killed by SIGKILL" in endpoint.message
    assert "not tried again" in endpoint.message


def test_a_model_that_takes_too_long_to_load_fails(obedient: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(LoadFailed, match=r"within 0\.001 s"):
            await Process.start(obedient, allow_pickle=True, timeout_s=0.001)

    run(scenario)


def test_a_worker_ends_when_its_connection_closes(obedient: Path) -> None:
    async def scenario() -> None:
        process = await Process.start(obedient, allow_pickle=True, timeout_s=LOAD_S)
        await process.stop()
        assert process.ending == "ended with 0"

    run(scenario)
