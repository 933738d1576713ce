"""MLflow's artifact proxy over real sockets: upload, download, list, delete."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.support.hostile.names import ODD_NAMES
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.artifacts import Digest

DATA = bytes(range(256)) * 20_000  # five chunks of the store


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def tree(edge: Edge) -> str:
    """Return the path of a new run's artifact tree."""
    return f"0/{edge.create_run()}/artifacts"


def put(edge: Edge, path: str, data: bytes) -> None:
    status, headers, body = edge.ask("PUT", f"{FILES}/{quote(path)}", data)
    assert (status, body) == (200, b"{}"), body
    assert headers["content-type"] == "application/json"


def test_uploaded_bytes_are_downloaded_again(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a/b.bin", DATA)

    status, headers, body = edge.ask("GET", f"{FILES}/{tree}/a/b.bin")

    assert (status, body) == (200, DATA)
    assert headers["etag"] == f'"{Digest.of(DATA)}"'
    assert headers["content-length"] == str(len(DATA))
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''b.bin"
    assert headers["content-type"] == "application/octet-stream"


def test_both_roots_serve_the_same_files(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a.txt", b"a")
    assert edge.ask("GET", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{tree}/a.txt")[2] == b"a"


def test_a_chunked_body_without_a_length_is_stored(edge: Edge, tree: str) -> None:
    pieces = (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000))
    status, _, _ = edge.ask("PUT", f"{FILES}/{tree}/chunked.bin", pieces)
    assert status == 200
    assert edge.ask("GET", f"{FILES}/{tree}/chunked.bin")[2] == DATA


def test_an_empty_file_is_a_file(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/empty", b"")
    status, headers, body = edge.ask("GET", f"{FILES}/{tree}/empty")
    assert (status, headers["content-length"], body) == (200, "0", b"")
    assert edge.listed(tree) == {"empty": 0}


def test_a_file_uploaded_again_is_replaced(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a.txt", b"first")
    put(edge, f"{tree}/a.txt", b"second")
    assert edge.ask("GET", f"{FILES}/{tree}/a.txt")[2] == b"second"
    assert edge.listed(tree) == {"a.txt": 6}


def test_names_may_have_spaces_and_letters_of_any_script(edge: Edge, tree: str) -> None:
    path = f"{tree}/Žluťoučký kůň/図 1+2&3=4.png"
    put(edge, path, b"png")
    status, headers, body = edge.ask("GET", f"{FILES}/{quote(path)}")
    assert (status, body) == (200, b"png")
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"].endswith(quote("図 1+2&3=4.png", safe=""))


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.html", "text/plain; charset=utf-8"),
        ("a.svg", "application/octet-stream"),
        ("a.py", "text/plain; charset=utf-8"),
        ("a.csv", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.json.gz", "application/octet-stream"),
        ("a.jpg", "image/jpeg"),
        ("MLmodel", "application/octet-stream"),
    ],
)
def test_no_content_type_is_one_that_a_browser_executes(
    edge: Edge, tree: str, name: str, content_type: str
) -> None:
    put(edge, f"{tree}/{name}", b"<script>")
    assert edge.ask("GET", f"{FILES}/{tree}/{name}")[1]["content-type"] == content_type


def test_a_level_is_listed_by_name(edge: Edge, tree: str) -> None:
    for path in ("a/b/c.txt", "a/d.txt", "e.txt"):
        put(edge, f"{tree}/{path}", path.encode())
    assert edge.listed(tree) == {"a": None, "e.txt": 5}
    assert edge.listed(f"{tree}/a") == {"b": None, "d.txt": 7}
    assert edge.listed(f"{tree}/a/") == {"b": None, "d.txt": 7}
    assert edge.listed(f"{tree}/nowhere") == {}
    assert edge.listed(f"{tree}/e.txt") == {}


def test_every_page_of_a_level_is_listed(edge: Edge) -> None:
    run_id = edge.create_run()
    edge_files = {f"{number:04}.txt": 1 for number in range(1001)}
    log_many(edge, run_id, list(edge_files))
    assert edge.listed(f"0/{run_id}/artifacts") == edge_files


def log_many(edge: Edge, run_id: str, names: list[str]) -> None:
    digest = Digest.of(b"x")
    edge.store.put(digest, [b"x"], 1)
    for start in range(0, len(names), 1000):
        files = [
            pb.ArtifactFile(path=name, size_bytes=1, digest=digest)
            for name in names[start : start + 1000]
        ]
        edge.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=files))


def test_the_files_of_a_logged_model_are_under_its_own_path(edge: Edge) -> None:
    run_id = edge.create_run()
    model_id = edge.create_model(run_id)
    root = f"0/models/{model_id}/artifacts"
    put(edge, f"{root}/MLmodel", b"flavors: {}")
    assert edge.listed(root) == {"MLmodel": 11}
    assert edge.ask("GET", f"{FILES}/{root}/MLmodel")[2] == b"flavors: {}"
    edge.tracking.FinalizeLoggedModel(
        tracking_pb2.FinalizeLoggedModelRequest(
            model_id=model_id, status=tracking_pb2.LOGGED_MODEL_READY
        )
    )
    assert edge.listed(f"0/{run_id}/artifacts") == {"model": None}
    shown = edge.ask("GET", f"{FILES}/0/{run_id}/artifacts/model/MLmodel")
    assert shown[2] == b"flavors: {}"


def test_the_folder_of_an_experiment_holds_those_of_its_runs_and_models(edge: Edge) -> None:
    request = tracking_pb2.CreateExperimentRequest(name="listed")
    experiment = edge.tracking.CreateExperiment(request).experiment_id
    assert edge.listed(experiment) == {}
    runs = [
        edge.tracking.CreateRun(
            tracking_pb2.CreateRunRequest(experiment_id=experiment)
        ).run.info.run_id
        for _ in range(3)
    ]
    assert edge.listed(experiment) == dict.fromkeys(runs)
    create = tracking_pb2.CreateLoggedModelRequest(experiment_id=experiment, name="model")
    model_id = edge.tracking.CreateLoggedModel(create).model.info.model_id
    assert edge.listed(experiment) == dict.fromkeys([*runs, "models"])
    assert edge.listed(f"{experiment}/models") == {model_id: None}
    assert edge.refusal("GET", f"{FILES}?path=999999")[0] == 404


def test_a_pinned_manifest_is_read_like_a_folder(edge: Edge) -> None:
    run_id = edge.create_run()
    tree = f"0/{run_id}/artifacts"
    put(edge, f"{tree}/model/MLmodel", b"flavors: {}")
    put(edge, f"{tree}/model/data/weights.bin", DATA)
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="iris"))
    root = f"manifests/{edge.register(run_id)}"
    assert edge.ask("DELETE", f"{FILES}/{tree}")[0] == 200

    assert edge.listed(root) == {"MLmodel": 11, "data": None}
    assert edge.listed(f"{root}/data") == {"weights.bin": len(DATA)}
    assert edge.listed(f"{root}/MLmodel") == {}
    assert edge.ask("GET", f"{FILES}/{root}/data/weights.bin")[2] == DATA
    assert edge.refusal("GET", f"{FILES}/{root}/data")[:2] == (400, "INVALID_PARAMETER_VALUE")
    missing = edge.refusal("GET", f"{FILES}/{root}/nothing")
    assert missing[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    for method in ("PUT", "DELETE"):
        status, code, message = edge.refusal(method, f"{FILES}/{root}/MLmodel", b"x")
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert "cannot be changed" in message


def test_a_manifest_without_a_version_is_not_found(edge: Edge) -> None:
    digest = Digest.of(b"{}")
    edge.store.put(digest, [b"{}"], 2)
    status, code, _ = edge.refusal("GET", f"{FILES}/manifests/{digest}/MLmodel")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert edge.refusal("GET", f"{FILES}?path=manifests/{digest}")[0] == 404
    assert edge.refusal("GET", f"{FILES}?path=manifests/abc")[0] == 400


def test_files_and_folders_are_deleted(edge: Edge, tree: str) -> None:
    for path in ("a/b.txt", "a/c/d.txt", "e.txt"):
        put(edge, f"{tree}/{path}", b"x")
    assert edge.ask("DELETE", f"{FILES}/{tree}/a/b.txt")[::2] == (200, b"{}")
    assert edge.listed(f"{tree}/a") == {"c": None}
    assert edge.ask("DELETE", f"{FILES}/{tree}/a")[::2] == (200, b"{}")
    assert edge.listed(tree) == {"e.txt": 1}
    assert edge.ask("DELETE", f"{FILES}/{tree}/")[::2] == (200, b"{}")
    assert edge.listed(tree) == {}
    assert edge.ask("DELETE", f"{FILES}/{tree}/nowhere")[::2] == (200, b"{}")


def test_a_missing_file_is_answered_as_mlflows_clients_expect(edge: Edge, tree: str) -> None:
    status, code, message = edge.refusal("GET", f"{FILES}/{tree}/nothing.txt")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "nothing.txt" in message


def test_a_folder_is_not_a_file(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a/b.txt", b"x")
    for path in (f"{tree}/a", tree):
        status, code, message = edge.refusal("GET", f"{FILES}/{path}")
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert "is a folder; list it" in message
    assert edge.refusal("PUT", f"{FILES}/{tree}", b"x")[0] == 400
    assert edge.refusal("PUT", f"{FILES}/{tree}/a", b"x")[0] == 400
    assert edge.refusal("PUT", f"{FILES}/{tree}/a/b.txt/c", b"x")[0] == 400
    assert edge.listed(f"{tree}/a") == {"b.txt": 1}


HOSTILE = [
    "../x",
    "a/../../x",
    "%2e%2e/x",
    "%2e%2e%2fx",
    "..%2fx",
    "a/./b",
    "a//b",
    "/etc/passwd",
    "//etc/passwd",
    "a%00b",
    "file:///etc/passwd",
    "a%ff",
    "a?%ff",
    "a?/../x",
    "a" * 256,
    "/".join(["a"] * 40),
]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_hostile_path_is_refused(edge: Edge, method: str, path: str) -> None:
    run_id = edge.create_run()
    before = set(edge.left_behind())
    url = f"{FILES}/0/{run_id}/artifacts/{path}"
    status, code, message = edge.refusal(method, url, b"x" if method == "PUT" else None)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "rtifact path" in message
    assert str(edge.folder) not in message
    assert set(edge.left_behind()) == before


@pytest.mark.parametrize(
    "path",
    [
        "0",
        "0/artifacts/a.txt",
        "x/{run}/artifacts/a.txt",
        "1/{run}/artifacts/a.txt",
        "00/{run}/artifacts/a.txt",
        "0/{run}/a.txt",
        "0/{run}/artefacts/a.txt",
        "0/nobody/artifacts/a.txt",
        "0/models/{run}/artifacts/a.txt",
        "0/models/m-{run}/artifacts/a.txt",
        "0/traces/tr-1/artifacts/traces.json",
        "workspaces/default/0/{run}/artifacts/a.txt",
        "sha256/ab/cd/abcd",
        "objects",
    ],
)
def test_a_path_without_an_owner_is_not_found(edge: Edge, path: str) -> None:
    run_id = edge.create_run()
    path = path.format(run=run_id)
    for method in ("GET", "PUT", "DELETE"):
        status, code, _ = edge.refusal(method, f"{FILES}/{path}", b"x")
        assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    if path != "0":
        assert edge.refusal("GET", f"{FILES}?path={path}")[0] == 404
    assert edge.listed(f"0/{run_id}/artifacts") == {}


def test_every_name_of_a_file_system_comes_back_and_leaves_the_store_alone(
    edge: Edge, tree: str
) -> None:
    names = {f"{number}{name}": name.encode() for number, name in enumerate(ODD_NAMES)}
    for name, content in names.items():
        put(edge, f"{tree}/{name}", content)
    assert edge.listed(tree) == {name: len(content) for name, content in names.items()}
    for name, content in names.items():
        path = quote(f"{tree}/{name}")
        signed = urlsplit(edge.json("GET", f"{API}/presigned/{path}")["url"])
        query = f"run_id={tree.split('/')[1]}&path={quote(name)}"
        for url in (
            f"{FILES}/{path}",
            f"/get-artifact?{query}",
            f"{signed.path}?{signed.query}",
        ):
            status, headers, body = edge.ask("GET", url)
            assert (status, body) == (200, content)
            assert headers["content-disposition"].endswith(f"''{quote(name, safe='')}")


def test_a_question_mark_that_a_client_does_not_quote_is_part_of_the_name(
    edge: Edge, tree: str
) -> None:
    assert edge.ask("PUT", f"{FILES}/{tree}/what?%20next+1.txt", b"x")[0] == 200
    assert edge.listed(tree) == {"what? next+1.txt": 1}
    assert edge.ask("GET", f"{FILES}/{tree}/what?%20next+1.txt")[2] == b"x"
    assert edge.ask("DELETE", f"{FILES}/{tree}/what?%20next+1.txt")[0] == 200
    assert edge.listed(tree) == {}


def test_a_deleted_run_accepts_no_files(edge: Edge) -> None:
    run_id = edge.create_run()
    put(edge, f"0/{run_id}/artifacts/a.txt", b"a")
    edge.tracking.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    status, code, _ = edge.refusal("PUT", f"{FILES}/0/{run_id}/artifacts/b.txt", b"b")
    assert (status, code) == (400, "INVALID_STATE")
    assert edge.listed(f"0/{run_id}/artifacts") == {"a.txt": 1}


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-3000000", 1_000_000, 3_000_001),
        ("bytes=5-", 5, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        (f"bytes=10-{10**17}", 10, len(DATA)),
    ],
)
def test_a_range_is_answered_with_that_range(
    edge: Edge, tree: str, asked: str, start: int, end: int
) -> None:
    put(edge, f"{tree}/a.bin", DATA)
    status, headers, body = edge.ask("GET", f"{FILES}/{tree}/a.bin", headers={"Range": asked})
    assert (status, body) == (206, DATA[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


def test_a_range_outside_the_file_is_refused(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a.bin", b"abc")
    url = f"{FILES}/{tree}/a.bin"
    status, headers, _ = edge.ask("GET", url, headers={"Range": "bytes=3-"})
    assert (status, headers["content-range"]) == (416, "bytes */3")


def test_a_matching_etag_gets_no_bytes(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a.bin", b"abc")
    tag = edge.ask("HEAD", f"{FILES}/{tree}/a.bin")[1]["etag"]
    got = edge.ask("GET", f"{FILES}/{tree}/a.bin", headers={"If-None-Match": tag})
    assert got[::2] == (304, b"")


def test_a_head_returns_the_size_without_the_bytes(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a.bin", b"abc")
    status, headers, body = edge.ask("HEAD", f"{FILES}/{tree}/a.bin")
    assert (status, headers["content-length"], body) == (200, "3", b"")


def test_lost_bytes_are_reported(edge: Edge, tree: str) -> None:
    data = b"only here"
    put(edge, f"{tree}/a.bin", data)
    edge.store.delete(Digest.of(data))
    status, headers, body = edge.ask("GET", f"{FILES}/{tree}/a.bin")
    assert (status, json.loads(body)["error_code"]) == (422, "DATA_LOSS")
    assert "content-disposition" not in headers


def test_an_upload_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        run_id = edge.create_run()
        head = f"PUT {FILES}/0/{run_id}/artifacts/a.bin HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(DATA)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", edge.port)) as raw:
            raw.sendall(head.encode() + DATA[:200_000])
        edge.ask("GET", "/version")  # the connection before is accepted by now
        edge.server.stop()
        assert edge.left_behind() == []


def test_a_wrong_method_is_refused_with_the_allowed_ones(edge: Edge) -> None:
    status, headers, _ = edge.ask("PATCH", f"{FILES}/0/x/artifacts/a.txt")
    assert (status, headers["allow"]) == (405, "DELETE, GET, HEAD, PUT")
    assert edge.ask("DELETE", f"{API}/artifacts")[0] == 405
