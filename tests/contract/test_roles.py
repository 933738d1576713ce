"""Roles and RPCs: the table `roles.csv`, compared with the contract and real services."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from tests.support.platforms.access_platform import METHODS, Platform, first_route, running_platform

from modelyard.api.access.v1.access_pb2 import Role
from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit.auth.grants import permission_of
from modelyard_kit.auth.roles import EVERYTHING, ROLES

with (Path(__file__).parent / "roles.csv").open(encoding="utf-8") as file:
    TABLE = {row["rpc"]: row for row in csv.DictReader(file)}
ROLE_NAMES = [name.lower() for name in Role.keys()[1:]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


def test_the_table_has_every_rpc_with_its_permission() -> None:
    written = {rpc: row["permission"] for rpc, row in TABLE.items()}
    assert written == {rpc: Permission.Name(permission_of(m)) for rpc, m in METHODS.items()}


def test_every_role_has_permissions_and_none_is_internal() -> None:
    assert [Role.Name(role).lower() for role in ROLES] == ROLE_NAMES
    assert all(Permission.INTERNAL not in permissions for permissions in ROLES.values())
    assert ROLES[Role.ADMIN] | {Permission.INTERNAL} == EVERYTHING


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_a_role_is_refused_rpcs_that_the_table_does_not_allow(
    platform: Platform, role: str
) -> None:
    allowed: dict[str, str] = {}
    for rpc, method in METHODS.items():
        request = GetMessageClass(method.input_type)()
        refusal = platform.refusal(method, request, f"Bearer {platform.roles[role]}")
        is_denied = refusal is not None and refusal.code is grpc.StatusCode.PERMISSION_DENIED
        allowed[rpc] = "no" if is_denied else "yes"
        if refusal is not None and is_denied:
            permission = TABLE[rpc]["permission"]
            assert refusal.metadata["permission"] == permission
            assert f"needs the permission {permission}" in refusal.message
            assert f"the role {role} of the token '{role}-" in refusal.message
    assert allowed == {rpc: row[role] for rpc, row in TABLE.items()}


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_the_http_edge_refuses_the_same(platform: Platform, role: str) -> None:
    allowed, expected = {}, {}
    for rpc, method in METHODS.items():
        route = first_route(method)
        if route is None:
            continue
        verb, path = route
        document: object = None if verb == "GET" else {}
        path = re.sub(r"\{\w+\}", "x", path)
        status, answer = platform.http(verb, path, f"Bearer {platform.roles[role]}", document)
        assert status != 401, rpc
        allowed[rpc] = "no" if status == 403 else "yes"
        expected[rpc] = TABLE[rpc][role]
        if status == 403:
            assert answer["error_code"] == "PERMISSION_DENIED"
    assert allowed == expected


def test_a_refusal_names_the_roles_with_the_permission(platform: Platform) -> None:
    method = METHODS["RegistryService.TransitionModelVersionStage"]
    request = GetMessageClass(method.input_type)()
    refusal = platform.refusal(method, request, f"Bearer {platform.roles['contributor']}")
    assert refusal is not None
    assert refusal.message.endswith("does not have; use a token of role approver or admin.")
    internal = METHODS["AccessService.ListTokenChecks"]
    request = GetMessageClass(internal.input_type)()
    refusal = platform.refusal(internal, request, f"Bearer {platform.roles['admin']}")
    assert refusal is not None
    assert refusal.message.endswith("does not have; only services have it.")


def test_the_service_token_has_all_permissions(platform: Platform) -> None:
    assert platform.call("AccessService.ListTokenChecks").tokens
    caller = platform.call("AccessService.GetCaller")
    assert caller.name == "token"
    assert not caller.HasField("role")
    assert set(caller.permissions) == EVERYTHING


def test_the_document_has_the_same_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
    for permission in EVERYTHING:
        name = Permission.Name(permission)
        (line,) = re.findall(rf"^\| `{name}` \|.*\|$", text, re.MULTILINE)
        documented = [cell.strip() for cell in line.split("|")[3:-1]]
        assert documented == ["yes" if permission in ROLES[role] else "no" for role in ROLES], name
