"""The promises, while eight clients work and one fault after the other happens.

Tracking, registry and gateway run in processes of their own, on SQLite and on PostgreSQL. The
faults: SIGKILL of each service, a crash restart of the database, connections that break in the
middle of a request or a reply, links that stall, processes that stop for a while and go on.
`make soak` does each of them many times, for longer, with more clients.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from tests.faults import chaos, judging
from tests.faults.chaos import Record
from tests.faults.checkers import unexpected
from tests.faults.deployment import Dialect, deployed
from tests.faults.injections import LONG_PAUSE_S, SHORT_PAUSE_S, faults, some_faults
from tests.support.databases.postgres import Postgres
from tests.support.soak import SOAK

CLIENTS = 16 if SOAK else 8
CALLS = 150 if SOAK else 25
SEED = int(os.environ.get("MODELYARD_SEED", "0")) or random.SystemRandom().randrange(1, 10_000)
"""Printed with each run; MODELYARD_SEED repeats the choices of one, though not its timing."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    dialect: Dialect = request.param
    folder = tmp_path_factory.mktemp("faults")
    records = folder / "records"
    records.mkdir()
    postgres = Postgres() if dialect == "postgresql" else None
    try:
        with deployed(folder, postgres) as deployment:
            todo = (
                faults(deployment, LONG_PAUSE_S) * SOAK
                if SOAK
                else some_faults(deployment, SHORT_PAUSE_S)
            )
            random.Random(SEED).shuffle(todo)  # noqa: S311 - faults, not secrets
            made = chaos.run(deployment, records, todo, clients=CLIENTS, calls=CALLS, seed=SEED)
    finally:
        if postgres is not None:
            postgres.close()
    # Shown with -s, and when a test fails.
    print(f"{dialect}, seed {SEED}: {summary(made, len(todo))}")  # noqa: T201
    return made


def summary(record: Record, faults_done: int) -> str:
    outcomes = Counter(item.outcome for item in record.done)
    failures = Counter(code for item in record.done for code, _ in item.failures)
    return (
        f"{faults_done} faults, {len(record.done)} calls {dict(outcomes)}, "
        f"failures on the way {dict(failures)}, {len(record.seen)} observations, "
        f"{sum(map(len, record.events.values()))} events, "
        f"{sum(map(len, record.watched.values()))} returned to {len(record.watched)} watchers"
    )


def test_the_clients_did_enough_to_prove_something(record: Record) -> None:
    kinds = Counter(item.kind for item in record.done if item.is_ok)
    outcomes = Counter(item.outcome for item in record.done)

    assert kinds.keys() >= judging.CHANGES | {"add", "create_run", "read_holder", "read_text"}
    assert outcomes["unknown"] > 0
    assert any(len(item.replies) > 1 for item in record.done)
    assert len(record.seen) > 100
    assert len(record.watched) == 5


def test_nothing_fails_but_what_the_faults_break(record: Record) -> None:
    assert unexpected(record.done, calm=False) == []


def test_version_numbers_are_dense_and_in_order(record: Record) -> None:
    assert judging.numbers(record) == []


def test_nobody_ever_saw_two_holders_nor_a_gap(record: Record) -> None:
    assert judging.holders(record) == []


def test_an_acknowledged_write_survives(record: Record) -> None:
    assert judging.survival(record) == []


def test_a_call_sent_again_has_one_effect_and_one_answer(record: Record) -> None:
    assert judging.retries(record) == []


def test_the_events_are_the_changes_and_give_the_tables(record: Record) -> None:
    assert judging.events(record) == []


def test_every_watcher_was_told_of_every_change_once_and_in_order(record: Record) -> None:
    assert judging.watches(record) == []


def test_no_edit_is_lost(record: Record) -> None:
    assert judging.edits(record) == []


def test_each_acknowledged_point_is_stored_once_and_batches_whole(record: Record) -> None:
    assert judging.points(record) == []
