"""Request bodies at the gateway: who may send one, how slowly, and how much at once."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.support.http.transcoder_edge import Edge, running_edge

from modelyard_gateway import bodies
from modelyard_gateway.transcoder import MAX_BODY_BYTES
from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.tokens import KnownToken, Snapshot, Tokens
from modelyard_kit.http.exchange import Exchange

SERVICES = "the token of the services"
_TABLE = Path(__file__).parents[1] / "architecture" / "routes.txt"
RPCS = [tuple(line.split(" ")[1:]) for line in _TABLE.read_text(encoding="utf-8").splitlines()]
_FILES = "/api/2.0/mlflow-artifacts"
BYTES = [
    ("PUT", f"{_FILES}/artifacts/0/{'a' * 32}/artifacts/x.txt"),
    *(
        ("POST", f"{_FILES}/mpu/{step}/0/{'a' * 32}/artifacts")
        for step in ("create", "complete", "abort")
    ),
    ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={'a' * 32}&path=x.txt"),
]
ROUTES = [(verb, re.sub(r"\{[a-z_]+\}", "x", path)) for verb, path in (*RPCS, *BYTES)]
LARGE = b'{"unknown": "' + b" " * (1 << 20) + b'"}'
SEARCH = ("POST", "/api/2.0/mlflow/runs/search")


def _known(number: int, grant: Grant) -> tuple[str, KnownToken]:
    secret = f"modelyard_{number:010}_{'s' * 43}"
    return secret, KnownToken(hashlib.sha256(secret.encode()).hexdigest(), grant)


ANN, ANNS = _known(1, Grant("token:1", "ann"))
BOB, BOBS = _known(2, Grant("token:2", "bob"))
WEAK, WEAKS = _known(3, Grant("token:3", "weak", permissions=frozenset()))
SNAPSHOT = Snapshot(1, {"0000000001": ANNS, "0000000002": BOBS, "0000000003": WEAKS})


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    tokens = Tokens(lambda _: SNAPSHOT)
    with running_edge(tmp_path_factory.mktemp("edge"), SERVICES, tokens) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_asked(edge: Edge) -> None:
    edge.asked.clear()


def head(route: tuple[str, str], token: str, size_bytes: int, *more: str) -> bytes:
    authorization = [f"Authorization: Bearer {token}"] if token else []
    lines = [
        f"{route[0]} {route[1]} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {size_bytes}",
        *authorization,
        *more,
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def connected(edge: Edge, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", edge.port), timeout=30)
    connection.sendall(sent)
    return connection


def status_of(connection: socket.socket) -> int:
    """Return the status of the first response, interim ones included."""
    return int(connection.recv(64).split(b" ")[1])


@pytest.mark.parametrize(
    ("token", "size_bytes", "more", "status"),
    [
        ("", 100_000, (), 401),
        ("", 100, (), 401),
        ("", 100, ("Expect: 100-continue",), 401),
        ("another token than that of the services", 100_000, (), 401),
        (f"modelyard_0000000001_{'x' * 43}", 100_000, (), 401),
        (WEAK, 100_000, (), 403),
        (WEAK, 100, ("Expect: 100-continue",), 403),
    ],
    ids=["none", "small", "expect", "wrong", "wrong secret", "weak", "weak expect"],
)
def test_every_route_that_reads_a_body_refuses_from_the_head_alone(
    edge: Edge, token: str, size_bytes: int, more: tuple[str, ...], status: int
) -> None:
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(closing(connected(edge, head(route, token, size_bytes, *more))))
            for route in ROUTES
        ]
        refused = {
            route: status_of(connection) for route, connection in zip(ROUTES, waiting, strict=True)
        }
    assert len(ROUTES) > 95
    assert {route: got for route, got in refused.items() if got != status} == {}
    assert not edge.asked


def test_a_chunked_body_is_refused_from_the_head_alone(edge: Edge) -> None:
    sent = head(SEARCH, "", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with closing(connected(edge, sent)) as connection:
        assert status_of(connection) == 401


def test_a_client_that_expects_100_continue_is_continued_after_the_check(edge: Edge) -> None:
    with closing(connected(edge, head(SEARCH, ANN, 2, "Expect: 100-continue"))) as connection:
        assert status_of(connection) == 100
        assert not edge.asked
        connection.sendall(b"{}")
        assert status_of(connection) == 200
    assert [name for name, _, _ in edge.asked] == ["SearchRuns"]


def test_a_small_body_that_comes_late_and_a_large_one_are_answered(edge: Edge) -> None:
    own = {"Authorization": f"Bearer {ANN}", "Content-Type": "application/json"}
    assert edge.ask(*SEARCH, headers=own, body=LARGE).status == 200
    with closing(connected(edge, head(SEARCH, ANN, 2))) as connection:
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        connection.sendall(b"{}")
        assert status_of(connection) == 200


@pytest.mark.parametrize("sent", [b"", b"{"], ids=["nothing", "a byte"])
@pytest.mark.parametrize("size_bytes", [100, 1 << 20], ids=["small", "large"])
def test_a_body_that_stalls_is_408_and_the_connection_is_closed(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, sent: bytes, size_bytes: int
) -> None:
    monkeypatch.setattr(Exchange, "stalled_after_s", 0.2)
    connection = connected(edge, head(SEARCH, ANN, size_bytes) + sent)
    with closing(connection), connection.makefile("rb") as file:
        answer = file.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert b"The body did not arrive in time" in answer


def test_bodies_of_one_caller_leave_room_for_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.2)
    with running_edge(tmp_path, SERVICES, Tokens(lambda _: SNAPSHOT)) as edge, ExitStack() as stack:
        for _ in range(bodies.MAX_OF_ONE_BYTES // MAX_BODY_BYTES):
            sent = head(SEARCH, ANN, MAX_BODY_BYTES, "Expect: 100-continue")
            connection = stack.enter_context(closing(connected(edge, sent)))
            assert status_of(connection) == 100
        answers = {
            token: edge.ask(
                *SEARCH,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                body=LARGE,
            )
            for token in (ANN, BOB)
        }
    assert answers[ANN].refusal()[:2] == (429, "RESOURCE_EXHAUSTED")
    assert answers[ANN].headers["retry-after"] == "1"
    assert answers[BOB].status == 200
