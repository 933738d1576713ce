"""A rollback chooses what a model that remembers everything chooses, whatever happened before."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.databases.dialects import open_migrated
from tests.support.soak import examples

from modelyard_kit.db.base import Database
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import ForeignSource
from modelyard_kit.rpc.calls import Call
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.operations import (
    aliases,
    deletions,
    model_versions,
    registered_models,
    stages,
)
from modelyard_registry.operations.model_versions import Registration

VERSIONS = 4
ALIAS = "champion"
numbers = st.integers(1, VERSIONS)
places = st.sampled_from([Stage.STAGING, Stage.PRODUCTION, ALIAS])
steps = st.one_of(
    st.tuples(st.just("move"), numbers, st.sampled_from(list(Stage))),
    st.tuples(st.just("point"), numbers, st.none()),
    st.tuples(st.just("roll back"), st.none() | numbers, places),
    st.tuples(st.just("delete"), numbers, st.none()),
    st.tuples(st.just("rename"), st.none(), st.none()),
    st.tuples(st.just("drop alias"), st.none(), st.none()),
)
_names = itertools.count()


class Place:
    """A stage or an alias that remembers its holders and what rollbacks took out."""

    def __init__(self) -> None:
        self.holder: int | None = None
        self.entries: list[int] = []
        self.out: set[int] = set()

    def enter(self, number: int, *, again: bool) -> None:
        """Make a version the holder by choice; `again` if a move to itself counts as a choice."""
        if self.holder != number:
            self.entries.append(number)
        elif not again:
            return
        self.holder = number
        self.out.discard(number)

    def leave(self, number: int) -> None:
        if self.holder == number:
            self.holder = None

    def roll_back(self, to: int | None, alive: set[int]) -> int | None:
        possible = [n for n in reversed(self.entries) if n in alive and n != self.holder]
        wanted = [n for n in possible if (n not in self.out if to is None else n == to)]
        if not wanted:
            return None
        if self.holder is not None:
            self.out.add(self.holder)
        self.holder = wanted[0]
        self.entries.append(wanted[0])
        return wanted[0]


class Remembered:
    """A model that remembers everything."""

    def __init__(self) -> None:
        self.alive = set(range(1, VERSIONS + 1))
        self.places: dict[str, Place] = {
            place: Place() for place in (Stage.STAGING, Stage.PRODUCTION, ALIAS)
        }

    def move(self, number: int, stage: Stage) -> None:
        for place in (Stage.STAGING, Stage.PRODUCTION):
            if place != stage:
                self.places[place].leave(number)
        if stage in self.places:
            self.places[stage].enter(number, again=True)

    def roll_back(self, place: str, to: int | None) -> int | None:
        found = self.places[place].roll_back(to, self.alive)
        for other in {Stage.STAGING, Stage.PRODUCTION} - {place}:
            if found is not None and place != ALIAS:
                self.places[other].leave(found)
        return found

    def delete(self, number: int) -> None:
        self.alive.discard(number)
        for place in self.places.values():
            place.leave(number)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        opened = open_migrated("sqlite", Path(folder), MIGRATIONS)
        yield opened
        opened.close()


def do(database: Database, work: Callable[[Call], Any]) -> Any:
    with database.write() as session:
        return work(Call(session, "ada", "request", 1))


def roll_back(call: Call, name: str, place: str, to: int | None) -> int | None:
    try:
        if isinstance(place, Stage):
            return stages.roll_back(
                call, name, place, to=to, expected_holder="", comment=""
            ).version
        return aliases.roll_back(call, name, place, to=to, expected_holder="", comment="").version
    except FailedPrecondition:
        return None


@settings(max_examples=examples(10), deadline=None)
@given(script=st.lists(steps, min_size=8, max_size=16))
def test_a_rollback_chooses_what_a_model_that_remembers_would_choose(
    database: Database, script: list[tuple[str, Any, Any]]
) -> None:
    model = next(_names)
    names = itertools.cycle([f"model {model}", f"renamed {model}", f"again {model}"])
    name = next(names)
    remembered = Remembered()

    def create(call: Call) -> None:
        registered_models.create_model(
            call, name, description=None, deployment_job_id=None, tags=[]
        )
        for _ in range(VERSIONS):
            source = Registration("s3://bucket", "", "", None, None, [])
            model_versions.create_version(call, name, source, ForeignSource("s3://bucket"))

    def play(call: Call) -> None:
        nonlocal name
        for kind, number, place in script:
            if kind == "roll back":
                expected = remembered.roll_back(place, number)
                assert roll_back(call, name, place, number) == expected
            elif kind == "rename":
                new_name = next(names)
                registered_models.rename_model(call, name, new_name, comment="")
                name = new_name
            elif kind == "drop alias":
                aliases.delete_alias(call, name, ALIAS)
                remembered.places[ALIAS].holder = None
            elif number in remembered.alive:
                _change(call, remembered, name, kind, number, place)

    do(database, create)
    do(database, play)


def _change(
    call: Call, remembered: Remembered, name: str, kind: str, number: int, stage: Stage
) -> None:
    if kind == "move":
        stages.transition_stage(
            call,
            name,
            number,
            stage,
            archive_existing=False,
            etag="",
            expected_holder="",
            comment="",
        )
        remembered.move(number, stage)
    elif kind == "point":
        aliases.set_alias(call, name, ALIAS, number)
        remembered.places[ALIAS].enter(number, again=False)
    else:
        deletions.delete_version(call, name, number, force=False, protects_staged=False, comment="")
        remembered.delete(number)
