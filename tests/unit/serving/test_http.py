"""The HTTP interface on a real socket, with a real worker."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.support.platforms.serving_parts import Answered, ask, get, obedient_model

from modelyard_kit.auth.grants import Grant
from modelyard_kit.errors import Unauthenticated
from modelyard_kit.http import hosts
from modelyard_kit.http.exchange import Exchange
from modelyard_kit.http.listening import listen
from modelyard_kit.http.protocol import MAX_HEAD_BYTES
from modelyard_kit.http.server import Server
from modelyard_serving import http as serving_http
from modelyard_serving.callers import Callers
from modelyard_serving.endpoint import Endpoint, Identity, Served
from modelyard_serving.http import App
from modelyard_serving.runtime.process import Process
from modelyard_serving.runtime.worker_queue import WorkerQueue

MAX_BODY_BYTES = 10_000
TOKEN = "a token of more than sixteen"
DIGEST = "ab12" * 16
CURL = (
    b'{"dataframe_split": {"columns": ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"],'
    b' "data": [[5.1, 3.5, 1.4, 0.2]]}}'
)


@dataclass
class Running:
    """An endpoint in a thread of its own."""

    port: int
    loop: asyncio.AbstractEventLoop
    server: Server


def no_other_token(_: str) -> Grant:
    raise Unauthenticated("The token is not valid.")


def serve(folder: Path | None, token: str | None, timeout_s: float) -> Iterator[Running]:
    listener = listen("127.0.0.1", 0)
    started: list[Running] = []
    ready = threading.Event()

    async def main() -> None:
        endpoint = Endpoint("models:/iris/Production")
        if folder is not None:
            start = partial(Process.start, folder, allow_pickle=True, timeout_s=60)
            queue = WorkerQueue(await start(), start, timeout_s)
            endpoint.activate(Served(Identity("iris é\r\nx: y", "3", DIGEST), queue))
        callers = Callers(token, no_other_token)
        names = hosts.of_server("127.0.0.1", token)
        app = App(endpoint, callers, MAX_BODY_BYTES, timeout_s, names)
        server = Server(app, int(timeout_s) + 5)
        port = listener.getsockname()[1]
        started.append(Running(port, asyncio.get_running_loop(), server))
        ready.set()
        await server.serve(sockets=[listener])
        if endpoint.served is not None:
            await endpoint.served.retire()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(60)
    yield started[0]
    started[0].server.stop()
    thread.join(60)


@pytest.fixture(scope="module")
def obedient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return obedient_model(tmp_path_factory.mktemp("models") / "obedient")


@pytest.fixture(scope="module")
def edge(obedient: Path) -> Iterator[Running]:
    yield from serve(obedient, None, 60)


@pytest.fixture
def guarded(obedient: Path) -> Iterator[Running]:
    yield from serve(obedient, TOKEN, 1)


@pytest.fixture
def empty() -> Iterator[Running]:
    yield from serve(None, None, 60)


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Memory for four of the largest bodies, for which others wait 0.2 s."""
    monkeypatch.setattr(serving_http, "_MIN_SHARE_BYTES", 0)
    monkeypatch.setattr(serving_http, "_PATIENCE_S", 0.2)
    yield from serve(None, None, 60)


def refused(answered: Answered) -> tuple[int, str]:
    assert answered.headers["content-type"] == "application/json"
    assert answered.json.keys() == {"error_code", "message", "request_id"}
    assert answered.json["request_id"] == answered.headers["x-request-id"]
    return answered.status, answered.json["error_code"]


def test_a_prediction_names_the_version_that_made_it(edge: Running) -> None:
    answered = ask(edge.port, body=b'{"instances": [["x", 1]]}')

    assert (answered.status, answered.json) == (200, {"predictions": ["x"]})
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["x-model-version"] == "3"
    assert answered.headers["x-model-digest"] == DIGEST
    assert answered.headers["x-model-name"] == "iris %C3%A9%0D%0Ax: y"
    assert "x" not in answered.headers


