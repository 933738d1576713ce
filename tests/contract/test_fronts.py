"""What holds at every port of HTTP: the host, connections, odd requests, lines of the log."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.http.certificates import Authority
from tests.support.http.fronts import NAMES, Front, running_front, status_of

from modelyard_kit import descriptors
from modelyard_kit.http.accepting import Acceptor

TOKEN = "a token of more than sixteen"
END = b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module", params=NAMES)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    with running_front(request.param, tmp_path_factory.mktemp("front")) as running:
        yield running


@pytest.fixture(scope="module", params=["gateway", "models serve"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("guarded")
    with running_front(request.param, folder, token=TOKEN) as running:
        yield running


OWN = [b"localhost", b"LocalHost", b"localhost:1", b"127.0.0.1:5000", b"[::1]", b"[::1]:5000"]
OTHER = [
    *(b"evil.example", b"evil.example:5000", b"127.0.0.1.evil.example", b"localhost.evil.example"),
    *(b"localhost.", b"127.1", b"0.0.0.0", b"2130706433", b"[::]", b"[::ffff:127.0.0.1]"),
    *(b"127.0.0.1@evil.example", b"evil.example@127.0.0.1", b"localhost/evil", b"localhost#@evil"),
    *(b"localhost:5000:1", b"localhost:port", b"[::1", b"::1", b"[::1%25lo]", b"local host"),
    *(b"localhost,evil.example", b"localhost\\evil", b"l\xc3\xb6calhost", b""),
]


@pytest.mark.parametrize("host", OWN)
def test_a_server_without_a_token_answers_to_its_own_names(front: Front, host: bytes) -> None:
    assert (
        front.status(f"GET {front.path} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n" + END) == 200
    )


@pytest.mark.parametrize("host", OTHER)
def test_a_server_without_a_token_answers_to_no_other_name(front: Front, host: bytes) -> None:
    assert (
        front.status(f"GET {front.path} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n" + END) == 403
    )


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"models.example", 200),
        (b"models.example.:443", 200),
        (b"10.0.0.7:5001", 200),
        (b"my_model", 200),
        (b"a@models.example", 403),
        (b"[::1", 403),
    ],
)
def test_a_server_with_a_token_answers_to_every_name(
    guarded: Front, host: bytes, status: int
) -> None:
    head = f"GET {guarded.path} HTTP/1.1\r\nHost: ".encode() + host + b"\r\n"
    assert guarded.status(head + END) == status


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        (b"GET http://localhost%s HTTP/1.1", b"Host: localhost\r\n", 200),
        (b"GET HTTP://LOCALHOST:1%s HTTP/1.1", b"Host: localhost:1\r\n", 200),
        (b"GET http://evil.example%s HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"GET http://localhost%s HTTP/1.1", b"Host: evil.example\r\n", 400),
        (b"GET http://evil.example%s HTTP/1.1", b"Host: evil.example\r\n", 403),
        (b"GET http://evil@localhost%s HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"GET http://localhost%s HTTP/1.0", b"", 400),
        (b"GET ftp://localhost%s HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"GET localhost%s HTTP/1.1", b"Host: localhost\r\n", 400),
        (b"GET %s HTTP/1.1", b"Host: localhost\r\nHost: localhost\r\n", 400),
        (b"GET %s HTTP/1.1", b"Host: localhost\r\nhost: evil.example\r\n", 400),
        (b"GET %s HTTP/1.1", b"", 400),
        (b"GET %s HTTP/1.0", b"Host: localhost\r\n", 200),
        (b"GET %s HTTP/1.0", b"", 403),
        (b"GET %s HTTP/2.0", b"Host: localhost\r\n", 400),
        (b"GET %s", b"", 400),
    ],
)
def test_target_version_and_host_agree(front: Front, line: bytes, host: bytes, status: int) -> None:
    assert front.status(line % front.path.encode() + b"\r\n" + host + END) == status


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + END,
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\n" + END,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_other_protocols_and_odd_methods_are_refused(front: Front, sent: bytes) -> None:
    assert front.status(sent) in {400, 404, 405, 501}


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_another_protocol_is_not_switched_to(front: Front, protocol: bytes) -> None:
    head = f"GET {front.path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n".encode()
    assert front.status(head + b"Upgrade: " + protocol + b"\r\n\r\n") == 200


def test_requests_that_cannot_be_read_cause_one_line_a_minute(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            front.status(b"nonsense\r\n\r\n")
            front.status(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
            )
    assert [r.message for r in caplog.records if r.message != "http"] in (
        [],
        ["not a valid request"],
    )


def test_refusals_and_public_answers_have_a_bounded_number_of_lines(
    guarded: Front, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), guarded.connected() as raw:
        for path in [guarded.path, "/nothing", "/metrics"] * 150:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status_of(raw)
    lines = [vars(record) for record in caplog.records if record.message == "http"]
    for status in (200, 404, 401):
        assert 50 <= sum(line["status"] == status for line in lines) < 130
    assert all(line["request"] for line in lines)


def is_open(raw: socket.socket) -> bool:
    """Whether the server has not closed a connection; waits for what it sends until then."""
    raw.settimeout(0)
    try:
        return raw.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        raw.settimeout(30)


@pytest.fixture(params=NAMES)
def small(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Front]:
    """A server that holds four connections."""
    monkeypatch.setattr(descriptors, "MONITORING", 4)
    with running_front(request.param, tmp_path, connections=4) as running:
        yield running


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """Closes the connections of a test at its end."""
    with ExitStack() as stack:
        yield stack


def test_the_oldest_idle_connection_makes_room_for_a_new_one(
    small: Front, held: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    old = [held.enter_context(small.connected()) for _ in range(4)]
    assert [small.ask(raw) for raw in (*old, old[0])] == [200] * 5  # the first is used last
    new = [held.enter_context(small.connected()) for _ in range(2)]

    assert [small.ask(raw) for raw in new] == [200, 200]
    assert [is_open(raw) for raw in old] == [True, False, False, True]
    assert small.ask(old[0]) == 200
    assert [record.message for record in caplog.records] == ["too many connections"]


def test_connections_that_send_nothing_or_half_a_head_do_not_delay_a_client(
    small: Front, held: ExitStack
) -> None:
    for _ in range(20):
        held.enter_context(small.connected())
        held.enter_context(small.connected()).sendall(b"GET / HTTP/1.1\r\nHost: loc")
        with small.connected() as raw:
            assert small.ask(raw) == 200


@pytest.mark.parametrize("name", ["gateway", "models serve"])
def test_tls_handshakes_that_never_come_are_idle_connections(
    name: str, tmp_path: Path, held: ExitStack
) -> None:
    tls = Authority(tmp_path / "authority").files().server()
    with running_front(name, tmp_path / "front", connections=4, tls=tls) as front:
        opened = [held.enter_context(front.connected()) for _ in range(9)]
        assert [raw.recv(1) for raw in opened[:5]] == [b""] * 5
        assert all(is_open(raw) for raw in opened[5:])


def test_a_tls_handshake_has_a_limit_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Acceptor, "handshake_within_s", 0.1)
    tls = Authority(tmp_path / "authority").files().server()
    with running_front("gateway", tmp_path / "front", tls=tls) as front, front.connected() as raw:
        assert raw.recv(1) == b""


@pytest.mark.parametrize(("connections", "status"), [(1, 503), (2, 200)])
def test_a_gateway_is_not_ready_while_all_connections_have_a_request(
    tmp_path: Path, connections: int, status: int
) -> None:
    with running_front("gateway", tmp_path, connections=connections) as front:
        assert front.status(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + END) == status
