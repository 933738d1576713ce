"""Endpoints and tokens restricted to some models and experiments.

That what is outside is like what is missing, `test_scopes.py` shows for each RPC.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from tests.support.platforms.access_platform import METHODS, Platform, Refusal, running_platform

_numbers = count(1)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def scoped(platform: Platform) -> str:
    return platform.token("admin", models=["fraud-*"])


def spec(*uris: str) -> dict[str, Any]:
    first, *others = uris
    stable = {"model_uri": first, "role": "STABLE", "weight": 100}
    shadows = [{"model_uri": uri, "role": "SHADOW", "sample": 0.5} for uri in others]
    return {"spec": {"targets": [stable, *shadows]}}


def made(platform: Platform, *uris: str) -> str:
    endpoint_id = f"e{next(_numbers)}"
    platform.call("EndpointService.CreateEndpoint", endpoint_id=endpoint_id, endpoint=spec(*uris))
    return endpoint_id


def refusal(platform: Platform, token: str, rpc: str, **fields: Any) -> Refusal | None:
    method = METHODS[f"EndpointService.{rpc}"]
    request = GetMessageClass(method.input_type)(**fields)
    return platform.refusal(method, request, f"Bearer {token}")


def code(found: Refusal | None) -> grpc.StatusCode | None:
    return None if found is None else found.code


def sees(platform: Platform, token: str, endpoint_id: str) -> bool:
    """Whether a token sees an endpoint, and that its history and the list agree."""
    fields = {"endpoint_id": endpoint_id}
    one = refusal(platform, token, "GetEndpoint", **fields) is None
    page = platform.call("EndpointService.ListEndpoints", token, page_size=1000)
    assert (endpoint_id in {found.endpoint_id for found in page.endpoints}) == one
    for rpc in ("ListEndpointEvents", "VerifyEndpointHistory"):
        assert (refusal(platform, token, rpc, **fields) is None) == one
    return one


def test_an_endpoint_is_inside_if_all_its_models_are(platform: Platform, scoped: str) -> None:
    assert sees(platform, scoped, made(platform, "models:/fraud-a/1", "models:/fraud-b@x"))
    assert not sees(platform, scoped, made(platform, "models:/fraud-a/1", "models:/secret/2"))
    assert not sees(platform, scoped, made(platform, "models:/secret/2", "models:/fraud-a/1"))


def test_an_endpoint_that_once_referred_to_a_model_outside_stays_outside(
    platform: Platform, scoped: str
) -> None:
    endpoint_id = made(platform, "models:/secret/1")
    fields: dict[str, Any] = {"endpoint_id": endpoint_id, "endpoint": spec("models:/fraud-a/1")}
    platform.call("EndpointService.UpdateEndpoint", **fields)
    assert not sees(platform, scoped, endpoint_id)
    platform.call("EndpointService.DeleteEndpoint", endpoint_id=endpoint_id)
    taken = refusal(platform, scoped, "CreateEndpoint", **fields)
    assert code(taken) is grpc.StatusCode.ALREADY_EXISTS
    assert taken is not None
    assert "secret" not in taken.message


def test_a_target_outside_the_scope_is_refused(platform: Platform, scoped: str) -> None:
    fields = {"endpoint_id": f"e{next(_numbers)}", "endpoint": spec("models:/secret/1")}
    denied = refusal(platform, scoped, "CreateEndpoint", **fields)
    assert denied is not None
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    assert "restricted to models named fraud-*; 'secret' is none of them" in denied.message
    fields["endpoint"] = spec("models:/fraud-a/1")
    assert refusal(platform, scoped, "CreateEndpoint", **fields) is None
    fields["endpoint"] = spec("models:/fraud-a/1", "models:/secret/1")
    denied = refusal(platform, scoped, "UpdateEndpoint", **fields)
    assert code(denied) is grpc.StatusCode.PERMISSION_DENIED
    assert sees(platform, scoped, str(fields["endpoint_id"]))


@pytest.mark.parametrize("uri", ["runs:/abc/model", "models:/m-" + "0" * 32])
def test_a_run_behind_an_endpoint_is_a_matter_of_experiments(
    platform: Platform, scoped: str, uri: str
) -> None:
    endpoint_id = made(platform, uri)
    assert sees(platform, scoped, endpoint_id)
    token = platform.token("admin", experiments=["fraud-*"])
    assert not sees(platform, token, endpoint_id)
    fields = {"endpoint_id": f"e{next(_numbers)}", "endpoint": spec(uri)}
    denied = refusal(platform, token, "CreateEndpoint", **fields)
    assert denied is not None
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    assert "restricted to experiments named fraud-*;" in denied.message
    fields["endpoint"] = spec("models:/any/1")
    assert refusal(platform, token, "CreateEndpoint", **fields) is None


def test_a_watch_of_all_endpoints_leaves_out_the_others(platform: Platform, scoped: str) -> None:
    method = METHODS["EndpointService.WatchEndpoints"]
    rpc: Any = platform.channel.unary_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    request = GetMessageClass(method.input_type)()
    stream = rpc(request, timeout=60, metadata=(("authorization", f"Bearer {scoped}"),))
    made(platform, "models:/secret/1")
    last = made(platform, "models:/fraud-last/1")
    for message in stream:
        assert "secret" not in message.event.after
        if message.event.endpoint_id == last:
            break
    stream.cancel()
