"""The connections that are allowed in the cluster, read from the rendered network policies."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.processes.manifests import (
    Object,
    name,
    of_kind,
    pod_labels,
    ports,
    rendered,
    selects,
    workloads,
)

OVERLAYS = ("overlays/small", "overlays/production")
all_overlays = pytest.mark.parametrize("overlay", OVERLAYS)

CALLS = {
    ("registry", "tracking"),  # seals manifests
    ("gateway", "tracking"),
    ("tracking", "registry"),  # which objects are pinned
    ("serving", "registry"),
    ("gateway", "registry"),
    ("gateway", "serving"),
}
EXAMINED = {("doctor", role) for role in ("tracking", "registry", "serving")}
STORED = {
    ("tracking", "postgres"),
    ("registry", "postgres"),
    ("migrate-0-1-0", "postgres"),
    ("tracking", "minio"),
    ("registry", "minio"),
    ("serving", "minio"),
    ("gateway", "minio"),
    ("create-bucket", "minio"),
}


def policies(overlay: str) -> list[Object]:
    return [one["spec"] for one in of_kind(rendered(overlay), "NetworkPolicy")]


def applies(policy: Object, workload: Object, direction: str) -> bool:
    return direction in policy["policyTypes"] and selects(
        policy["podSelector"], pod_labels(workload)
    )


def names_peer(peer: Object, workload: Object) -> bool:
    return "namespaceSelector" not in peer and (
        "podSelector" in peer and selects(peer["podSelector"], pod_labels(workload))
    )


def names_port(rule: Object, number: int, server: Object) -> bool:
    given = [port["port"] for port in rule["ports"]]
    return any(ports(server).get(port, port) == number for port in given)


def may_enter(overlay: str, client: Object, server: Object, number: int) -> bool:
    return any(
        names_port(rule, number, server) and any(names_peer(peer, client) for peer in rule["from"])
        for policy in policies(overlay)
        if applies(policy, server, "Ingress")
        for rule in policy.get("ingress", ())
    )


def may_leave(overlay: str, client: Object, server: Object, number: int) -> bool:
    return any(
        names_port(rule, number, server) and any(names_peer(peer, server) for peer in rule["to"])
        for policy in policies(overlay)
        if applies(policy, client, "Egress")
        for rule in policy.get("egress", ())
    )


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [("overlays/small", CALLS | STORED), ("overlays/production", CALLS | EXAMINED)],
)
def test_pods_reach_the_services_they_call_and_no_others(
    overlay: str, expected: set[tuple[str, str]]
) -> None:
    pods = workloads(rendered(overlay))
    found = {
        (name(client), name(server))
        for client in pods
        for server in pods
        for port, number in ports(server).items()
        if client is not server and port != "monitoring"
        if may_leave(overlay, client, server, number)
        if may_enter(overlay, client, server, number)
    }
    assert found == expected


@all_overlays
def test_a_way_out_to_a_pod_is_also_a_way_in(overlay: str) -> None:
    pods = workloads(rendered(overlay))
    for client in pods:
        for server in pods:
            for number in ports(server).values():
                if client is not server and may_leave(overlay, client, server, number):
                    assert may_enter(overlay, client, server, number), (name(client), name(server))


@all_overlays
def test_what_is_not_allowed_is_denied(overlay: str) -> None:
    everything: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert everything in policies(overlay)


@all_overlays
def test_each_policy_and_peer_selects_a_pod(overlay: str) -> None:
    pods = workloads(rendered(overlay))
    for policy in policies(overlay):
        rules = [*policy.get("ingress", ()), *policy.get("egress", ())]
        peers = [peer for rule in rules for peer in rule.get("from", rule.get("to"))]
        selectors = [peer["podSelector"] for peer in peers if "podSelector" in peer]
        foreign = [{"matchLabels": {"k8s-app": "kube-dns"}}]
        for selector in [policy["podSelector"], *selectors]:
            if selector not in foreign:
                assert any(selects(selector, pod_labels(one)) for one in pods), selector


@all_overlays
def test_only_clients_and_the_monitoring_come_from_other_namespaces(overlay: str) -> None:
    found = {
        tuple(peer["namespaceSelector"]["matchLabels"].items())
        for policy in policies(overlay)
        for rule in policy.get("ingress", ())
        for peer in rule["from"]
        if "namespaceSelector" in peer
    }
    assert found == {(("modelyard.dev/clients", "true"),), (("modelyard.dev/monitoring", "true"),)}


def test_production_leaves_the_cluster_for_databases_and_objects_only() -> None:
    found = {
        (name(workload), port["port"])
        for policy in policies("overlays/production")
        for rule in policy.get("egress", ())
        for port in rule["ports"]
        for workload in workloads(rendered("overlays/production"))
        if any("ipBlock" in peer for peer in rule["to"])
        if applies(policy, workload, "Egress")
    }
    assert found == {
        ("tracking", 5432),
        ("registry", 5432),
        ("migrate-0-1-0", 5432),
        ("backup", 5432),
        ("doctor", 5432),
        ("doctor", 443),
        ("tracking", 443),
        ("registry", 443),
        ("serving", 443),
        ("gateway", 443),
    }
