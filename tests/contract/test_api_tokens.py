"""API tokens: creation, use, refusal and revocation, on the whole platform behind real sockets."""

from __future__ import annotations

import base64
import http.client
import logging
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import REGISTRY
from tests.support.platforms.access_platform import (
    METHODS,
    SERVICE_TOKEN,
    Platform,
    first_route,
    running_platform,
)

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.api.tracking.v1.tracking_pb2 import RunTag

CREATE_MODEL = METHODS["RegistryService.CreateRegisteredModel"]
WATCH = METHODS["RegistryService.WatchModels"]
ELSEWHERE = "modelyard_Zz9Zz9Zz9Z_" + "q" * 43
TOO_LONG = "x" * 20_000


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


def refused_credentials(platform: Platform) -> dict[str, str]:
    """Return invalid values of `authorization`, by their fault."""
    admin = platform.roles["admin"]
    revoked = platform.token("admin")
    platform.call("AccessService.RevokeToken", id=revoked.split("_")[1])
    return {
        "nothing": "",
        "another": "Bearer a-guess-at-the-token",
        "of another deployment": f"Bearer {ELSEWHERE}",
        "of a known id with another secret": f"Bearer {admin[:-43]}{'0' * 43}",
        "truncated": f"Bearer {admin[:-1]}",
        "with more after it": f"Bearer {admin}0",
        "revoked": f"Bearer {revoked}",
        "without its scheme": admin,
        "of an unknown scheme": f"Digest {admin}",
        "a password that is no base64": "Basic modelyard",
        "an unknown password": f"Basic {base64.b64encode(b'ada:lovelace').decode()}",
    }


def test_no_rpc_answers_a_token_that_is_not_valid(platform: Platform) -> None:
    for what, authorization in refused_credentials(platform).items():
        for rpc, method in METHODS.items():
            request = GetMessageClass(method.input_type)()
            refusal = platform.refusal(method, request, authorization)
            assert refusal is not None, (what, rpc)
            assert refusal.code is grpc.StatusCode.UNAUTHENTICATED, (what, rpc, refusal)


def test_no_route_answers_a_token_that_is_not_valid(platform: Platform) -> None:
    whole = refused_credentials(platform)
    credentials = {what: whole[what] for what in ("nothing", "truncated", "revoked")}
    for rpc, method in METHODS.items():
        route = first_route(method)
        if route is None:
            continue
        verb, path = route
        path = re.sub(r"\{\w+\}", "x", path)
        document: object = None if verb == "GET" else {}
        for what, authorization in credentials.items():
            status, answer = platform.http(verb, path, authorization, document)
            assert (status, answer["error_code"]) == (401, "UNAUTHENTICATED"), (what, rpc)


def test_the_transport_refuses_a_token_longer_than_metadata_may_be(platform: Platform) -> None:
    of_each_service = {method.containing_service.name: method for method in METHODS.values()}
    for service, method in of_each_service.items():
        request = GetMessageClass(method.input_type)()
        refusal = platform.refusal(method, request, f"Bearer {TOO_LONG}")
        assert refusal is not None
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED, service


def test_no_route_answers_a_token_that_no_metadata_can_hold(platform: Platform) -> None:
    for rpc, method in METHODS.items():
        route = first_route(method)
        if route is None:
            continue
        verb, path = route
        document: object = None if verb == "GET" else {}
        path = re.sub(r"\{\w+\}", "x", path)
        assert platform.http(verb, path, f"Bearer {TOO_LONG}", document)[0] == 431, rpc
        assert platform.http(verb, path, "Bearer ünlesbar", document)[0] == 400, rpc


def test_a_password_is_a_token_whatever_the_user(platform: Platform) -> None:
    for token, name in ((platform.roles["viewer"], "viewer-"), (SERVICE_TOKEN, "token")):
        credentials = base64.b64encode(f"ada:{token}".encode()).decode()
        status, caller = platform.http("GET", "/api/modelyard/v1/caller", f"Basic {credentials}")
        assert status == 200
        assert caller["name"].startswith(name)


