from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.http.http2_peer import Http2Peer, message

from modelyard_kit.observability import logs
from modelyard_kit.rpc.server import RpcServer

SWITCHES = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_undone() -> Iterator[None]:
    """Undo what a configuration changes in the process."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    switches = {name: getattr(logging, name) for name in SWITCHES}
    yield
    logging.captureWarnings(capture=False)
    root.level, root.handlers = level, handlers
    for name, value in switches.items():
        setattr(logging, name, value)


def logged(stream: io.StringIO, log_format: str = "", **fields: object) -> str:
    logs.configure("INFO", log_format, stream)
    logging.getLogger("modelyard_kit.rpc").warning("rpc", extra=fields)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_gets_a_readable_line_with_a_colour() -> None:
    line = logged(Terminal(), method="LogMetric", ms=1.5, trace="", why="a b", n=None, of=["x"])
    at, level, rest = line[:23], line[24:40], line[41:]
    assert at[4] == at[7] == "-"
    assert at[19] == "."
    assert level == "\x1b[33mWARNING\x1b[0m"
    assert rest == 'rpc method=LogMetric ms=1.5 why="a b" of="[\\"x\\"]"\n'


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_turned_off(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    line = logged(Terminal())
    assert line.endswith(" WARNING rpc\n")
    assert "\x1b" not in line


def test_a_file_gets_json_unless_text_is_chosen() -> None:
    assert json.loads(logged(io.StringIO(), method="LogMetric"))["method"] == "LogMetric"
    assert logs.chosen_format() == "json"
    assert logged(io.StringIO(), "text", method="x").endswith(" WARNING rpc method=x\n")
    assert logs.chosen_format() == "text"
    assert json.loads(logged(Terminal(), "json"))["level"] == "WARNING"


def test_a_line_of_json_has_each_field_as_json_has_it() -> None:
    fields = {
        "text": 'ä"\\\n',
        "number": 3,
        "seconds": 0.25,
        "large": 1e300,
        "missing": None,
        "is_new": True,
        "endless": float("inf"),
        "names": ["a", "b"],
        "path": Path("/home"),
    }
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    other = logging.StreamHandler(io.StringIO())
    other.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().handlers.insert(0, other)  # adds attributes of its own to the record
    try:
        int("no")
    except ValueError:
        logging.getLogger("modelyard_kit.rpc").exception("rpc %s", "ended", extra=fields)
    line = json.loads(stream.getvalue())
    start = {"ts": line["ts"], "level": "ERROR", "logger": "modelyard_kit.rpc"}
    end = {"traceback": line["traceback"]}
    expected = {**start, "message": "rpc ended", **fields, **end}
    assert stream.getvalue() == json.dumps(expected, default=str) + "\n"
    assert line["ts"] == round(line["ts"], 3)
    assert line["traceback"].endswith("invalid literal for int() with base 10: 'no'")


def test_a_line_is_one_line_whatever_is_logged() -> None:
    line = logged(io.StringIO(), "text", name_given="a\nb\x1b[31m\u2028\u202e")
    assert line.endswith(' rpc name_given="a\\nb\\u001b[31m\\u2028\\u202e"\n')
    stream = io.StringIO()
    logs.configure("INFO", "text", stream)
    logging.getLogger("uvicorn.error").error("an\nerror\x07")
    assert stream.getvalue().endswith(" ERROR   an\\nerror\\x07 logger=uvicorn.error\n")


def test_a_traceback_follows_its_line() -> None:
    stream = io.StringIO()
    logs.configure("INFO", "text", stream)
    try:
        int("no")
    except ValueError:
        logging.getLogger("modelyard_kit").exception("unhandled error")
    first, second, *_, last = stream.getvalue().splitlines()
    assert first.endswith(" ERROR   unhandled error")
    assert second == "Traceback (most recent call last):"
    assert last.startswith("ValueError: ")


def test_warnings_of_libraries_are_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    assert json.loads(stream.getvalue())["logger"] == "py.warnings"
    assert capsys.readouterr().err == ""


def test_a_process_without_stderr_logs_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure()
    logging.getLogger("modelyard_kit").warning("lost")


@pytest.mark.parametrize("library", ["alembic.runtime.migration", "botocore.credentials"])
def test_libraries_do_not_tell_what_they_are_doing(library: str) -> None:
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    logging.getLogger(library).info("doing")
    logging.getLogger(library).warning("wrong")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["wrong"]


def test_a_head_that_is_no_text_writes_no_line_with_its_bytes() -> None:
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    server = RpcServer()
    (port,) = server.start("127.0.0.1:0")
    with Http2Peer(f"127.0.0.1:{port}") as peer:
        call = peer.open("/grpc.health.v1.Health/Check", [("authorization", b"Bearer secret \xff")])
        peer.send(call, message(b""), ends=True)
        assert peer.wait_until_ended(1) == {call}
    server.drain(5)
    assert "secret" not in stream.getvalue()
