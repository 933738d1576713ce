from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes.ports import free_port

import modelyard
from modelyard._transport import connections, instances
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, InvalidState, ModelyardException, Unavailable
from modelyard_server.processes.embedded import Embedded


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_one_address_is_enough(platform: Embedded, scheme: str) -> None:
    uri = platform.http if scheme == "http" else f"grpc://{platform.grpc}"
    modelyard.set_tracking_uri(uri)
    assert modelyard.get_tracking_uri() == uri
    assert modelyard.is_tracking_uri_set()
    assert modelyard.get_experiment("0").name == "Default"
    assert MlflowClient().search_registered_models("name = 'none'") == []


def test_a_trailing_slash_does_no_harm(platform: Embedded) -> None:
    assert MlflowClient(f"{platform.http}/").get_experiment("0").name == "Default"


def test_modelyards_variable_goes_before_mlflows(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert modelyard.get_tracking_uri() == "http://127.0.0.1:9"
    monkeypatch.setenv("MODELYARD_TRACKING_URI", platform.http)
    assert modelyard.get_experiment("0").name == "Default"


def test_a_choice_at_run_time_goes_before_the_environment(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_TRACKING_URI", "http://127.0.0.1:9")
    modelyard.set_tracking_uri(platform.http)
    assert modelyard.get_experiment("0").name == "Default"
    modelyard.set_tracking_uri("")
    assert modelyard.get_tracking_uri() == "http://127.0.0.1:9"


def test_the_registry_can_be_elsewhere(platform: Embedded) -> None:
    modelyard.set_tracking_uri("grpc://127.0.0.1:9")
    modelyard.set_registry_uri(platform.http)
    assert modelyard.get_registry_uri() == platform.http
    assert modelyard.search_registered_models(filter_string="name = 'none'") == []


@pytest.mark.parametrize(
    "uri", ["sqlite:///mlflow.db", "file:///tmp/x", "./mlruns", "/var/lib/mlruns", "databricks"]
)
def test_a_local_store_is_refused_with_the_way_to_have_one(uri: str) -> None:
    with pytest.raises(InvalidParameter, match="MODELYARD_HOME") as refused:
        modelyard.set_tracking_uri(uri)
    assert uri in refused.value.message
    with pytest.raises(InvalidParameter):
        MlflowClient(uri)


@pytest.mark.parametrize("uri", ["http://", "grpc://host", "http://host:port", "grpc://h:70000"])
def test_a_malformed_address_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameter, match=r"expected http\(s\)://host:port"):
        modelyard.set_tracking_uri(uri)


def test_a_server_that_is_not_there_is_named() -> None:
    port = free_port()
    for scheme in ("http", "grpc"):
        with pytest.raises(Unavailable, match=f"{scheme}://127.0.0.1:{port} cannot be reached"):
            MlflowClient(f"{scheme}://127.0.0.1:{port}").get_experiment("0")


class _Answer(http.server.BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server(request: pytest.FixtureRequest) -> Iterator[str]:
    status, body = request.param
    handler = type("Handler", (_Answer,), {"body": body, "status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "other_server",
    [
        (404, b"no"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"grpc": null}'),
        (200, b'{"grpc": {"tracking": 7, "registry": 8}}'),
        (200, b"\xff"),
    ],
    indirect=True,
)
def test_another_kind_of_server_is_not_taken_for_ours(other_server: str) -> None:
    with pytest.raises(ModelyardException, match="not a Modelyard server") as refused:
        MlflowClient(other_server).get_experiment("0")
    assert other_server in refused.value.message


def test_targets_with_a_host_of_their_own_are_kept() -> None:
    parts = connections.check("https://[::1]:5000")
    found = connections.targets_of({"tracking": ":50051", "registry": "registry:7"}, parts)
    assert found == connections.Targets("[::1]:50051", "registry:7", secure=True)


def _experiment_in_a_child(uri: str, answer: Any) -> None:
    answer.put(MlflowClient(uri).get_experiment("0").name)


_FORKS = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # from 3.12 on


@_FORKS
def test_a_forked_child_can_call(client: MlflowClient) -> None:
    assert client.get_experiment("0").name == "Default"
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        name = client.get_experiment("0").name
        os.write(write, name.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "Default"
    assert os.waitpid(child, 0)[1] == 0
    assert client.get_experiment("0").name == "Default"


@_FORKS
def test_a_forked_child_has_the_credentials_of_an_address() -> None:
    uri = "grpc://ada:secret@127.0.0.1:9"
    connections.connect(uri)  # which opens no channel yet
    child = os.fork()
    if child == 0:
        os._exit(0 if connections.connect(uri).credentials else 1)
    assert os.waitpid(child, 0)[1] == 0


@_FORKS
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_can_call(client: MlflowClient, method: str) -> None:
    client.get_experiment("0")
    context = multiprocessing.get_context(method)
    answer = context.Queue()
    child = context.Process(  # type: ignore[attr-defined]  # every context has it
        target=_experiment_in_a_child, args=(client.tracking_uri, answer)
    )
    child.start()
    assert answer.get(timeout=60) == "Default"
    child.join()
    assert client.get_experiment("0").name == "Default"


def test_importing_modelyard_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, modelyard, modelyard.sklearn, modelyard.pyfunc;"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(json.loads(found.stdout))
    assert loaded.isdisjoint({"grpc", "google", "numpy", "pandas", "sklearn", "skops", "yaml"})


def test_every_exported_name_is_there() -> None:
    for name in modelyard.__all__:
        assert getattr(modelyard, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'autolog_everything'"):
        modelyard.autolog_everything  # noqa: B018


def test_a_missing_token_file_is_named(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN_FILE", str(tmp_path / "nothing"))
    with pytest.raises(InvalidParameter, match="MODELYARD_TOKEN_FILE"):
        client.get_experiment("0")


def test_a_home_that_is_a_file_is_refused_with_the_variable_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    with pytest.raises(InvalidState, match="MODELYARD_HOME"):
        instances.ensure(instances.home())


def test_a_relative_home_is_the_same_one_in_another_folder(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.chdir(platform.home.parent)
        environment.setenv("MODELYARD_HOME", platform.home.name)
        with connections.isolated():
            assert connections.connect(None).uri == platform.http
            environment.chdir("/")
            assert instances.home() == platform.home