def test_a_caller_gets_its_name_and_permissions(platform: Platform) -> None:
    ends = Timestamp(seconds=int(time.time()) + 3600)
    token = platform.token("approver", name="rosa", models=["fraud-*"], expire_time=ends)
    caller = platform.call("AccessService.GetCaller", token)
    assert (caller.name, caller.role) == ("rosa", pb.APPROVER)
    assert list(caller.models) == ["fraud-*"]
    assert caller.expire_time == ends
    assert len(caller.permissions) == 6


def test_history_names_the_token_whatever_user_the_caller_gives(platform: Platform) -> None:
    token = platform.token("contributor", name="ci-of-fraud")
    rpc: Any = platform.channel.unary_unary(
        f"/{CREATE_MODEL.containing_service.full_name}/{CREATE_MODEL.name}"
    )
    request = GetMessageClass(CREATE_MODEL.input_type)(name="claimed")
    metadata = (("authorization", f"Bearer {token}"), ("x-modelyard-user", "somebody else"))
    rpc(request.SerializeToString(), timeout=30, metadata=metadata)
    events = platform.call("RegistryService.ListModelEvents", name="claimed").events
    assert [event.actor for event in events] == ["ci-of-fraud"]


@pytest.mark.parametrize("claim", ["user_id", "mlflow.user"])
def test_a_run_belongs_to_the_token_whatever_user_the_client_gives(
    platform: Platform, claim: str
) -> None:
    token = platform.token("contributor", name=f"rosa-{claim}")
    tags = [RunTag(key="mlflow.user", value="boss")]
    fields: dict[str, Any] = {"tags": tags} if claim == "mlflow.user" else {"user_id": "boss"}
    run = platform.call("TrackingService.CreateRun", token, experiment_id="0", **fields).run
    assert run.info.user_id == f"rosa-{claim}"
    kept = [tag.value for tag in run.data.tags if tag.key == "mlflow.user"]
    assert kept == (["boss"] if claim == "mlflow.user" else [])
    claimed = platform.call("TrackingService.CreateRun", experiment_id="0", **fields).run
    assert claimed.info.user_id == "boss"


def test_idempotency_keys_of_two_tokens_are_two_keys(platform: Platform) -> None:
    rpc: Any = platform.channel.unary_unary(
        f"/{CREATE_MODEL.containing_service.full_name}/{CREATE_MODEL.name}"
    )
    for name in ("first-of-key", "second-of-key"):
        request = GetMessageClass(CREATE_MODEL.input_type)(name=name)
        token = platform.token("contributor")
        metadata = (("authorization", f"Bearer {token}"), ("idempotency-key", "one key"))
        rpc(request.SerializeToString(), timeout=30, metadata=metadata)
        platform.call("RegistryService.GetRegisteredModel", name=name)


