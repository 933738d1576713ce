"""Authorization of callers of `modelyard models serve`, with a real registry and real tokens."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.support.platforms.access_platform import SERVICE_TOKEN, Platform, running_platform
from tests.support.platforms.serving_parts import Answered, Serving, ask, constant_function, serving
from tests.support.processes.ports import free_port

import modelyard
from modelyard_kit.errors import Unauthenticated
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded
from modelyard_serving.clients import Registry

NAME = "fraud-1"
PREDICTS = {"contributor", "approver", "admin"}


def register(platform: Platform, folder: Path) -> None:
    """Register a model that always answers 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELYARD_TOKEN", SERVICE_TOKEN)
        modelyard.set_tracking_uri(platform.embedded.http)
        with modelyard.start_run() as run:
            modelyard.log_artifacts(constant_function(folder / "model", 1), "model")
        modelyard.register_model(f"runs:/{run.info.run_id}/model", NAME)
        modelyard.set_tracking_uri(None)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    with running_platform(folder) as running:
        register(running, folder)
        yield running


@pytest.fixture(scope="module")
def served(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    variables = {
        "MODELYARD_TRACKING_URI": platform.embedded.http,
        "MODELYARD_CACHE": str(tmp_path_factory.mktemp("cache")),
        "MODELYARD_TOKEN": platform.roles["serving"],
    }
    with serving(f"models:/{NAME}/1", "--allow-pickle", **variables) as running:
        yield running


def with_token(served: Serving, token: str, path: str = "/invocations") -> Answered:
    headers = {"authorization": f"Bearer {token}"}
    if path == "/invocations":
        return ask(served.port, headers=headers)
    return ask(served.port, path, None, headers=headers)


def until(served: Serving, token: str, status: int) -> None:
    """Repeat a request until its status is the expected one; the test's timeout ends the wait."""
    while with_token(served, token).status != status:
        threading.Event().wait(0.02)


@pytest.mark.parametrize("role", ["viewer", "contributor", "approver", "admin", "serving"])
def test_a_prediction_needs_a_role_that_may_predict(
    platform: Platform, served: Serving, role: str
) -> None:
    token = platform.token(role)
    answered = with_token(served, token)
    if role in PREDICTS:
        assert (answered.status, answered.json) == (200, {"predictions": [1.0]})
    else:
        assert (answered.status, answered.json["error_code"]) == (403, "PERMISSION_DENIED")
        assert f"permission PREDICT, which the role {role} of the token" in answered.json["message"]
    assert with_token(served, token, "/status").status == 200


def test_the_endpoints_own_token_and_the_service_token_may_do_everything(
    platform: Platform, served: Serving
) -> None:
    for token in (platform.roles["serving"], SERVICE_TOKEN):
        assert with_token(served, token).status == 200
        assert with_token(served, token, "/status").status == 200
        assert with_token(served, token, "/metrics").status == 200


def test_a_token_may_be_a_password(platform: Platform, served: Serving) -> None:
    credentials = base64.b64encode(f"ada:{platform.roles['approver']}".encode()).decode()
    assert ask(served.port, headers={"authorization": f"Basic {credentials}"}).status == 200


@pytest.mark.parametrize(
    "authorization", [None, "Bearer ", "Bearer of-no-use", "Bearer " + "x" * 40]
)
def test_no_token_and_a_wrong_one_are_401(served: Serving, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    for answered in (
        ask(served.port, headers=headers),
        ask(served.port, "/status", None, headers=headers),
        ask(served.port, "/metrics", None, headers=headers),
    ):
        assert (answered.status, answered.json["error_code"]) == (401, "UNAUTHENTICATED")
    for path in ("/ping", "/health", "/version"):
        assert ask(served.port, path, None, headers=headers).status == 200


def test_the_patterns_of_a_token_restrict_the_models(platform: Platform, served: Serving) -> None:
    inside = platform.token("contributor", models=["iris", "fraud-*"])
    assert with_token(served, inside).status == 200
    outside = platform.token("admin", name="rosa", models=["iris-*", "fraud"])
    for path in ("/invocations", "/status"):
        refused = with_token(served, outside, path)
        assert (refused.status, refused.json["error_code"]) == (403, "PERMISSION_DENIED")
        assert refused.json["message"] == (
            "The token 'rosa' is restricted to models named iris-* or fraud; "
            "'fraud-1' is none of them."
        )


def test_a_revoked_token_is_refused(platform: Platform, served: Serving) -> None:
    token = platform.token("contributor")
    assert with_token(served, token).status == 200
    platform.call("AccessService.RevokeToken", id=token.split("_")[1])
    until(served, token, 401)


def test_without_the_registry_known_tokens_are_accepted_and_others_refused(tmp_path: Path) -> None:
    port = free_port()
    token_file = tmp_path / "token"
    token_file.write_text(SERVICE_TOKEN)
    settings = UpSettings(home=tmp_path / "home", port=0, grpc_port=port, token_file=token_file)
    with running_platform(tmp_path) as platform:
        register(platform, tmp_path)
        known, revoked, unknown = (platform.token("contributor") for _ in range(3))
    variables = {
        "MODELYARD_TRACKING_URI": f"grpc://127.0.0.1:{port}",
        "MODELYARD_CACHE": str(tmp_path / "cache"),
        "MODELYARD_TOKEN": SERVICE_TOKEN,
    }
    embedded = Embedded(settings)
    with serving(f"models:/{NAME}/1", "--allow-pickle", **variables) as served:
        assert [with_token(served, token).status for token in (known, revoked)] == [200, 200]
        embedded.stop()
        assert [with_token(served, token).status for token in (known, revoked)] == [200, 200]
        refused = with_token(served, unknown)
        assert (refused.status, refused.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert "Tokens cannot be checked now" in refused.json["message"]
        assert with_token(served, SERVICE_TOKEN).status == 200

        embedded = Embedded(settings)
        until(served, unknown, 200)
        with grpc.insecure_channel(embedded.grpc) as channel:
            Platform(embedded, channel).call("AccessService.RevokeToken", id=revoked.split("_")[1])
        until(served, revoked, 401)
        assert with_token(served, known).status == 200
    embedded.stop()


def test_a_registry_without_tokens_grants_none(tmp_path: Path) -> None:
    embedded = Embedded(UpSettings(home=tmp_path / "home", port=0, grpc_port=0))
    modelyard.set_tracking_uri(embedded.http)
    registry = Registry(None, allow_unverified=False)
    with pytest.raises(Unauthenticated, match="the registry uses no tokens"):
        registry.grant("any token at all")
    modelyard.set_tracking_uri(None)
    embedded.stop()
