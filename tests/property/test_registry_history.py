"""The events of the registry record exactly the changes, whatever the operations."""

from __future__ import annotations

import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Connection, text
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.soak import examples

from modelyard_kit.errors import Error
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import ForeignSource
from modelyard_kit.rpc.calls import Call
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.models import Event, ModelName
from modelyard_registry.operations import (
    aliases,
    chains,
    deletions,
    history,
    importing,
    model_versions,
    registered_models,
    stages,
)
from modelyard_registry.operations.importing import OriginalModel, OriginalVersion
from modelyard_registry.operations.model_versions import Registration
from modelyard_registry.rules.history import Document, apply
from modelyard_registry.rules.pinning import Pinned
from modelyard_registry.rules.protection import PROTECTION_TAG

NAMES = ("iris", "rosés", 'a "name"')
names = st.sampled_from(NAMES)
numbers = st.integers(1, 4)
texts = st.sampled_from(["", "one", 'quoted "two"', "dreißig\n", "true", "false"])
optional_texts = st.none() | texts
keys = st.sampled_from(["team", "stage", "versions/1", "null", PROTECTION_TAG])
origins = st.sampled_from(["here", "there"])
words = st.sampled_from(["champion", "challenger", "tags"])
chosen_stages = st.sampled_from(Stage)
flags = st.booleans()

PINNED = Pinned("0" * 64, "run", "7", None, has_model=True)


