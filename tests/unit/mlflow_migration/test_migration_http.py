"""Calls to an MLflow server that refuses, redirects, breaks off or is none."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.processes.up_process import environment

from modelyard_mlflow import exporting, importing
from modelyard_mlflow.mlflow_http import MlflowRefusal, MlflowServer
from modelyard_mlflow.source import Unreachable

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer, *, says_version: bool = True) -> Iterator[str]:
    """Run a server that says it is MLflow 3.17.2, if it does, and else does as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/version" and says_version:
                reply(self, 200, b"3.17.2", "text/plain")
            else:
                answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str = "application/json"
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_refusal_has_the_servers_code_and_words() -> None:
    body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No run"}'
    with answering(lambda handler: reply(handler, 404, body)) as uri:
        server = MlflowServer(uri)
        with pytest.raises(MlflowRefusal, match="HTTP 404: No run") as refused:
            server.get("mlflow/runs/get", {"run_id": "x"})
    assert refused.value.is_missing
    assert server.has_logged_models


@pytest.mark.parametrize("body", [b"<html></html>", b"[1]", b""])
def test_an_answer_that_is_no_json_object_is_no_answer(body: bytes) -> None:
    with answering(lambda handler: reply(handler, 200, body)) as uri:
        server = MlflowServer(uri)
        with pytest.raises(Unreachable, match="did not return a JSON object"):
            server.get("mlflow/runs/get")


def test_a_read_is_tried_again_after_a_failure_that_may_pass_and_a_change_is_not() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        reply(handler, 503 if len(asked) == 1 or handler.command == "POST" else 200, b"{}")

    with answering(answer) as uri:
        server = MlflowServer(uri)
        assert server.get("mlflow/runs/get") == {}
        assert asked == ["GET", "GET"]
        with pytest.raises(MlflowRefusal):
            server.send("POST", "mlflow/runs/create", {})
    assert asked == ["GET", "GET", "POST"]


def test_credentials_are_sent_and_neither_shown_nor_passed_to_where_a_redirect_leads(
    tmp_path: Path,
) -> None:
    seen: dict[str, str | None] = {}

    def store(handler: BaseHTTPRequestHandler) -> None:
        seen["store"] = handler.headers["Authorization"]
        reply(handler, 200, b"bytes")

    with answering(store) as store_uri:

        def answer(handler: BaseHTTPRequestHandler) -> None:
            seen["server"] = handler.headers["Authorization"]
            handler.send_response(302)
            handler.send_header("Location", f"{store_uri}/object")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(answer) as uri:
            server = MlflowServer(uri.replace("http://", "http://ann:pass%20word@"))
            server.download("/get-artifact", {"path": "x"}, tmp_path / "x")
    basic = base64.b64encode(b"ann:pass word").decode()
    assert seen == {"server": f"Basic {basic}", "store": None}
    assert server.uri == uri
    assert (tmp_path / "x").read_bytes() == b"bytes"


def test_a_token_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    seen: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        reply(handler, 200, b"{}")

    with answering(answer) as uri:
        MlflowServer(uri).get("mlflow/runs/get")
    assert seen == ["Bearer secret"]


def test_a_server_that_wants_credentials_says_so() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 401, b"who?", "text/plain")

    with (
        answering(answer, says_version=False) as uri,
        pytest.raises(Unreachable, match="MLFLOW_TRACKING_USERNAME"),
    ):
        MlflowServer(uri)


def test_something_else_than_mlflow_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"<html>", "text/html")

    with answering(answer, says_version=False) as uri:
        assert importing.run(["--from", uri, "--dry-run"]) == 1
    assert "is not an MLflow server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("mlruns", "expected the address of a running server"),
        ("sqlite:////dev/null", "does not exist"),
        ("sqlite:////no/such/file.db", "does not exist"),
        ("nosuch://host/db", "The database URL is malformed"),
        ("http://", "is not a server's address"),
        ("http://[::1", "is not a server's address"),
        ("http://host:port", "is not a server's address"),
        ("http://host:0", "is not a server's address"),
    ],
)
def test_an_origin_that_cannot_be_read_is_one_line_with_what_would_be_right(
    source: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert importing.run(["--from", source, "--dry-run"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("modelyard import: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "address",
    [
        "ann:secret@host:5000",
        "http://ann:secret@",
        "http://ann:secret@host:x",
        "ftp://ann:secret@h",
    ],
)
def test_no_refusal_of_an_address_shows_its_password(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert importing.run(["--from", address, "--dry-run"]) == 1
    assert exporting.run(["--to", address]) == 1
    with pytest.raises(Unreachable) as refused:
        MlflowServer(address)
    said = capsys.readouterr()
    assert "secret" not in said.err + said.out + str(refused.value)


def test_a_token_that_no_header_may_hold_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret\n")
    with pytest.raises(Unreachable, match="MLFLOW_TRACKING_TOKEN") as refused:
        MlflowServer("http://127.0.0.1:9")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"experiments": 5}',
        b'{"experiments": ["a"]}',
        b'{"experiments": [{"experiment_id": {}}]}',
        b'{"experiments": [{"creation_time": "now"}]}',
        b'{"experiments": [], "registered_models": [{"name": "m"}], "registered_model": 3}',
        b'{"experiments": [], "next_page_token": "again"}',
    ],
)
def test_answers_of_another_shape_are_one_line(
    body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda handler: reply(handler, 200, body)) as uri:
        assert importing.run(["--from", uri, "--dry-run"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("modelyard import: ")


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(handler, 200, b"{}")

    report = tmp_path / "none" / "report.json"
    with answering(answer) as uri:
        assert importing.run(["--from", uri, "--dry-run", "--report", str(report)]) == 1
    assert "report.json cannot be written: No such file or directory" in capsys.readouterr().err
    assert asked == []


def test_ctrl_c_ends_an_import_in_order_and_leaves_its_report(tmp_path: Path) -> None:
    asked, ended = threading.Event(), threading.Event()

    def answer(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        ended.wait()

    report = tmp_path / "report.json"
    words = ("import", "mlflow", "--dry-run", "--report", str(report), "--from")
    with answering(answer) as uri:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard", *words, uri],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            asked.wait()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        finally:
            process.kill()
            ended.set()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in said
    assert json.loads(report.read_text(encoding="utf-8"))["written"] == {}
