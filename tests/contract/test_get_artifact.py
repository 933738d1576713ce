"""The routes by which MLflow's UI downloads and uploads single files."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tests.support.http.artifact_edge import FILES, Edge, running_edge

from modelyard.api.registry.v1 import registry_pb2

UPLOAD = "/ajax-api/2.0/mlflow/upload-artifact"
MIB = 1 << 20


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        running.registry.CreateRegisteredModel(
            registry_pb2.CreateRegisteredModelRequest(name="iris")
        )
        yield running


@pytest.fixture
def run_id(edge: Edge) -> str:
    return edge.create_run()


def query(route: str, **parameters: str) -> str:
    return f"{route}?{urlencode(parameters)}"


@pytest.mark.parametrize("name", ["run_id", "run_uuid"])
def test_a_file_of_a_run_is_downloaded_by_its_path(edge: Edge, run_id: str, name: str) -> None:
    edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/a/b%20c.txt", b"data")

    url = query("/get-artifact", path="a/b c.txt", **{name: run_id})
    status, headers, body = edge.ask("GET", url)

    assert (status, body) == (200, b"data")
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''b%20c.txt"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_file_of_a_logged_model_is_downloaded_by_its_path(edge: Edge, run_id: str) -> None:
    model_id = edge.create_model(run_id)
    edge.ask("PUT", f"{FILES}/0/models/{model_id}/artifacts/MLmodel", b"flavors: {}")
    route = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"

    assert edge.ask("GET", f"{route}?artifact_file_path=MLmodel")[::2] == (200, b"flavors: {}")
    assert edge.refusal("GET", f"{route}?artifact_file_path=x")[0] == 404
    assert edge.refusal("GET", route)[0] == 400
    assert edge.refusal("GET", f"{route}?artifact_file_path=../x")[0] == 400


@pytest.mark.parametrize("version", ["1", "Production", "champion"])
def test_a_file_of_a_version_comes_from_its_pinned_manifest(edge: Edge, version: str) -> None:
    name = f"iris_{version}"
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=name))
    run_id = edge.create_run()
    edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/model/MLmodel", b"registered")
    edge.register(run_id, name=name)
    edge.registry.TransitionModelVersionStage(
        registry_pb2.TransitionModelVersionStageRequest(name=name, version="1", stage="Production")
    )
    edge.registry.SetRegisteredModelAlias(
        registry_pb2.SetRegisteredModelAliasRequest(name=name, alias="champion", version="1")
    )
    edge.ask("PUT", f"{FILES}/0/{run_id}/artifacts/model/MLmodel", b"changed since")

    url = query("/model-versions/get-artifact", name=name, version=version, path="MLmodel")

    assert edge.ask("GET", url)[::2] == (200, b"registered")


def test_a_version_that_is_not_verified_has_no_files_here(edge: Edge) -> None:
    request = registry_pb2.CreateModelVersionRequest(name="iris", source="s3://bucket/model")
    version = edge.registry.CreateModelVersion(request).model_version.version
    url = query("/model-versions/get-artifact", name="iris", version=version, path="MLmodel")
    status, code, message = edge.refusal("GET", url)
    assert (status, code) == (400, "INVALID_STATE")
    assert "not stored here" in message


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/get-artifact", 400),
        ("/get-artifact?path=a.txt", 400),
        ("/get-artifact?run_id={run_id}", 400),
        ("/get-artifact?run_id={run_id}&path=../a.txt", 400),
        ("/get-artifact?run_id={run_id}&path=%252e%252e/a.txt", 404),
        ("/get-artifact?run_id={run_id}&path=nothing", 404),
        ("/get-artifact?run_id=nobody&path=a.txt", 404),
        ("/get-artifact?run_id=..%2f..&path=a.txt", 400),
        ("/model-versions/get-artifact?version=1&path=a", 400),
        ("/model-versions/get-artifact?name=iris&path=a", 400),
        ("/model-versions/get-artifact?name=iris&version=99&path=a", 404),
        ("/model-versions/get-artifact?name=iris&version=99&path=../a", 400),
        ("/model-versions/get-artifact?name=nobody&version=1&path=a", 404),
    ],
)
def test_missing_files_and_malformed_requests_are_refused_as_json(
    edge: Edge, run_id: str, url: str, status: int
) -> None:
    assert edge.refusal("GET", url.format(run_id=run_id))[0] == status


def test_a_file_is_uploaded_to_a_run(edge: Edge, run_id: str) -> None:
    url = query(UPLOAD, run_uuid=run_id, path="u/x.txt")
    assert edge.ask("POST", url, b"x" * 10 * MIB)[::2] == (200, b"{}")
    assert edge.listed(f"0/{run_id}/artifacts/u") == {"x.txt": 10 * MIB}


@pytest.mark.parametrize(
    ("parameters", "body", "fragment"),
    [
        ({"path": "x.txt"}, b"x", "run_uuid"),
        ({"run_uuid": "RUN"}, b"x", "path"),
        ({"run_uuid": "RUN", "path": "../x"}, b"x", "Invalid artifact path"),
        ({"run_uuid": "RUN", "path": "x.txt"}, b"", "must specify data"),
        ({"run_uuid": "RUN", "path": "x.txt"}, b"x" * (10 * MIB + 1), "Max size is 10MB"),
    ],
)
def test_an_upload_that_is_malformed_empty_or_too_large_is_refused(
    edge: Edge, run_id: str, parameters: dict[str, str], body: bytes, fragment: str
) -> None:
    given = {name: run_id if value == "RUN" else value for name, value in parameters.items()}
    status, code, message = edge.refusal("POST", query(UPLOAD, **given), body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert fragment in message
    assert edge.listed(f"0/{run_id}/artifacts") == {}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_may_not_upload(edge: Edge, run_id: str, origin: str) -> None:
    url = query(UPLOAD, run_uuid=run_id, path="x.txt")
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    assert edge.refusal("POST", url, b"x", headers)[:2] == (403, "PERMISSION_DENIED")
    own = {"Origin": f"http://127.0.0.1:{edge.port}"}
    assert edge.ask("POST", url, b"x", own)[0] == 200
