"""Connections that hold a server back: many requests, unread answers, errors of the event loop."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.responses import PlainTextResponse, Response
from tests.support.http.port import HttpPort

from modelyard_kit.http import hosts
from modelyard_kit.http.errors import Refusals
from modelyard_kit.http.layer import Layer
from modelyard_kit.http.listening import listen
from modelyard_kit.http.protocol import Protocol
from modelyard_kit.http.requests import Request
from modelyard_kit.http.routing import exact, router
from modelyard_kit.http.server import Server, ServerThread

HOST = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"x" * (8 << 20)


@dataclass
class Running(HttpPort):
    """A server that holds two connections; `/held` answers when it is released."""

    port: int
    server: Server
    asked: threading.Semaphore
    release: threading.Event

    def hold(self) -> socket.socket:
        """Open a connection whose request is being answered."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        raw.sendall(b"GET /held" + HOST)
        assert self.asked.acquire(timeout=30)
        return raw


@pytest.fixture
def running() -> Iterator[Running]:
    asked, release = threading.Semaphore(0), threading.Event()

    async def hold(_request: Request) -> Response:
        asked.release()
        await asyncio.to_thread(release.wait)
        return PlainTextResponse("held")

    async def read(request: Request) -> Response:
        asked.release()
        await request.exchange.read(1 << 20)
        return PlainTextResponse("read")

    async def large(_request: Request) -> Response:
        asked.release()
        return Response(LARGE)

    async def fail(_request: Request) -> Response:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        return PlainTextResponse("will fail")

    routes = [exact(f"/{one.__name__}", {"GET": one}) for one in (large, fail)]
    routes += [exact("/held", {"GET": hold}), exact("/read", {"POST": read})]
    app = Layer(router(routes), Refusals(), hosts.of_server("127.0.0.1", None))
    server = Server(app, grace_s=1, connections=2)
    listener = listen("127.0.0.1", 0)
    thread = ServerThread(server, listener, "test")
    thread.start()
    yield Running(listener.getsockname()[1], server, asked, release)
    release.set()
    thread.stop()


def received(raw: socket.socket) -> bytes:
    """Return what arrives until the server closes a connection."""
    with raw.makefile("rb") as file:
        return file.read()


def test_a_connection_with_a_request_is_kept_and_a_new_one_is_closed(running: Running) -> None:
    held = [running.hold(), running.hold()]
    assert running.server.is_full()
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as new:
        assert new.recv(1) == b""
    running.release.set()
    for raw in held:
        assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert running.ask("GET", "/fail")[0] == 200  # closes one that is idle again
    assert not running.server.is_full()
    for raw in held:
        raw.close()


def test_connections_whose_clients_stall_make_room_for_a_new_one(running: Running) -> None:
    upload = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    for sent in (upload + b"x" * 70_000, (b"GET /large" + HOST) * 2):
        with running.hold() as held, socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", running.port))
            raw.sendall(sent)
            assert running.asked.acquire(timeout=30)
            while running.server.is_full():
                time.sleep(0.01)  # the answer is sent until the client would have to read
            assert running.ask("GET", "/fail")[0] == 200
            running.release.set()
            assert held.recv(4096).startswith(b"HTTP/1.1 200 ")
        running.release.clear()


def test_requests_beyond_those_that_may_wait_end_the_connection_after_the_others(
    running: Running,
) -> None:
    with running.hold() as raw:
        raw.sendall((b"GET /fail" + HOST) * 5000)
        running.release.set()
        answers = re.findall(rb"HTTP/1.1 (\d+) |\r\nconnection: (\w+)\r\n", received(raw))
    waited = Protocol.max_pipelined
    assert answers == [(b"200", b"")] * (1 + waited) + [(b"", b"close")]


@pytest.mark.parametrize("between", [b"", b"GET /fail" + HOST])
def test_a_refusal_is_not_sent_as_the_answer_to_another_request(
    running: Running, between: bytes
) -> None:
    with running.hold() as raw:
        raw.sendall(between + b"nonsense\r\n\r\n")
        assert received(raw) == b""


def test_an_answer_that_is_not_read_ends_the_connection(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "reads_within_s", 0.1)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(30)
        raw.connect(("127.0.0.1", running.port))
        raw.sendall(b"GET /large" + HOST)
        raw.recv(1)
        while running.server.server_state.connections:
            time.sleep(0.01)  # the end of a connection offers no event to wait for
        assert len(received(raw)) < len(LARGE)


def test_errors_of_the_event_loop_have_one_line_a_minute(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert running.ask("GET", "/fail")[0] == 200
    (line,) = [vars(record) for record in caplog.records if record.levelno == logging.ERROR]
    assert line["message"] == "unhandled error of the event loop"
    assert "ZeroDivisionError" in line["traceback"]