def test_a_token_expires(platform: Platform) -> None:
    ends = Timestamp()
    ends.FromMilliseconds(time.time_ns() // 1_000_000 + 300)
    token = platform.token("viewer", expire_time=ends)
    method = METHODS["AccessService.GetCaller"]
    while (refusal := platform.refusal(method, pb.GetCallerRequest(), f"Bearer {token}")) is None:
        assert time.time() < ends.ToSeconds() + 60
    assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    assert "expired" in refusal.message


def test_a_stream_ends_when_the_token_it_was_opened_with_is_revoked(platform: Platform) -> None:
    token = platform.token("viewer")
    platform.call("RegistryService.CreateRegisteredModel", name="watched")
    rpc = platform.channel.unary_stream(
        f"/{WATCH.containing_service.full_name}/{WATCH.name}",
        request_serializer=GetMessageClass(WATCH.input_type).SerializeToString,
        response_deserializer=GetMessageClass(WATCH.output_type).FromString,
    )
    request = GetMessageClass(WATCH.input_type)(name="watched")
    stream: Any = rpc(request, timeout=60, metadata=(("authorization", f"Bearer {token}"),))
    assert next(stream).position == 1
    assert next(stream).event.revision == 1
    platform.call("AccessService.RevokeToken", id=token.split("_")[1])
    platform.call(
        "RegistryService.SetRegisteredModelTag", name="watched", key="secret", value="tag"
    )
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    ended: Any = caught.value
    assert ended.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_revoked_token_is_refused_at_once_where_it_was_revoked(platform: Platform) -> None:
    token = platform.token("viewer")
    token_id = token.split("_")[1]
    platform.call("AccessService.GetCaller", token)
    first = platform.call("AccessService.RevokeToken", id=token_id).token
    again = platform.call("AccessService.RevokeToken", id=token_id).token
    assert first == again
    assert first.revoked_by == "token"
    method = METHODS["AccessService.GetCaller"]
    refusal = platform.refusal(method, pb.GetCallerRequest(), f"Bearer {token}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    listed = {found.id: found for found in platform.call("AccessService.ListTokens").tokens}
    assert listed[token_id].HasField("revoke_time")


def test_a_page_of_tokens_goes_on_where_the_one_before_ended(platform: Platform) -> None:
    whole = platform.call("AccessService.ListTokens", page_size=1000).tokens
    seen: list[str] = []
    page_token = ""
    while True:
        page = platform.call("AccessService.ListTokens", page_size=2, page_token=page_token)
        seen += [token.id for token in page.tokens]
        page_token = page.next_page_token
        if not page_token:
            break
    assert seen == [token.id for token in whole]
    assert sorted((t.create_time.ToNanoseconds() for t in whole), reverse=True) == [
        t.create_time.ToNanoseconds() for t in whole
    ]


def _request(**fields: Any) -> pb.CreateTokenRequest:
    given: dict[str, Any] = {
        "id": "abcdefghij",
        "sha256": "a" * 64,
        "name": "fitting",
        "role": pb.VIEWER,
    }
    return pb.CreateTokenRequest(**(given | fields))


def test_creating_the_same_token_again_returns_it(platform: Platform) -> None:
    method = METHODS["AccessService.CreateToken"]
    services = f"Bearer {SERVICE_TOKEN}"
    same = _request(id="samesame00", name="same")
    again = [platform.send(method, same, services).token for _ in range(2)]
    assert again[0] == again[1]
    taken = {
        "A token with the id samesame00 and other fields already exists": _request(
            id="samesame00", name="same", sha256="b" * 64
        ),
        "A token named 'same' exists or existed": _request(name="same"),
    }
    for message, request in taken.items():
        refusal = platform.refusal(method, request, services)
        assert refusal is not None
        assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        assert message in refusal.message


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("id", _request(id="../secrets")),
        ("id", _request(id="ä" * 10)),
        ("sha256", _request(sha256="A" * 64)),
        ("sha256", _request(sha256="a" * 63)),
        ("name", _request(name=" ci")),
        ("name", _request(name="c\ni")),
        ("name", _request(name="a" * 101)),
        ("name", _request(name="token")),
        ("name", _request(name="t\u043eken")),
        ("name", _request(name="Anonymous")),
        ("role", _request(role=0)),
        ("role", _request(role=77)),
        ("models[1]", _request(models=["a", ""])),
        ("models[0]", _request(models=["a\n"])),
        ("models", _request(models=["a"] * 101)),
        ("experiments[0]", _request(experiments=["a" * 501])),
        ("expire_time", _request(expire_time=Timestamp(seconds=1))),
        ("expire_time", _request(expire_time=Timestamp(seconds=2**60))),
        ("expire_time", _request(expire_time=Timestamp(seconds=-1))),
    ],
)
def test_an_invalid_token_is_refused(
    platform: Platform, field: str, request_: pb.CreateTokenRequest
) -> None:
    method = METHODS["AccessService.CreateToken"]
    before = platform.call("AccessService.ListTokenChecks").revision
    refusal = platform.refusal(method, request_, f"Bearer {SERVICE_TOKEN}")
    assert refusal is not None
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.metadata["field"] == field
    assert platform.call("AccessService.ListTokenChecks").revision == before