def test_a_refused_prediction_names_the_version_too(edge: Running) -> None:
    answered = ask(edge.port, body=b'{"instances": []}')

    assert refused(answered) == (400, "BAD_REQUEST")
    assert answered.headers["x-model-version"] == "3"


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_a_warm_endpoint_is_healthy(edge: Running, path: str) -> None:
    answered = get(edge.port, path)

    assert (answered.status, answered.body) == (200, b"\n")
    assert ask(edge.port, path, None, method="HEAD").status == 200


def test_version_status_and_metrics_are_reported(edge: Running) -> None:
    assert get(edge.port, "/version").body == b"0.1.0"
    assert get(edge.port, "/status").json == {
        "model_uri": "models:/iris/Production",
        "state": "SERVING",
        "state_message": "",
        "ready": True,
        "model_name": "iris é\r\nx: y",
        "model_version": "3",
        "model_digest": DIGEST,
    }
    ask(edge.port)
    measured = get(edge.port, "/metrics").body
    assert b'modelyard_serving_request_duration_seconds_count{code="200"}' in measured


def test_without_a_version_health_and_predictions_are_503(empty: Running) -> None:
    for answered in (get(empty.port, "/ping"), get(empty.port, "/health"), ask(empty.port)):
        assert refused(answered) == (503, "TEMPORARILY_UNAVAILABLE")
        assert "models:/iris/Production cannot be served yet" in answered.json["message"]
    assert get(empty.port, "/version").status == 200
    assert get(empty.port, "/status").json["state"] == "LOADING"


def test_a_failure_in_the_model_is_500_with_a_request_id(edge: Running) -> None:
    answered = ask(
        edge.port,
        body=b'{"instances": [["fail", "personal data"]]}',
        headers={"x-request-id": "request-7"},
    )

    assert refused(answered) == (500, "INTERNAL_ERROR")
    assert answered.json["request_id"] == "request-7"
    assert b"personal" not in answered.body
    assert b"Traceback" not in answered.body


def test_a_crash_is_503_with_a_request_id_and_then_it_answers_again(edge: Running) -> None:
    assert refused(ask(edge.port, body=b'{"instances": [["die"]]}'))[0] == 503
    assert ask(edge.port).status == 200


@pytest.mark.parametrize("sent", ["a b", "x" * 129, "é", "a;b"])
def test_an_invalid_request_id_is_replaced(edge: Running, sent: str) -> None:
    answered = ask(edge.port, headers={"x-request-id": sent})

    assert answered.status == 200
    assert answered.headers["x-request-id"] != sent


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json; charset=latin-1", "multipart/form-data"]
)
def test_another_content_type_is_415_and_names_the_supported_ones(
    edge: Running, content_type: str | None
) -> None:
    answered = ask(edge.port, content_type=content_type)

    assert refused(answered) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (
        "application/json and text/csv" in answered.json["message"]
        or "charset=utf-8" in (answered.json["message"])
    )


def test_a_compressed_body_is_415(edge: Running) -> None:
    assert refused(ask(edge.port, headers={"content-encoding": "gzip"}))[0] == 415


def test_an_unknown_path_is_404_and_names_the_known(edge: Running) -> None:
    answered = get(edge.port, "/v2/health/live")

    assert refused(answered) == (404, "ENDPOINT_NOT_FOUND")
    assert "/invocations" in answered.json["message"]


def test_another_method_is_405_and_names_the_right_one(edge: Running) -> None:
    answered = get(edge.port, "/invocations")

    assert refused(answered) == (405, "METHOD_NOT_ALLOWED")
    assert answered.headers["allow"] == "POST"
    assert refused(ask(edge.port, "/ping"))[0] == 405


def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_not(edge: Running) -> None:
    row = b'{"instances": [["x"]]}'

    assert ask(edge.port, body=row.ljust(MAX_BODY_BYTES)).status == 200
    answered = ask(edge.port, body=row.ljust(MAX_BODY_BYTES + 1))
    assert refused(answered) == (413, "REQUEST_LIMIT_EXCEEDED")
    assert answered.headers["connection"] == "close"


