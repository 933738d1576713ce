"""Defects of MLflow's server that ours does not have. The first answer is always MLflow's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd
import pytest
from tests.compat import environments, running
from tests.compat.conformance.servers import VERSION, mlflow_server
from tests.support.platforms import serving_parts
from tests.support.processes.up_process import Up

import modelyard.pyfunc

SOURCE = "s3://bucket/none"


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error_code"]


@dataclass(frozen=True)
class Server:
    """One of the two servers, over HTTP."""

    address: tuple[str, int]

    def send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(
                method, f"/api/2.0/{path}", body, {"content-type": "application/json"}
            )
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers.get_content_type(), reply.read())
        finally:
            connection.close()

    def post(self, path: str, **fields: Any) -> Answer:
        return self.send("POST", f"mlflow/{path}", json.dumps(fields).encode())

    def get(self, path: str, **query: str) -> Answer:
        return self.send("GET", f"mlflow/{path}?{urlencode(query)}")

    def run(self, experiment_id: str = "0") -> str:
        made = self.post("runs/create", experiment_id=experiment_id, start_time=1)
        return str(made.json["run"]["info"]["run_id"])

    def model(self, name: str, source: str = SOURCE) -> Any:
        self.post("registered-models/create", name=name)
        return self.post("model-versions/create", name=name, source=source).json["model_version"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("theirs")
    with mlflow_server(environments.python(VERSION), folder) as address:
        yield Server(address)


@pytest.fixture(scope="module")
def ours(platform: Up) -> Server:
    return Server(platform.address)


@pytest.mark.parametrize("word", ["NaN", "Infinity"])
def test_1_a_bare_nan_is_refused_and_no_zero_is_stored(
    theirs: Server, ours: Server, word: str
) -> None:
    answers = []
    for server in (theirs, ours):
        run_id = server.run()
        body = f'{{"run_id": "{run_id}", "key": "loss", "value": {word}, "timestamp": 1000}}'
        answer = server.send("POST", "mlflow/runs/log-metric", body.encode())
        data = server.get("runs/get", run_id=run_id).json["run"]["data"]
        stored = [(m["value"], m["timestamp"]) for m in data.get("metrics", [])]
        answers.append((answer.status, stored))

    assert answers == [(200, [(0.0, 0)]), (400, [])]


def test_2_an_unknown_status_is_refused(theirs: Server, ours: Server) -> None:
    answers = [
        server.post("runs/update", run_id=server.run(), status="NOPE") for server in (theirs, ours)
    ]

    assert [answer.status for answer in answers] == [200, 400]
    assert "NOPE" in answers[1].json["message"]


def test_3_malformed_json_is_reported_as_such(theirs: Server, ours: Server) -> None:
    their, our = (
        server.send("POST", "mlflow/runs/delete", b'{"run_id": "abc"') for server in (theirs, ours)
    )

    assert (their.status, our.status) == (400, 400)
    assert "Missing value for required parameter 'run_id'" in their.json["message"]
    assert "JSON" in our.json["message"]
    assert "Missing" not in our.json["message"]


def test_4_a_taken_name_is_reported_without_the_database(theirs: Server, ours: Server) -> None:
    answers = []
    for server in (theirs, ours):
        server.post("experiments/create", name="taken")
        other = server.post("experiments/create", name="other").json["experiment_id"]
        answers.append(server.post("experiments/update", experiment_id=other, new_name="taken"))
        answers.append(server.post("experiments/create", name="taken"))

    their_rename, their_create, our_rename, our_create = answers
    assert "IntegrityError" in their_rename.json["message"]
    assert "IntegrityError" in their_create.json["message"]
    for answer in (our_rename, our_create):
        assert answer.error == (400, "RESOURCE_ALREADY_EXISTS")
        assert "taken" in answer.json["message"]
        assert "SQL" not in answer.json["message"]


def test_5_an_order_by_one_key_twice_is_that_order(theirs: Server, ours: Server) -> None:
    order = ["metrics.loss", "metrics.loss"]
    their, our = (
        server.post("runs/search", experiment_ids=["0"], order_by=order)
        for server in (theirs, ours)
    )

    assert (their.status, our.status) == (500, 200)


@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_6_archiving_what_no_stage_holds_is_a_definite_refusal(
    theirs: Server, ours: Server, stage: str
) -> None:
    name = f"archived to {stage}"
    answers = []
    for server in (theirs, ours):
        server.model(name)
        moved = {"name": name, "version": "1", "stage": stage, "archive_existing_versions": True}
        answers.append(server.post("model-versions/transition-stage", **moved))

    assert answers[0].error == (500, "INTERNAL_ERROR")
    assert answers[1].error == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("what", ["registered-models", "model-versions"])
def test_7_a_missing_tag_can_be_searched(theirs: Server, ours: Server, what: str) -> None:
    their, our = (
        server.get(f"{what}/search", filter="tags.a IS NULL") for server in (theirs, ours)
    )

    assert (their.status, their.kind) == (500, "text/html")
    assert (our.status, our.kind) == (200, "application/json")


def test_8_a_missing_alias_is_not_found(theirs: Server, ours: Server) -> None:
    answers = []
    for server in (theirs, ours):
        server.model("no alias")
        answers.append(server.get("registered-models/alias", name="no alias", alias="best").error)

    assert answers == [(400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST")]


def test_9_searches_return_aliases(theirs: Server, ours: Server) -> None:
    answers = []
    for server in (theirs, ours):
        server.model("with alias")
        server.post("registered-models/alias", name="with alias", alias="best", version="1")
        found = server.get("model-versions/search", filter="name = 'with alias'").json
        model = server.get("registered-models/get", name="with alias").json["registered_model"]
        versions = (*found["model_versions"], *model["latest_versions"])
        answers.append([version.get("aliases", []) for version in versions])

    assert answers == [[[], []], [["best"], ["best"]]]


def test_10_a_source_that_was_never_read_is_shown_as_such(theirs: Server, ours: Server) -> None:
    their, our = (server.model("unread") for server in (theirs, ours))

    assert (their["status"], "verified" in their) == ("READY", False)
    assert (our["status"], our["verified"]) == ("READY", False)
    assert our["digest"] == ""


def test_11_a_number_never_names_another_version(theirs: Server, ours: Server) -> None:
    numbers = []
    for server in (theirs, ours):
        first = server.model("made twice")["version"]
        server.send("DELETE", "mlflow/registered-models/delete", b'{"name": "made twice"}')
        numbers.append([first, server.model("made twice")["version"]])

    assert numbers == [["1", "1"], ["1", "2"]]


def test_12_a_version_outlives_the_files_of_its_run(theirs: Server, ours: Server) -> None:
    answers = []
    for server in (theirs, ours):
        experiment = server.post("experiments/create", name="deleted").json["experiment_id"]
        run_id = server.run(experiment)
        place = f"{experiment}/{run_id}/artifacts/model"
        server.send("PUT", f"mlflow-artifacts/artifacts/{place}/MLmodel", b"flavors: {}")
        fields = {"name": "outlives", "run_id": run_id, "source": f"mlflow-artifacts:/{place}"}
        server.post("registered-models/create", name="outlives")
        server.post("model-versions/create", **fields)
        server.post("runs/delete", run_id=run_id)
        server.send("DELETE", f"mlflow-artifacts/artifacts/{place}")
        uri = server.get("model-versions/get-download-uri", name="outlives", version="1")
        path = quote(uri.json["artifact_uri"].removeprefix("mlflow-artifacts:/"))
        answers.append(server.send("GET", f"mlflow-artifacts/artifacts/{path}/MLmodel"))

    assert answers[0].status == 404
    assert (answers[1].status, answers[1].body) == (200, b"flavors: {}")


def test_14_logged_models_are_found_by_status(theirs: Server, ours: Server) -> None:
    answers = []
    for server in (theirs, ours):
        experiment = server.post("experiments/create", name="logged").json["experiment_id"]
        made = server.post("logged-models", experiment_id=experiment, name="m")
        model_id = made.json["model"]["info"]["model_id"]
        ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        server.send("PATCH", f"mlflow/logged-models/{model_id}", json.dumps(ready).encode())
        found = server.post(
            "logged-models/search", experiment_ids=[experiment], filter="status = 'READY'"
        )
        answers.append([m["info"]["model_id"] == model_id for m in found.json.get("models", [])])

    assert answers == [[], [True]]


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Yield the ports of `mlflow models serve` and ours, with a model that fails on demand."""
    folder = tmp_path_factory.mktemp("scoring")
    model = _failing_model(folder / "model")
    server, port = serving_parts.start_registry(
        serving_parts.FewLineRegistry({"1": model}, production="1")
    )
    uri = f"models:/{serving_parts.NAME}/Production"
    options = ("--allow-unverified", "--allow-pickle")
    env = running.variables("sqlite:///unused.db")
    address = f"grpc://127.0.0.1:{port}"
    try:
        with (
            running.models_serve(VERSION, str(model), env=env, cwd=folder) as theirs,
            serving_parts.serving(uri, *options, MODELYARD_TRACKING_URI=address) as ours,
        ):
            yield theirs, ours.port
    finally:
        server.drain(0)


