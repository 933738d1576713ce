"""The HTTP layer around a small application, over real sockets."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

import pytest
from starlette.responses import PlainTextResponse, Response
from tests.support.http.port import HttpPort

from modelyard_kit import errors
from modelyard_kit.http import hosts
from modelyard_kit.http.errors import HttpError, Refusals
from modelyard_kit.http.exchange import Exchange
from modelyard_kit.http.layer import Layer
from modelyard_kit.http.listening import listen
from modelyard_kit.http.protocol import Protocol
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import StreamedResponse
from modelyard_kit.http.routing import below, exact, router
from modelyard_kit.http.server import Server, ServerThread

PAGE = ((b"content-security-policy", b"default-src 'self'"),)
MAX_BYTES = 1 << 20


@dataclass
class Running(HttpPort):
    port: int
    observed: list[tuple[str, str, int]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


@pytest.fixture
def running() -> Iterator[Running]:
    listener = listen("127.0.0.1", 0)
    running = Running(listener.getsockname()[1])

    async def tell(request: Request) -> Response:
        return PlainTextResponse(request.path_params.get("rest", "told"))

    async def size(request: Request) -> Response:
        body = await request.exchange.read(MAX_BYTES)
        if body is None:
            raise HttpError(413, "INVALID_PARAMETER_VALUE", "Too large.")
        return PlainTextResponse(str(len(body)))

    async def refuse(_request: Request) -> Response:
        raise errors.NotFound("There is no such thing.")

    async def crash(_request: Request) -> Response:
        raise RuntimeError("a secret")

    async def break_off(_request: Request) -> Response:
        return StreamedResponse(chunks(), headers={"content-length": "100"})

    async def chunks() -> AsyncGenerator[bytes]:
        try:
            yield b"begun"
            raise RuntimeError("a secret")
        finally:
            running.closed.append("chunks")

    def observe(exchange: Exchange, method: str, _seconds: float) -> None:
        running.observed.append((method, exchange.label, exchange.status))

    routes = [
        exact("/told", {"GET": tell}),
        exact("/page", {"GET": tell}, PAGE),
        exact("/files/exact", {"GET": tell, "PUT": size}),
        below("/files/", {"GET": tell, "POST": size}),
        exact("/refused", {"GET": refuse}),
        exact("/crashed", {"GET": crash}),
        exact("/broken", {"GET": break_off}),
    ]
    app = Layer(router(routes), Refusals(), hosts.of_server("127.0.0.1", None), observe)
    thread = ServerThread(Server(app, grace_s=1), listener, "test")
    thread.start()
    yield running
    thread.stop()


def test_a_route_chooses_what_browsers_are_allowed(running: Running) -> None:
    _, headers, _ = running.ask("GET", "/told")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"

    _, headers, _ = running.ask("GET", "/page")
    assert headers["content-security-policy"] == "default-src 'self'"
    assert "x-request-id" in headers


def test_an_exact_path_wins_over_a_prefix_that_is_added_after_it(running: Running) -> None:
    assert running.ask("GET", "/files/exact")[2] == b"told"
    assert running.ask("GET", "/files/other")[2] == b"other"
    assert running.ask("GET", "/files/")[2] == b""
    assert running.ask("GET", "/files")[0] == 404


@pytest.mark.parametrize(
    ("sent", "rest"), [("a%0A", "a\n"), ("a%0Ab", "a\nb"), ("a%252F", "a%2F"), ("a//b/", "a//b/")]
)
def test_what_follows_a_prefix_is_decoded_once_and_complete(
    running: Running, sent: str, rest: str
) -> None:
    assert running.ask("GET", f"/files/{sent}")[2] == rest.encode()


def test_a_path_answers_only_its_own_methods(running: Running) -> None:
    status, headers, body = running.ask("DELETE", "/files/exact")

    assert (status, headers["allow"]) == (405, "GET, HEAD, PUT")
    assert json.loads(body)["message"] == "/files/exact does not answer DELETE, use GET, HEAD, PUT"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nothing", 404, "ENDPOINT_NOT_FOUND"),
        ("/told/", 404, "ENDPOINT_NOT_FOUND"),
        ("/refused", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("/crashed", 500, "INTERNAL_ERROR"),
    ],
)
def test_every_refusal_has_one_shape(running: Running, path: str, status: int, code: str) -> None:
    answered, headers, body = running.ask("GET", path, headers={"X-Request-Id": "mine"})
    document = json.loads(body)

    assert (answered, headers["content-type"]) == (status, "application/json")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert document.keys() == {"error_code", "message", "request_id"}
    assert (document["error_code"], document["request_id"]) == (code, "mine")
    assert "secret" not in document["message"]


def test_bytes_that_are_not_http_are_refused_in_the_same_shape(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        reply = http.client.HTTPResponse(raw)
        reply.begin()
        document = json.loads(reply.read())

    assert document.keys() == {"error_code", "message", "request_id"}
    assert reply.headers["x-request-id"] == document["request_id"]
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_an_answer_that_fails_on_its_way_ends_the_connection(running: Running) -> None:
    with pytest.raises(http.client.IncompleteRead):
        running.ask("GET", "/broken")
    assert running.closed == ["chunks"]
    assert running.ask("GET", "/told")[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_and_the_refusal_arrives(
    running: Running, *, chunked: bool
) -> None:
    parts = [b"x" * MAX_BYTES] * 8
    body = iter(parts) if chunked else b"".join(parts)
    status, headers, _ = running.ask("POST", "/files/a", body)

    assert (status, headers["connection"]) == (413, "close")


def test_each_call_is_observed_by_its_route(running: Running) -> None:
    running.ask("HEAD", "/told")
    running.ask("PROPFIND", "/told")
    running.ask("GET", "/nothing")
    running.ask("POST", "/files/a", b"abc")
    running.ask("GET", "/told")  # the one before has been observed by now

    assert running.observed[:4] == [
        ("HEAD", "/told", 200),
        ("other", "/told", 405),
        ("GET", "unknown", 404),
        ("POST", "/files/", 200),
    ]


def test_each_call_has_a_line_in_the_log(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        running.ask("POST", "/files/a?signature=s3cret", b"abc", {"X-Request-Id": "mine"})
        running.ask("GET", "/told")  # the line of the one before has been written by now
    line = vars(next(record for record in caplog.records if record.message == "http"))

    assert (line["method"], line["path"], line["status"]) == ("POST", "/files/a", 200)
    assert (line["request"], line["trace"], line["token"]) == ("mine", "", "")
    assert (line["received_bytes"], line["sent_bytes"]) == (3, 1)


def test_a_client_that_sends_no_head_is_disconnected(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "head_within_s", 0.1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as raw:
        assert raw.recv(4096) == b""
