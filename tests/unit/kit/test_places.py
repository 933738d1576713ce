"""Shares of callers in the places of a service, and services whose calls wait for too long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.http.http2_peer import Http2Peer, message
from tests.support.platforms.notebook import SERVICE, TOKEN, Notebook, Stub, create, failure

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.auth.grants import PERMISSION_ONLY
from modelyard_kit.auth.tokens import Snapshot, Tokens
from modelyard_kit.rpc.admission import Door
from modelyard_kit.rpc.places import Places
from modelyard_kit.rpc.server import RpcServer

SLOW = pb.GetRegisteredModelRequest(name="slow")
NEXT = pb.GetRegisteredModelRequest(name="next")
PATH = f"/{SERVICE.full_name}/"


@pytest.fixture
def wide(notebook: Notebook) -> Iterator[str]:
    """Address of a server with 8 threads and 4 streams."""
    server = RpcServer()
    server.add(SERVICE, notebook, threads=8, streams=4)
    (port,) = server.start("127.0.0.1:0")
    yield f"127.0.0.1:{port}"
    notebook.proceed.set()
    server.drain(5)


def connected(address: str) -> grpc.Channel:
    """Return a channel with a connection of its own, which is a caller of its own."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def test_a_caller_whose_slow_calls_fill_the_queue_delays_only_itself(
    wide: str, notebook: Notebook
) -> None:
    with connected(wide) as channel, connected(wide) as other:
        greedy, modest = Stub(channel), Stub(other)
        create(modest, "next")
        create(modest, "slow")
        held, is_full = [], threading.Event()
        for _ in range(41):
            held.append(greedy.GetRegisteredModel.future(SLOW, timeout=60))
            held[-1].add_done_callback(lambda _: is_full.set())
        for _ in range(7):
            assert notebook.entered.acquire(timeout=30)
        assert is_full.wait(30)
        for _ in range(3):
            assert modest.GetRegisteredModel(NEXT, timeout=30)
        refused = [call for call in held if call.done()]
        assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert 2 <= len(refused) <= 4  # one that found no room, and those that gave way
        notebook.proceed.set()
        assert [call.code() for call in held].count(grpc.StatusCode.OK) == 41 - len(refused)


def test_one_caller_may_not_have_all_streams(wide: str, notebook: Notebook) -> None:
    with connected(wide) as channel, connected(wide) as other:
        greedy, modest = Stub(channel), Stub(other)
        streams = [greedy.WatchModels(pb.WatchModelsRequest(name=name)) for name in "abc"]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as caught:
            next(greedy.WatchModels(pb.WatchModelsRequest(name="d")))
        code, _, text = failure(caught.value)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text.startswith("This caller has 3 of the 4 streams of RegistryService")
        assert next(modest.WatchModels(pb.WatchModelsRequest(name="e"))).position == 1
        notebook.proceed.set()


def test_a_service_whose_calls_wait_too_long_for_a_thread_is_not_ready(
    server: RpcServer, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Places, "late_s", 0.2)
    (port,) = server.start("127.0.0.1:0")
    with connected(f"127.0.0.1:{port}") as channel, connected(f"127.0.0.1:{port}") as other:
        create(Stub(channel), "slow")
        held = [Stub(channel).GetRegisteredModel.future(SLOW, timeout=60) for _ in range(20)]
        for _ in range(4):
            assert notebook.entered.acquire(timeout=30)
        assert health(other) == "SERVING"
        waiting = Stub(other).GetRegisteredModel.future(SLOW, timeout=60)
        while health(other) == "SERVING":
            threading.Event().wait(0.02)
        assert server.readiness.problems() == [
            "registry: Calls wait for a thread for more than 0.2 s."
        ]
        notebook.proceed.set()
        assert waiting.result()
        while health(other) != "SERVING":
            threading.Event().wait(0.02)
        assert server.readiness.problems() == []
        assert [call.code() for call in held].count(grpc.StatusCode.OK) == 19


