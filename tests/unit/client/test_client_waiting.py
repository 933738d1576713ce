"""How long calls wait for a server that is away."""

from __future__ import annotations

import _thread
import re
import threading
from collections.abc import Iterator

import pytest
from tests.faults.proxy import Proxy
from tests.support.platforms.recording_tracking import Recorder, serving

from modelyard._transport import rpc
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, Unavailable
from modelyard_kit import errors


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def port(recorder: Recorder) -> Iterator[int]:
    with serving(recorder) as port:
        yield port


@pytest.fixture
def proxy(port: int) -> Iterator[Proxy]:
    with Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other, and waits are reported, a hundred times sooner."""
    monkeypatch.setattr("modelyard._transport.rpc._FIRST_BACKOFF_S", 0.002)
    monkeypatch.setattr("modelyard._transport.outages._QUIET_S", 0.02)


def test_a_change_waits_for_minutes_and_a_question_for_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rpc.patience_s() == 600
    monkeypatch.setenv("MODELYARD_TIMEOUT_S", "1800")
    assert rpc.patience_s() == 1800
    with rpc.without_waiting():
        assert rpc.patience_s() == rpc.DEADLINE_S


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_time_to_wait_that_is_no_number_is_refused(
    port: int, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MODELYARD_TIMEOUT_S", text)
    with pytest.raises(InvalidParameter, match=f"MODELYARD_TIMEOUT_S '{text}'"):
        MlflowClient(f"grpc://127.0.0.1:{port}").create_experiment("iris")


def test_a_change_waits_as_long_as_is_set(
    proxy: Proxy, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TIMEOUT_S", "0.5")
    client = MlflowClient(f"grpc://127.0.0.1:{proxy.port}")
    assert client.get_experiment("7").experiment_id == "7"
    recorder.on_call = proxy.close
    with pytest.raises(Unavailable, match="may have been done"):
        client.create_experiment("iris")


@pytest.mark.usefixtures("quick")
def test_a_change_waits_for_a_server_that_answers_that_it_is_unavailable(
    port: int, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.refusals = [errors.Unavailable("The database is away.")] * 4
    client = MlflowClient(f"grpc://127.0.0.1:{port}")
    assert client.create_experiment("iris") == "id-of-iris"
    assert (len(recorder.seen), len(recorder.keys)) == (5, 1)
    begins, ends = [record.getMessage() for record in caplog.records]
    assert begins == "The database is away. Waiting for up to 600 s (MODELYARD_TIMEOUT_S)."
    assert re.fullmatch(f"The server at {client.tracking_uri} answers again after .* s.", ends)


def test_a_change_that_is_not_answered_in_time_is_sent_again_with_its_key(
    port: int, recorder: Recorder
) -> None:
    may_end = threading.Event()
    recorder.on_call = lambda: may_end.wait() if len(recorder.seen) == 1 else may_end.set()
    request = tracking_pb2.CreateExperimentRequest(name="iris")
    reply = tracking_pb2.CreateExperimentResponse
    uri = f"grpc://127.0.0.1:{port}"
    assert rpc.call(uri, request, reply, answer_s=0.5).experiment_id == "id-of-iris"
    assert len(recorder.keys) == 1


def test_a_refusal_is_not_waited_for(port: int, recorder: Recorder) -> None:
    recorder.error = errors.InvalidArgument("It is wrong.")
    with pytest.raises(InvalidParameter, match=r"It is wrong\.$"):
        MlflowClient(f"grpc://127.0.0.1:{port}").create_experiment("iris")
    assert len(recorder.seen) == 1


def test_an_interrupt_ends_the_wait(proxy: Proxy, recorder: Recorder) -> None:
    client = MlflowClient(f"grpc://127.0.0.1:{proxy.port}")
    assert client.get_experiment("7").experiment_id == "7"

    def interrupt() -> None:
        proxy.close()
        _thread.interrupt_main()

    recorder.on_call = interrupt
    with pytest.raises(KeyboardInterrupt):
        client.create_experiment("iris")


@pytest.mark.usefixtures("quick")
def test_a_script_that_ends_does_not_wait(proxy: Proxy, recorder: Recorder) -> None:
    client = MlflowClient(f"grpc://127.0.0.1:{proxy.port}")
    assert client.get_experiment("7").experiment_id == "7"
    recorder.on_call = proxy.close
    with rpc.without_waiting(), pytest.raises(Unavailable, match="cannot be reached"):
        client.create_experiment("iris")
