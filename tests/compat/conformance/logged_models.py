"""Cases of the logged models' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import GET_LOGGED, tags

_NAME = "/api/2.0/mlflow/logged-models/<model_id>"
_ONE = "mlflow/logged-models/$logged_model"
_UNKNOWN = "mlflow/logged-models/m-" + "0" * 32
_DELETED = "mlflow/logged-models/$deleted_logged_model"
_CREATE = Route(
    "POST",
    "mlflow/logged-models",
    {
        "experiment_id": "$home",
        "name": "forest",
        "model_type": "sklearn",
        "source_run_id": "$run",
        "params": [{"key": "p", "value": "1"}],
        "tags": [{"key": "t", "value": "x"}],
    },
)
_GET = Route("GET", _ONE, {}, name=f"GET {_NAME}")
_FINALIZE = Route(
    "PATCH",
    _ONE,
    {"model_id": "$logged_model", "status": "LOGGED_MODEL_READY"},
    then=(GET_LOGGED,),
    name=f"PATCH {_NAME}",
)
_DELETE = Route("DELETE", _ONE, {}, then=(GET_LOGGED,), name=f"DELETE {_NAME}")
_SET_TAGS = Route(
    "PATCH",
    f"{_ONE}/tags",
    {"model_id": "$logged_model", "tags": [{"key": "t", "value": "x"}]},
    then=(GET_LOGGED,),
    name=f"PATCH {_NAME}/tags",
)
_DELETE_TAG = Route(
    "DELETE", f"{_ONE}/tags/t", {}, then=(GET_LOGGED,), name=f"DELETE {_NAME}/tags/<tag_key>"
)
_PARAMS = Route(
    "POST",
    f"{_ONE}/params",
    {"model_id": "$logged_model", "params": [{"key": "p", "value": "1"}]},
    then=(GET_LOGGED,),
    name=f"POST {_NAME}/params",
)
_FILES = Route(
    "GET", f"{_ONE}/artifacts/directories", {}, name=f"GET {_NAME}/artifacts/directories"
)
_SEARCH = Route("POST", "mlflow/logged-models/search", {"experiment_ids": ["$logged"]})


def cases() -> Iterator[Case]:
    yield from _create()
    yield from _change()
    yield from _search()


def _create() -> Iterator[Case]:
    yield from _CREATE.basics("experiment_id")
    for title, owner in (
        ("without experiment_id", ABSENT),
        ("an unknown experiment", "987654"),
        ("an experiment's id that is no number", "abc"),
        ("a deleted experiment", "$deleted_experiment"),
    ):
        yield _CREATE.case(title, experiment_id=owner)
    for name in ("a/b", "a:b", "a.b", "a%b", "it's", 'a"b', "", "n" * 500, "n" * 501, "a b-c_d"):
        yield _CREATE.case(f"name {name[:20]!r}, {len(name)}", name=name)
    yield _CREATE.case("an unknown run", source_run_id="0" * 32)
    yield _CREATE.case("a run of another experiment", experiment_id="$experiment")
    yield _CREATE.case("one param twice", params=[*tags(p="1"), *tags(p="2")])
    yield _CREATE.case("one tag twice", tags=[*tags(t="1"), *tags(t="2")])
    yield _CREATE.case("a bad param key", params=tags(**{"a=b": "1"}))
    yield _CREATE.case("a param of 6,001 characters", params=tags(p="v" * 6001))
    yield _CREATE.case("a bad tag key", tags=tags(**{"a=b": "1"}))
    yield _CREATE.case("a tag of 8,001 characters", tags=tags(t="v" * 8001))


def _at(route: Route, path: str) -> Ask:
    owner = path.split("/")[2]
    named = {"model_id": owner} if "model_id" in route.right else {}
    return Ask(route.method, path, {**route.right, **named})


def _change() -> Iterator[Case]:
    for route in (_GET, _FINALIZE, _DELETE, _SET_TAGS, _PARAMS, _FILES):
        yield from route.basics("model_id")
    for route in (_GET, _FINALIZE, _DELETE, _SET_TAGS, _DELETE_TAG, _PARAMS, _FILES):
        end = route.path.removeprefix(_ONE)
        yield route.bare("an unknown id", _at(route, _UNKNOWN + end))
        yield route.bare("a deleted one", _at(route, _DELETED + end))
    yield _GET.bare("an id of another form", get("mlflow/logged-models/nope"))
    for status in ("LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_PENDING", 2, "NOPE", 0, "READY"):
        yield _FINALIZE.case(f"status {status!r}", status=status)
    yield _FINALIZE.case("twice", before=(_FINALIZE.ask(),))
    yield _SET_TAGS.case("another value", before=(_SET_TAGS.ask(tags=tags(t="old")),))
    yield _SET_TAGS.case("a bad key", tags=tags(**{"a=b": "1"}))
    yield _SET_TAGS.case("no tags", tags=[])
    yield _DELETE_TAG.case("as it should be", before=(_SET_TAGS.ask(),))
    yield _DELETE_TAG.case("a missing tag")
    slash = Ask("DELETE", f"{_ONE}/tags/a%2Fb")
    yield _DELETE_TAG.bare(
        "a key with /", slash, before=(_SET_TAGS.ask(tags=tags(**{"a/b": "1"})),)
    )
    for route in (_FINALIZE, _SET_TAGS, _PARAMS):
        yield route.case("without model_id", model_id=ABSENT)
    yield _PARAMS.case("the same again", before=(_PARAMS.ask(),))
    yield _PARAMS.case("another value", before=(_PARAMS.ask(params=tags(p="0")),))
    yield _PARAMS.case("a bad key", params=tags(**{"a=b": "1"}))
    put = "mlflow-artifacts/artifacts/$home/models/$logged_model/artifacts/sub/a.txt"
    upload = Ask("PUT", put, raw=b"hello", content_type="application/octet-stream")
    yield _FILES.case("files", before=(upload,))
    yield _FILES.case("a folder's files", before=(upload,), artifact_directory_path="sub")
    yield _FILES.case("a folder outside", artifact_directory_path="../x")
    name = "/ajax-api/2.0/mlflow/logged-models/<model_id>/artifacts/files"
    path = "/ajax-api/2.0/mlflow/logged-models/$logged_model/artifacts/files"
    one = Route("GET", path, {"artifact_file_path": "sub/a.txt"}, name=f"GET {name}")
    yield one.case("as it should be", before=(upload,))
    yield one.case("a missing file")
    yield one.case("without artifact_file_path", artifact_file_path=ABSENT)


_FILTERS = (
    "name = 'one'",
    "attributes.name != 'one'",
    "name LIKE 't%'",
    "name ILIKE 'O%'",
    "name IN ('one', 'two')",
    "model_type = 'forest'",
    "source_run_id != 'x'",
    "status = 'READY'",
    "status = 'LOGGED_MODEL_READY'",
    "creation_timestamp > 0",
    "last_updated_timestamp < 1000",
    "metrics.loss > 0.25",
    "metrics.loss < 0.25",
    "params.depth = '3'",
    "params.depth != '3'",
    "tags.team = 'red'",
    "tags.team LIKE 'b%'",
    "tags.team IS NULL",
    "name = 'one' OR name = 'two'",
    "colour = 'red'",
    "metrics.loss > 'x'",
    "name =",
)


def _search() -> Iterator[Case]:
    yield from _SEARCH.basics()
    for text in _FILTERS:
        yield _SEARCH.case(f"filter {text}", filter=text)
    for name, ascending in (
        ("name", True),
        ("name", False),
        ("creation_timestamp", ABSENT),
        ("metrics.loss", True),
        ("colour", True),
    ):
        order = {"field_name": name, "ascending": ascending}
        order = {k: v for k, v in order.items() if v is not ABSENT}
        yield _SEARCH.case(f"order by {' '.join(map(str, order.values()))}", order_by=[order])
    yield from _search_datasets()
    for size in (1, 0, -1, 50_001):
        yield _SEARCH.case(f"max_results {size}", max_results=size)
    kept = {"token": "next_page_token"}
    first = {"experiment_ids": ["$logged"], "max_results": 2}
    page = Ask("POST", _SEARCH.path, first, keep=kept)
    yield _SEARCH.case("the second page", page_token="$token", max_results=2, before=(page,))
    yield _SEARCH.case("a foreign token", page_token="$token", filter="name = 'x'", before=(page,))
    yield _SEARCH.case("a broken token", page_token="nonsense")
    yield _SEARCH.case("an unknown experiment", experiment_ids=["987654"])
    yield _SEARCH.case("no experiments", experiment_ids=[])
    get_one = get("mlflow/experiments/get", experiment_id="$logged")
    yield _SEARCH.bare(
        "twice", post(_SEARCH.path, experiment_ids=["$logged"] * 2), before=(get_one,)
    )


_IRIS = {"dataset_name": "iris", "dataset_digest": "abc"}
_WINE = {"dataset_name": "wine", "dataset_digest": "abc"}


def _search_datasets() -> Iterator[Case]:
    for title, datasets in (
        ("a dataset", [_IRIS]),
        ("two datasets", [_WINE, {**_IRIS, "dataset_digest": "def"}]),
        ("an unknown dataset", [{**_IRIS, "dataset_digest": "no"}]),
        ("a dataset by name", [{"dataset_name": "iris"}]),
        ("a dataset without a name", [{"dataset_digest": "abc"}]),
        ("no datasets", []),
    ):
        yield _SEARCH.case(title, datasets=datasets)
    for text in ("name = 'three'", "name = 'two'", "metrics.f1 > 0", "metrics.recall > 0"):
        yield _SEARCH.case(f"a dataset, and {text}", filter=text, datasets=[_IRIS])
    yield _SEARCH.case("a dataset's metrics", filter="metrics.loss > 0", datasets=[_IRIS])
    by_iris = {"field_name": "metrics.f1", "ascending": True, **_IRIS}
    for title, order in (
        ("a dataset's metric", by_iris),
        ("the metric on any dataset", {"field_name": "metrics.f1", "ascending": False}),
        ("a dataset by name", {"field_name": "metrics.f1", "dataset_name": "iris"}),
        ("a dataset by digest", {"field_name": "metrics.f1", "dataset_digest": "def"}),
    ):
        yield _SEARCH.case(f"order by {title}", order_by=[order])
    two: dict[str, Any] = {
        "datasets": [{**_IRIS, "dataset_digest": "def"}, _WINE],
        "max_results": 1,
    }
    kept = {"token": "next_page_token"}
    page = Ask("POST", _SEARCH.path, {"experiment_ids": ["$logged"], **two}, keep=kept)
    yield _SEARCH.case("the first page of two datasets", **two)
    yield _SEARCH.case(
        "the second page of two datasets", page_token="$token", before=(page,), **two
    )