def health(channel: grpc.Channel) -> str:
    request = health_pb2.HealthCheckRequest(service=SERVICE.full_name)
    reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def test_a_reply_that_its_peer_does_not_read_is_dropped_in_time(
    wide: str, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(wide) as channel:
        create(Stub(channel), "a")
    monkeypatch.setattr(Door, "reply_s", 0.2)
    server = RpcServer()
    server.add(SERVICE, notebook, threads=8, streams=1)
    (port,) = server.start("127.0.0.1:0")
    with Http2Peer(f"127.0.0.1:{port}", window=0) as peer:
        unary = peer.open(PATH + "GetRegisteredModel")
        read = pb.GetRegisteredModelRequest(name="a").SerializeToString()
        peer.send(unary, message(read), ends=True)
        watch = peer.open(PATH + "WatchModels")
        endless = pb.WatchModelsRequest(name="endless").SerializeToString()
        peer.send(watch, message(endless), ends=True)
        empty = peer.open(PATH + "GetRegisteredModel", [(PERMISSION_ONLY[0], b"1")])
        peer.send(empty, message(read), ends=True)
        assert peer.wait_until_ended(3) == {unary, watch, empty}
        with connected(f"127.0.0.1:{port}") as channel:
            while (first := first_message(channel)) is None:
                threading.Event().wait(0.02)  # the thread ends after the call has on the wire
            assert first.position == 1
    notebook.proceed.set()
    server.drain(5)


def first_message(channel: grpc.Channel) -> pb.WatchModelsResponse | None:
    """Return the first message of a stream; None if all places of streams are taken."""
    stream = Stub(channel).WatchModels(pb.WatchModelsRequest(name="x"))
    try:
        first: pb.WatchModelsResponse = next(stream)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return None
    stream.cancel()
    return first


def test_looking_up_an_unknown_token_delays_no_other_call(notebook: Notebook) -> None:
    may_fetch = threading.Event()

    def fetch(_revision: int) -> Snapshot:
        assert may_fetch.wait(30)
        return Snapshot()

    server = RpcServer(TOKEN, tokens=Tokens(fetch))
    server.add(SERVICE, notebook)
    (port,) = server.start("127.0.0.1:0")
    unknown = [("authorization", f"Bearer modelyard_{'u' * 10}_{'s' * 43}")]
    with connected(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        calls = [stub.GetRegisteredModel.future(NEXT, metadata=unknown) for _ in range(80)]
        known = [("authorization", f"Bearer {TOKEN}")]
        request = pb.CreateRegisteredModelRequest(name="a")
        assert stub.CreateRegisteredModel(request, timeout=30, metadata=known)
        may_fetch.set()
        codes = [call.code().name for call in calls]
    assert codes.count("UNAUTHENTICATED") == 64
    assert codes.count("RESOURCE_EXHAUSTED") == 16
    server.drain(5)


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ([("authorization", f"Bearer {TOKEN}"), ("authorization", "")], "authorization"),
        ([("authorization", ""), ("authorization", f"Bearer {TOKEN}")], "authorization"),
        ([("authorization", f"Bearer {TOKEN}")] * 2, "authorization"),
        ([("authorization", f"Bearer {TOKEN}"), ("authorization-bin", b"x")], "authorization-bin"),
        ([("authorization-bin", f"Bearer {TOKEN}".encode())], "authorization-bin"),
        (
            [("authorization", f"Bearer {TOKEN}"), *[("idempotency-key", "k")] * 2],
            "idempotency-key",
        ),
        ([("authorization", f"Bearer {TOKEN}"), *[("x-modelyard-user", "a")] * 2], "x-modelyard-u"),
    ],
)
def test_metadata_that_is_given_twice_is_refused(
    notebook: Notebook, metadata: list[tuple[str, str | bytes]], key: str
) -> None:
    server = RpcServer(TOKEN)
    server.add(SERVICE, notebook)
    (port,) = server.start("127.0.0.1:0")
    with connected(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        Stub(channel).GetRegisteredModel(NEXT, timeout=30, metadata=metadata)
    server.drain(5)
    code, _, text = failure(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"The metadata has '{key}")
