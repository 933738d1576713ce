"""The routes of the edge, over real sockets, with a real gRPC server behind."""

import base64
import hashlib
import http.client
import json
import logging
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from modelyard_gateway import root_page
from modelyard_gateway.app import Gateway
from modelyard_gateway.backends import SERVICES, Backend
from modelyard_gateway.server import HttpServer
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.listening import listen
from modelyard_kit.rpc.server import RpcServer

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class Edge:
    port: int
    grpc_port: int
    ready: dict[str, bool] = field(default_factory=dict)

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()


TOKEN = "a token of more than sixteen"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(params=["without a token", "with a token"])
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    with running_edge(tmp_path, token=request.param == "with a token") as edge:
        yield edge


@contextmanager
def running_edge(
    store: Path, *, token: bool, areas: Collection[str] = tuple(SERVICES)
) -> Iterator[Edge]:
    ready = dict.fromkeys(SERVICES, True)
    server = RpcServer()
    for area, services in SERVICES.items():
        for service in services:
            server.add(service, object(), problem=partial(_problem, ready, area))
    (grpc_port,) = server.start("127.0.0.1:0")
    signer = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1")
    gateway = Gateway(
        [Backend(area, f"127.0.0.1:{grpc_port}", f":{grpc_port}") for area in areas],
        LocalStore(store, signer),
        signer,
        server.active,
        host="127.0.0.1",
        token=TOKEN if token else None,
    )
    listener = listen("127.0.0.1", 0)
    http_server = HttpServer(gateway, listener, grace_s=5)
    http_server.start()
    yield Edge(listener.getsockname()[1], grpc_port, ready)
    http_server.stop()
    listener.close()
    server.drain(5)


def _problem(ready: dict[str, bool], area: str) -> str:
    return "" if ready[area] else "Its database cannot be reached."


def test_health_is_ok_when_every_service_is_ready(edge: Edge) -> None:
    status, headers, body = edge.ask("/health")

    assert (status, body) == (200, b"OK")
    assert headers["content-type"] == "text/plain; charset=utf-8"


def test_health_names_the_services_that_are_not_ready(edge: Edge) -> None:
    edge.ready["registry"] = False
    edge.ready["serving"] = False

    status, _, body = edge.ask("/health")

    assert status == 503
    assert json.loads(body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert json.loads(body)["message"] == "Not ready: registry, serving."


def test_without_a_serving_service_the_platform_is_ready_and_predictions_answer_501(
    tmp_path: Path,
) -> None:
    with running_edge(tmp_path, token=False, areas=("tracking", "registry")) as edge:
        edge.ready["serving"] = False

        assert edge.ask("/health")[0] == 200
        assert set(json.loads(edge.ask("/.well-known/modelyard")[2])["grpc"]) == {
            "tracking",
            "registry",
        }
        status, _, body = edge.ask("/api/modelyard/v1/endpoints/x:predict", "POST")

    assert (status, json.loads(body)["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert "modelyard models serve" in json.loads(body)["message"]


def test_the_version_is_plain_text(edge: Edge) -> None:
    status, _, body = edge.ask("/version")

    assert status == 200
    assert body.count(b".") == 2


def test_one_url_announces_every_grpc_target(edge: Edge) -> None:
    status, headers, body = edge.ask("/.well-known/modelyard")

    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["grpc"] == dict.fromkeys(SERVICES, f":{edge.grpc_port}")


def test_metrics_count_requests_by_route(edge: Edge) -> None:
    edge.ask("/version")
    edge.ask("/an/unknown/path")

    status, headers, body = edge.ask("/metrics", headers=AUTHORIZED)

    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert b'modelyard_http_duration_seconds_count{method="GET",route="/version",' in body
    assert b'route="unknown"' in body
    assert b"/an/unknown/path" not in body


def test_a_head_is_a_get_without_its_body(edge: Edge) -> None:
    status, headers, body = edge.ask("/health", "HEAD")

    assert (status, body) == (200, b"")
    assert headers["content-length"] == "2"


def test_an_unknown_route_is_answered_as_json(edge: Edge) -> None:
    status, headers, body = edge.ask("/api/2.0/nothing")

    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body)["error_code"] == "ENDPOINT_NOT_FOUND"
    assert json.loads(body)["message"] == "No such route: /api/2.0/nothing"
    assert json.loads(body)["request_id"] == headers["x-request-id"]


def test_a_wrong_method_is_refused_with_the_allowed_ones(edge: Edge) -> None:
    status, headers, body = edge.ask("/version", "DELETE")

    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["message"] == "/version does not answer DELETE, use GET, HEAD"


def test_a_request_id_of_the_caller_is_kept_and_an_unfit_one_replaced(edge: Edge) -> None:
    _, kept, _ = edge.ask("/version", headers={"X-Request-Id": "mine-1"})
    _, replaced, _ = edge.ask("/version", headers={"X-Request-Id": 'a"b c'})

    assert kept["x-request-id"] == "mine-1"
    assert len(replaced["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/health", "/nothing", "/artifacts/objects/x"])
def test_every_answer_carries_the_security_headers(edge: Edge, path: str) -> None:
    _, headers, _ = edge.ask(path)

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize("edge", ["without a token"], indirect=True)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "", "[::1", "a@evil"]
)
def test_another_host_name_is_refused_without_a_token(edge: Edge, host: str) -> None:
    status, _, body = edge.ask("/health", headers={"Host": host})

    assert status == 403
    assert json.loads(body)["error_code"] == "PERMISSION_DENIED"
    assert f"does not answer to the name '{host}'" in json.loads(body)["message"]


