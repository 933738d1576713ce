"""One call, and the connection breaks at a chosen place: it is sent again, and has one effect.

Between client and service: before the request, inside it, before the reply, inside the reply.
Between the registry and PostgreSQL: around the commit, where only the database knows what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import grpc
import pytest
from tests.faults import chaos
from tests.faults.deployment import Deployment, deployed
from tests.faults.doors import INDEFINITE, connect, registry_stub, tracking_stub
from tests.faults.proxy import Cut, Direction
from tests.support.databases.postgres import Postgres

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2

_TIMEOUT_S = 20
_names = (f"name-of-{number}" for number in count())


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with closing(Postgres()) as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[Deployment]:
    server = postgres if request.param == "postgresql" else None
    with deployed(tmp_path_factory.mktemp("links"), server, ("tracking", "registry")) as running:
        yield running


@dataclass(frozen=True)
class Sent:
    """A call to make, and how to see what it did.

    Attributes:
        service: Whose call.
        rpc: Its name.
        request: With a marker in it, which its reply has too.
        marker: Bytes that no other message has.
        effects: How often it was done, asked over a link that works.
    """

    service: str
    rpc: str
    request: Any
    marker: str
    effects: Callable[[], int]


def create_model(deployment: Deployment) -> Sent:
    name = next(_names)
    request = registry_pb2.CreateRegisteredModelRequest(name=name)

    def effects() -> int:
        return len(history(deployment, name))

    return Sent("registry", "CreateRegisteredModel", request, name, effects)


def create_version(deployment: Deployment) -> Sent:
    name, text = a_model(deployment), next(_names)
    request = registry_pb2.CreateModelVersionRequest(name=name, source="s3://x/y", description=text)

    def effects() -> int:
        return history(deployment, name).count("VERSION_CREATED") - 2

    return Sent("registry", "CreateModelVersion", request, text, effects)


def transition(deployment: Deployment) -> Sent:
    name = a_model(deployment)
    request = registry_pb2.TransitionModelVersionStageRequest(
        name=name, version="1", stage="Production"
    )

    def effects() -> int:
        return history(deployment, name).count("STAGE_CHANGED") - 2

    return Sent("registry", "TransitionModelVersionStage", request, name, effects)


def roll_back(deployment: Deployment) -> Sent:
    name = a_model(deployment)
    request = registry_pb2.RollbackStageRequest(name=name, stage="Production")

    def effects() -> int:
        return history(deployment, name).count("STAGE_ROLLED_BACK")

    return Sent("registry", "RollbackStage", request, name, effects)


def edit(deployment: Deployment) -> Sent:
    name, text = a_model(deployment), next(_names)
    request = registry_pb2.UpdateModelVersionRequest(name=name, version="1", description=text)

    def effects() -> int:
        return history(deployment, name).count("VERSION_UPDATED")

    return Sent("registry", "UpdateModelVersion", request, text, effects)


def create_run(deployment: Deployment) -> Sent:
    name = next(_names)
    request = tracking_pb2.CreateRunRequest(experiment_id="0", run_name=name, start_time=1)

    def effects() -> int:
        with connect(deployment.targets["tracking"]) as channel:
            search = tracking_pb2.SearchRunsRequest(
                experiment_ids=["0"], filter=f"attributes.run_name = '{name}'"
            )
            return len(tracking_stub(channel).SearchRuns(search).runs)

    return Sent("tracking", "CreateRun", request, name, effects)


CALLS = [create_model, create_version, transition, roll_back, edit, create_run]
PLACES = {
    "before the request": (Direction.REQUEST, 0),
    "inside the request": (Direction.REQUEST, 4),
    "before the reply": (Direction.REPLY, 0),
    "inside the reply": (Direction.REPLY, 4),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call.__name__))
def test_a_call_that_is_cut_off_and_sent_again_has_one_effect(
    deployment: Deployment, call: Callable[[Deployment], Sent], place: str
) -> None:
    sent = call(deployment)
    direction, keep_bytes = PLACES[place]
    proxy = deployment.proxies[sent.service]
    with connect(f"127.0.0.1:{proxy.port}") as channel:
        grpc.channel_ready_future(channel).result(_TIMEOUT_S)
        proxy.arm(Cut(direction, sent.marker.encode(), keep_bytes))
        code = failure(channel, sent)
        assert proxy.was_cut.wait(_TIMEOUT_S)
        assert code in INDEFINITE
        done = sent.effects()
    with connect(
        f"127.0.0.1:{proxy.port}"
    ) as channel:  # the other one may not know yet that it broke
        first, second = answer(channel, sent), answer(channel, sent)

    assert first == second
    assert done == (1 if direction is Direction.REPLY else 0)
    assert sent.effects() == 1


AROUND_THE_COMMIT = {
    "before the commit is sent": Cut(Direction.REQUEST, b"COMMIT"),
    "inside the commit": Cut(Direction.REQUEST, b"COMMIT", keep_bytes=3),
    "before it is acknowledged": Cut(Direction.REPLY, b"COMMIT"),
    "inside its acknowledgement": Cut(Direction.REPLY, b"COMMIT", keep_bytes=3),
}


@pytest.mark.parametrize("place", AROUND_THE_COMMIT)
@pytest.mark.parametrize("call", CALLS[:-1], ids=lambda call: str(call.__name__))
def test_a_commit_that_is_cut_off_is_resolved_or_reported_as_unknown(
    postgresql: Deployment, call: Callable[[Deployment], Sent], place: str
) -> None:
    sent = call(postgresql)
    proxy = postgresql.proxies["database"]
    with connect(postgresql.targets["registry"]) as channel:
        proxy.arm(AROUND_THE_COMMIT[place])
        replies, codes = [], []
        try:
            replies.append(answer(channel, sent))  # it looked its own key up, and knows
        except grpc.RpcError as error:
            codes.append(error.code())
        assert proxy.was_cut.wait(_TIMEOUT_S)
        replies += [answer(channel, sent), answer(channel, sent)]

    assert all(reply == replies[0] for reply in replies)
    assert set(codes) <= {grpc.StatusCode.UNAVAILABLE}
    assert sent.effects() == 1


def test_a_commit_that_is_cut_off_without_a_key_is_never_reported_as_done(
    postgresql: Deployment,
) -> None:
    sent = create_version(postgresql)
    proxy = postgresql.proxies["database"]
    with connect(postgresql.targets["registry"]) as channel:
        proxy.arm(AROUND_THE_COMMIT["before it is acknowledged"])
        with pytest.raises(grpc.RpcError) as caught:
            registry_stub(channel).CreateModelVersion(sent.request, timeout=_TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "may have been done" in str(caught.value.details())
    assert sent.effects() == 1


@pytest.fixture(scope="module")
def postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("commits"), postgres, ("registry",)) as running:
        yield running


def failure(channel: grpc.Channel, sent: Sent) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        answer(channel, sent)
    code: grpc.StatusCode = caught.value.code()
    return code


def answer(channel: grpc.Channel, sent: Sent) -> Any:
    stub = registry_stub(channel) if sent.service == "registry" else tracking_stub(channel)
    metadata = [("idempotency-key", sent.marker)]
    rpc = getattr(stub, sent.rpc)
    return rpc(sent.request, timeout=_TIMEOUT_S, metadata=metadata, wait_for_ready=True)


def a_model(deployment: Deployment) -> str:
    """Make a model whose second version is in Production, and whose first one was."""
    name = next(_names)
    with connect(deployment.targets["registry"]) as channel:
        stub = registry_stub(channel)
        stub.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=name))
        for version in ("1", "2"):
            stub.CreateModelVersion(
                registry_pb2.CreateModelVersionRequest(name=name, source="s3://x/y")
            )
            stub.TransitionModelVersionStage(
                registry_pb2.TransitionModelVersionStageRequest(
                    name=name, version=version, stage="Production"
                )
            )
    return name


def history(deployment: Deployment, name: str) -> list[str]:
    """The actions of a model's events."""
    with connect(deployment.targets["registry"]) as channel:
        try:
            events = chaos.read_events(registry_stub(channel), name)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return []
    return [event.covered["action"] for event in events]
