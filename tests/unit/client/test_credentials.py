"""Addresses with credentials: they work, and are shown nowhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from tests.support.processes.ports import free_port

import modelyard
from modelyard._transport import connections
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, ModelyardException
from modelyard.redaction import redacted, redacted_text
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

SECRET = "s3cr3t"
TOKEN = f"{SECRET}/a:b?c#d@e%f[g]"
ENCODED = quote(TOKEN, safe="")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A platform that requires the token."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    settings = UpSettings(home=folder, port=0, grpc_port=0, token_file=folder / "token")
    instance = Embedded(settings)
    yield instance
    instance.stop()


def addresses(platform: Embedded, credentials: str) -> list[str]:
    return [
        platform.http.replace("//", f"//{credentials}@"),
        platform.http.replace("//", f"//{credentials}@") + "/",
        f"grpc://{credentials}@{platform.grpc}",
    ]


def test_the_token_of_an_address_is_sent(
    guarded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uri in addresses(guarded, f"ada%20l:{ENCODED}") + addresses(guarded, f":{ENCODED}"):
        modelyard.set_tracking_uri(uri)
        assert modelyard.get_experiment("0").name == "Default"
        assert modelyard.get_tracking_uri() == uri
        assert MlflowClient(uri).search_registered_models() == []
    modelyard.set_tracking_uri(None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with modelyard.start_run():
        modelyard.log_text("text", "t.txt")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELYARD_REGISTRY_URI", uri)
    assert modelyard.search_registered_models() == []


def test_the_token_of_an_address_goes_before_that_of_the_environment(
    guarded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, *_ = addresses(guarded, f"ada:{ENCODED}")
    wrong, *_ = addresses(guarded, "ada:wrong")
    monkeypatch.setenv("MODELYARD_TOKEN", "wrong")
    assert MlflowClient(right).get_experiment("0").name == "Default"
    monkeypatch.setenv("MODELYARD_TOKEN", TOKEN)
    assert MlflowClient(guarded.http).get_experiment("0").name == "Default"
    with pytest.raises(ModelyardException):
        MlflowClient(wrong).get_experiment("0")


def test_the_user_of_an_address_is_the_actor_in_the_history(guarded: Embedded) -> None:
    uri, *_ = addresses(guarded, f"ada%20l:{ENCODED}")
    client = MlflowClient(uri)
    client.create_registered_model("by ada")
    assert [event.actor for event in client.history("by ada")] == ["ada l"]


def failures() -> dict[str, Callable[[], object]]:
    closed = f"127.0.0.1:{free_port()}"
    user = f"ada:{SECRET}"
    return {
        "no server": lambda: MlflowClient(f"http://{user}@{closed}").get_experiment("0"),
        "no server of gRPC": lambda: MlflowClient(f"grpc://{user}@{closed}").get_experiment("0"),
        "no TLS": lambda: MlflowClient(f"https://{user}@{closed}").get_experiment("0"),
        "no name": lambda: MlflowClient(f"http://{user}@nowhere.invalid").get_experiment("0"),
        "no port": lambda: modelyard.set_tracking_uri(f"grpc://{user}@host"),
        "no host": lambda: modelyard.set_registry_uri(f"http://{user}@"),
        "a scheme": lambda: modelyard.set_tracking_uri(f"postgresql://{user}@host/db"),
        "a slash": lambda: modelyard.set_tracking_uri(f"http://ada:1/{SECRET}@host"),
        "a question mark": lambda: modelyard.set_tracking_uri(f"http://ada:1?{SECRET}@host"),
        "a hash": lambda: modelyard.set_tracking_uri(f"http://ada:{SECRET}#x@host"),
        "a space": lambda: modelyard.set_tracking_uri(f"ada:x {SECRET}@host"),
        "a bracket": lambda: modelyard.set_tracking_uri(f"http://ada:[{SECRET}@host"),
        "a parameter": lambda: modelyard.set_tracking_uri(f"ftp://host/?password={SECRET}"),
        "not ASCII": lambda: MlflowClient(f"grpc://a:{SECRET}%C3%A9@{closed}").get_experiment("0"),
        "artifacts": lambda: modelyard.artifacts.download_artifacts(f"http://{user}@host/x"),
        "a model": lambda: modelyard.pyfunc.load_model(f"http://{user}@host/x"),
    }


@pytest.mark.parametrize("what", failures())
def test_no_failure_shows_a_secret(
    what: str, platform: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    modelyard.set_tracking_uri(platform.http)
    with pytest.raises(ModelyardException) as failed:
        failures()[what]()
    shown = "".join(traceback.format_exception(failed.value)) + repr(failed.value) + caplog.text
    lines_of_code = [line for line in shown.splitlines() if line.startswith("    ")]
    assert SECRET not in shown.replace("\n".join(lines_of_code), "")


def test_a_proxy_with_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in (f"http://ada:{SECRET}@127.0.0.1:{free_port()}", f"http://ada:{SECRET}@"):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ModelyardException) as failed:
            MlflowClient("http://modelyard.invalid:5000").get_experiment("0")
        assert SECRET not in "".join(traceback.format_exception(failed.value))


def test_what_is_kept_of_an_address_shows_no_secret(guarded: Embedded) -> None:
    uri, *_ = addresses(guarded, f"ada:{ENCODED}")
    connection = connections.connect(uri)
    assert SECRET not in repr(connection)
    assert connection.uri == guarded.http
    assert SECRET not in repr(MlflowClient(uri))


def test_a_special_character_is_to_be_encoded() -> None:
    with pytest.raises(InvalidParameter, match="percent-encode the special characters") as refused:
        modelyard.set_tracking_uri("http://ada:12/34@host:5000")
    assert "34" not in refused.value.message


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://host:5000/path", "http://host:5000/path"),
        ("http://ada:pw@host:5000", "http://***@host:5000"),
        ("https://token@host", "https://***@host"),
        ("postgresql+psycopg://ada:p/w#?@host/db", "postgresql+psycopg://***@host/db"),
        ("postgresql//ada:pw@host/db", "***@host/db"),
        (
            "postgresql://host/db?user=ada&password=pw&x=1",
            "postgresql://host/db?user=ada&password=***&x=1",
        ),
        (
            "http://s3/o?X-Amz-Credential=k&X-Amz-Signature=s",
            "http://s3/o?X-Amz-Credential=***&X-Amz-Signature=***",
        ),
        (
            "http://h/o?method=GET&expires=7&signature=ab",
            "http://h/o?method=GET&expires=7&signature=***",
        ),
        ("user p w@host", "***@host"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert redacted(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no address: ada:pw@host", "no address: ada:pw@host"),
        ("see http://h/models/m@prod and x@y", "see http://h/models/m@prod and x@y"),
        ("'http://a:b@h' or 'http://c@d:1'", "'http://***@h' or 'http://***@d:1'"),
        ("to http://a:p/w@h:1 failed", "to http://***@h:1 failed"),
        ("at http://h:5000/a@b", "at http://h:5000/a@b"),
        ("GET http://h/o?signature=ab&x=1.", "GET http://h/o?signature=***&x=1."),
    ],
)
def test_a_text_is_shown_without_the_secrets_of_its_addresses(text: str, shown: str) -> None:
    assert redacted_text(text) == shown
