"""Endpoints in the registry: create, read, update, delete and report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.endpoint_service import URI, Endpoints, running_endpoints, spec, target
from tests.support.platforms.registry_service import in_threads, refused

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard_kit.errors import (
    Aborted,
    AlreadyExists,
    InvalidArgument,
    NotFound,
)


@pytest.fixture
def endpoints(tmp_path: Path, dialect: Dialect) -> Iterator[Endpoints]:
    with running_endpoints(tmp_path, dialect) as running:
        yield running


def test_an_endpoint_is_created_of_models_that_need_not_exist(endpoints: Endpoints) -> None:
    made = endpoints.create(spec=spec(limits={"timeout_ms": 500}, schema_mode="STRICT"))

    assert made.endpoint_id == "fraud"
    assert made.spec == spec(limits={"timeout_ms": 500}, schema_mode="STRICT")
    assert (made.etag, made.revision) == ("1", 1)
    assert made.create_time.ToMilliseconds() == endpoints.registry.time.ms
    assert made.update_time == made.create_time
    (standing,) = made.status.targets
    assert (standing.model_uri, standing.state) == (URI, pb.TargetStatus.PENDING)
    assert standing.since_time == made.create_time
    assert endpoints.get() == made


def test_a_taken_id_is_refused(endpoints: Endpoints) -> None:
    endpoints.create()
    with refused(endpoints.registry, AlreadyExists, "Endpoint with id=fraud already exists"):
        endpoints.create()


def test_of_concurrent_creations_of_one_id_one_succeeds(endpoints: Endpoints) -> None:
    refusals: list[Exception] = []

    def create(_index: int) -> None:
        try:
            endpoints.create()
        except AlreadyExists as error:
            refusals.append(error)

    in_threads(4, create)
    assert len(refusals) == 3
    assert [event.action for event in endpoints.events()] == [pb.EndpointEvent.ENDPOINT_CREATED]


@pytest.mark.parametrize("endpoint_id", ["Fraud", "1a", "a-", "a_b", "a/b", "..", "ä", "-"])
def test_an_invalid_id_is_refused(endpoints: Endpoints, endpoint_id: str) -> None:
    with refused(endpoints.registry, InvalidArgument, "parameter 'endpoint_id': expected 1 to 63"):
        endpoints.create(endpoint_id)


def test_what_is_missing_is_not_found(endpoints: Endpoints) -> None:
    for rpc, request in (
        ("GetEndpoint", pb.GetEndpointRequest(endpoint_id="fraud")),
        ("DeleteEndpoint", pb.DeleteEndpointRequest(endpoint_id="fraud")),
        (
            "UpdateEndpoint",
            pb.UpdateEndpointRequest(endpoint_id="fraud", endpoint=pb.Endpoint(spec=spec())),
        ),
        (
            "ReportServing",
            pb.ReportServingRequest(
                endpoint_id="fraud", targets=[{"model_uri": URI, "state": "LOADING"}]
            ),
        ),
    ):
        with refused(endpoints.registry, NotFound, "Endpoint with id=fraud not found"):
            endpoints.call(rpc, request)
    for rpc, asked in (
        ("ListEndpointEvents", pb.ListEndpointEventsRequest(endpoint_id="fraud")),
        ("VerifyEndpointHistory", pb.VerifyEndpointHistoryRequest(endpoint_id="fraud")),
    ):
        with refused(endpoints.registry, NotFound, "No endpoint ever had id=fraud"):
            endpoints.call(rpc, asked)


def test_endpoints_are_listed_by_id_in_pages(endpoints: Endpoints) -> None:
    for endpoint_id in ("c", "a", "b"):
        endpoints.create(endpoint_id)
    first = endpoints.call("ListEndpoints", pb.ListEndpointsRequest(page_size=2))
    second = endpoints.call(
        "ListEndpoints", pb.ListEndpointsRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [found.endpoint_id for found in first.endpoints] == ["a", "b"]
    assert [found.endpoint_id for found in second.endpoints] == ["c"]
    assert not second.next_page_token
    for fields in ({"page_size": 0}, {"page_size": 1001}, {"page_token": "x"}):
        with refused(endpoints.registry, InvalidArgument, "Invalid"):
            endpoints.call("ListEndpoints", pb.ListEndpointsRequest(**fields))


def test_a_mask_needs_only_what_it_names(endpoints: Endpoints) -> None:
    made = endpoints.create(spec=spec(batching={"max_rows": 8}, limits={"timeout_ms": 500}))
    endpoints.registry.time.ms += 1

    changed = endpoints.update({"limits": {"max_concurrent_requests": 4}}, ["spec.limits"])
    assert changed.spec == spec(batching={"max_rows": 8}, limits={"max_concurrent_requests": 4})
    assert (changed.etag, changed.revision) == ("2", 2)
    assert changed.update_time.ToMilliseconds() == made.create_time.ToMilliseconds() + 1

    changed = endpoints.update({}, ["spec.batching.max_rows", "spec.limits.timeout_ms"])
    assert changed.spec == spec(limits={"max_concurrent_requests": 4})

    canary = target("models:/fraud@next", "CANARY", weight=5)
    targets = [target(weight=95), canary]
    changed = endpoints.update({"targets": targets}, ["spec.targets"])
    assert changed.spec == pb.EndpointSpec(targets=targets, limits={"max_concurrent_requests": 4})


def test_a_star_replaces_all_fields_and_no_mask_the_given_fields(endpoints: Endpoints) -> None:
    endpoints.create(spec=spec(batching={"max_rows": 8}, limits={"timeout_ms": 500}))

    changed = endpoints.update({"limits": {"max_body_bytes": 9}}, [])
    assert changed.spec == spec(
        batching={"max_rows": 8}, limits={"timeout_ms": 500, "max_body_bytes": 9}
    )
    changed = endpoints.update({"targets": [target()], "schema_mode": "OFF"}, ["*"])
    assert changed.spec == spec(schema_mode="OFF")
    changed = endpoints.update({"targets": [target()]}, ["spec"])
    assert changed.spec == spec()
    with refused(endpoints.registry, InvalidArgument, "required parameter 'spec.targets'"):
        endpoints.update({}, ["*"])


def test_an_endpoint_that_was_read_can_be_sent_back(endpoints: Endpoints) -> None:
    read = endpoints.create()
    read.spec.limits.timeout_ms = 7
    request = pb.UpdateEndpointRequest(endpoint_id="fraud", endpoint=read)
    changed = endpoints.call("UpdateEndpoint", request).endpoint
    assert changed.spec.limits.timeout_ms == 7
    with refused(endpoints.registry, Aborted, "the current etag is 2, the request expected '1'"):
        endpoints.call("UpdateEndpoint", request)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("model_uri", "there is no such field; expected 'spec'"),
        ("spec.colour", "there is no such field; expected one of targets, batching, limits"),
        ("spec.limits.colour", "expected one of max_body_bytes, timeout_ms"),
        ("spec.limits.timeout_ms.x", "there is no such field"),
        ("spec.targets.weight", "expected the path of the field that contains it"),
        ("spec.targets[0]", "there is no such field"),
        ("endpoint_id", "the field is read-only"),
        ("status.targets", "the field is read-only"),
        ("etag", "the field is read-only"),
        ("", "there is no such field"),
        ("spec.", "there is no such field"),
        ("SPEC", "there is no such field"),
    ],
)
def test_a_mask_with_an_unknown_field_is_refused(endpoints: Endpoints, path: str, why: str) -> None:
    endpoints.create()
    for paths in ([path], ["spec.limits", path]):
        with refused(endpoints.registry, InvalidArgument, "in parameter 'update_mask'") as caught:
            endpoints.update({}, paths)
        assert f"Invalid path '{path}'" in caught.value.message
        assert why in caught.value.message


def test_a_star_cannot_be_combined_with_other_paths(endpoints: Endpoints) -> None:
    endpoints.create()
    with refused(endpoints.registry, InvalidArgument, r"Invalid path '\*'.*cannot be combined"):
        endpoints.update({"targets": [target()]}, ["*", "spec.limits"])


def test_the_id_of_an_endpoint_never_changes(endpoints: Endpoints) -> None:
    endpoints.create()
    other = pb.Endpoint(endpoint_id="other", spec=spec())
    for rpc, request in (
        ("UpdateEndpoint", pb.UpdateEndpointRequest(endpoint_id="fraud", endpoint=other)),
        ("CreateEndpoint", pb.CreateEndpointRequest(endpoint_id="fraud-2", endpoint=other)),
    ):
        with refused(
            endpoints.registry, InvalidArgument, "'endpoint.endpoint_id': the id cannot change"
        ):
            endpoints.call(rpc, request)


def test_setting_equal_values_changes_nothing(endpoints: Endpoints) -> None:
    made = endpoints.create(spec=spec(limits={"timeout_ms": 5}))
    endpoints.registry.time.ms += 1
    for given, paths in (
        ({"limits": {"timeout_ms": 5}}, ["spec.limits"]),
        ({"limits": {"timeout_ms": 5}}, []),
        ({}, []),
        ({"batching": {}}, ["spec.batching", "spec.guardrails.window_s"]),
    ):
        assert endpoints.update(given, paths) == made
    assert len(endpoints.events()) == 1


def test_a_stale_etag_is_refused_by_update_and_delete(endpoints: Endpoints) -> None:
    endpoints.create()
    endpoints.update({"limits": {"timeout_ms": 5}}, [])
    with refused(endpoints.registry, Aborted, "the current etag is 2, the request expected '1'"):
        endpoints.update({"limits": {"timeout_ms": 6}}, [], etag="1")
    with refused(endpoints.registry, Aborted, "the current etag is 2, the request expected '1'"):
        endpoints.delete(etag="1")
    endpoints.delete(etag="2")


def test_a_deleted_id_may_be_used_again_and_its_history_goes_on(endpoints: Endpoints) -> None:
    endpoints.create()
    endpoints.delete(comment="done")
    with pytest.raises(NotFound):
        endpoints.get()
    made = endpoints.create(spec=spec(schema_mode="OFF"))
    assert (made.etag, made.revision) == ("3", 3)
    events = endpoints.events()
    actions = ["ENDPOINT_CREATED", "ENDPOINT_DELETED", "ENDPOINT_CREATED"]
    assert [pb.EndpointEvent.Action.Name(event.action) for event in events] == actions
    assert events[1].comment == "done"


def test_of_two_updates_with_one_etag_one_is_refused(endpoints: Endpoints) -> None:
    etag = endpoints.create().etag
    stale: list[Exception] = []

    def change(index: int) -> None:
        try:
            endpoints.update({"limits": {"timeout_ms": index + 1}}, [], etag=etag)
        except Aborted as error:
            stale.append(error)

    in_threads(4, change)
    assert len(stale) == 3
    assert len(endpoints.events()) == 2


def test_a_call_sent_again_with_its_key_has_one_effect(endpoints: Endpoints) -> None:
    request = pb.CreateEndpointRequest(endpoint_id="fraud", endpoint=pb.Endpoint(spec=spec()))
    first = endpoints.call("CreateEndpoint", request, idempotency_key="k")
    assert endpoints.call("CreateEndpoint", request, idempotency_key="k") == first
    assert len(endpoints.events()) == 1


def test_an_endpoint_and_a_model_of_one_name_have_histories_of_their_own(
    endpoints: Endpoints,
) -> None:
    registry = endpoints.registry
    registry.create_model("fraud")
    endpoints.create()
    registry.create_version("fraud")
    assert [event.clock for event in registry.events("fraud")] == [1, 3]
    assert [event.clock for event in endpoints.events()] == [2]
    registry.call("VerifyHistory", registry_pb2.VerifyHistoryRequest(name="fraud"))
    verified = endpoints.call(
        "VerifyEndpointHistory", pb.VerifyEndpointHistoryRequest(endpoint_id="fraud")
    )
    assert (verified.revision, verified.hash) == (1, endpoints.events()[0].hash)


def standing(endpoint: pb.Endpoint) -> list[tuple[str, str, int]]:
    name = pb.TargetStatus.State.Name
    return [
        (name(found.state), found.message, found.since_time.ToMilliseconds())
        for found in endpoint.status.targets
    ]


def test_a_report_is_status_and_not_history(endpoints: Endpoints) -> None:
    before = endpoints.create()
    start_ms = endpoints.registry.time.ms
    for state, message, after_ms in (
        ("LOADING", "fetching", 10),
        ("LOADING", "warming", 20),
        ("SERVING", "", 30),
        ("SERVING", "busy", 40),
    ):
        endpoints.registry.time.ms = start_ms + after_ms
        endpoints.report(state=state, message=message)
    after = endpoints.get()
    assert standing(after) == [("SERVING", "busy", start_ms + 30)]
    assert (after.etag, after.update_time) == (before.etag, before.update_time)
    assert len(endpoints.events()) == 1

    endpoints.report(state="SERVING", model_version="2", model_digest="ab" * 32)
    (found,) = endpoints.get().status.targets
    assert (found.model_version, found.model_digest) == ("2", "ab" * 32)
    assert found.since_time.ToMilliseconds() == start_ms + 40


def test_a_report_of_a_removed_target_is_ignored(endpoints: Endpoints) -> None:
    endpoints.create()
    endpoints.report(state="SERVING")
    other = target("models:/fraud@next", "CANARY", weight=5)
    kept = endpoints.update({"targets": [target(weight=95), other]}, [])
    assert [state for state, _, _ in standing(kept)] == ["SERVING", "PENDING"]
    endpoints.update({"targets": [target("models:/fraud/3")]}, [])
    endpoints.report(state="FAILED", message="of a target that is no more")
    assert [state for state, _, _ in standing(endpoints.get())] == ["PENDING"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "required parameter 'targets'"),
        ([{"model_uri": URI}], "required parameter 'targets"),
        ([{"model_uri": URI, "state": "STATE_UNSPECIFIED"}], r"targets\[0\].state"),
        ([{"model_uri": URI, "state": "SERVING"}] * 2, "expected each model URI at most once"),
        (
            [{"model_uri": URI, "state": "SERVING", "model_digest": "x"}],
            "expected 64 lower-case hexadecimal digits",
        ),
    ],
)
def test_an_invalid_report_is_refused(
    endpoints: Endpoints, targets: list[dict[str, Any]], message: str
) -> None:
    endpoints.create()
    with refused(endpoints.registry, InvalidArgument, message):
        request = pb.ReportServingRequest(endpoint_id="fraud", targets=targets)
        endpoints.call("ReportServing", request)
