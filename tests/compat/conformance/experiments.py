"""Cases of the experiments' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import GET_EXPERIMENT, experiment, tags

_CREATE = Route(
    "POST",
    "mlflow/experiments/create",
    {"name": "$new", "tags": [{"key": "a", "value": "1"}]},
    then=(get("mlflow/experiments/get-by-name", experiment_name="$new"),),
)
_GET = Route("GET", "mlflow/experiments/get", {"experiment_id": "$experiment"})
_BY_NAME = Route("GET", "mlflow/experiments/get-by-name", {"experiment_name": "home"})
_DELETE = Route(
    "POST",
    "mlflow/experiments/delete",
    {"experiment_id": "$experiment"},
    then=(GET_EXPERIMENT,),
)
_RESTORE = Route(
    "POST",
    "mlflow/experiments/restore",
    {"experiment_id": "$deleted_experiment"},
    then=(get("mlflow/experiments/get", experiment_id="$deleted_experiment"),),
)
_UPDATE = Route(
    "POST",
    "mlflow/experiments/update",
    {"experiment_id": "$experiment", "new_name": "$new"},
    then=(GET_EXPERIMENT,),
)
_SET_TAG = Route(
    "POST",
    "mlflow/experiments/set-experiment-tag",
    {"experiment_id": "$experiment", "key": "k", "value": "v"},
    then=(GET_EXPERIMENT,),
)
_DELETE_TAG = Route(
    "POST",
    "mlflow/experiments/delete-experiment-tag",
    {"experiment_id": "$experiment", "key": "k"},
    then=(GET_EXPERIMENT,),
)
_SEARCH = Route("POST", "mlflow/experiments/search", {"max_results": 10})
_SEARCH_GET = Route("GET", "mlflow/experiments/search", {"max_results": 10})
_SHELF = "name ILIKE 'shelf%'"
_HOME = get("mlflow/experiments/get", experiment_id="$home")
_MADE = get("mlflow/experiments/get", experiment_id="$experiments")


def cases() -> Iterator[Case]:
    yield from _create()
    yield from _read()
    yield from _change()
    yield from _tag()
    yield from _search()


def _create() -> Iterator[Case]:
    yield from _CREATE.basics()
    yield _CREATE.case("a taken name", before=(experiment("$new"),))
    yield _CREATE.case("a deleted one's name", before=_gone("$new"))
    yield _CREATE.case("an empty name", name="", then=())
    yield _CREATE.case("a blank name", name="  ", then=())
    yield _CREATE.case("a name of 500 characters", name="n" * 500, then=())
    yield _CREATE.case("a name of 501 characters", name="n" * 501, then=())
    yield _CREATE.case("a name with / and spaces", name="a/b c/$new", then=())
    yield _CREATE.case("a location elsewhere", artifact_location="s3://bucket/x")
    yield _CREATE.case("a location with ..", artifact_location="s3://bucket/../x")
    yield _CREATE.case("a tag of 20,000 characters", tags=tags(a="v" * 20_000))
    yield _CREATE.case("a tag of 20,001 characters", tags=tags(a="v" * 20_001))
    yield _CREATE.case("a tag without a value", tags=[{"key": "a"}])
    yield _CREATE.case("one tag twice", tags=[*tags(a="1"), *tags(a="2")])
    yield _CREATE.case("a field that does not exist", colour="red")
    yield _CREATE.raw("no JSON", b'{"name": ')
    yield _CREATE.raw("no object", b"[1]")
    yield _CREATE.raw("an empty body", b"")
    yield _CREATE.raw("text/plain", b'{"name": "$new"}', content_type="text/plain")


def _gone(name: str) -> tuple[Ask, ...]:
    gone = post("mlflow/experiments/delete", experiment_id="$made")
    return (experiment(name, keep="made"), gone)


def _read() -> Iterator[Case]:
    yield from _GET.basics()
    yield _GET.case("Default", experiment_id="0")
    yield _GET.case("a deleted one", experiment_id="$deleted_experiment")
    yield _GET.case("an unknown id", experiment_id="987654")
    yield _GET.case("an id that is no number", experiment_id="abc")
    yield _BY_NAME.case("as it should be", before=(_HOME,))
    yield _BY_NAME.case("without experiment_name", experiment_name=ABSENT)
    yield _BY_NAME.case("an unknown name", experiment_name="nowhere")
    yield _BY_NAME.case("another case", before=(_HOME,), experiment_name="HOME")
    yield _BY_NAME.case("a deleted one", before=_gone("$new"), experiment_name="$new")


def _change() -> Iterator[Case]:
    for route in (_DELETE, _RESTORE, _UPDATE):
        yield from route.basics()
        yield route.case("an unknown id", experiment_id="987654", then=())
        yield route.case("an id that is no number", experiment_id="abc", then=())
    yield _DELETE.case("twice", before=(_DELETE.ask(),))
    yield _RESTORE.case("one that is active", experiment_id="$experiment", then=())
    yield _UPDATE.case("a taken name", new_name="home", before=(_HOME,))
    yield _UPDATE.case("its own name", new_name="$new", before=(_UPDATE.ask(),))
    yield _UPDATE.case("an empty name", new_name="")
    yield _UPDATE.case("a deleted one", experiment_id="$deleted_experiment", then=())


def _tag() -> Iterator[Case]:
    for route in (_SET_TAG, _DELETE_TAG):
        before = (_SET_TAG.ask(),) if route is _DELETE_TAG else ()
        for case in route.basics():
            yield Case(case.route, case.title, case.ask, before, case.then)
        yield route.case("an unknown id", experiment_id="987654", then=())
        yield route.case("a deleted one", experiment_id="$deleted_experiment", then=())
    yield _SET_TAG.case("another value", before=(_SET_TAG.ask(value="old"),))
    yield _SET_TAG.case("an empty value", value="")
    yield _SET_TAG.case("20,001 characters", value="v" * 20_001)
    yield _SET_TAG.case("a key with strange characters", key="a=b")
    yield _SET_TAG.case("a key of 251 characters", key="k" * 251)
    yield _DELETE_TAG.case("a missing tag")


_FILTERS = (
    "name = 'shelf one'",
    "name != 'shelf one' AND name ILIKE 'shelf%'",
    "name LIKE 'shelf%'",
    "attributes.name LIKE 'shelf%'",
    "name ILIKE 'shelf%' AND tags.team = 'red'",
    "name ILIKE 'shelf%' AND tag.team != 'red'",
    "tags.team LIKE 'r%' AND name LIKE 'shelf%'",
    "name ILIKE 'shelf%' AND tags.team ILIKE 'R%'",
    "name ILIKE 'shelf%' AND tags.team IS NULL",
    "name ILIKE 'shelf%' AND tags.team IS NOT NULL",
    "name ILIKE 'shelf%' AND creation_time > 0",
    "name ILIKE 'shelf%' AND last_update_time < 1000",
    "experiment_id = '0'",
    "experiment_id IN ('0', '987654')",
    "name ILIKE 'shelf%' AND experiment_id NOT IN ('0')",
    "name IN ('shelf one', 'home')",
    "name = 'shelf one' OR name = 'shelf'",
    "NOT name LIKE 'shelf%'",
    "(name = 'shelf one')",
    "colour = 'red'",
    "name = shelf",
    "name ~ 'x'",
    "name = 'x' AND",
    "lifecycle_stage = 'active'",
    "creation_time > 'x'",
)


def _search() -> Iterator[Case]:
    for text in _FILTERS:
        yield _SEARCH.case(f"filter {text}", filter=text, before=(_MADE,))
    for order in ("name", "name DESC", "creation_time", "last_update_time DESC", "colour"):
        ask: dict[str, Any] = {"filter": _SHELF, "order_by": [order], "before": (_MADE,)}
        yield _SEARCH.case(f"order by {order}", **ask)
    yield _SEARCH.case(
        "order by one key twice", filter=_SHELF, order_by=["name", "name"], before=(_MADE,)
    )
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 3, "NOPE"):
        yield _SEARCH.case(f"view {view}", filter=_SHELF, view_type=view, before=(_MADE,))
    for size in (ABSENT, 0, -1, 50_000, 50_001, "x", "2"):
        title = "no max_results" if size is ABSENT else f"max_results {size!r}"
        yield _SEARCH.case(title, filter=_SHELF, max_results=size, before=(_MADE,))
    page = Ask(
        "POST",
        _SEARCH.path,
        {"filter": _SHELF, "max_results": 1, "order_by": ["name"]},
        keep={"token": "next_page_token"},
    )
    rest: dict[str, Any] = {"filter": _SHELF, "order_by": ["name"], "page_token": "$token"}
    yield _SEARCH.case("the second page", before=(_MADE, page), **rest)
    yield _SEARCH.case("a broken token", page_token="nonsense")
    yield _SEARCH_GET.case("as it should be", filter=_SHELF, before=(_MADE,))
    yield _SEARCH_GET.case(
        "two orders", filter=_SHELF, order_by=["name DESC", "creation_time"], before=(_MADE,)
    )
    yield _SEARCH_GET.case(
        "without max_results", max_results=ABSENT, filter=_SHELF, before=(_MADE,)
    )
