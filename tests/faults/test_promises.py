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
from faults import chaos
from faults.chaos import Record
from faults.checkers import (
    lost_writes,
    repeated_effects,
    unexpected,
    wrong_events,
    wrong_holders,
    wrong_numbers,
    wrong_points,
    wrong_watches,
)
from faults.client import MOVED, VERSIONS_AT_START
from faults.deployment import Dialect, deployed
from faults.histories import (
    unexplained_holders,
    unexplained_numbers,
    unexplained_points,
    unexplained_texts,
)
from faults.injections import LONG_PAUSE_S, SHORT_PAUSE_S, faults
from postgres import Postgres

SOAK = bool(os.environ.get("MODELYARD_SOAK"))
CLIENTS = 16 if SOAK else 8
CALLS = 150 if SOAK else 40
CYCLES = int(os.environ.get("MODELYARD_SOAK", "0"))
SEED = int(os.environ.get("MODELYARD_SEED", "0")) or random.SystemRandom().randrange(1, 10_000)
"""Printed with each run; MODELYARD_SEED repeats the choices of one, though not its timing."""

CHANGES = {"create_model", "create_version", "move", "promote", "roll_back", "edit"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    dialect: Dialect = request.param
    folder = tmp_path_factory.mktemp("faults")
    records = folder / "records"
    records.mkdir()
    postgres = Postgres() if dialect == "postgresql" else None
    try:
        with deployed(folder, postgres) as deployment:
            todo = faults(deployment, LONG_PAUSE_S if SOAK else SHORT_PAUSE_S) * max(CYCLES, 1)
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
    failures = Counter(code for item in record.done for code, _ in item.said)
    return (
        f"{faults_done} faults, {len(record.done)} calls {dict(outcomes)}, "
        f"failures on the way {dict(failures)}, {len(record.seen)} observations, "
        f"{sum(map(len, record.events.values()))} events, "
        f"{sum(map(len, record.watched.values()))} told to {len(record.watched)} watchers"
    )


def models(record: Record, kind: str) -> list[str]:
    return [model for model in record.versions if model.startswith(kind)]


def numbered(record: Record) -> list[str]:
    """The models whose versions say for ever which call made them."""
    return [MOVED, *models(record, "held")]


def test_the_clients_did_enough_to_prove_something(record: Record) -> None:
    kinds = Counter(item.kind for item in record.done if item.is_ok)
    outcomes = Counter(item.outcome for item in record.done)

    assert kinds.keys() >= CHANGES | {"add", "create_run", "read_holder", "read_text"}
    assert outcomes["unknown"] > 0
    assert len(record.seen) > 100
    assert len(record.watched) == 5


def test_nothing_fails_but_what_the_faults_break(record: Record) -> None:
    assert unexpected(record.done, calm=False) == []


def test_version_numbers_are_dense_and_in_order(record: Record) -> None:
    for model in numbered(record):
        created = record.acknowledged("create_version", model)
        assert wrong_numbers(created, record.versions[model]) == []
    for model in models(record, "held"):
        assert unexplained_numbers(after_start(record), model, VERSIONS_AT_START) == []


def test_nobody_ever_saw_two_holders_nor_a_gap(record: Record) -> None:
    always = dict.fromkeys(models(record, "held"), "Production")

    assert wrong_holders(record.seen, always) == []


def test_what_was_seen_in_production_has_one_explanation(record: Record) -> None:
    for model in models(record, "held"):
        assert unexplained_holders(after_start(record), model, holder=1) == []


def test_no_edit_is_lost(record: Record) -> None:
    for model in models(record, "edited"):
        [first] = [item for item in record.of("create_version", model) if item.told == 1]
        assert unexplained_texts(after_start(record), model, (1, first.call)) == []


def test_an_acknowledged_write_survives(record: Record) -> None:
    for model in numbered(record):
        created = [item.call for item in record.acknowledged("create_version", model)]
        assert lost_writes(created, [made.made_by for made in record.versions[model]]) == []
    assert lost_writes([item.call for item in record.acknowledged("create_run")], record.runs) == []


def test_a_call_sent_again_has_one_effect_and_one_answer(record: Record) -> None:
    versions = [made.made_by for model in numbered(record) for made in record.versions[model]]

    assert any(len(item.replies) > 1 for item in record.done)
    assert repeated_effects(record.done, [*versions, *record.runs]) == []


def test_the_events_are_the_changes_and_give_the_tables(record: Record) -> None:
    for model, events in record.events.items():
        changes = [i for i in record.done if i.model == model and i.kind in CHANGES]
        table = {
            "versions": {
                str(version.number): {"stage": version.stage, "description": version.made_by}
                for version in record.versions[model]
            }
        }
        assert wrong_events(events, changes, table) == []
        assert record.verified[model] == len(events)


def test_every_watcher_was_told_of_every_change_once_and_in_order(record: Record) -> None:
    of_all = sorted(
        (event.covered["clock"], event.hash)
        for events in record.events.values()
        for event in events
    )
    of_moved = [(event.revision, event.hash) for event in record.events[MOVED]]
    for watcher, lines in record.watched.items():
        told = [(line["position"], line["hash"]) for line in lines if "hash" in line]
        assert [line["refused"] for line in lines if "refused" in line] == []
        expected = of_moved if watcher.endswith(MOVED) else of_all
        assert wrong_watches(told, expected, watcher) == []


def test_each_acknowledged_point_is_stored_once_and_batches_whole(record: Record) -> None:
    for run, found in record.points.items():
        added = record.of("add", run)
        assert wrong_points(added, found, run) == []
        assert unexplained_points(record.done, run) == []


def after_start(record: Record) -> list[chaos.Done]:
    """What clients did, without the calls that laid the ground."""
    return [item for item in record.done if not item.call.startswith("start")]
