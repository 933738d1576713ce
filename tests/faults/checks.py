"""Short checks of a deployment, a second or two each: what is wrong with it, or nothing.

Their clients are threads of this process. Each check must find nothing in the product, and
something in at least one mutant of it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy
from tests.faults import chaos, judging
from tests.faults.chaos import Record
from tests.faults.checkers import unexpected
from tests.faults.client import Client, edited, held
from tests.faults.deployment import Deployment
from tests.faults.doors import connect, registry_stub
from tests.faults.observer import Watcher

from modelyard.api.registry.v1 import registry_pb2

Check: TypeAlias = Callable[[Deployment, Path], list[str]]
CLIENTS = 8
_TIMES = 8
_TIMES_UNTIL_KILLED = 2
_TIMEOUT_S = 10
_TOLD_WITHIN_S = 60
_PATIENCE_S = 1.0
_PATIENCE_WITH_KILLS_S = 15.0
"""Longer than a restart. A mutant may have broken its database for good."""
_SOURCE = "s3://elsewhere/model"
_REFUSED = re.compile("unique|event", re.IGNORECASE)
_names = iter(range(1, 10_000))


def promotions(deployment: Deployment, folder: Path) -> list[str]:
    """Eight clients promote, roll back and read at once: one order explains it, no client fails."""
    record = _at_once(deployment, folder, ("promote", "promote", "roll_back", "read_holder"))
    return [*unexpected(record.done, calm=True), *judging.holders(record), *judging.events(record)]


def edits(deployment: Deployment, folder: Path) -> list[str]:
    """Eight clients edit one text at once, most of them expecting an etag: no edit is lost."""
    record = _at_once(deployment, folder, ("edit", "edit", "read_text"))
    return [*unexpected(record.done, calm=True), *judging.edits(record), *judging.events(record)]


def points(deployment: Deployment, folder: Path) -> list[str]:
    """Eight clients log points of one curve at once: each is there, once."""
    record = Record()
    run = chaos.prepare_run(deployment, f"r{next(_names)}")
    _work(deployment, folder, ("log_metric", "log_metric", "read_metric"), "", run)
    chaos.collect_calls(folder, record)
    chaos.read_tracking(deployment, record, [run])
    return [*unexpected(record.done, calm=True), *judging.points(record)]


def kills(deployment: Deployment, folder: Path) -> list[str]:
    """The registry is killed while eight clients write: what was acknowledged is there, once."""
    record, round_ = _prepared(deployment)
    answered = threading.Semaphore(0)
    service = deployment.services["registry"]

    def kill() -> None:
        for _ in range(CLIENTS * _TIMES_UNTIL_KILLED):
            assert answered.acquire(timeout=60)
        service.kill()
        service.start()

    with ThreadPoolExecutor(1) as killing:
        killed = killing.submit(kill)
        works = ("promote", "create_held_version", "edit")
        _work(
            *(deployment, folder, works, round_, ""),
            times=3 * _TIMES_UNTIL_KILLED,
            patience_s=_PATIENCE_WITH_KILLS_S,
            acknowledged=answered.release,
        )
        killed.result()
    _read(deployment, folder, record, round_)
    created = record.acknowledged("create_version", held(round_))
    made = {version.made_by for version in record.versions[held(round_)]}
    lost = [
        f"{item.call} was acknowledged and is missing" for item in created if item.call not in made
    ]
    return [*lost, *judging.holders(record), *judging.edits(record), *judging.events(record)]


def retries(deployment: Deployment, _folder: Path) -> list[str]:
    """One call is sent four times at once, and once more: one effect, one answer."""
    name = f"retries-{next(_names)}"
    wrong = []
    with connect(deployment.targets["registry"]) as channel:
        stub = registry_stub(channel)
        _create_model(stub, name)
        for turn in range(1, 4):
            request = registry_pb2.CreateModelVersionRequest(name=name, source=_SOURCE)
            metadata = [("idempotency-key", f"{name}-{turn}")]

            def send(_: int, request: Any = request, metadata: Any = metadata) -> str:
                reply = stub.CreateModelVersion(request, timeout=_TIMEOUT_S, metadata=metadata)
                return str(reply.model_version.version)

            with ThreadPoolExecutor(4) as sending:
                answers = [*sending.map(send, range(4)), send(4)]
            if set(answers) != {str(turn)}:
                wrong.append(f"call {turn} was answered {answers}")
        made = len(chaos.read_versions(stub, name))
    return wrong + ([f"3 calls made {made} versions"] if made != 3 else [])


def numbers(deployment: Deployment, _folder: Path) -> list[str]:
    """The newest version is deleted, then the whole model: their numbers never come back."""
    name = f"numbers-{next(_names)}"
    with connect(deployment.targets["registry"]) as channel:
        stub = registry_stub(channel)
        _create_model(stub, name)
        given = [_create_version(stub, name), _create_version(stub, name)]
        stub.DeleteModelVersion(registry_pb2.DeleteModelVersionRequest(name=name, version="2"))
        given.append(_create_version(stub, name))
        stub.DeleteRegisteredModel(registry_pb2.DeleteRegisteredModelRequest(name=name))
        _create_model(stub, name)
        given.append(_create_version(stub, name))
    return [] if given == [1, 2, 3, 4] else [f"the numbers given were {given}"]


def watches(deployment: Deployment, folder: Path) -> list[str]:
    """Five watchers drop their connections at random: each receives every event once."""
    record, round_ = _prepared(deployment)
    name = held(round_)
    with ExitStack() as stack:
        stub = registry_stub(stack.enter_context(connect(deployment.targets["registry"])))
        watchers = [Watcher(stub, folder / f"watcher-{n}", name, n, longest=5) for n in range(5)]
        with ThreadPoolExecutor(len(watchers)) as watching:
            ends = [watching.submit(watcher.watch) for watcher in watchers]
            _work(deployment, folder, ("promote",), round_, "")
            newest = chaos.verified(stub, name)
            for watcher in watchers:
                watcher.end_at(newest)
            wait(ends, _TOLD_WITHIN_S)
            for watcher in watchers:
                watcher.end_at(
                    0
                )  # also one that never receives the newest event, which is found below
            for end in ends:
                end.result()
        _read(deployment, folder, record, round_)
    events = [(event.revision, event.hash) for event in record.events[name]]
    files = sorted(folder.glob("watcher-*"))
    assert len(files) == len(watchers)
    return [w for path in files for w in judging.watched(path.name, chaos.read_lines(path), events)]


def constraints(deployment: Deployment, _folder: Path) -> list[str]:
    """The database itself refuses two holders, a changed event and a forgotten one."""
    name = f"constraints-{next(_names)}"
    with connect(deployment.targets["registry"]) as channel:
        stub = registry_stub(channel)
        _create_model(stub, name)
        for _ in range(2):
            _create_version(stub, name)
    url = deployment.database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    statements = (
        "UPDATE model_version SET stage = 'Production' WHERE name = :name",
        "UPDATE event SET actor = 'another' WHERE name = :name",
        "DELETE FROM event WHERE name = :name",
    )
    wrong = [sql for sql in statements if _is_taken(engine, sql, name)]
    engine.dispose()
    return [f"the database took: {sql}" for sql in wrong]


def _is_taken(engine: sqlalchemy.Engine, sql: str, name: str) -> bool:
    with engine.connect() as connection:
        try:
            connection.execute(sqlalchemy.text(sql), {"name": name})
        except sqlalchemy.exc.DBAPIError as error:
            if not _REFUSED.search(str(error.orig)):
                raise
            return False
        return True  # and is rolled back


def _at_once(deployment: Deployment, folder: Path, works: Sequence[str]) -> Record:
    record, round_ = _prepared(deployment)
    _work(deployment, folder, works, round_, "")
    _read(deployment, folder, record, round_)
    return record


def _prepared(deployment: Deployment) -> tuple[Record, str]:
    """Make the models of a round; return its name and the record of that."""
    record, round_ = Record(), f"r{next(_names)}"
    chaos.prepare_models(deployment, record, round_)
    return record, round_


def _read(deployment: Deployment, folder: Path, record: Record, round_: str) -> None:
    chaos.collect_calls(folder, record)
    chaos.read_registry(deployment, record, [held(round_), edited(round_)])


def _work(
    deployment: Deployment,
    folder: Path,
    works: Sequence[str],
    round_: str,
    run: str,
    *,
    times: int = _TIMES,
    patience_s: float = _PATIENCE_S,
    acknowledged: Callable[[], object] | None = None,
) -> None:
    """Have eight clients do some kinds of work at random, at once."""
    start = threading.Barrier(CLIENTS)
    with Path(os.devnull).open("wb") as devnull, ThreadPoolExecutor(CLIENTS) as working:

        def work(number: int) -> None:
            seed = next(_names) * 4 + 1  # by gRPC
            client = Client(deployment.targets, folder / f"client-{number}", seed, devnull.fileno())
            client.round, client.run_id = round_, run
            client.patience_s = patience_s
            if acknowledged is not None:
                client.resent = 0  # no repeated calls
            start.wait()
            for _ in range(times):
                getattr(client, client.random.choice(works))()
                if acknowledged is not None and client.outcome == "ok":
                    acknowledged()
                if client.gave_up:
                    break
            client.close()

        for end in [working.submit(work, number) for number in range(CLIENTS)]:
            end.result()


def _create_model(stub: Any, name: str) -> None:
    request = registry_pb2.CreateRegisteredModelRequest(name=name)
    stub.CreateRegisteredModel(request, timeout=_TIMEOUT_S)


def _create_version(stub: Any, name: str) -> int:
    request = registry_pb2.CreateModelVersionRequest(name=name, source=_SOURCE)
    return int(stub.CreateModelVersion(request, timeout=_TIMEOUT_S).model_version.version)


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (promotions, edits, points, kills, retries, numbers, watches, constraints)
}
