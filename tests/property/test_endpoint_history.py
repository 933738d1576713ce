"""The events of endpoints record exactly the changes, whatever the operations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import Connection, text
from tests.support.databases.dialects import Dialect, open_migrated

from modelyard_kit.errors import Error
from modelyard_kit.rpc.calls import Call
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.models import EndpointEvent, EndpointName, Event
from modelyard_registry.operations import chains, endpoints, registered_models
from modelyard_registry.rules.history import Document, apply

IDS = ("fraud", "iris")
ids = st.sampled_from(IDS)
uris = st.sampled_from(["models:/fraud/1", "models:/fraud@a", "models:/iris/Staging", "runs:/r/m"])
sections = st.fixed_dictionaries(
    {},
    optional={
        "limits": st.fixed_dictionaries(
            {}, optional={"timeout_ms": st.integers(1, 2), "max_concurrent_requests": st.just(4)}
        ).filter(bool),
        "batching": st.just({"max_rows": 8}),
        "schema_mode": st.sampled_from(["STRICT", "OFF"]),
    },
)
paths = st.lists(
    st.sampled_from([("targets",), ("limits",), ("limits", "timeout_ms"), ("schema_mode",), ()]),
    max_size=2,
)
states = st.sampled_from(["LOADING", "SERVING", "FAILED"])


def of(uri: str) -> Document:
    return {"targets": [{"model_uri": uri, "role": "STABLE", "weight": 100}]}


class Histories(RuleBasedStateMachine):
    """Does anything to two endpoints and a model of the same name, and reads after each step."""

    dialect: Dialect = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = self.closing.enter_context(tempfile.TemporaryDirectory())
        self.database = open_migrated(self.dialect, Path(folder), MIGRATIONS)
        self.closing.callback(self.database.close)
        self.now_ms = 1

    def teardown(self) -> None:
        self.closing.close()

    def do(self, work: Callable[[Call], Any]) -> None:
        """Run one operation in a transaction; a refusal leaves everything unchanged."""
        self.now_ms += 1
        with suppress(Error), self.database.write() as session:
            work(Call(session, "ada", "request", self.now_ms))

    @rule(name=ids, uri=uris, more=sections)
    def create(self, name: str, uri: str, more: Document) -> None:
        self.do(lambda call: endpoints.create_endpoint(call, name, of(uri) | more, comment="new"))

    @rule(name=ids, uri=uris, more=sections, chosen=paths)
    def update(self, name: str, uri: str, more: Document, chosen: list[tuple[str, ...]]) -> None:
        self.do(
            lambda call: endpoints.update_endpoint(
                call, name, of(uri) | more, chosen, etag="", comment=""
            )
        )

    @rule(name=ids)
    def delete(self, name: str) -> None:
        self.do(lambda call: endpoints.delete_endpoint(call, name, etag="", comment="old"))

    @rule(name=ids, uri=uris, state=states)
    def report(self, name: str, uri: str, state: str) -> None:
        reported = [{"model_uri": uri, "state": state}]
        self.do(lambda call: endpoints.report(call, name, reported))

    @rule(name=ids)
    def create_model(self, name: str) -> None:
        self.do(
            lambda call: registered_models.create_model(
                call, name, description=None, deployment_job_id=None, tags=[]
            )
        )

    @invariant()
    def events_replayed_from_empty_are_the_tables(self) -> None:
        with self.database.read() as session:
            for name in IDS:
                events = chains.events_after(session, EndpointEvent, name, 0, 10_000)
                documents: list[Document] = [{}]
                for event in events:
                    documents.append(apply(documents[-1], json.loads(event.after)))
                    assert documents[-1] != documents[-2]
                assert documents[-1] == document_in_tables(session.connection(), name)
                for event in reversed(events):
                    undone = apply(documents.pop(), json.loads(event.before))
                    assert undone == documents[-1]

    @invariant()
    def chains_verify_and_one_clock_counts_all_events(self) -> None:
        with self.database.read() as session:
            ticks = [event.clock for event in chains.all_events_after(session, Event, 0, 10_000)]
            ticks += [
                event.clock for event in chains.all_events_after(session, EndpointEvent, 0, 10_000)
            ]
            newest = chains.newest_clock(session, EndpointEvent)
            assert sorted(ticks) == list(range(1, newest + 1))
            for name in IDS:
                head = session.get(EndpointName, name)
                if head is not None:
                    chains.verify(session, EndpointEvent, head)

    @invariant()
    def a_status_has_the_targets_of_the_spec(self) -> None:
        with self.database.read() as session:
            for endpoint in endpoints.list_endpoints(session, "", 10):
                targets = [target["model_uri"] for target in endpoint.wanted["targets"]]
                assert [status["model_uri"] for status in endpoint.statuses] == targets


def document_in_tables(connection: Connection, name: str) -> Document:
    """Read everything the table holds about an endpoint, without the code under test."""
    query = text("SELECT spec, created_ms, updated_ms FROM endpoint WHERE name = :name")
    row = connection.execute(query, {"name": name}).mappings().one_or_none()
    return {} if row is None else dict(row) | {"spec": json.loads(row["spec"])}


class HistoriesOnPostgres(Histories):
    dialect: Dialect = "postgresql"


TestEndpointHistories = Histories.TestCase
TestEndpointHistories.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
TestEndpointHistoriesOnPostgres = HistoriesOnPostgres.TestCase
TestEndpointHistoriesOnPostgres.settings = settings(
    max_examples=4, stateful_step_count=30, deadline=None
)
