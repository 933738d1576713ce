"""Every field of every RPC that is built, with values that nobody should send.

`TEST_SOAK=1` sends all of them, otherwise some to each field.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from google.protobuf.message import Message
from tests.support.hostile.answers import areas, fault
from tests.support.hostile.requests import VALID, World, valid
from tests.support.hostile.values import hostile, places, some
from tests.support.platforms.access_platform import (
    METHODS,
    SERVICE_TOKEN,
    Platform,
    Refusal,
    running_platform,
)

_VALUES = hostile if os.environ.get("TEST_SOAK") else some


@dataclass
class Embedded:
    """A platform with a world on it."""

    platform: Platform
    world: World
    databases: dict[str, sqlite3.Connection]

    def refusal(self, name: str, request: Message) -> Refusal | None:
        return self.platform.refusal(METHODS[name], request, f"Bearer {SERVICE_TOKEN}")

    def state(self, name: str) -> list[int]:
        asked = [self.databases[area].execute("PRAGMA data_version") for area in areas(name)]
        return [answer.fetchone()[0] for answer in asked]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("platform")
    with running_platform(folder) as platform:
        files = {area: folder / "home" / f"{area}.db" for area in ("tracking", "registry")}
        databases = {area: sqlite3.connect(file) for area, file in files.items()}
        yield Embedded(platform, World(platform.call, _put), databases)
        for database in databases.values():
            database.close()


def _put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT")  # noqa: S310 - the test's own server
    with closing(urllib.request.urlopen(request)):  # noqa: S310
        pass


def test_there_is_a_valid_request_of_each_rpc_and_it_is_answered(attacked: Embedded) -> None:
    unbuilt = {_short(name) for name in attacked.platform.embedded.server.unbuilt}
    assert VALID.keys() == METHODS.keys() - unbuilt
    for name in VALID:  # what is set comes before what deletes it
        refusal = attacked.refusal(name, valid(attacked.world, METHODS[name]))
        assert refusal is None, f"{name}: {refusal}"


@pytest.mark.parametrize("name", sorted(VALID))
def test_hostile_values_are_refused_by_name_and_change_nothing(
    attacked: Embedded, name: str
) -> None:
    faults = [
        found
        for place in places(METHODS[name].input_type)
        for value in _VALUES(place)
        if (found := fault(attacked, name, place, value))
    ]
    assert faults == []


def _short(full_name: str) -> str:
    return ".".join(full_name.rsplit(".", 2)[1:])
