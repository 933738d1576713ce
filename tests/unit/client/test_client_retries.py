"""Calls that are sent again: to a busy server, over broken connections, and to replicas."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.descriptor_pb2 import MethodOptions
from tests.faults.proxy import Proxy
from tests.support.platforms.recording_tracking import Recorder, serving
from tests.support.processes.ports import free_port
from tests.support.stores.answering_store import Answer, answering_store

from modelyard._transport import connections, failures, rpc
from modelyard.api.access.v1 import access_service_pb2
from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2, tracking_service_pb2_grpc
from modelyard.client import MlflowClient
from modelyard.exceptions import (
    DeadlineExceeded,
    InvalidState,
    ModelyardException,
    ResourceExhausted,
    Unavailable,
)
from modelyard_kit import errors

MAY_BE_DONE = "may have been done"


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


def _create(port: int, timeout_s: float = 10.0) -> str:
    request = tracking_pb2.CreateExperimentRequest(name="iris")
    reply = tracking_pb2.CreateExperimentResponse
    uri = f"grpc://127.0.0.1:{port}"
    return rpc.call(uri, request, reply, timeout_s=timeout_s).experiment_id


def _get(port: int, timeout_s: float = 10.0) -> str:
    request = tracking_pb2.GetExperimentRequest(experiment_id="7")
    reply = tracking_pb2.GetExperimentResponse
    uri = f"grpc://127.0.0.1:{port}"
    return rpc.call(uri, request, reply, timeout_s=timeout_s).experiment.experiment_id


def _lose(answers: int, recorder: Recorder, proxy: Proxy) -> None:
    """Break the connection before the next answers."""

    def on_call() -> None:
        if len(recorder.seen) <= answers:
            proxy.cut()

    recorder.on_call = on_call


def _busy(again_s: float) -> errors.Error:
    return errors.ResourceExhausted("64 calls are running; try again.").after(again_s)


def test_a_busy_server_is_asked_again_when_it_says(port: int, recorder: Recorder) -> None:
    recorder.refusals = [_busy(0.001) for _ in range(6)]
    assert _create(port, timeout_s=60) == "id-of-iris"
    assert len(recorder.seen) == 7
    assert len(recorder.keys) == 1


def test_a_stopping_server_is_asked_again_when_it_says(port: int, recorder: Recorder) -> None:
    recorder.refusals = [errors.Unavailable("It stops.").after(0.001) for _ in range(6)]
    assert _create(port, timeout_s=60) == "id-of-iris"


def test_a_server_that_is_busy_for_longer_than_the_deadline_is_not_waited_for(
    port: int, recorder: Recorder
) -> None:
    recorder.error = _busy(3600)
    with pytest.raises(ResourceExhausted, match=r"64 calls are running; try again\.$"):
        _create(port)
    assert len(recorder.seen) == 1


def test_a_limit_that_names_no_time_is_final(port: int, recorder: Recorder) -> None:
    recorder.error = errors.ResourceExhausted("The disk is full.")
    with pytest.raises(ResourceExhausted, match="The disk is full"):
        _create(port)
    assert len(recorder.seen) == 1


def test_the_limit_of_grpc_itself_is_waited_out(recorder: Recorder) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        may_end.wait()

    recorder.on_call = block
    with serving(recorder, limit=1) as port, ThreadPoolExecutor(2) as pool:
        first = pool.submit(_get, port)
        begun.wait()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.RpcError) as refused:
                stub = tracking_service_pb2_grpc.TrackingServiceStub(channel)
                stub.GetRun(tracking_pb2.GetRunRequest())
            assert failures.Failure(refused.value).retry_after_s
        second = pool.submit(_get, port)
        may_end.set()
        assert (first.result(), second.result()) == ("7", "7")


def test_a_change_whose_answer_was_lost_is_asked_for_again_with_its_key(
    proxy: Proxy, recorder: Recorder
) -> None:
    assert _get(proxy.port) == "7"
    recorder.seen.clear()
    _lose(2, recorder, proxy)
    assert _create(proxy.port, timeout_s=60) == "id-of-iris"
    assert len(recorder.seen) == 3
    assert len(recorder.keys) == 1


def test_a_server_that_restarts_is_waited_for(recorder: Recorder) -> None:
    with serving(recorder, free_port()) as port:
        assert _get(port) == "7"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(_create, port, 60.0)
        with serving(recorder, port):
            assert answer.result() == "id-of-iris"


def test_an_outcome_that_is_unknown_at_the_end_is_said(proxy: Proxy, recorder: Recorder) -> None:
    assert _get(proxy.port) == "7"
    recorder.on_call = proxy.close
    with pytest.raises(Unavailable, match=MAY_BE_DONE):
        _create(proxy.port, timeout_s=1)


def test_a_question_has_no_outcome(proxy: Proxy, recorder: Recorder) -> None:
    assert _get(proxy.port) == "7"
    recorder.on_call = proxy.close
    with pytest.raises(Unavailable, match="cannot be reached") as failed:
        _get(proxy.port, timeout_s=1)
    assert MAY_BE_DONE not in failed.value.message


def test_a_change_that_was_never_sent_is_not_called_unknown(recorder: Recorder) -> None:
    with serving(recorder) as port:
        pass
    with pytest.raises(Unavailable, match="cannot be reached") as failed:
        _create(port)
    assert MAY_BE_DONE not in failed.value.message


@pytest.mark.parametrize("change", [True, False])
def test_a_deadline_leaves_a_change_unknown(
    port: int,
    recorder: Recorder,
    change: bool,  # noqa: FBT001
) -> None:
    may_end = threading.Event()
    recorder.on_call = may_end.wait
    with pytest.raises(DeadlineExceeded, match=r"within 0\.5 s") as failed:
        (_create if change else _get)(port, timeout_s=0.5)
    may_end.set()
    assert (MAY_BE_DONE in failed.value.message) == change


def test_a_refusal_after_a_lost_answer_is_what_counts(proxy: Proxy, recorder: Recorder) -> None:
    recorder.error = errors.FailedPrecondition("It is deleted.")
    _lose(1, recorder, proxy)
    with pytest.raises(InvalidState, match=r"^It is deleted\.$"):
        _create(proxy.port, timeout_s=60)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
def test_a_failure_that_says_nothing_leaves_a_change_unknown(
    port: int, recorder: Recorder, code: grpc.StatusCode
) -> None:
    recorder.failures = [code]
    with pytest.raises(ModelyardException, match=MAY_BE_DONE):
        _create(port)
    assert len(recorder.seen) == 1


def test_names_tell_which_calls_change_nothing() -> None:
    services = (
        access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
        artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"],
        registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
        tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"],
    )
    levels = {
        method.name: method.GetOptions().idempotency_level
        for service in services
        for method in service.methods
    }
    reads = {name for name, level in levels.items() if level == MethodOptions.NO_SIDE_EFFECTS}
    named = {name for name in levels if name.startswith(rpc.READS)}
    assert named - reads == set()
    assert reads - named == {"CreatePresignedDownloadUrl", "WatchModels"}  # not called by `call`


@pytest.fixture
def replicas() -> Iterator[tuple[str, Recorder, Recorder, Proxy]]:
    """The address of two replicas, both of them, and what stands before the second."""
    one, two = Recorder(), Recorder()
    with ExitStack() as running:
        first = running.enter_context(serving(one))
        proxy = running.enter_context(Proxy(running.enter_context(serving(two))))
        targets = f"ipv4:127.0.0.1:{first},127.0.0.1:{proxy.port}"
        discovery = running.enter_context(answering_store())
        document = {"grpc": {"tracking": targets, "registry": targets}}
        discovery.answer = lambda _: Answer(body=json.dumps(document).encode())
        yield discovery.url.partition("/object")[0], one, two, proxy


def test_calls_are_spread_over_replicas(
    replicas: tuple[str, Recorder, Recorder, Proxy],
) -> None:
    uri, one, two, _ = replicas
    client = MlflowClient(uri)
    while not (one.seen and two.seen):
        client.get_experiment("7")
    before = len(one.seen), len(two.seen)
    for _ in range(20):
        client.get_experiment("7")
    assert (len(one.seen) - before[0], len(two.seen) - before[1]) == (10, 10)


def test_no_call_is_lost_with_a_replica(replicas: tuple[str, Recorder, Recorder, Proxy]) -> None:
    uri, one, two, proxy = replicas
    client = MlflowClient(uri)
    while not (one.seen and two.seen):
        client.get_experiment("7")

    def leave() -> None:
        if len(two.seen) > 20:
            proxy.close()

    two.on_call = leave
    with ThreadPoolExecutor(4) as pool:
        names = [f"e{number}" for number in range(100)]
        assert list(pool.map(client.create_experiment, names)) == [f"id-of-{n}" for n in names]
    assert len(two.seen) > 20


@pytest.mark.parametrize("grace_s", [5.0, None], ids=["drained", "stopped"])
def test_no_call_is_lost_when_a_replica_stops(
    replicas: tuple[str, Recorder, Recorder, Proxy], grace_s: float | None
) -> None:
    uri, one, two, _ = replicas
    client = MlflowClient(uri)
    while not (one.seen and two.seen):
        client.get_experiment("7")
    stopping = threading.Event()

    def leave() -> None:
        if len(two.seen) > 20 and not stopping.is_set():
            stopping.set()
            threading.Thread(target=two.server.stop, args=(grace_s,)).start()

    two.on_call = leave
    with ThreadPoolExecutor(4) as pool:
        names = [f"e{number}" for number in range(300)]
        assert list(pool.map(client.create_experiment, names)) == [f"id-of-{n}" for n in names]
    assert stopping.is_set()


@pytest.mark.parametrize("target", ["dns:///tracking-headless:50051", "ipv4:10.0.0.1:1,10.0.0.2:1"])
def test_targets_of_replicas_are_passed_on(target: str) -> None:
    parts = connections.check("http://gateway:5000")
    found = connections.targets_of({"tracking": target, "registry": target}, parts)
    assert (found.tracking, found.registry) == (target, target)


def test_a_name_with_several_addresses_is_dialled(recorder: Recorder, port: int) -> None:
    document = {"grpc": {"tracking": f"dns:///localhost:{port}", "registry": ":1"}}
    with answering_store() as discovery:
        discovery.answers = [Answer(body=json.dumps(document).encode())]
        uri = discovery.url.partition("/object")[0]
        assert MlflowClient(uri).get_experiment("7").experiment_id == "7"
    assert len(recorder.seen) == 1


def test_a_gateway_that_came_back_with_other_targets_is_followed(recorder: Recorder) -> None:
    with answering_store() as discovery:
        client = MlflowClient(discovery.url.partition("/object")[0])
        with serving(recorder) as first:
            discovery.answer = lambda _: _naming(first)
            assert client.get_experiment("7").experiment_id == "7"
        with serving(recorder) as second:
            discovery.answer = lambda _: _naming(second)
            assert client.create_experiment("iris") == "id-of-iris"
            asked = len(discovery.requests)
            assert client.get_experiment("8").experiment_id == "8"
            assert len(discovery.requests) == asked


def test_a_gateway_that_is_away_leaves_its_targets_as_they_were(
    proxy: Proxy, recorder: Recorder
) -> None:
    with answering_store() as discovery:
        discovery.answer = lambda _: _naming(proxy.port)
        client = MlflowClient(discovery.url.partition("/object")[0])
        assert client.get_experiment("7").experiment_id == "7"
        discovery.answer = lambda _: Answer(503)
        recorder.seen.clear()
        _lose(1, recorder, proxy)
        assert client.create_experiment("iris") == "id-of-iris"
        assert len(discovery.requests) == 2


def _naming(port: int) -> Answer:
    document = {"grpc": {"tracking": f":{port}", "registry": f":{port}"}}
    return Answer(body=json.dumps(document).encode())
