"""Following the history of endpoints, and reading it in pages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.endpoint_service import Endpoints, running_endpoints
from tests.support.platforms.registry_service import refused

from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard_kit.errors import InvalidArgument, OutOfRange
from modelyard_kit.rpc import grpc_errors


@pytest.fixture
def endpoints(tmp_path: Path, dialect: Dialect) -> Iterator[Endpoints]:
    with running_endpoints(tmp_path, dialect) as running:
        yield running


def refusal(stream: Any) -> Exception:
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    return grpc_errors.from_rpc(caught.value, "registry")


def test_a_watch_gives_every_change_of_an_endpoint_once(endpoints: Endpoints) -> None:
    endpoints.create()
    stream = endpoints.watch(endpoint_id="fraud")
    first = next(stream)
    assert not first.HasField("event")
    assert first.position == 1
    assert [reply.event.revision for reply in islice(stream, 1)] == [1]
    endpoints.create("other")
    endpoints.report(state="SERVING")
    endpoints.update({"limits": {"timeout_ms": 1}}, [])
    endpoints.delete()
    assert [reply.event.revision for reply in islice(stream, 2)] == [2, 3]
    stream.cancel()

    stream = endpoints.watch(endpoint_id="fraud", after_revision=2)
    next(stream)
    assert next(stream).event == endpoints.events()[2]
    stream.cancel()


def test_a_watch_of_all_endpoints_follows_the_clock(endpoints: Endpoints) -> None:
    endpoints.create("a")
    endpoints.registry.create_model("iris")
    endpoints.create("b")
    stream = endpoints.watch(after_clock=1)
    assert next(stream).position == 3
    endpoints.delete("a")
    found = [(reply.event.endpoint_id, reply.position) for reply in islice(stream, 2)]
    assert found == [("b", 3), ("a", 4)]
    stream.cancel()


def test_a_watch_from_beyond_the_history_is_out_of_range(endpoints: Endpoints) -> None:
    endpoints.create()
    for fields in ({"endpoint_id": "fraud", "after_revision": 2}, {"after_clock": 2}):
        assert isinstance(refusal(endpoints.watch(**fields)), OutOfRange)
    error = refusal(endpoints.watch(endpoint_id="fraud", after_revision=-1))
    assert isinstance(error, InvalidArgument)


def test_events_are_paged(endpoints: Endpoints) -> None:
    endpoints.create()
    endpoints.delete()
    endpoints.create()
    request = pb.ListEndpointEventsRequest(endpoint_id="fraud", page_size=2)
    first = endpoints.call("ListEndpointEvents", request)
    request.page_token = first.next_page_token
    second = endpoints.call("ListEndpointEvents", request)
    assert [event.revision for event in (*first.events, *second.events)] == [1, 2, 3]
    assert not second.next_page_token
    later = pb.ListEndpointEventsRequest(endpoint_id="fraud", after_revision=2)
    assert [event.revision for event in endpoints.call("ListEndpointEvents", later).events] == [3]
    for fields in ({"page_size": 0}, {"after_revision": -1}, {"page_token": "x"}):
        with refused(endpoints.registry, InvalidArgument, "Invalid"):
            bad = pb.ListEndpointEventsRequest(endpoint_id="fraud", **fields)
            endpoints.call("ListEndpointEvents", bad)
