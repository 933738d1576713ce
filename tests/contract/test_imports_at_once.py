"""Several imports at the same time, of one thing and of things with one name or number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms import registry_originals, tracking_originals
from tests.support.platforms.registry_service import Registry, running_registry
from tests.support.platforms.tracking_service import Tracking, tracking_at

CLIENTS = 8
ROUNDS = 3
ONE = ["one"] * CLIENTS
MANY = [f"origin {index}" for index in range(CLIENTS)]
A = TypeVar("A")
T = TypeVar("T")


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        yield running


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def at_once(work: Callable[[A], T], arguments: Sequence[A]) -> list[T]:
    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(work, arguments))


def test_one_model_imported_by_many_is_made_once(registry: Registry) -> None:
    for name in "abc":
        message = registry_originals.model(name)
        replies = at_once(partial(registry_originals.import_model, registry, message), ONE)
        assert Counter(reply.created for reply in replies) == {True: 1, False: CLIENTS - 1}
        assert {reply.registered_model.name for reply in replies} == {name}
        assert registry_originals.actions(registry, name) == ["MODEL_IMPORTED"]


def test_models_of_one_name_from_many_registries_each_get_a_name(registry: Registry) -> None:
    for name in "abc":
        message = registry_originals.model(name)
        replies = at_once(partial(registry_originals.import_model, registry, message), MANY)
        assert all(reply.created for reply in replies)
        suffixes = ["", "-imported", *(f"-imported-{n}" for n in range(2, CLIENTS))]
        made = sorted(reply.registered_model.name for reply in replies)
        assert made == sorted(name + suffix for suffix in suffixes)
        for each in made:
            registry_originals.verify(registry, each)


def test_one_experiment_imported_by_many_is_made_once(tracking: Tracking) -> None:
    for number in range(50, 50 + ROUNDS):
        message = tracking_originals.experiment(str(number), f"iris {number}")
        replies = at_once(partial(tracking_originals.import_experiment, tracking, message), ONE)
        assert Counter(created for _, created in replies) == {True: 1, False: CLIENTS - 1}
        assert {experiment_id for experiment_id, _ in replies} == {str(number)}


def test_experiments_of_one_name_and_number_from_many_servers_each_get_their_own(
    tracking: Tracking,
) -> None:
    for number in range(50, 50 + 100 * ROUNDS, 100):
        name = f"iris {number}"
        message = tracking_originals.experiment(str(number), name)
        replies = at_once(partial(tracking_originals.import_experiment, tracking, message), MANY)
        assert all(created for _, created in replies)
        assert sorted(int(kept) for kept, _ in replies) == list(range(number, number + CLIENTS))
        names = {tracking_originals.get_experiment(tracking, kept).name for kept, _ in replies}
        assert names == {name, *(f"{name} ({n})" for n in range(2, CLIENTS + 1))}


def test_experiments_made_while_others_keep_their_numbers_get_other_numbers(
    tracking: Tracking,
) -> None:
    def make_or_import(index: int) -> list[str]:
        if index % 2:
            return [
                tracking_originals.create_experiment(tracking, f"{index} {step}")
                for step in range(20)
            ]
        return [
            tracking_originals.import_experiment(
                tracking, tracking_originals.experiment(str(number), f"{index} {number}")
            )[0]
            for number in range(1 + index, 200, CLIENTS)
        ]

    made = [number for numbers in at_once(make_or_import, range(CLIENTS)) for number in numbers]
    assert len(made) == len(set(made))
    after = tracking_originals.create_experiment(tracking, "after")
    assert int(after) > max(map(int, made))


def test_runs_and_models_imported_by_many_are_made_once(tracking: Tracking) -> None:
    run, model = tracking_originals.run(), tracking_originals.model()
    runs = at_once(partial(tracking_originals.import_run, tracking, run), ONE)
    models = at_once(partial(tracking_originals.import_model, tracking, model), ONE)
    for replies in (runs, models):
        assert Counter(created for _, created in replies) == {True: 1, False: CLIENTS - 1}
        assert len({kept for kept, _ in replies}) == 1


def test_runs_and_models_of_one_id_from_many_servers_each_get_their_own(
    tracking: Tracking,
) -> None:
    run, model = tracking_originals.run(), tracking_originals.model()
    runs = at_once(partial(tracking_originals.import_run, tracking, run), MANY)
    models = at_once(partial(tracking_originals.import_model, tracking, model), MANY)
    for replies in (runs, models):
        assert all(created for _, created in replies)
        assert len({kept for kept, _ in replies}) == CLIENTS
