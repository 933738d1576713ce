"""Requests that MLflow 3.17's server answers wrongly, over HTTP, on the real services."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.http.transcoder_edge import Answer, ask

from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

API = "/api/2.0/mlflow"


class Client:
    def __init__(self, platform: Embedded) -> None:
        self._address = platform.http.removeprefix("http://")

    def post(self, path: str, document: object = None, body: bytes | None = None) -> Answer:
        return self._ask("POST", path, document, body)

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, None).json()

    def _ask(self, method: str, path: str, document: object, body: bytes | None) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            return ask(connection, method, API + path, document, headers, body)
        finally:
            connection.close()

    def run(self) -> str:
        answer = self.post("/runs/create", {"experiment_id": "0"})
        run_id: str = answer.json()["run"]["info"]["run_id"]
        return run_id


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home: Path = tmp_path_factory.mktemp("home")
    platform = Embedded(UpSettings(home=home, port=0, grpc_port=0))
    yield Client(platform)
    platform.stop()


@pytest.mark.parametrize("literal", ["NaN", "Infinity"])
def test_a_literal_nan_is_refused_and_nothing_is_stored(client: Client, literal: str) -> None:
    """MLflow answers 200 and stores 0.0 at timestamp 0."""
    run_id = client.run()
    point = f'{{"key": "m", "value": {literal}, "timestamp": 5, "step": 7}}'
    log_metric = point.replace("{", f'{{"run_id": "{run_id}", ', 1)
    log_batch = f'{{"run_id": "{run_id}", "metrics": [{point}]}}'

    for path, body in (("/runs/log-metric", log_metric), ("/runs/log-batch", log_batch)):
        answer = client.post(path, body=body.encode())
        assert answer.refusal()[:2] == (400, "INVALID_PARAMETER_VALUE")

    assert "metrics" not in client.get(f"/runs/get?run_id={run_id}")["run"]["data"]


def test_an_unknown_status_is_refused_and_nothing_changes(client: Client) -> None:
    """MLflow answers 200."""
    run_id = client.run()

    answer = client.post("/runs/update", {"run_id": run_id, "status": "NOPE", "run_name": "new"})

    status, code, message = answer.refusal()
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message == (
        "Invalid value \"NOPE\" for parameter 'status' supplied: "
        "expected one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED."
    )
    info = client.get(f"/runs/get?run_id={run_id}")["run"]["info"]
    assert info["status"] == "RUNNING"
    assert info.get("run_name") != "new"


def test_malformed_json_is_reported_as_such(client: Client) -> None:
    """MLflow reports that a required parameter is missing."""
    run_id = client.run()

    body = json.dumps({"run_id": run_id, "key": "p", "value": "v"})[:-1].encode()

    message = client.post("/runs/log-parameter", body=body).refusal()[2]
    assert message.startswith("The body is not JSON: ")


def test_a_taken_name_is_reported_without_sql(client: Client) -> None:
    """MLflow shows the statement, its parameters and the driver's error."""
    client.post("/experiments/create", {"name": "taken"})
    other = client.post("/experiments/create", {"name": "other"}).json()["experiment_id"]
    renamed = {"experiment_id": other, "new_name": "taken"}

    for answer in (
        client.post("/experiments/create", {"name": "taken"}),
        client.post("/experiments/update", renamed),
    ):
        status, code, message = answer.refusal()
        assert (status, code) == (400, "RESOURCE_ALREADY_EXISTS")
        assert "taken" in message
        assert not any(word in message.lower() for word in ("sql", "integrity", "insert", "update"))


def test_one_key_may_be_given_twice_in_an_order(client: Client) -> None:
    """MLflow answers 500, which its client repeats seven times."""
    order = {"experiment_ids": ["0"], "order_by": ["metrics.m DESC", "metrics.m DESC"]}

    assert client.post("/runs/search", order).status == 200
