"""Tokens restricted to some models and experiments: all others are reported as missing.

Every RPC is called, with whatever the request names taken from a foreign object, from one that does
not exist, and from an own one, to show that the call would work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from tests.support.hostile.scoped_things import (
    MISSING,
    SCOPED_RPCS,
    SEARCHES,
    Things,
    made,
    request_about,
)
from tests.support.platforms.access_platform import METHODS, Platform, Refusal, running_platform

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit.auth.grants import permission_of

OWN, FOREIGN = "fraud-own", "secret"
HIDDEN = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)
CHANGING = ("Delete", "Rename", "Restore", "Update", "Finalize")
"""Names of RPCs that change the state of resources: each test has resources of its own."""
HISTORIES = {
    "TrackingService.GetMetricHistory",
    "TrackingService.GetMetricHistoryBulk",
    "TrackingService.GetMetricHistoryBulkInterval",
}
"""Reads that return nothing for a run that does not exist."""
WATCHES = {"RegistryService.WatchModels", "EndpointService.WatchEndpoints"}
_numbers = count(1)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def foreign(platform: Platform) -> Things:
    return made(platform, FOREIGN)


@pytest.fixture(scope="module")
def own(platform: Platform) -> Things:
    return made(platform, OWN)


@pytest.fixture(scope="module")
def scoped(platform: Platform) -> str:
    """A token with all permissions, restricted to its own resources."""
    return platform.token("admin", models=["fraud-*"], experiments=["fraud-*", "x?z"])


def without_identities(refusal: Refusal, things: Things) -> tuple[grpc.StatusCode, str]:
    text = re.sub(rf"(?<!version=)\b{things.experiment_id}\b", "…", refusal.message)
    for identity in sorted(things.identities, key=len, reverse=True):
        text = text.replace(identity, "…")
    return refusal.code, text


@pytest.mark.parametrize("rpc", sorted(SCOPED_RPCS.keys() - SEARCHES - HISTORIES))
def test_resources_outside_the_scope_are_reported_as_missing(
    platform: Platform, foreign: Things, scoped: str, rpc: str
) -> None:
    method = SCOPED_RPCS[rpc]
    authorization = f"Bearer {scoped}"
    outside = platform.refusal(method, request_about(method, foreign), authorization)
    missing = platform.refusal(method, request_about(method, MISSING), authorization)
    assert outside is not None
    assert missing is not None
    assert outside.code in HIDDEN, outside
    assert without_identities(outside, foreign) == without_identities(missing, MISSING)


@pytest.mark.parametrize("rpc", sorted(SCOPED_RPCS.keys() - SEARCHES))
def test_resources_inside_the_scope_are_found(
    platform: Platform, own: Things, scoped: str, rpc: str
) -> None:
    method = SCOPED_RPCS[rpc]
    if method.name.startswith(CHANGING):
        own = made(platform, f"{OWN}-{next(_numbers)}")
    if method.name == "RestoreExperiment":
        platform.call("TrackingService.DeleteExperiment", experiment_id=own.experiment_id)
    refusal = platform.refusal(method, request_about(method, own), f"Bearer {scoped}")
    # Some are refused for the state of their resource, which shows that it was found.
    assert refusal is None or refusal.code is grpc.StatusCode.FAILED_PRECONDITION, refusal


@pytest.mark.parametrize("rpc", sorted(HISTORIES))
def test_a_run_outside_the_scope_has_no_points(
    platform: Platform, foreign: Things, scoped: str, rpc: str
) -> None:
    method = SCOPED_RPCS[rpc]
    request = request_about(method, foreign)
    assert platform.send(method, request, f"Bearer {platform.roles['admin']}").metrics
    assert platform.send(method, request, f"Bearer {scoped}") == platform.send(
        method, request_about(method, MISSING), f"Bearer {scoped}"
    )


@pytest.mark.parametrize("rpc", sorted(SEARCHES - WATCHES))
def test_a_search_never_finds_resources_outside_the_scope(
    platform: Platform, own: Things, foreign: Things, scoped: str, rpc: str
) -> None:
    method = SCOPED_RPCS[rpc]
    request: Any = GetMessageClass(method.input_type)()
    if "experiment_ids" in method.input_type.fields_by_name:
        request.experiment_ids.extend([own.experiment_id, foreign.experiment_id])
    whole = str(platform.send(method, request, f"Bearer {platform.roles['admin']}"))
    assert FOREIGN in whole
    assert OWN in whole
    seen = str(platform.send(method, request, f"Bearer {scoped}"))
    assert OWN in seen
    assert not [identity for identity in foreign.identities if identity in seen]


def test_a_page_is_filled_with_resources_inside_the_scope(
    platform: Platform, own: Things, foreign: Things, scoped: str
) -> None:
    names: list[str] = []
    page_token = ""
    while True:
        page = platform.call(
            "RegistryService.SearchRegisteredModels", scoped, max_results=1, page_token=page_token
        )
        names += [model.name for model in page.registered_models]
        page_token = page.next_page_token
        if not page_token:
            break
    assert f"{own.word}-model" in names
    assert len(names) == len(set(names))
    assert all(name.startswith("fraud-") for name in names)
    assert f"{foreign.word}-model" not in names


def test_a_watch_of_all_models_leaves_out_the_others(
    platform: Platform, own: Things, foreign: Things, scoped: str
) -> None:
    method = METHODS["RegistryService.WatchModels"]
    rpc: Any = platform.channel.unary_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    request = GetMessageClass(method.input_type)()
    stream = rpc(request, timeout=60, metadata=(("authorization", f"Bearer {scoped}"),))
    platform.call(
        "RegistryService.SetRegisteredModelTag", name=f"{foreign.word}-model", key="k", value="v"
    )
    name = f"{own.word}-model"
    platform.call("RegistryService.SetRegisteredModelTag", name=name, key="last", value="v")
    for message in stream:
        assert not message.event.name.startswith(FOREIGN)
        if message.event.name == name and '"last"' in message.event.after:
            break
    stream.cancel()


@pytest.mark.parametrize("rpc", sorted(WATCHES))
def test_the_position_of_a_watch_does_not_count_changes_outside(
    platform: Platform, foreign: Things, own: Things, scoped: str, rpc: str
) -> None:
    method = METHODS[rpc]
    authorization = f"Bearer {scoped}"

    def position(**after: int) -> int:
        request = GetMessageClass(method.input_type)(**after)
        return int(platform.send(method, request, authorization).position)

    def change(things: Things, value: str) -> None:
        name = f"{things.word}-model"
        platform.call("RegistryService.SetRegisteredModelTag", name=name, key="n", value=value)

    before = position()
    change(foreign, "counted")
    assert position() == before
    with pytest.raises(grpc.RpcError) as caught:
        position(after_clock=before + 1)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert f"the newest is {before}." in str(caught.value.details())
    if rpc == "RegistryService.WatchModels":
        change(own, "counted")
        assert position() > before + 1
    assert position(after_clock=before) == position()


def test_a_watch_of_a_model_outside_waits_for_one_that_never_was(
    platform: Platform, foreign: Things, scoped: str
) -> None:
    method = METHODS["RegistryService.WatchModels"]
    request = GetMessageClass(method.input_type)(name=f"{foreign.word}-model")
    assert platform.send(method, request, f"Bearer {scoped}").position == 0


@pytest.mark.parametrize(
    ("rpc", "fields"),
    [
        ("RegistryService.CreateRegisteredModel", {"name": "fraud"}),
        ("RegistryService.CreateRegisteredModel", {"name": "Fraud-1"}),
        ("RegistryService.CreateRegisteredModel", {"name": "secret-model"}),
        ("RegistryService.RenameRegisteredModel", {"new_name": "secret-model"}),
        ("TrackingService.CreateExperiment", {"name": "secret-exp"}),
        ("TrackingService.CreateExperiment", {"name": "xyyz"}),
        ("TrackingService.UpdateExperiment", {"new_name": "secret-exp"}),
    ],
)
def test_a_name_outside_the_scope_cannot_be_given(
    platform: Platform, own: Things, foreign: Things, scoped: str, rpc: str, fields: dict[str, str]
) -> None:
    method = METHODS[rpc]
    about = {"name": f"{own.word}-model", "experiment_id": own.experiment_id} | fields
    known = {k: v for k, v in about.items() if k in method.input_type.fields_by_name}
    request = GetMessageClass(method.input_type)(**known)
    refusal = platform.refusal(method, request, f"Bearer {scoped}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert "fraud-*" in refusal.message
    assert foreign.run_id not in refusal.message


def test_patterns_are_literal_but_for_stars_and_question_marks(platform: Platform) -> None:
    token = platform.token("contributor", models=["a_b%[x]*", "q?"])
    for name, allowed in {
        "a_b%[x]": True,
        "a_b%[x]tail": True,
        "aXb%[x]": False,
        "a_bZ[x]": False,
        "a_b%x": False,
        "q1": True,
        "q12": False,
    }.items():
        request = {"name": name}
        method = METHODS["RegistryService.CreateRegisteredModel"]
        message = GetMessageClass(method.input_type)(**request)
        assert (platform.refusal(method, message, f"Bearer {token}") is None) == allowed, name
        if not allowed:
            platform.call("RegistryService.CreateRegisteredModel", name=name)
    found = platform.call("RegistryService.SearchRegisteredModels", token).registered_models
    assert sorted(model.name for model in found) == ["a_b%[x]", "a_b%[x]tail", "q1"]


def test_rpcs_about_everything_need_a_token_without_patterns(
    platform: Platform, scoped: str
) -> None:
    for rpc, method in METHODS.items():
        if permission_of(method) != Permission.ADMIN:
            continue
        request = GetMessageClass(method.input_type)()
        refusal = platform.refusal(method, request, f"Bearer {scoped}")
        assert refusal is not None, rpc
        assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
        assert "is restricted to models named fraud-* and experiments named" in refusal.message


def test_a_scope_of_models_leaves_experiments_alone(platform: Platform, foreign: Things) -> None:
    token = platform.token("viewer", models=["fraud-*"])
    platform.call("TrackingService.GetRun", token, run_id=foreign.run_id)
    resolved = platform.call("RegistryService.ResolveModel", token, uri=f"runs:/{foreign.run_id}/")
    assert resolved.run_id == foreign.run_id


@pytest.mark.parametrize("uri", ["runs:/{0.run_id}/", "models:/{0.model_id}"])
def test_a_uri_of_a_run_outside_the_scope_is_not_found(
    platform: Platform, foreign: Things, scoped: str, uri: str
) -> None:
    method = METHODS["RegistryService.ResolveModel"]
    request = GetMessageClass(method.input_type)(uri=uri.format(foreign))
    refusal = platform.refusal(method, request, f"Bearer {scoped}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.NOT_FOUND


def test_a_version_is_not_copied_from_outside(
    platform: Platform, own: Things, foreign: Things, scoped: str
) -> None:
    method = METHODS["RegistryService.CreateModelVersion"]
    for source in (
        f"models:/{foreign.word}-model/1",
        f"models:/{foreign.word}-model@champion",
        f"mlflow-artifacts:/manifests/{foreign.digest}",
        f"runs:/{foreign.run_id}/",
    ):
        request = GetMessageClass(method.input_type)(name=f"{own.word}-model", source=source)
        refusal = platform.refusal(method, request, f"Bearer {scoped}")
        assert refusal is not None
        assert refusal.code is grpc.StatusCode.NOT_FOUND, source


def test_a_version_creates_no_model_outside(platform: Platform, own: Things, scoped: str) -> None:
    method = METHODS["RegistryService.CreateModelVersion"]
    request = GetMessageClass(method.input_type)(
        name="roses", source=f"runs:/{own.run_id}/", create_registered_model=True
    )
    refusal = platform.refusal(method, request, f"Bearer {scoped}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert "is restricted to models named fraud-*; 'roses' is none" in refusal.message


def test_the_artifact_routes_are_restricted_too(
    platform: Platform, own: Things, foreign: Things, scoped: str
) -> None:
    place = "/api/2.0/mlflow-artifacts/artifacts"
    statuses = []
    for things in (own, foreign):
        below = f"{place}/{things.experiment_id}/{things.run_id}/artifacts/a/b.bin"
        pinned = f"{place}/manifests/{things.digest}/a/b.bin"
        by_run = f"/get-artifact?run_id={things.run_id}&path=a/b.bin"
        by_version = f"/model-versions/get-artifact?name={things.word}-model&version=1&path=a/b.bin"
        statuses.append([platform.status(p, scoped) for p in (below, pinned, by_run, by_version)])
    assert statuses == [[200] * 4, [404] * 4]