def test_a_token_given_in_place_of_its_hash_is_not_shown(platform: Platform) -> None:
    method = METHODS["AccessService.CreateToken"]
    refusal = platform.refusal(method, _request(sha256=ELSEWHERE), f"Bearer {SERVICE_TOKEN}")
    assert refusal is not None
    assert refusal.metadata["field"] == "sha256"
    assert ELSEWHERE not in f"{refusal.message} {refusal.metadata}"


@pytest.mark.parametrize("token_id", ["", "nosuchtok", "nosuchtok1", "' OR 1=1 -"])
def test_a_missing_token_cannot_be_revoked(platform: Platform, token_id: str) -> None:
    method = METHODS["AccessService.RevokeToken"]
    request = pb.RevokeTokenRequest(id=token_id)
    refusal = platform.refusal(method, request, f"Bearer {SERVICE_TOKEN}")
    assert refusal is not None
    expected = "NOT_FOUND" if token_id == "nosuchtok1" else "INVALID_ARGUMENT"
    assert refusal.code.name == expected


def test_neither_logs_nor_database_hold_a_token(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = [*platform.roles.values(), SERVICE_TOKEN]
    with caplog.at_level(logging.DEBUG):
        for authorization in refused_credentials(platform).values():
            platform.refusal(
                METHODS["AccessService.GetCaller"], pb.GetCallerRequest(), authorization
            )
        method = METHODS["AccessService.ListTokens"]
        for token in secrets:
            platform.refusal(method, pb.ListTokensRequest(), f"Bearer {token}")
            platform.http("GET", "/api/modelyard/v1/tokens", f"Bearer {token}")
    logged = str([vars(record) for record in caplog.records])
    calls = [vars(record) for record in caplog.records if record.message == "rpc"]
    refused = [line["principal"] for line in calls if line["code"] == "PERMISSION_DENIED"]
    assert "viewer" in {name.partition("-")[0] for name in refused}
    for service in ("registry", "tracking"):
        path = platform.embedded.home / f"{service}.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            logged += "\n".join(connection.iterdump())
        connection.close()
    for secret in secrets:
        assert secret not in logged
        assert secret[-43:] not in logged


def test_metrics_at_the_client_port_need_the_service_token(platform: Platform) -> None:
    assert platform.status("/metrics", platform.roles["admin"]) == 401
    assert platform.status("/metrics", SERVICE_TOKEN) == 200


def test_refusals_are_counted_by_method_and_reason(platform: Platform) -> None:
    method = METHODS["AccessService.ListTokens"]
    for reason, token in (
        ("UNAUTHENTICATED", ELSEWHERE),
        ("PERMISSION_DENIED", platform.roles["viewer"]),
    ):
        labels = {"method": method.full_name, "reason": reason}
        before = REGISTRY.get_sample_value("modelyard_authz_denied_total", labels) or 0
        platform.refusal(method, pb.ListTokensRequest(), f"Bearer {token}")
        assert REGISTRY.get_sample_value("modelyard_authz_denied_total", labels) == before + 1


def test_a_client_without_a_token_gets_the_required_kind(platform: Platform) -> None:
    with closing(http.client.HTTPConnection(platform.embedded.http[7:], timeout=30)) as connection:
        connection.request("GET", "/api/modelyard/v1/caller")
        reply = connection.getresponse()
        assert (reply.status, reply.getheader("WWW-Authenticate")) == (
            401,
            'Bearer realm="modelyard"',
        )