@pytest.mark.parametrize("edge", ["without a token"], indirect=True)
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "[::1]:5000"])
def test_its_own_host_names_are_accepted(edge: Edge, host: str) -> None:
    assert edge.ask("/health", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("edge", ["with a token"], indirect=True)
def test_any_host_name_is_accepted_with_a_token(edge: Edge) -> None:
    assert edge.ask("/health", headers={"Host": "models.example"})[0] == 200


def test_a_request_line_that_is_not_http_is_refused(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        reply = raw.recv(4096)

    assert reply.startswith(b"HTTP/1.1 400 ")


def test_the_signature_of_a_url_is_not_logged(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        edge.ask("/artifacts/objects/abc?signature=s3cret")
        edge.ask("/version")  # the log line of the request before is written by now

    assert any(record.message == "http" for record in caplog.records)
    assert not any("s3cret" in str(vars(record)) for record in caplog.records)


def test_a_taken_port_is_refused_by_name(edge: Edge) -> None:
    with pytest.raises(
        InvalidArgument, match=f"Cannot listen on 127.0.0.1:{edge.port}: it is in use"
    ):
        listen("127.0.0.1", edge.port)


@pytest.mark.parametrize("edge", ["without a token"], indirect=True)
def test_a_browser_gets_a_page_with_version_services_and_links(edge: Edge) -> None:
    edge.ready["registry"] = False
    status, headers, body = edge.ask("/", headers=BROWSER)
    text = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert edge.ask("/version")[2].decode() in text
    states = re.findall(r"<td>(\w+)</td><td class=\"\w+\">([\w ]+)</td>", text)
    assert states == [("tracking", "ready"), ("registry", "not ready"), ("serving", "ready")]
    links = re.findall(r'href="([^"]+)"', text)
    assert links == ["/health", "/openapi.json", "/.well-known/modelyard", "/version", "/metrics"]
    for link in links[1:]:
        assert edge.ask(link)[0] == 200
    assert 'set_tracking_uri("http://127.0.0.1")' in text


def test_the_page_runs_nothing_and_loads_nothing(edge: Edge) -> None:
    _, headers, body = edge.ask("/", headers=BROWSER)
    (style,) = re.findall(r"<style>(.*?)</style>", body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not re.search(rb"<script|<link|<img|src=|url\(| style=| on[a-z]+=", body)


@pytest.mark.parametrize("edge", ["without a token"], indirect=True)
@pytest.mark.parametrize("headers", [{}, {"accept": "*/*"}, {"accept": "application/json"}])
def test_other_clients_get_json(edge: Edge, headers: dict[str, str]) -> None:
    status, answered, body = edge.ask("/", headers=headers)
    document = json.loads(body)
    assert (status, answered["content-type"]) == (200, "application/json")
    assert answered["cache-control"] == "no-store"
    assert document["name"] == "modelyard"
    assert document["ready"] == dict.fromkeys(("tracking", "registry", "serving"), True)
    assert document["needs_token"] is False


def test_head_has_the_headers_of_the_page_and_no_body(edge: Edge) -> None:
    status, headers, body = edge.ask("/", "HEAD", BROWSER)
    _, of_get, _ = edge.ask("/", headers=BROWSER)
    assert (status, body) == (200, b"")
    assert headers["content-length"] == of_get["content-length"]


def test_other_methods_are_refused(edge: Edge) -> None:
    assert edge.ask("/", "POST")[0] == 405


def test_the_page_escapes_what_it_is_given_and_hides_what_needs_the_service_token() -> None:
    page = root_page.page("1<2", 'http://x/"><b>', {"a&b": True}, {}, needs_token=True)
    assert "1&lt;2" in page
    assert "<b>" not in page
    assert "a&amp;b" in page
    assert "MODELYARD_TOKEN" in page
    assert "/metrics" not in page
