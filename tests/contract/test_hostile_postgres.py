"""Hostile values on PostgreSQL, which has other limits than SQLite: some to each RPC.

`TEST_SOAK=1` sends all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.message import Message
from tests.support.hostile.answers import areas, fault
from tests.support.hostile.requests import VALID, World
from tests.support.hostile.values import Place, hostile, places, some
from tests.support.platforms.access_platform import METHODS, SERVICE_TOKEN, Platform, Refusal
from tests.support.platforms.postgres_platform import PostgresPlatform, running_postgres_platform

_SOAK = bool(os.environ.get("TEST_SOAK"))
_PER_RPC = 8
_SEED = 20_260_101


@dataclass
class OnPostgres:
    platform: Platform
    databases: PostgresPlatform
    world: World

    def refusal(self, name: str, request: Message) -> Refusal | None:
        return self.platform.refusal(METHODS[name], request, f"Bearer {SERVICE_TOKEN}")

    def state(self, name: str) -> list[str]:
        return [self.databases.state(area) for area in areas(name)]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPostgres]:
    with running_postgres_platform(tmp_path_factory.mktemp("p")) as running:
        mounted: Any = running  # as much of an instance as calls need
        platform = Platform(mounted, running.channel)
        yield OnPostgres(platform, running, World(platform.call, running.put))


@pytest.mark.parametrize("name", sorted(VALID))
def test_hostile_values_are_refused_by_name_and_change_nothing(
    attacked: OnPostgres, name: str
) -> None:
    faults = [
        found for place, value in chosen(name) if (found := fault(attacked, name, place, value))
    ]
    assert faults == []


def chosen(name: str) -> list[tuple[Place, Any]]:
    values = hostile if _SOAK else some
    every = [
        (place, value) for place in places(METHODS[name].input_type) for value in values(place)
    ]
    if _SOAK:
        return every
    return random.Random(f"{_SEED} {name}").sample(every, min(_PER_RPC, len(every)))  # noqa: S311
