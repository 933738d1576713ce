"""Two registries over one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.platforms import registry_originals as originals
from tests.support.platforms.registry_service import Registry, in_threads, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.db.base import Database

pytestmark = pytest.mark.postgres


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[Registry, Registry]]:
    with (
        running_registry(tmp_path, "postgresql") as one,
        running_registry(tmp_path, "postgresql", store=one.store) as other,
    ):
        yield one, other


def watch(registry: Registry, **fields: Any) -> Any:
    stream = registry.stub.WatchModels(pb.WatchModelsRequest(**fields), timeout=60)
    next(stream)
    return stream


def test_what_one_writes_the_other_reads(replicas: tuple[Registry, Registry]) -> None:
    one, other = replicas
    one.create_model()
    other.create_version()
    one.move(1, "Production")
    assert other.get_version("Production").version == "1"


def test_watchers_of_both_get_every_event_once_and_in_order(
    replicas: tuple[Registry, Registry],
) -> None:
    replicas[0].create_model()
    streams = [watch(replica) for replica in replicas]
    of_model = [watch(replica, name="iris", after_revision=1) for replica in replicas]

    def write(index: int) -> None:
        for _ in range(5):
            replicas[index % 2].create_version()

    in_threads(4, write)
    for stream in streams:
        replies = list(islice(stream, 21))
        assert [reply.event.clock for reply in replies] == list(range(1, 22))
    for stream in of_model:
        replies = list(islice(stream, 20))
        assert [reply.event.revision for reply in replies] == list(range(2, 22))
        assert {reply.event.version for reply in replies} == {str(n) for n in range(1, 21)}
    for stream in (*streams, *of_model):
        stream.cancel()


def test_versions_made_by_both_at_once_have_numbers_without_gaps(
    replicas: tuple[Registry, Registry],
) -> None:
    replicas[0].create_model()
    numbers: list[int] = []
    in_threads(6, lambda index: numbers.append(int(replicas[index % 2].create_version().version)))
    assert sorted(numbers) == list(range(1, 7))


def overlapping(database: Database, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """Begin the second change when the first has all but ended; return what they return."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with (
        ThreadPoolExecutor(2) as threads,
        database.engine.connect() as held,
        database.engine.connect() as seen,
    ):
        held.execute(text("SELECT ticks FROM clock FOR UPDATE"))  # what a change takes last
        begun: list[Future[Any]] = []
        for change in (first, second):
            begun.append(threads.submit(change))
            while seen.scalar(waiting) != len(begun) and not begun[-1].done():
                seen.rollback()
        held.rollback()
        return [change.result() for change in begun]


def test_a_move_that_arrives_twice_at_once_is_done_once_and_answered_alike(
    replicas: tuple[Registry, Registry],
) -> None:
    one, other = replicas
    one.create_model()
    version = one.create_version()
    request = pb.TransitionModelVersionStageRequest(
        name="iris", version="1", stage="Production", etag=version.etag
    )
    first, second = overlapping(
        one.database,
        lambda: one.call("TransitionModelVersionStage", request, idempotency_key="k"),
        lambda: other.call("TransitionModelVersionStage", request, idempotency_key="k"),
    )
    assert first == second
    assert [event.action for event in one.events()].count(pb.ModelEvent.STAGE_CHANGED) == 1


def test_a_version_is_imported_into_its_model_which_is_being_renamed(
    replicas: tuple[Registry, Registry],
) -> None:
    one, other = replicas
    originals.import_model(one, originals.model())
    overlapping(
        one.database,
        lambda: originals.rename(one, "roses"),
        lambda: originals.import_version(other, originals.version(1)),
    )
    assert one.get_version(1, "roses").version == "1"
