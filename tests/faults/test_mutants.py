"""A check that cannot fail proves nothing: each finds nothing in the product, and its mutants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.checks import CHECKS
from tests.faults.deployment import Deployment, deployed
from tests.faults.mutants import MUTANTS
from tests.support.databases.postgres import Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    # Mutants run into deadlocks that the product does not have: end them soon.
    with closing(Postgres(["deadlock_timeout=50ms"])) as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def product(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[Deployment]:
    server = postgres if request.param == "postgresql" else None
    with deployed(tmp_path_factory.mktemp("product"), server, ("tracking", "registry")) as it:
        yield it


@pytest.mark.parametrize("check", CHECKS)
def test_a_short_check_finds_nothing_in_the_product(
    product: Deployment, check: str, tmp_path: Path
) -> None:
    assert CHECKS[check](product, tmp_path) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, tmp_path: Path, postgres: Postgres) -> None:
    mutant = MUTANTS[name]
    server = postgres if mutant.dialect == "postgresql" else None
    with deployed(tmp_path, server, (mutant.role,), name) as deployment:
        found = CHECKS[mutant.caught_by](deployment, tmp_path)

    assert found, f"{mutant.caught_by} finds nothing wrong with a server with {name}"
    # Shown with -s: what gave it away.
    print(f"{name}: {mutant.caught_by} says: {found[0].splitlines()[0]}")  # noqa: T201


def test_each_check_catches_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS.values()} == CHECKS.keys()
