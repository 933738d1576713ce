from __future__ import annotations

import pytest
from starlette.responses import Response
from starlette.types import Scope

from modelyard_gateway.routes import Routes
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.requests import Request
from modelyard_kit.http.routing import Methods


async def handle(_request: Request) -> Response:
    return Response()


async def other(_request: Request) -> Response:
    return Response()


def request(raw_path: str, path: str | None = None) -> Scope:
    return {"path": path or raw_path, "raw_path": raw_path.encode()}


def found(routes: Routes, asked: Scope) -> Methods:
    route = routes.find(asked)
    assert route is not None
    return route


def test_an_exact_path_wins_over_a_pattern() -> None:
    routes = Routes()
    routes.template("GET", "/models/{name}", handle, "pattern")
    routes.template("GET", "/models/xy", handle, "/models/xy")

    assert found(routes, request("/models/xy")).label == "/models/xy"
    assert found(routes, request("/models/a")).label == "pattern"
    assert routes.find(request("/models")) is None
    assert routes.find(request("/models/a/b")) is None
    assert routes.find(request("/models/")) is None


def test_one_path_has_a_handler_for_each_method() -> None:
    routes = Routes()
    routes.template("GET", "/models/{name}", handle, "pattern")
    routes.template("DELETE", "/models/{name}", other, "pattern")
    routes.template("POST", "/models", handle, "exact")
    routes.template("GET", "/models", other, "exact")

    assert found(routes, request("/models/a")).handlers == {"GET": handle, "DELETE": other}
    assert found(routes, request("/models")).handlers == {"POST": handle, "GET": other}


def test_a_variable_is_decoded_once_and_may_hold_a_slash() -> None:
    routes = Routes()
    routes.template("DELETE", "/models/{name}/tags/{key}", handle, "tags")
    asked = request("/models/a%20b/tags/x%2Fy%252F", "/models/a b/tags/x/y%2F")

    found(routes, asked)

    assert asked["path_params"] == {"name": "a b", "key": "x/y%2F"}


def test_a_verb_is_not_part_of_the_variable_before_it() -> None:
    routes = Routes()
    routes.template("GET", "/endpoints/{id}", handle, "get")
    routes.template("POST", "/endpoints/{id}:predict", other, "predict")
    asked = request("/endpoints/a:predict")

    assert found(routes, asked).label == "predict"
    assert asked["path_params"] == {"id": "a"}
    assert found(routes, request("/endpoints/a:b")).label == "get"


def test_a_verb_of_a_collection_is_neither_the_collection_nor_a_member_of_it() -> None:
    routes = Routes()
    routes.template("GET", "/models", handle, "list")
    routes.template("GET", "/models/{name}", handle, "get")
    routes.template("GET", "/models:resolve", other, "resolve")
    routes.template("POST", "/models:import", other, "import")

    assert found(routes, request("/models:resolve")).label == "resolve"
    assert found(routes, request("/models:import")).handlers == {"POST": other}
    assert found(routes, request("/models")).label == "list"
    assert found(routes, request("/models/:resolve")).label == "get"
    assert routes.find(request("/models:")) is None
    assert routes.find(request("/models:resolve/")) is None


def test_characters_of_a_path_are_matched_literally() -> None:
    routes = Routes()
    routes.template("GET", "/api/2.0/{name}", handle, "get")

    assert routes.find(request("/api/2x0/a")) is None


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    routes = Routes()
    routes.template("GET", "/models/{name}", handle, "get")

    with pytest.raises(InvalidArgument, match="not UTF-8"):
        routes.find(request("/models/%ff", "/models/�"))