def test_a_large_body_in_chunks_without_a_length_is_413(edge: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=60)
    connection.request(
        *("POST", "/invocations"),
        body=iter([b" " * 4000] * 2000),
        headers={"content-type": "application/json"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_that_expects_100_continue_is_refused_at_once(edge: Running) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=60) as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 20000\r\nexpect: 100-continue\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def raw(edge: Running, head: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=60) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n")
        return client.recv(65536)


def test_a_body_that_stalls_is_408(edge: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "stalled_after_s", 0.1)
    head = b"content-type: application/json\r\ncontent-length: 100\r\n"
    assert raw(edge, head).startswith(b"HTTP/1.1 408 ")


def test_large_bodies_that_have_not_arrived_fill_a_budget(tight: Running) -> None:
    head = b"content-type: application/json\r\ntransfer-encoding: chunked\r\nexpect: 100-continue"

    def answer(stack: ExitStack) -> bytes:
        client = socket.create_connection(("127.0.0.1", tight.port), timeout=60)
        stack.enter_context(client)
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")
        return client.recv(4096)[9:12]

    with ExitStack() as others:
        assert [answer(others) for _ in range(5)] == [b"100"] * 4 + [b"429"]


def test_a_head_beyond_the_limit_is_431_as_json(edge: Running) -> None:
    answered = raw(edge, b"x-a: " + b"a" * MAX_HEAD_BYTES + b"\r\n")

    assert answered.startswith(b"HTTP/1.1 431 ")
    assert b'"error_code":"INVALID_PARAMETER_VALUE"' in answered


@pytest.mark.parametrize("path", ["/invocations", "/status"])
@pytest.mark.parametrize(
    "marks", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_a_page_of_another_site_is_refused(edge: Running, path: str, marks: dict[str, str]) -> None:
    for body in (b"", b'{"instances": [["x", 1]]}'):
        answered = ask(edge.port, path, body, method="POST", headers=marks)
        assert refused(answered) == (403, "PERMISSION_DENIED")


def test_two_tokens_in_one_request_are_refused(edge: Running) -> None:
    token = b"authorization: Bearer a\r\n"

    assert raw(edge, token + token + b"content-length: 0\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_connection_is_used_again_after_a_refusal(edge: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=60)
    statuses = []
    for body in (b"{", b'{"instances": [["x"]]}', b"{}", CURL):
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
    connection.close()

    assert statuses[:3] == [400, 200, 400]


def test_responses_do_not_wait_for_an_acknowledgement() -> None:
    with listen("127.0.0.1", 0) as listener:
        # What asyncio looks at before it turns Nagle's algorithm off for a connection.
        assert listener.proto == socket.IPPROTO_TCP


def test_predictions_need_the_token_and_health_does_not(guarded: Running) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}

    assert refused(ask(guarded.port))[0] == 401
    assert refused(ask(guarded.port, headers={"authorization": "Bearer other"}))[0] == 401
    assert ask(guarded.port, headers=right).status == 200
    assert get(guarded.port, "/ping").status == 200
    assert refused(get(guarded.port, "/status"))[0] == 401


def test_a_prediction_that_takes_too_long_is_504(guarded: Running) -> None:
    answered = ask(
        guarded.port,
        body=b'{"instances": [["hang"]]}',
        headers={"authorization": f"Bearer {TOKEN}"},
    )

    assert refused(answered) == (504, "DEADLINE_EXCEEDED")


def test_an_endpoint_that_refuses_predictions_is_not_healthy(
    guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_http, "MAX_REQUESTS", 1)
    right = {"authorization": f"Bearer {TOKEN}"}
    with ThreadPoolExecutor(1) as pool:
        hang = b'{"instances": [["hang"]]}'
        hanging = pool.submit(ask, guarded.port, body=hang, headers=right)
        while (ping := get(guarded.port, "/ping")).status == 200 and not hanging.done():
            time.sleep(0.02)  # the server needs the processor more
        assert "predictions are waiting or running" in ping.json["message"]
        assert ask(guarded.port, headers=right).status == 429
    assert hanging.result().status == 504
    assert get(guarded.port, "/ping").status == 200


def test_every_form_of_the_protocol_reaches_the_model(edge: Running) -> None:
    forms = [
        b'{"inputs": [["x"]]}',
        b'{"instances": [["x"]], "params": {"unknown": 1}}',
        json.dumps({"instances": [["x"], ["y"]]}).encode(),
    ]
    for form in forms:
        assert ask(edge.port, body=form).json == {"predictions": ["x"]}