class Histories(RuleBasedStateMachine):
    """Does anything to three names, and reads after each step."""

    dialect: Dialect = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = self.closing.enter_context(tempfile.TemporaryDirectory())
        self.database = open_migrated(self.dialect, Path(folder), MIGRATIONS)
        self.closing.callback(self.database.close)
        self.now_ms = 1
        self.names = [*NAMES]
        self.numbers_given: dict[str, list[int]] = defaultdict(list)

    def teardown(self) -> None:
        self.closing.close()

    def do(self, work: Callable[[Call], Any]) -> Any:
        """Run one operation in a transaction; a refusal leaves everything unchanged."""
        self.now_ms += 1
        with suppress(Error), self.database.write() as session:
            return work(Call(session, "ada", "request", self.now_ms))
        return None

    @rule(name=names, description=optional_texts, tags=st.dictionaries(keys, texts))
    def create_model(self, name: str, description: str | None, tags: dict[str, str]) -> None:
        self.do(
            lambda call: registered_models.create_model(
                call,
                name,
                description=description,
                deployment_job_id=None,
                tags=list(tags.items()),
            )
        )

    @rule(name=names, description=optional_texts, tags=st.dictionaries(keys, texts), foreign=flags)
    def create_version(
        self,
        name: str,
        description: str | None,
        tags: dict[str, str],
        foreign: bool,  # noqa: FBT001 - hypothesis passes by name
    ) -> None:
        registration = Registration("s3://bucket", "", "", None, description, list(tags.items()))
        kept = ForeignSource("s3://bucket") if foreign else PINNED
        made = self.do(lambda call: model_versions.create_version(call, name, registration, kept))
        if made is not None:
            self.numbers_given[name].append(made.version)

    @rule(
        name=names,
        origin=origins,
        description=optional_texts,
        tags=st.dictionaries(keys, texts),
        next_version=st.integers(0, 6),
    )
    def import_model(
        self,
        name: str,
        origin: str,
        description: str | None,
        tags: dict[str, str],
        next_version: int,
    ) -> None:
        original = OriginalModel(
            name, "bob", description, None, None, 5, 6, list(tags.items()), next_version
        )
        made = self.do(lambda call: importing.import_model(call, origin, original))
        if made is not None and made[0] not in self.names:
            self.names.append(made[0])

    @rule(
        name=names,
        origin=origins,
        number=numbers,
        stage=chosen_stages,
        tags=st.dictionaries(keys, texts),
        alias=st.none() | words,
        foreign=flags,
    )
    def import_version(
        self,
        name: str,
        origin: str,
        number: int,
        stage: Stage,
        tags: dict[str, str],
        alias: str | None,
        foreign: bool,  # noqa: FBT001
    ) -> None:
        source = "s3://bucket" if foreign else "runs:/run"
        registration = Registration(source, "", "", None, None, list(tags.items()))
        aliases = [] if alias is None else [alias]
        original = OriginalVersion(
            name, number, registration, stage, "READY", "bob", 5, 6, aliases, None
        )
        kept = ForeignSource(source) if foreign else PINNED
        self.do(lambda call: importing.import_version(call, origin, original, kept))

    @rule(name=names, number=numbers, stage=chosen_stages, archive=flags)
    def transition(self, name: str, number: int, stage: Stage, archive: bool) -> None:  # noqa: FBT001
        self.do(
            lambda call: stages.transition_stage(
                call,
                name,
                number,
                stage,
                archive_existing=archive,
                etag="",
                expected_holder="",
                comment="why",
            )
        )

    @rule(name=names, stage=chosen_stages)
    def roll_back(self, name: str, stage: Stage) -> None:
        self.do(lambda call: stages.roll_back(call, name, stage, expected_holder="", comment=""))

    @rule(name=names, new_name=names)
    def rename_model(self, name: str, new_name: str) -> None:
        self.do(lambda call: registered_models.rename_model(call, name, new_name, comment=""))

    @rule(name=names, description=optional_texts, protection=st.none() | flags)
    def update_model(
        self,
        name: str,
        description: str | None,
        protection: bool | None,  # noqa: FBT001
    ) -> None:
        self.do(
            lambda call: registered_models.update_model(
                call,
                name,
                description=description,
                deployment_job_id=None,
                deletion_protection=protection,
                etag="",
            )
        )

    @rule(name=names, force=flags)
    def delete_model(self, name: str, force: bool) -> None:  # noqa: FBT001
        self.do(
            lambda call: deletions.delete_model(
                call, name, force=force, protects_staged=False, comment=""
            )
        )

    @rule(name=names, number=numbers, force=flags)
    def delete_version(self, name: str, number: int, force: bool) -> None:  # noqa: FBT001
        self.do(
            lambda call: deletions.delete_version(
                call, name, number, force=force, protects_staged=False, comment=""
            )
        )

    @rule(name=names, number=numbers, description=optional_texts)
    def update_version(self, name: str, number: int, description: str | None) -> None:
        self.do(
            lambda call: model_versions.update_version(
                call, name, number, description=description, etag=""
            )
        )

    @rule(name=names, number=st.none() | numbers, key=keys, value=texts)
    def set_tag(self, name: str, number: int | None, key: str, value: str) -> None:
        if number is None:
            self.do(lambda call: registered_models.set_tag(call, name, key, value))
        else:
            self.do(lambda call: model_versions.set_tag(call, name, number, key, value))

    @rule(name=names, number=st.none() | numbers, key=keys)
    def delete_tag(self, name: str, number: int | None, key: str) -> None:
        if number is None:
            self.do(lambda call: registered_models.delete_tag(call, name, key))
        else:
            self.do(lambda call: model_versions.delete_tag(call, name, number, key))

    @rule(name=names, alias=words, number=numbers)
    def set_alias(self, name: str, alias: str, number: int) -> None:
        self.do(lambda call: aliases.set_alias(call, name, alias, number))

    @rule(name=names, alias=words)
    def delete_alias(self, name: str, alias: str) -> None:
        self.do(lambda call: aliases.delete_alias(call, name, alias))

    @invariant()
    def events_replayed_from_empty_are_the_tables(self) -> None:
        with self.database.read() as session:
            for name in self.names:
                events = chains.events_after(session, Event, name, 0, 10_000)
                documents: list[Document] = [{}]
                for event in events:
                    documents.append(apply(documents[-1], json.loads(event.after)))
                assert documents[-1] == document_in_tables(session.connection(), name)
                for event in reversed(events):
                    undone = apply(documents.pop(), json.loads(event.before))
                    assert undone == documents[-1]

    @invariant()
    def chains_verify_and_clocks_have_no_gap(self) -> None:
        with self.database.read() as session:
            ticks = [event.clock for event in chains.all_events_after(session, Event, 0, 10_000)]
            assert ticks == list(range(1, chains.newest_clock(session, Event) + 1))
            for name in self.names:
                if chains.position(session, ModelName, name):
                    chains.verify(session, Event, history.get_names(session, name))

    @invariant()
    def a_number_is_given_once(self) -> None:
        """Under one name; what was imported counts as given when it comes for the first time."""
        with self.database.read() as session:
            given = [
                (event.name, number)
                for event in chains.all_events_after(session, Event, 0, 10_000)
                if event.action in {"VERSION_CREATED", "VERSION_IMPORTED"}
                for number, row in json.loads(event.before).get("versions", {}).items()
                if row is None
            ]
        assert len(given) == len(set(given))

    @invariant()
    def the_tag_of_protection_and_the_field_agree(self) -> None:
        with self.database.read() as session:
            for name in self.names:
                document = document_in_tables(session.connection(), name)
                tag = document.get("tags", {}).get(PROTECTION_TAG)
                protection = document.get("model", {}).get("deletion_protection", False)
                assert protection == (tag == "true")

    @invariant()
    def numbers_grow_and_are_never_given_twice(self) -> None:
        for given in self.numbers_given.values():
            assert given == sorted(set(given))


