"""Concurrent clients, and repeated calls."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.registry_service import (
    SOURCE,
    Registry,
    in_threads,
    refused,
    running_registry,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import Aborted, AlreadyExists, InvalidArgument, NotFound

CLIENTS = 8


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        yield running


def two_holders(stages: Sequence[str]) -> bool:
    """What must never be seen in one reply."""
    return any(stages.count(stage) > 1 for stage in ("Staging", "Production"))


def test_the_observer_knows_two_holders_when_it_sees_them() -> None:
    assert two_holders(["Production", "None", "Production"])
    assert not two_holders(["Production", "Staging", "None", "None", "Archived", "Archived"])


def test_numbers_are_unique_and_gapless_under_concurrency(registry: Registry) -> None:
    made: list[int] = []

    def register(_index: int) -> None:
        made.extend(int(registry.create_version().version) for _ in range(10))

    in_threads(CLIENTS, register)
    assert sorted(made) == list(range(1, 10 * CLIENTS + 1))


def test_of_concurrent_creations_of_one_model_one_succeeds(registry: Registry) -> None:
    refusals: list[AlreadyExists] = []

    def create(_index: int) -> None:
        try:
            registry.create_model("wanted")
        except AlreadyExists as error:
            refusals.append(error)

    in_threads(CLIENTS, create)
    assert len(refusals) == CLIENTS - 1
    assert [event.action for event in registry.events("wanted")] == [pb.ModelEvent.MODEL_CREATED]


def test_of_concurrent_registrations_under_a_new_name_one_creates_the_model(
    registry: Registry,
) -> None:
    made: list[int] = []

    def register(_index: int) -> None:
        made.append(int(registry.create_version("wanted", create_registered_model=True).version))

    in_threads(CLIENTS, register)
    assert sorted(made) == list(range(1, CLIENTS + 1))
    created = pb.ModelEvent.MODEL_CREATED
    assert [event.action for event in registry.events("wanted")].count(created) == 1


def test_writes_during_renames_are_done_or_find_nothing(registry: Registry) -> None:
    names = ("iris", "roses")
    done: list[str] = []

    def work(index: int) -> None:
        chance = random.Random(index)  # noqa: S311 - not for secrets
        for step in range(20):
            name, other = chance.sample(names, 2)
            tag = pb.SetRegisteredModelTagRequest(name=name, key="k", value=f"{index}/{step}")
            rename = pb.RenameRegisteredModelRequest(name=name, new_name=other)
            with suppress(NotFound, AlreadyExists):
                if index % 2:
                    registry.call("SetRegisteredModelTag", tag)
                else:
                    registry.call("RenameRegisteredModel", rename)
                done.append(tag.value)

    in_threads(CLIENTS, work)
    found = registry.call("SearchRegisteredModels", pb.SearchRegisteredModelsRequest())
    [model] = found.registered_models
    tags = [
        value
        for name in names
        for event in registry.events(name)
        if event.action == pb.ModelEvent.MODEL_TAG_SET
        for value in [json.loads(event.after)["tags"]["k"]]
    ]
    assert {tag.value for tag in model.tags} <= set(tags) <= set(done)
    for name in names:
        registry.call("VerifyHistory", pb.VerifyHistoryRequest(name=name))


def test_no_reply_ever_shows_two_holders(registry: Registry) -> None:
    for _ in range(CLIENTS):
        registry.create_version()
    done = threading.Event()
    seen: list[list[str]] = []

    def observe() -> None:
        while not done.is_set():
            seen.append(list(registry.stages().values()))

    def promote(index: int) -> None:
        chance = random.Random(index)  # noqa: S311 - not for secrets
        for _ in range(25):
            version = chance.randint(1, CLIENTS)
            stage = chance.choice(["Staging", "Production", "Production", "Archived"])
            registry.move(version, stage)

    observer = threading.Thread(target=observe)
    observer.start()
    try:
        in_threads(CLIENTS, promote)
    finally:
        done.set()
        observer.join()
    assert len(seen) > 1
    assert not any(two_holders(stages) for stages in seen)
    moves = [event for event in registry.events() if event.action == pb.ModelEvent.STAGE_CHANGED]
    assert len(moves) == 25 * CLIENTS
    registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))


def test_of_concurrent_transitions_that_expect_one_holder_one_succeeds(registry: Registry) -> None:
    for _ in range(CLIENTS):
        registry.create_version()
    won: list[int] = []

    def promote(index: int) -> None:
        try:
            registry.move(index + 1, "Production", expected_holder="none")
        except Aborted:
            return
        won.append(index + 1)

    in_threads(CLIENTS, promote)
    assert len(won) == 1
    assert registry.get_version("production").version == str(won[0])


def test_concurrent_rollbacks_go_back_one_version_each(registry: Registry) -> None:
    for number in range(1, CLIENTS + 1):
        registry.create_version()
        registry.move(number, "Production")
    reinstated: list[str] = []
    in_threads(CLIENTS - 1, lambda _index: reinstated.append(registry.roll_back().version))
    assert sorted(map(int, reinstated)) == list(range(1, CLIENTS))
    assert registry.get_version("production").version == "1"


def test_of_concurrent_rollbacks_that_expect_one_holder_one_succeeds(registry: Registry) -> None:
    for number in (1, 2, 3):
        registry.create_version()
        registry.set_alias("champion", number)
    won: list[str] = []

    def roll_back(_index: int) -> None:
        with suppress(Aborted):
            won.append(registry.roll_back_alias(expected_holder="3").version)

    in_threads(CLIENTS, roll_back)
    assert won == ["2"]


def test_a_create_sent_again_with_its_key_makes_one_version(registry: Registry) -> None:
    request = pb.CreateModelVersionRequest(name="iris", source=SOURCE)
    first = registry.call("CreateModelVersion", request, idempotency_key="k")
    registry.tracking_server.drain(grace_s=0)  # the stored reply needs no call to tracking
    assert registry.call("CreateModelVersion", request, idempotency_key="k") == first
    assert registry.stages() == {"1": "None"}
    request.description = "another body"
    with refused(registry, InvalidArgument, "key 'k' was used before with another request"):
        registry.call("CreateModelVersion", request, idempotency_key="k")


def test_a_create_sent_many_times_at_once_with_its_key_makes_one_version(
    registry: Registry,
) -> None:
    request = pb.CreateModelVersionRequest(name="iris", source=SOURCE)
    replies: list[str] = []

    def send(_index: int) -> None:
        reply = registry.call("CreateModelVersion", request, idempotency_key="k")
        replies.append(reply.model_version.version)

    in_threads(CLIENTS, send)
    assert replies == ["1"] * CLIENTS
    assert registry.stages() == {"1": "None"}


def test_a_transition_sent_again_with_its_key_happens_once(registry: Registry) -> None:
    registry.create_version()
    registry.create_version()
    request = pb.TransitionModelVersionStageRequest(name="iris", version="1", stage="Production")
    first = registry.call("TransitionModelVersionStage", request, idempotency_key="k")
    registry.move(2, "Production")
    before = registry.rows()
    again = registry.call("TransitionModelVersionStage", request, idempotency_key="k")
    assert again == first
    assert registry.rows() == before


def test_a_rollback_sent_again_with_its_key_happens_once(registry: Registry) -> None:
    for version in (1, 2):
        registry.create_version()
        registry.move(version, "Production")
    request = pb.RollbackStageRequest(name="iris", stage="Production")
    first = registry.call("RollbackStage", request, idempotency_key="k")
    assert registry.call("RollbackStage", request, idempotency_key="k") == first
    assert registry.get_version("production").version == "1"


def test_a_refusal_is_not_kept_under_its_key(registry: Registry) -> None:
    request = pb.TransitionModelVersionStageRequest(name="iris", version="1", stage="Production")
    with refused(registry, NotFound, "not found"):
        registry.call("TransitionModelVersionStage", request, idempotency_key="k")
    registry.create_version()
    registry.call("TransitionModelVersionStage", request, idempotency_key="k")
    assert registry.get_version("production").version == "1"
