"""The proxy breaks connections exactly as configured."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.faults.proxy import Cut, Direction, Proxy
from tests.support.processes.ports import free_port


class Echo:
    """Answers each message with `reply:` before it, and records it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = b""
        self.ended = threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65_536):
                    self.heard += chunk
                    connection.sendall(b"reply:" + chunk)
            except ConnectionError:
                pass
        self.ended.release()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as running:
        yield running


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as running:
        yield running


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def received(connection: socket.socket) -> bytes:
    """All that still comes until the connection breaks or ends."""
    heard = b""
    try:
        while chunk := connection.recv(65_536):
            heard += chunk
    except ConnectionError:
        pass
    return heard


def test_it_passes_both_ways(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"hello")

        assert connection.recv(100) == b"reply:hello"


def test_an_end_of_file_is_passed_on_and_the_reply_still_arrives(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)

        assert received(connection) == b"reply:hello"


@pytest.mark.parametrize(
    ("cut", "heard", "answered"),
    [
        (Cut(Direction.REQUEST, b"marked"), b"xx ", b"reply:xx "),
        (Cut(Direction.REQUEST, b"marked", keep_bytes=3), b"xx mar", b"reply:xx mar"),
        (Cut(Direction.REPLY, b"marked"), b"xx marked", b"reply:xx "),
        (Cut(Direction.REPLY, b"marked", keep_bytes=3), b"xx marked", b"reply:xx mar"),
        (Cut(Direction.REPLY, b"", keep_bytes=4), b"xx marked", b"repl"),
    ],
    ids=["before the request", "inside it", "before the reply", "inside it ", "after 4 bytes"],
)
def test_it_cuts_at_the_configured_place(
    proxy: Proxy, echo: Echo, cut: Cut, heard: bytes, answered: bytes
) -> None:
    with connect(proxy) as connection:
        proxy.arm(cut)
        connection.sendall(b"xx marked")
        got = received(connection)

        assert proxy.was_cut.wait(10)
        assert echo.ended.acquire(timeout=10)
        # A reset may overtake what was sent before it, and so may an answer to what was heard.
        assert heard.startswith(echo.heard)
        assert answered.startswith(got)
        assert b"marked" not in got
        if cut.direction is Direction.REQUEST:
            assert b"marked" not in echo.heard
        else:
            assert echo.heard == heard


def test_a_cut_waits_for_its_marker_and_happens_once(proxy: Proxy) -> None:
    proxy.arm(Cut(Direction.REQUEST, b"marked"))
    with connect(proxy) as connection:
        connection.sendall(b"other")
        assert connection.recv(100) == b"reply:other"
        assert not proxy.was_cut.is_set()
        connection.sendall(b"marked")
        assert received(connection) == b""
    with connect(proxy) as connection:
        connection.sendall(b"marked")
        assert connection.recv(100) == b"reply:marked"


def test_bytes_are_counted_over_messages(proxy: Proxy, echo: Echo) -> None:
    proxy.arm(Cut(Direction.REQUEST, keep_bytes=7))
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"reply:hello"
        connection.sendall(b"hello")
        received(connection)
        assert echo.ended.acquire(timeout=10)

    assert b"hellohe".startswith(echo.heard)


def test_while_it_stalls_the_connection_is_open_and_silent(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.stall()
        connection.sendall(b"hello")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(10)
        proxy.resume()

        assert connection.recv(100) == b"reply:hello"


def test_it_can_hold_back_replies_alone(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        proxy.stall(Direction.REPLY)
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        assert echo.ended.acquire(timeout=10)
        assert echo.heard == b"hello"
        proxy.cut()

        assert received(connection) == b""


def test_a_delay_keeps_the_order(proxy: Proxy) -> None:
    proxy.delay_s = 0.01
    with connect(proxy) as connection:
        connection.sendall(b"one")
        assert connection.recv(100) == b"reply:one"
        connection.sendall(b"two")
        assert connection.recv(100) == b"reply:two"


def test_it_breaks_every_connection_and_takes_new_ones(proxy: Proxy) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        for connection in (one, two):
            connection.sendall(b"hello")
            assert connection.recv(100) == b"reply:hello"
        proxy.cut()
        assert received(one) == received(two) == b""
    with connect(proxy) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"reply:hello"


def test_it_refuses_like_a_port_without_a_listener() -> None:
    with Proxy(free_port()) as proxy, connect(proxy) as connection:
        assert received(connection) == b""
