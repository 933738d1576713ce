"""Cases of the model versions' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import SOURCE, tags, version

_READ = get("mlflow/model-versions/get", name="$versioned", version="1")
_READ_MODEL = get("mlflow/registered-models/get", name="$versioned")
_CREATE = Route(
    "POST",
    "mlflow/model-versions/create",
    {
        "name": "$versioned",
        "source": SOURCE,
        "run_id": "$run",
        "run_link": "http://here",
        "description": "d",
        "tags": [{"key": "a", "value": "1"}],
    },
    then=(get("mlflow/model-versions/get", name="$versioned", version="2"),),
)
_ONE = {"name": "$versioned", "version": "1"}
_GET = Route("GET", "mlflow/model-versions/get", _ONE)
_URI = Route("GET", "mlflow/model-versions/get-download-uri", _ONE)
_UPDATE = Route(
    "PATCH", "mlflow/model-versions/update", {**_ONE, "description": "changed"}, then=(_READ,)
)
_DELETE = Route("DELETE", "mlflow/model-versions/delete", _ONE, then=(_READ, _READ_MODEL))
_SET_TAG = Route(
    "POST", "mlflow/model-versions/set-tag", {**_ONE, "key": "k", "value": "v"}, then=(_READ,)
)
_DELETE_TAG = Route(
    "DELETE", "mlflow/model-versions/delete-tag", {**_ONE, "key": "k"}, then=(_READ,)
)
_MOVE = Route(
    "POST",
    "mlflow/model-versions/transition-stage",
    {**_ONE, "stage": "Staging", "archive_existing_versions": False},
    then=(_READ, get("mlflow/model-versions/get", name="$versioned", version="2")),
)
_SEARCH = Route("GET", "mlflow/model-versions/search", {"filter": "name = 'library one'"})
_LIBRARY = get("mlflow/registered-models/get", name="$library")


def cases() -> Iterator[Case]:
    yield from _create()
    yield from _read_and_change()
    yield from _tag()
    yield from _move()
    yield from _search()


def _create() -> Iterator[Case]:
    yield from _CREATE.basics()
    yield _CREATE.case("an unknown model", name="nowhere", then=())
    yield _CREATE.case("an empty source", source="")
    yield _CREATE.case("an unknown run", run_id="0" * 32)
    for source in (
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/../x",
        "runs:/$run/model",
        "models:/$versioned/1",
        "models:/$versioned/9",
        "mlflow-artifacts:/0/../x",
        "http://127.0.0.1/x",
        "https://example.org/model",
    ):
        yield _CREATE.case(f"source {source}", source=source, run_id=ABSENT)
    yield _CREATE.case("source models:/m-…", source="models:/$logged_model", run_id=ABSENT)
    yield _CREATE.case("a logged model", model_id="$logged_model")
    yield _CREATE.case("an unknown logged model", model_id="m-" + "0" * 32)
    yield _CREATE.case("a bad tag key", tags=tags(**{"a=b": "1"}))
    yield _CREATE.case("a description of 5,001 characters", description="d" * 5001)
    yield _CREATE.case("a link of 501 characters", run_link="l" * 501)
    gone = (version("$versioned"), Ask("DELETE", _DELETE.path, {**_ONE, "version": "2"}))
    third = (get("mlflow/model-versions/get", name="$versioned", version="3"),)
    yield _CREATE.case("after the highest was deleted", before=gone, then=third)


def _read_and_change() -> Iterator[Case]:
    for route in (_GET, _URI, _UPDATE, _DELETE):
        yield from route.basics()
        yield route.case("an unknown model", name="nowhere", then=())
        yield route.case("an unknown version", version="9")
        yield route.case("a version that is no number", version="x")
        yield route.case("a deleted version", before=(_DELETE.ask(),))
    for text in ("Production", "production", "none", "champion", "1.0", "01", "-1", "9" * 20):
        before = (_MOVE.ask(stage="Production"), _ALIAS)
        yield _GET.case(f"version {text}", version=text, before=before)
        yield _URI.case(f"version {text}", version=text, before=before)
    yield _UPDATE.case("an empty description", description="")
    yield _UPDATE.case("a description of 5,001 characters", description="d" * 5001)
    yield _DELETE.case("one in Production", before=(_MOVE.ask(stage="Production"),))
    yield _DELETE.case("one with an alias", before=(_ALIAS,))


_ALIAS = post("mlflow/registered-models/alias", name="$versioned", alias="champion", version="1")


def _tag() -> Iterator[Case]:
    for case in (*_SET_TAG.basics(), *_DELETE_TAG.basics()):
        before = (_SET_TAG.ask(),) if case.ask.method == "DELETE" else ()
        yield Case(case.route, case.title, case.ask, before, case.then)
    for route in (_SET_TAG, _DELETE_TAG):
        yield route.case("an unknown model", name="nowhere", then=())
        yield route.case("an unknown version", version="9", then=())
        yield route.case("a version that is no number", version="x", then=())
    yield _SET_TAG.case("another value", before=(_SET_TAG.ask(value="old"),))
    yield _SET_TAG.case("100,001 characters", value="v" * 100_001)
    yield _SET_TAG.case("a bad key", key="a=b")
    yield _DELETE_TAG.case("a missing tag")


def _move() -> Iterator[Case]:
    yield from _MOVE.basics()
    for stage in ("Production", "production", "ARCHIVED", "none", "Nope", "", "Deleted_Internal"):
        yield _MOVE.case(f"to {stage!r}", stage=stage)
    yield _MOVE.case("an unknown model", name="nowhere", then=())
    yield _MOVE.case("an unknown version", version="9")
    yield _MOVE.case("a version that is no number", version="x")
    yield _MOVE.case("where it is already", before=(_MOVE.ask(),))
    held = (version("$versioned"), _MOVE.ask(version="2"))
    yield _MOVE.case("onto an occupied stage", before=held)
    yield _MOVE.case(
        "onto an occupied stage, archiving", before=held, archive_existing_versions=True
    )
    for stage in ("None", "Archived"):
        yield _MOVE.case(f"to {stage}, archiving", stage=stage, archive_existing_versions=True)


_FILTERS = (
    "name = 'Library two'",
    "name != 'library one' AND name ILIKE 'library%'",
    "name LIKE 'library%'",
    "name ILIKE 'LIBRARY%'",
    "name IN ('Library two', 'nowhere')",
    "name = 'library one' AND version_number = 2",
    "name = 'library one' AND version_number > 1",
    "name = 'library one' AND version_number != 1",
    "name = 'library one' AND version_number <= 2",
    "name = 'library one' AND version_number IN (1, 2)",
    "version_number > 'x'",
    "name = 'library one' AND source_path = 's3://bucket/other'",
    "name = 'library one' AND source_path LIKE '%/model'",
    "name = 'library one' AND source_path IN ('s3://bucket/other')",
    "name = 'library one' AND run_id = '0'",
    "name = 'library one' AND run_id IN ('0', '1')",
    "name = 'library one' AND run_id != '0'",
    "name = 'library one' AND tags.size = 'small'",
    "name = 'library one' AND tags.size != 'small'",
    "name = 'library one' AND tags.size LIKE 'l%'",
    "name = 'library one' AND tags.size ILIKE 'L%'",
    "name = 'library one' AND tags.size IS NULL",
    "name = 'library one' AND tags.size IS NOT NULL",
    "name = 'library one' AND current_stage = 'Production'",
    "name = 'library one' AND status = 'READY'",
    "name = 'library one' AND creation_timestamp > 0",
    "name = 'Library two' OR version_number = 3",
    "colour = 'red'",
    "name = 'library one' AND",
    "name = library",
)


def _search() -> Iterator[Case]:
    yield _SEARCH.case("as it should be", before=(_LIBRARY,))
    yield _SEARCH.case("a version with an alias", filter="name = '$versioned'", before=(_ALIAS,))
    champions = "name = '$versioned' AND alias = 'champion'"
    yield _SEARCH.case("filter by alias", filter=champions, before=(_ALIAS,))
    for text in _FILTERS:
        yield _SEARCH.case(f"filter {text}", filter=text, before=(_LIBRARY,))
    ours: dict[str, Any] = {"filter": "name ILIKE 'library%'", "before": (_LIBRARY,)}
    for order in (
        "name",
        "version_number DESC",
        "creation_timestamp",
        "last_updated_timestamp DESC",
        "colour",
    ):
        yield _SEARCH.case(f"order by {order}", order_by=[order], **ours)
    yield _SEARCH.case("two orders", order_by=["name", "version_number"], **ours)
    yield _SEARCH.case("order by one key twice", order_by=["name", "name"], **ours)
    for size in (200_000, 200_001, 0, -1, "x"):
        yield _SEARCH.case(f"max_results {size}", max_results=size, **ours)
    kept = {"token": "next_page_token"}
    page = Ask("GET", _SEARCH.path, {"filter": ours["filter"], "max_results": 2}, keep=kept)
    yield _SEARCH.case(
        "the second page",
        filter=ours["filter"],
        page_token="$token",
        before=(_LIBRARY, page),
    )
    yield _SEARCH.case("a broken token", page_token="nonsense")
