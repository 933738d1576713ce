"""The contract's own rules, checked on its descriptors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import (
    EnumDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from modelyard.api.options.v1 import options_pb2
from modelyard_gateway.codec import raw
from modelyard_kit.grpc_errors import CODES

ROOT = Path(__file__).parents[2]
AREAS = ("tracking", "artifacts", "registry", "serving", "access")
FILES = [(area, area) for area in AREAS] + [("serving", "endpoint")]
"""Areas, and names of files of messages in them; each has one of a service beside it."""


def service_file(area: str, name: str) -> FileDescriptor:
    module = importlib.import_module(f"modelyard.api.{area}.v1.{name}_service_pb2")
    descriptor: FileDescriptor = module.DESCRIPTOR
    return descriptor


def services() -> Iterator[ServiceDescriptor]:
    for area, name in FILES:
        yield from service_file(area, name).services_by_name.values()


METHODS = [method for service in services() for method in service.methods]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_each_rpc_has_a_permission_and_its_own_request_and_response(
    method: MethodDescriptor,
) -> None:
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    permission = extensions[options_pb2.permission]
    assert permission != options_pb2.PERMISSION_UNSPECIFIED
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


def test_each_unary_rpc_has_an_http_rule_of_its_own() -> None:
    taken: dict[tuple[str, str], str] = {}
    for method in METHODS:
        extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
        rule = extensions[annotations_pb2.http]
        is_internal = extensions[options_pb2.permission] == options_pb2.INTERNAL
        if method.server_streaming or (is_internal and not rule.WhichOneof("pattern")):
            continue
        bindings = [rule, *rule.additional_bindings]
        assert rule.WhichOneof("pattern"), method.full_name
        for binding in bindings:
            verb = binding.WhichOneof("pattern")
            path = getattr(binding, verb)
            assert (verb, path) not in taken, (method.full_name, taken.get((verb, path)))
            taken[verb, path] = method.full_name
            body = raw.request_field(method) or ("" if verb == "get" else "*")
            assert binding.body == body, method.full_name
            assert binding.response_body == raw.response_field(method), method.full_name


def test_reads_are_declared_free_of_side_effects() -> None:
    reading = ("Get", "Search", "List", "Resolve", "Watch", "Verify")
    for method in METHODS:
        declared = method.GetOptions().idempotency_level == 1  # NO_SIDE_EFFECTS
        if method.name.startswith(reading):
            assert declared, method.full_name


def test_each_rpc_has_a_comment_before_it() -> None:
    for area, name in FILES:
        source = ROOT / f"protos/modelyard/api/{area}/v1/{name}_service.proto"
        lines = source.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.strip().startswith("rpc "):
                assert lines[number - 1].strip().startswith("//"), line


def test_message_files_import_only_our_own_and_googles_well_known_types() -> None:
    for path in (ROOT / "protos/modelyard").rglob("*.proto"):
        if path.name.endswith("_service.proto"):
            continue
        imports = [
            line.split('"')[1]
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("import")
        ]
        foreign = [i for i in imports if not i.startswith(("google/protobuf/", "modelyard/"))]
        # A prediction's bytes; the thin client does not read this file.
        assert foreign == (["google/api/httpbody.proto"] if path.name == "serving.proto" else [])


def test_every_enum_has_an_unspecified_zero() -> None:
    def enums(file: FileDescriptor) -> Iterator[EnumDescriptor]:
        yield from file.enum_types_by_name.values()
        for message in file.message_types_by_name.values():
            yield from message.enum_types

    for area, name in (*FILES, ("errors", "errors"), ("options", "options")):
        module = importlib.import_module(f"modelyard.api.{area}.v1.{name}_pb2")
        for enum in enums(module.DESCRIPTOR):
            assert enum.values_by_number[0].name.endswith("_UNSPECIFIED"), enum.full_name


def test_every_reason_that_is_raised_is_in_the_contract() -> None:
    reasons = importlib.import_module("modelyard.api.errors.v1.errors_pb2").Reason.keys()
    assert {error.reason for error in CODES} | {"INTERNAL_ERROR"} == set(reasons) - {
        "REASON_UNSPECIFIED"
    }
