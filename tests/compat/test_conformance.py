"""The same requests and the same calls of MLflow's client, to MLflow's server and to ours."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest
from tests.compat import environments
from tests.compat.conformance import comparison, differences, every
from tests.compat.conformance.comparison import Address, Comparison
from tests.compat.conformance.page import PAGE, page
from tests.compat.conformance.reasons import Reason
from tests.compat.conformance.servers import VERSION, mlflow_server
from tests.support.processes.up_process import up

pytestmark = pytest.mark.timeout(600)  # two servers, and the real client twice

# Set by `make compat-table`.
WRITE = "COMPATIBILITY_PAGE"
NOT_IMPLEMENTED = 501
SECRET = re.compile(rb"Traceback|sqlite|SELECT |INSERT |/tmp/|/home/|\.py\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with up(tmp_path_factory.mktemp("ours") / "home") as running:
        yield running.address
        assert running.stop() == 0


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    folder = tmp_path_factory.mktemp("theirs")
    with mlflow_server(environments.python(VERSION), folder) as address:
        yield address


@pytest.fixture(scope="module")
def routes(theirs: Address, ours: Address) -> Comparison:
    return comparison.of_routes(theirs, ours)


@pytest.fixture(scope="module")
def methods(theirs: Address, ours: Address, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return comparison.of_methods(theirs, ours, tmp_path_factory.mktemp("clients"))


def test_every_classic_route_is_asked() -> None:
    assert {case.route for case in every.cases()} == classic("routes")


def test_no_two_cases_have_the_same_name() -> None:
    names = [case.name for case in every.cases()]
    assert len(names) == len(set(names))


def test_every_classic_method_is_called(methods: Comparison) -> None:
    assert {thing_of(name) for name in methods.theirs} == classic("methods")


def test_answers_differ_only_where_it_is_declared(routes: Comparison) -> None:
    expect_declared(routes, differences.of_routes())


def test_the_client_differs_only_where_it_is_declared(methods: Comparison) -> None:
    expect_declared(methods, differences.of_methods())


def test_a_request_as_it_should_be_succeeds_at_both(routes: Comparison) -> None:
    right = [name for name in routes.ours if name.endswith(": as it should be")]
    assert {name: routes.ours[name][0]["status"] for name in right} == dict.fromkeys(right, 200)


def test_refusals_are_json_without_internals(routes: Comparison) -> None:
    for body in routes.refusals:
        refusal = json.loads(body)
        assert refusal["error_code"]
        assert len(refusal["message"]) > len("no")
        assert not SECRET.search(body), body
    assert len(routes.refusals) > len(classic("routes"))


def test_nothing_is_answered_with_a_server_error(routes: Comparison) -> None:
    worst = {name: max(answer["status"] for answer in routes.ours[name]) for name in routes.ours}
    assert {name: status for name, status in worst.items() if status >= 500} == {}


def test_routes_that_are_not_offered_are_answered_in_json(ours: Address) -> None:
    connection = http.client.HTTPConnection(*ours, timeout=60)
    with contextlib.closing(connection):
        for name, kind in left_out("routes").items():
            if kind == "page":
                continue
            method, path = name.split(" ", 1)
            body = None if method == "GET" else b'{"name": "x"}'
            path = re.sub("<[^>]*>", "x", path)
            connection.request(method, path, body, {"content-type": "application/json"})
            reply = connection.getresponse()
            refusal = json.loads(reply.read())
            answered = (name, reply.status, refusal["error_code"])
            assert answered == (name, NOT_IMPLEMENTED, "NOT_IMPLEMENTED")


def test_the_page_is_up_to_date(routes: Comparison, methods: Comparison) -> None:
    written = page(
        VERSION,
        by_thing(routes, differences.of_routes()),
        by_thing(methods, differences.of_methods()),
        {thing_of(name) for name in (*routes.results, *methods.results)},
        {what: left_out(what) for what in ("routes", "methods")},
    )
    if os.environ.get(WRITE) == "write":
        PAGE.write_text(written, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, "Run make compat-table"


def classic(what: str) -> set[str]:
    return {name for name, kind in every.inventory(what).items() if kind == "classic"}


def left_out(what: str) -> dict[str, str]:
    return {name: kind for name, kind in every.inventory(what).items() if kind != "classic"}


def thing_of(name: str) -> str:
    """Return the route of a case, or the method of a probe."""
    return name.split(": ", 1)[0]


def expect_declared(found: Comparison, declared: Mapping[str, Reason]) -> None:
    undeclared = {
        name: {"theirs": found.theirs[name], "ours": found.ours[name]}
        for name in sorted(found.differing - set(declared))
    }
    assert undeclared == {}, json.dumps(undeclared, indent=1)
    assert set(declared) - found.differing == set(), "declared, and no longer different"


def by_thing(found: Comparison, declared: Mapping[str, Reason]) -> dict[str, list[Reason | None]]:
    things: dict[str, list[Reason | None]] = defaultdict(list)
    for name in found.theirs:
        things[thing_of(name)].append(declared[name] if name in found.differing else None)
    return things
