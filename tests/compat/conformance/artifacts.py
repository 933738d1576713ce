"""Cases of the artifact routes, and of the routes about the server itself."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route

_ROOT = "mlflow-artifacts/artifacts"
_BYTES = "application/octet-stream"
_FOLDER = f"{_ROOT}/$home/$run/artifacts"
_FILE = f"{_FOLDER}/folder/a.txt"
_NAME = "/api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>"
_UPLOAD = Ask("PUT", _FILE, raw=b"hello", content_type=_BYTES)
_UPLOADS = (_UPLOAD, Ask("PUT", f"{_FOLDER}/b.json", raw=b"{}", content_type=_BYTES))
_LISTING = get(f"{_ROOT}", path="$home/$run/artifacts/folder")
_LIST = Route("GET", "mlflow/artifacts/list", {"run_id": "$run"})
_PUT = Route("PUT", _FILE, {}, then=(get(_FILE), _LISTING), name=f"PUT {_NAME}")
_DOWNLOAD = Route("GET", _FILE, {}, name=f"GET {_NAME}")
_DELETE = Route("DELETE", _FILE, {}, then=(get(_FILE), _LISTING), name=f"DELETE {_NAME}")
_PROXY_LIST = Route("GET", _ROOT, {"path": "$home/$run/artifacts"})
_UI_FILE = Route(
    "GET", "/get-artifact", {"run_uuid": "$run", "path": "b.json"}, name="GET /get-artifact"
)
_UI_VERSION = Route(
    "GET",
    "/model-versions/get-artifact",
    {"name": "$model", "version": "1", "path": "b.json"},
    name="GET /model-versions/get-artifact",
)
_UI_PATH = "/ajax-api/2.0/mlflow/upload-artifact"
_OUTSIDE = ("../x", "/etc/passwd", "a/../../x", "%2e%2e/x", "a\\..\\x")


def cases() -> Iterator[Case]:
    yield from _listing()
    yield from _proxy()
    yield from _multipart_and_presigned()
    yield from _page()
    yield from _server()


def _listing() -> Iterator[Case]:
    for route in (_LIST, _PROXY_LIST):
        for case in route.basics():
            yield Case(case.route, case.title, case.ask, _UPLOADS)
    yield _LIST.case("a folder", before=_UPLOADS, path="folder")
    yield _LIST.case("a file", before=_UPLOADS, path="b.json")
    yield _LIST.case("a missing folder", before=_UPLOADS, path="nowhere")
    yield _LIST.case("no files")
    yield _LIST.case("by run_uuid", before=_UPLOADS, run_id=ABSENT, run_uuid="$run")
    yield _LIST.case("an unknown run", run_id="0" * 32)
    yield _LIST.case("a deleted run", run_id="$deleted_run")
    yield _PROXY_LIST.case("a folder", before=_UPLOADS, path="$home/$run/artifacts/folder")
    yield _PROXY_LIST.case("a missing folder", path="$home/$run/artifacts/nowhere")
    for path in _OUTSIDE:
        yield _LIST.case(f"path {path}", path=path)
        yield _PROXY_LIST.case(f"path {path}", path=path)


def _proxy() -> Iterator[Case]:
    yield _PUT.bare("as it should be", _UPLOAD)
    yield _PUT.bare("again", Ask("PUT", _FILE, raw=b"other", content_type=_BYTES), before=_UPLOADS)
    yield _PUT.bare("an empty file", Ask("PUT", _FILE, raw=b"", content_type=_BYTES))
    spaced = f"{_FOLDER}/folder/a%20b%2Bc.txt"
    yield _PUT.bare("a name with spaces", Ask("PUT", spaced, raw=b"1", content_type=_BYTES))
    outside = f"{_FOLDER}/%2e%2e/%2e%2e/x"
    yield _PUT.bare("a path outside", Ask("PUT", outside, raw=b"1", content_type=_BYTES))
    for title, path in (
        ("no owner of ours", f"{_ROOT}/somewhere/a.txt"),
        ("an unknown run", f"{_ROOT}/$home/{'0' * 32}/artifacts/a.txt"),
        ("a deleted run", f"{_ROOT}/$home/$deleted_run/artifacts/a.txt"),
    ):
        ask = Ask("PUT", path, raw=b"1", content_type=_BYTES)
        yield _PUT.bare(title, ask, then=())
    for route in (_DOWNLOAD, _DELETE):
        yield route.case("as it should be", before=_UPLOADS)
        yield route.case("a missing file", then=())
        yield route.bare("a folder", Ask(route.method, f"{_FOLDER}/folder"), before=_UPLOADS)
        yield route.bare("a path outside", Ask(route.method, outside))
    yield _DOWNLOAD.bare("an unknown run", get(f"{_ROOT}/$home/{'0' * 32}/artifacts/a.txt"))


def _multipart_and_presigned() -> Iterator[Case]:
    file = "$home/$run/artifacts/big.bin"
    for step in ("create", "complete", "abort"):
        path = f"mlflow-artifacts/mpu/{step}/{file}"
        name = f"POST /api/2.0/mlflow-artifacts/mpu/{step}/<path:artifact_path>"
        given = {"path": file, "num_parts": 2} if step == "create" else {"path": file}
        given |= {} if step == "create" else {"upload_id": "nonsense"}
        route = Route("POST", path, given, name=name)
        title = "as it should be" if step == "create" else "an unknown upload"
        yield route.case(title)
    name = "GET /api/2.0/mlflow-artifacts/presigned/<path:artifact_path>"
    signed = Route("GET", "mlflow-artifacts/presigned/$home/$run/artifacts/b.json", {}, name=name)
    yield signed.case("as it should be", before=_UPLOADS)
    yield signed.case("a missing file")
    for what in ("upload", "download"):
        route = Route(
            "POST", f"mlflow/artifacts/presigned-{what}-url", {"run_id": "$run", "path": "b.json"}
        )
        yield route.case("as it should be", before=_UPLOADS)
        yield route.case("without path", path=ABSENT)
        yield route.case("an unknown run", run_id="0" * 32)
        yield route.case("a path outside", path="../x")
        yield route.case("beyond a week", expiration=604_801)


def _page() -> Iterator[Case]:
    yield _UI_FILE.case("as it should be", before=_UPLOADS)
    yield _UI_FILE.case("a missing file")
    yield _UI_FILE.case("without path", path=ABSENT)
    yield _UI_FILE.case("an unknown run", run_uuid="0" * 32)
    yield _UI_FILE.case("a path outside", path="../x")
    registered = post(
        "mlflow/model-versions/create",
        name="$model",
        source="mlflow-artifacts:/$home/$run/artifacts",
        run_id="$run",
    )
    yield _UI_VERSION.case("as it should be", before=(*_UPLOADS, registered))
    yield _UI_VERSION.case("a missing file", before=(*_UPLOADS, registered), path="nope")
    yield _UI_VERSION.case("an unknown version", version="9")
    upload = Route(
        "POST",
        _UI_PATH,
        {},
        then=(get("mlflow/artifacts/list", run_id="$run"),),
        name=f"POST {_UI_PATH}",
    )
    for title, query, body in (
        ("as it should be", "?run_uuid=$run&path=c.txt", b"hello"),
        ("without path", "?run_uuid=$run", b"hello"),
        ("an unknown run", f"?run_uuid={'0' * 32}&path=c.txt", b"hello"),
        ("a path outside", "?run_uuid=$run&path=../c.txt", b"hello"),
        ("11 MB", "?run_uuid=$run&path=c.txt", b"x" * 11_000_000),
    ):
        ask = Ask("POST", _UI_PATH + query, raw=body, content_type=_BYTES)
        yield upload.bare(title, ask)


def _server() -> Iterator[Case]:
    yield Case("GET /health", "as it should be", get("/health"))
    yield Case("GET /version", "as it should be", get("/version"))
    info = "/api/3.0/mlflow/server-info"
    yield Case(f"GET {info}", "as it should be", get(info))