def document_in_tables(connection: Connection, name: str) -> Document:
    """Read everything the tables hold about a name, without the code under test."""

    def rows(table: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table} WHERE name = :name"  # noqa: S608 - our own constant
        found = connection.execute(text(query), {"name": name})
        return [
            {column: value for column, value in row.items() if column != "name"}
            for row in found.mappings()
        ]

    def present(row: dict[str, Any]) -> dict[str, Any]:
        return {column: value for column, value in row.items() if value is not None}

    document: Document = {}
    for row in rows("model_name"):
        document |= present({key: row[key] for key in ("next_version", "renamed_from")})
    for row in rows("registered_model"):
        model = row | {"deletion_protection": bool(row["deletion_protection"])}
        document |= {
            "model": present(model),
            "tags": {tag["key"]: tag["value"] for tag in rows("registered_model_tag")},
            "aliases": {alias["alias"]: alias["version"] for alias in rows("model_alias")},
            "versions": {},
        }
    for row in rows("model_version"):
        number = row.pop("version")
        document["versions"][str(number)] = present(row) | {"tags": {}}
    for tag in rows("model_version_tag"):
        document["versions"][str(tag["version"])]["tags"][tag["key"]] = tag["value"]
    return document


class HistoriesOnPostgres(Histories):
    dialect: Dialect = "postgresql"


HISTORIES: dict[Dialect, type[Histories]] = {
    "sqlite": Histories,
    "postgresql": HistoriesOnPostgres,
}
TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=examples(12), stateful_step_count=40, deadline=None)
TestHistoriesOnPostgres = HistoriesOnPostgres.TestCase
TestHistoriesOnPostgres.settings = settings(TestHistories.settings, max_examples=examples(4))


def test_a_long_random_history_replays_to_the_tables(dialect: Dialect) -> None:
    """Hypothesis prefers short histories of few kinds; this one is long and of all."""
    chance = random.Random(20)  # noqa: S311 - not for secrets
    machine = HISTORIES[dialect]()
    names_in_use = [*NAMES]
    machine.names = names_in_use

    def name() -> str:
        return chance.choice(names_in_use)

    def fresh_name() -> str:
        names_in_use.append(f"model {len(names_in_use)}")
        return names_in_use[-1]

    def number() -> int:
        return chance.randint(1, 6)

    def origin() -> str:
        return chance.choice(["here", "there"])

    def stage() -> Stage:
        return chance.choice(list(Stage))

    actions: dict[Callable[[], None], int] = {
        lambda: machine.create_model(name(), "d", {"team": "x"}): 4,
        lambda: machine.create_version(name(), None, {"team": "y"}, foreign=False): 8,
        lambda: machine.import_model(name(), origin(), "i", {"team": "i"}, number()): 4,
        lambda: machine.import_version(
            name(), origin(), number(), stage(), {"team": "i"}, "champion", foreign=False
        ): 8,
        lambda: machine.transition(name(), number(), stage(), archive=False): 12,
        lambda: machine.roll_back(name(), stage()): 4,
        lambda: machine.rename_model(name(), name()): 1,
        lambda: machine.rename_model(name(), fresh_name()): 1,
        lambda: machine.set_tag(name(), number(), "team", "z"): 2,
        lambda: machine.delete_tag(name(), number(), "team"): 2,
        lambda: machine.set_alias(name(), "champion", number()): 4,
        lambda: machine.delete_version(name(), number(), force=True): 1,
        lambda: machine.delete_model(name(), force=True): 1,
    }
    try:
        for action in chance.choices(list(actions), list(actions.values()), k=600):
            action()
        machine.events_replayed_from_empty_are_the_tables()
        machine.chains_verify_and_clocks_have_no_gap()
        with machine.database.read() as session:
            events = chains.all_events_after(session, Event, 0, 10_000)
        renamed = [event for event in events if '"renamed_from"' in event.after]
        assert any('"next_version":1,' not in event.after for event in renamed)
        seen = {event.action for event in events}
        assert seen >= {"STAGE_ROLLED_BACK", "MODEL_DELETED", "MODEL_IMPORTED", "VERSION_IMPORTED"}
    finally:
        machine.teardown()
