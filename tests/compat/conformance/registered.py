"""Cases of the registered models' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import GET_MODEL, registered, tags, version

_CREATE = Route(
    "POST",
    "mlflow/registered-models/create",
    {"name": "$new", "description": "d", "tags": [{"key": "a", "value": "1"}]},
    then=(get("mlflow/registered-models/get", name="$new"),),
)
_GET = Route("GET", "mlflow/registered-models/get", {"name": "$versioned"})
_RENAME = Route(
    "POST",
    "mlflow/registered-models/rename",
    {"name": "$versioned", "new_name": "$new"},
    then=(
        get("mlflow/registered-models/get", name="$new"),
        get("mlflow/registered-models/get", name="$versioned"),
    ),
)
_UPDATE = Route(
    "PATCH",
    "mlflow/registered-models/update",
    {"name": "$model", "description": "changed"},
    then=(GET_MODEL,),
)
_GET_VERSIONED = get("mlflow/registered-models/get", name="$versioned")
_GET_VERSION = get("mlflow/model-versions/get", name="$versioned", version="1")
_DELETE = Route(
    "DELETE", "mlflow/registered-models/delete", {"name": "$versioned"}, then=(_GET_VERSIONED,)
)
_SET_TAG = Route(
    "POST",
    "mlflow/registered-models/set-tag",
    {"name": "$model", "key": "k", "value": "v"},
    then=(GET_MODEL,),
)
_DELETE_TAG = Route(
    "DELETE",
    "mlflow/registered-models/delete-tag",
    {"name": "$model", "key": "k"},
    then=(GET_MODEL,),
)
_SET_ALIAS = Route(
    "POST",
    "mlflow/registered-models/alias",
    {"name": "$versioned", "alias": "champion", "version": "1"},
    then=(_GET_VERSION,),
)
_GET_ALIAS = Route(
    "GET", "mlflow/registered-models/alias", {"name": "$versioned", "alias": "champion"}
)
_DELETE_ALIAS = Route(
    "DELETE",
    "mlflow/registered-models/alias",
    {"name": "$versioned", "alias": "champion"},
    then=(_GET_VERSION,),
)
_LATEST = Route("POST", "mlflow/registered-models/get-latest-versions", {"name": "library one"})
_LATEST_GET = Route("GET", "mlflow/registered-models/get-latest-versions", {"name": "library one"})
_SEARCH = Route("GET", "mlflow/registered-models/search", {"filter": "name = '$library'"})
_LIBRARY = get("mlflow/registered-models/get", name="$library")
_NAMES = (
    ("a blank name", "  "),
    ("an empty name", ""),
    ("a name with /", "a/b"),
    ("a name with :", "a:b"),
    ("a name with a dot and spaces", "a.b c-d"),
    ("a name of dots", ".."),
    ("a name in another script", "模型"),
    ("a name with quotes", 'it\'s "it"'),
    ("a name of 256 characters", "n" * 256),
    ("a name of 257 characters", "n" * 257),
)


def cases() -> Iterator[Case]:
    yield from _create()
    yield from _change()
    yield from _tag()
    yield from _alias()
    yield from _latest()
    yield from _search()


def _create() -> Iterator[Case]:
    yield from _CREATE.basics()
    yield _CREATE.case("a taken name", before=(registered("$new"),))
    for title, name in _NAMES:
        yield _CREATE.case(title, name=name, then=())
    yield _CREATE.case("a deployment job", deployment_job_id="job")
    yield _CREATE.case("a description of 5,001 characters", description="d" * 5001)
    yield _CREATE.case("a tag of 100,000 characters", tags=tags(a="v" * 100_000))
    yield _CREATE.case("a tag of 100,001 characters", tags=tags(a="v" * 100_001))
    yield _CREATE.case("one tag twice", tags=[*tags(a="1"), *tags(a="2")])
    yield _CREATE.case("a bad tag key", tags=tags(**{"a=b": "1"}))
    yield _CREATE.case("a field that does not exist", colour="red")
    yield _CREATE.raw("no JSON", b"{")
    yield from _GET.basics()
    yield _GET.case("an unknown name", name="nowhere")


def _change() -> Iterator[Case]:
    for route in (_RENAME, _UPDATE, _DELETE):
        yield from route.basics()
        yield route.case("an unknown name", name="nowhere", then=())
    yield _RENAME.case("a taken name", new_name="$model", then=(_GET_VERSIONED,))
    yield _RENAME.case("its own name", new_name="$versioned", then=(_GET_VERSIONED,))
    yield _RENAME.case("a name with /", new_name="a/b", then=(_GET_VERSIONED,))
    yield _RENAME.case("onto a name that had versions", new_name="$versioned2", before=_GONE)
    yield _UPDATE.case("an empty description", description="")
    yield _UPDATE.case("a description of 5,001 characters", description="d" * 5001)
    yield _DELETE.case("twice", before=(_DELETE.ask(),))
    yield _DELETE.case("with a version in Production", before=(_PRODUCTION,))
    again = (registered("$versioned2"), version("$versioned2"))
    after = (get("mlflow/registered-models/get", name="$versioned2"),)
    yield _DELETE.bare("and made again", _LATEST.ask(name="$versioned2"), before=(*_GONE, *again))
    yield _DELETE.case("another is untouched", before=(_GET_OTHER,), then=after)


_GET_OTHER = get("mlflow/registered-models/get", name="$versioned2")
_GONE = (Ask("DELETE", _DELETE.path, {"name": "$versioned2"}),)
_PRODUCTION = post(
    "mlflow/model-versions/transition-stage",
    name="$versioned",
    version="1",
    stage="Production",
    archive_existing_versions=False,
)


def _tag() -> Iterator[Case]:
    for case in (*_SET_TAG.basics(), *_DELETE_TAG.basics()):
        before = (_SET_TAG.ask(),) if case.ask.method == "DELETE" else ()
        yield Case(case.route, case.title, case.ask, before, case.then)
    for route in (_SET_TAG, _DELETE_TAG):
        yield route.case("an unknown name", name="nowhere", then=())
    yield _SET_TAG.case("another value", before=(_SET_TAG.ask(value="old"),))
    yield _SET_TAG.case("an empty value", value="")
    yield _SET_TAG.case("100,001 characters", value="v" * 100_001)
    yield _SET_TAG.case("a bad key", key="a=b")
    yield _SET_TAG.case("a key of 251 characters", key="k" * 251)
    yield _DELETE_TAG.case("a missing tag")


def _alias() -> Iterator[Case]:
    for case in (*_SET_ALIAS.basics(), *_GET_ALIAS.basics(), *_DELETE_ALIAS.basics()):
        before = () if case.ask.method == "POST" else (_SET_ALIAS.ask(),)
        yield Case(case.route, case.title, case.ask, before, case.then)
    for route in (_SET_ALIAS, _GET_ALIAS, _DELETE_ALIAS):
        yield route.case("an unknown name", name="nowhere", then=())
    for alias in (
        "latest",
        "LATEST",
        "v1",
        "V22",
        "a b",
        "a/b",
        "Production",
        "None",
        "7",
        "a" * 256,
    ):
        yield _SET_ALIAS.case(f"alias {alias[:20]}", alias=alias)
    yield _SET_ALIAS.case("an unknown version", version="9")
    yield _SET_ALIAS.case("a version that is no number", version="x")
    second = (version("$versioned"), _SET_ALIAS.ask(version="2"))
    yield _SET_ALIAS.case("one that another version has", before=second)
    yield _GET.case("with an alias", before=(_SET_ALIAS.ask(),))
    named: dict[str, Any] = {"filter": "name = '$versioned'", "before": (_SET_ALIAS.ask(),)}
    yield _SEARCH.case("a model with an alias", **named)
    yield _GET_ALIAS.case("a missing alias")
    yield _GET_ALIAS.case("latest", alias="latest")
    yield _GET_ALIAS.case("another case", before=(_SET_ALIAS.ask(),), alias="Champion")
    yield _DELETE_ALIAS.case("a missing alias")


def _latest() -> Iterator[Case]:
    for route in (_LATEST, _LATEST_GET):
        yield route.case("as it should be", before=(_LIBRARY,))
        yield route.case("without name", name=ABSENT)
        yield route.case("an unknown name", name="nowhere")
        for stages in (["None"], ["production", "None"], ["Staging"], ["Nope"]):
            yield route.case(f"stages {', '.join(stages)}", before=(_LIBRARY,), stages=stages)
        yield route.case("no versions", name="$model")
    yield _LATEST.case("a text as stages", stages="None")


_FILTERS = (
    "name = 'library one'",
    "name != 'library one' AND name ILIKE 'library%'",
    "name LIKE 'library%'",
    "name ILIKE 'LIBRARY%'",
    "name IN ('library one', 'nowhere')",
    "name NOT IN ('library one') AND name ILIKE 'library%'",
    "tags.team = 'red' AND name ILIKE 'library%'",
    "name ILIKE 'library%' AND tags.team != 'red'",
    "name ILIKE 'library%' AND tags.team LIKE 'r%'",
    "name ILIKE 'library%' AND tags.team ILIKE 'b%'",
    "name ILIKE 'library%' AND tags.team = 'red' AND tags.task = 'classify'",
    "name ILIKE 'library%' AND tags.team IS NULL",
    "name ILIKE 'library%' AND tags.team IS NOT NULL",
    "name = 'library one' OR name = 'library'",
    "description = 'the second'",
    "name > 'a'",
    "name = library",
    "attributes.name = 'library one'",
    "creation_timestamp > 0",
)


def _search() -> Iterator[Case]:
    yield _SEARCH.case("as it should be", before=(_LIBRARY,))
    for text in _FILTERS:
        yield _SEARCH.case(f"filter {text}", filter=text, before=(_LIBRARY,))
    ours: dict[str, Any] = {"filter": "name ILIKE 'library%'", "before": (_LIBRARY,)}
    for order in ("name", "name DESC", "timestamp", "last_updated_timestamp DESC", "colour"):
        yield _SEARCH.case(f"order by {order}", order_by=[order], **ours)
    yield _SEARCH.case("order by one key twice", order_by=["name", "name"], **ours)
    for size in (1000, 1001, 0, -1, "x"):
        yield _SEARCH.case(f"max_results {size}", max_results=size, **ours)
    page = Ask(
        "GET",
        _SEARCH.path,
        {"filter": ours["filter"], "max_results": 1},
        keep={"token": "next_page_token"},
    )
    yield _SEARCH.case(
        "the second page",
        filter=ours["filter"],
        page_token="$token",
        before=(_LIBRARY, page),
    )
    yield _SEARCH.case("a broken token", page_token="nonsense")
