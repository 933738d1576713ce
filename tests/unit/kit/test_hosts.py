"""Names that a port without a token answers to."""

from __future__ import annotations

import pytest

from modelyard_kit.errors import PermissionDenied
from modelyard_kit.http import hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
@pytest.mark.parametrize(
    ("given", "is_accepted"),
    [
        ("10.1.2.3:9090", True),
        ("[fd00::3]:9090", True),
        ("localhost", True),
        ("tracking:9090", True),
        ("tracking.modelyard.svc", False),
        ("evil.example:9090", False),
        ("10.1.2.3.evil.example", False),
        ("evil.", False),
        ("10.1.2.3@evil", False),
        ("", False),
    ],
)
def test_a_monitoring_port_of_a_cluster_answers_to_addresses_and_names_without_a_dot(
    host: str, given: str, *, is_accepted: bool
) -> None:
    assert accepts(hosts.of_open_port(host), given) == is_accepted


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_a_monitoring_port_on_loopback_answers_to_its_own_names(host: str) -> None:
    rule = hosts.of_open_port(host)
    own = f"[{host}]" if ":" in host else host
    assert accepts(rule, f"{own}:9090")
    assert accepts(rule, "LOCALHOST")
    assert not accepts(rule, "tracking:9090")
    assert not accepts(rule, "10.1.2.3")


def accepts(rule: hosts.Hosts, given: str) -> bool:
    try:
        rule.check(given)
    except PermissionDenied:
        return False
    return True
