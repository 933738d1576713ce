"""Which requests of browsers come from a page of this server."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard_kit.errors import PermissionDenied
from modelyard_kit.http import other_sites
from modelyard_kit.http.exchange import Exchange


def check(method: str, *headers: tuple[str, str]) -> None:
    async def unused(*_: Any) -> Any:
        raise AssertionError

    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": "/", "headers": encoded}
    other_sites.check(Exchange(scope, unused, unused))


OWN = [
    ("http://localhost:5000", "localhost:5000"),
    ("http://models.example", "models.example"),
    ("http://models.example", "models.example:80"),
    ("http://models.example:80", "models.example"),
    ("HTTP://Models.Example", "models.EXAMPLE"),
    ("https://models.example", "models.example"),  # a proxy ends TLS
    ("https://models.example", "models.example:443"),
    ("https://models.example:8443", "models.example:8443"),
    ("http://[::1]:5000", "[::1]:5000"),
    ("http://[2001:DB8::1]", "[2001:db8::1]:80"),
]
OTHERS = [
    ("http://evil.example", "localhost:5000"),
    ("http://localhost:5001", "localhost:5000"),
    ("http://localhost", "localhost:5000"),
    ("https://models.example", "models.example:80"),
    ("http://models.example:443", "models.example"),
    ("http://sub.models.example", "models.example"),
    ("http://models.example.", "models.example"),
    ("http://models.example@evil.example", "models.example"),
    ("http://models.example/", "models.example"),
    ("http://models.example, http://evil.example", "models.example"),
    ("http://models.example http://models.example", "models.example"),
    ("ftp://models.example", "models.example"),
    ("models.example", "models.example"),
    ("//models.example", "models.example"),
    ("http://[::1]:5000", "[::2]:5000"),
    ("http://::1", "::1"),
    ("null", "null"),
    ("file://", ""),
    ("", ""),
    ("", "localhost"),
    ("http://", ""),
]


@pytest.mark.parametrize(("origin", "host"), OWN)
def test_the_origin_of_the_host_is_accepted(origin: str, host: str) -> None:
    check("POST", ("host", host), ("origin", origin))


@pytest.mark.parametrize(("origin", "host"), OTHERS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_any_other_origin_is_refused_for_unsafe_methods(
    method: str, origin: str, host: str
) -> None:
    with pytest.raises(PermissionDenied, match="Pages of other sites"):
        check(method, ("host", host), ("origin", origin))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_are_not_refused(method: str) -> None:
    check(method, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"))


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_browsers_say_that_a_request_is_from_our_own_page(site: str) -> None:
    check("POST", ("host", "a"), ("origin", "http://a"), ("sec-fetch-site", site))
    check("POST", ("host", "a"), ("sec-fetch-site", site))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "None", "same-origin, none"])
def test_any_other_relation_between_the_sites_is_refused(site: str) -> None:
    with pytest.raises(PermissionDenied, match="Sec-Fetch-Site"):
        check("POST", ("host", "a"), ("origin", "http://a"), ("sec-fetch-site", site))


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site"])
def test_a_second_header_does_not_hide_behind_the_first(name: str) -> None:
    own, other = {
        "origin": ("http://a", "http://evil.example"),
        "sec-fetch-site": ("same-origin", "cross-site"),
    }[name]
    for values in ((own, other), (other, own)):
        with pytest.raises(PermissionDenied):
            check("POST", ("host", "a"), *((name, value) for value in values))


def test_the_host_that_a_proxy_reports_is_not_trusted() -> None:
    with pytest.raises(PermissionDenied):
        forwarded = ("x-forwarded-host", "evil.example")
        check("POST", ("host", "a"), forwarded, ("origin", "http://evil.example"))


def test_clients_that_are_no_browsers_are_not_affected() -> None:
    check("POST", ("host", "a"))
    check("POST")