def _failing_model(folder: Path) -> Path:
    def predict(rows: Any) -> Any:
        if rows["x"].iloc[0] < 0:
            raise ValueError("no negative numbers")
        return rows["x"] * 2

    example = pd.DataFrame({"x": [1.0, 2.0]})
    modelyard.pyfunc.save_model(
        folder,
        python_model=predict,
        signature=modelyard.models.infer_signature(example, example["x"]),
    )
    return folder


def test_15_a_missing_content_type_is_no_server_error(scoring: tuple[int, int]) -> None:
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}'
    their, our = (serving_parts.ask(port, body=body, content_type=None) for port in scoring)

    assert their.status == 500
    assert our.status in (200, 415)


def test_15_a_failing_model_is_not_the_callers_fault_and_shows_no_traceback(
    scoring: tuple[int, int],
) -> None:
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[-1.0]]}}'
    their, our = (serving_parts.ask(port, body=body) for port in scoring)

    assert (their.status, b"Traceback" in their.body) == (400, True)
    assert (our.status, b"Traceback" in our.body) == (500, False)


def test_15_a_wrong_value_is_named_and_other_values_are_not_shown(
    scoring: tuple[int, int],
) -> None:
    body = b'{"dataframe_split": {"columns": ["x"], "data": [["secret"], ["wrong"]]}}'
    their, our = (serving_parts.ask(port, body=body) for port in scoring)

    assert (their.status, b"secret" in their.body) == (400, True)
    assert (our.status, b"secret" in our.body) == (400, False)
    assert b"x" in our.body
