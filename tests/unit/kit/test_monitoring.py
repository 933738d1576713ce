"""The monitoring port, asked over real sockets."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Iterator

import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.monitoring import Monitoring
from modelyard_kit.http.protocol import MAX_HEAD_BYTES

DOWN = "registry: The database is at revision 0001, this version needs 0002."


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def monitoring(problems: list[str]) -> Iterator[Monitoring]:
    monitoring = Monitoring("127.0.0.1", 0, lambda: problems)
    yield monitoring
    monitoring.close()


def ask(monitoring: Monitoring, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", monitoring.port, timeout=30)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def test_it_is_alive_and_ready(monitoring: Monitoring) -> None:
    assert ask(monitoring, "/livez") == (200, "ok\n")
    assert ask(monitoring, "/readyz") == (200, "ok\n")


def test_a_problem_makes_it_not_ready_and_leaves_it_alive(
    monitoring: Monitoring, problems: list[str]
) -> None:
    problems.append(DOWN)
    assert ask(monitoring, "/readyz?verbose") == (503, f"{DOWN}\n")
    assert ask(monitoring, "/readyz", "HEAD") == (503, "")
    assert ask(monitoring, "/livez") == (200, "ok\n")
    problems.clear()
    assert ask(monitoring, "/readyz")[0] == 200


def test_metrics_are_in_the_format_of_prometheus(monitoring: Monitoring) -> None:
    status, body = ask(monitoring, "/metrics")
    assert status == 200
    assert "# TYPE modelyard_rpc_duration_seconds histogram" in body


def test_other_paths_and_methods_are_refused(monitoring: Monitoring) -> None:
    assert ask(monitoring, "/") == (404, "Not found; there are /livez, /readyz and /metrics.\n")
    assert ask(monitoring, "/livez", "POST")[0] == 501


def test_probes_leave_no_line_in_the_log(
    monitoring: Monitoring, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        ask(monitoring, "/livez")
        ask(monitoring, "/nothing")
        ask(monitoring, "/livez")  # the line of the one before would have been written by now
    assert not [record for record in caplog.records if record.message == "http"]


def test_bytes_that_are_no_request_do_not_end_it(monitoring: Monitoring) -> None:
    with socket.create_connection(("127.0.0.1", monitoring.port), timeout=30) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in raw.recv(4096)
    assert ask(monitoring, "/livez")[0] == 200


def test_a_head_beyond_the_limit_is_refused(monitoring: Monitoring) -> None:
    assert ask(monitoring, f"/livez?{'a' * MAX_HEAD_BYTES}")[0] == 431


def test_a_taken_port_is_refused(monitoring: Monitoring) -> None:
    with pytest.raises(InvalidArgument, match=f"127.0.0.1:{monitoring.port}: it is in use"):
        Monitoring("127.0.0.1", monitoring.port, list)
