"""The contract's own rules, checked on its descriptors."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import (
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from modelyard._transport import rpc
from modelyard.api.options.v1 import options_pb2
from modelyard_gateway.backends import SERVICES
from modelyard_gateway.codec import raw
from modelyard_kit.rpc.grpc_errors import CODES
from modelyard_kit.rpc.truncation import can_truncate

ROOT = Path(__file__).parents[2]
AREAS = ("tracking", "artifacts", "registry", "serving", "access")
FILES = [(area, area) for area in AREAS] + [("serving", "endpoint")]
"""Message files by area; each has a service file beside it."""


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
    assert permission_of(method) != options_pb2.PERMISSION_UNSPECIFIED
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"


def test_the_sdk_calls_each_rpc_of_tracking_and_registry_where_it_is_mounted() -> None:
    for area in ("tracking", "registry"):
        for service in SERVICES[area]:
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                request: Any = method.input_type  # the stubs have two types of it
                assert rpc.method_of(request) == (path, area)


def permission_of(method: MethodDescriptor) -> int:
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    return int(extensions[options_pb2.permission])


def routes_of(method: MethodDescriptor) -> Iterator[tuple[str, str, str]]:
    """Return verb, path and body of each HTTP route of an RPC."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    if rule.WhichOneof("pattern") is None:
        return
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        yield verb.upper(), getattr(binding, verb), binding.body


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_an_rpc_has_a_route_unless_it_streams_or_is_for_services(method: MethodDescriptor) -> None:
    has_none = method.server_streaming or permission_of(method) == options_pb2.INTERNAL
    routes = list(routes_of(method))
    assert bool(routes) is not has_none, routes
    for verb, _path, body in routes:
        assert body == (raw.request_field(method) or ("" if verb == "GET" else "*"))
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    assert rule.response_body == raw.response_field(method)


def test_each_route_is_that_of_one_rpc() -> None:
    taken: dict[tuple[str, str], str] = {}
    for method in METHODS:
        for verb, path, _body in routes_of(method):
            shape = re.sub(r"\{[a-z_]+\}", "{}", path)
            assert taken.setdefault((verb, shape), method.full_name) == method.full_name, path


def test_verb_and_path_of_each_rpc_are_those_written_down() -> None:
    written = set((Path(__file__).parent / "routes.txt").read_text(encoding="utf-8").splitlines())
    declared = {
        f"{method.containing_service.name}.{method.name} {verb} {path}"
        for method in METHODS
        for verb, path, _body in routes_of(method)
    }
    differences = [
        *(f"not in routes.txt: {route}" for route in sorted(declared - written)),
        *(f"not in the contract: {route}" for route in sorted(written - declared)),
    ]
    assert not differences, "\n".join(
        ["Routes differ; clients call them by verb and path:", *differences]
    )


def test_our_own_routes_have_one_style() -> None:
    ours = re.compile(
        r"/api/modelyard/v1/[a-z][A-Za-z]*(/\{[a-z_]+\}(/[a-z][A-Za-z]*)?)*(:[a-z][A-Za-z]*)?"
    )
    for method in METHODS:
        for verb, path, _body in routes_of(method):
            if not re.match(r"/api/[23]\.0/mlflow/", path):
                assert ours.fullmatch(path), path
                # A custom verb reads, or it is posted.
                assert ":" not in path or verb in {"GET", "POST"}, path


def test_our_own_lists_are_paged_by_page_size() -> None:
    for method in METHODS:
        paths = [path for _verb, path, _body in routes_of(method)]
        fields = method.input_type.fields_by_name
        if "max_results" in fields:
            assert any("/mlflow/" in path for path in paths), method.full_name
        if "page_size" in fields:
            assert not any("/mlflow/" in path for path in paths), method.full_name
            assert fields["page_size"].type == FieldDescriptor.TYPE_INT32, method.full_name


def fields_of_requests() -> Iterator[FieldDescriptor]:
    """Return the fields of every request, and of its nested messages."""
    kinds = [method.input_type for method in METHODS]
    known = {kind.full_name for kind in kinds}
    for kind in kinds:
        for field in kind.fields:
            yield field
            nested = field.message_type
            if nested is not None and nested.full_name not in known:
                known.add(nested.full_name)
                kinds.append(nested)


def test_patterns_are_of_the_part_of_re2_that_takes_linear_time_here() -> None:
    for field in fields_of_requests():
        options: Any = field.GetOptions()  # the stubs know no editions
        if not options.HasExtension(options_pb2.pattern):
            continue
        pattern = options.Extensions[options_pb2.pattern]
        assert pattern.expected, field.full_name
        re.compile(pattern.regex, re.ASCII)
        plain = re.sub(r"\\[^A-Za-z0-9]|\[[^\]]*\]", "x", pattern.regex)
        assert not re.search(r"\(\?(?!:)|\\|[*+?}][*+?]|[*+}]\)[*+?{]", plain), field.full_name


def test_an_option_is_on_fields_of_its_type() -> None:
    whole = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}
    text, double = {FieldDescriptor.TYPE_STRING}, {FieldDescriptor.TYPE_DOUBLE}
    for field in fields_of_requests():
        options: Any = field.GetOptions()  # the stubs know no editions
        for option, types in (
            (options_pb2.range, whole),
            (options_pb2.double_range, double),
            (options_pb2.pattern, text),
        ):
            assert not options.HasExtension(option) or field.type in types, field.full_name
        assert not options.Extensions[options_pb2.one_of] or field.type in text, field.full_name
        if options.Extensions[options_pb2.truncated]:
            assert field.type in text, field.full_name
            assert options.Extensions[options_pb2.max_length], field.full_name
            kind: Any = field.containing_type
            assert "key" in kind.fields_by_name, field.full_name  # for the warning
        if field.name in {"max_results", "page_size"}:
            assert options.HasExtension(options_pb2.range), field.full_name


def test_the_reply_to_each_request_that_may_be_truncated_can_tell() -> None:
    refuse_instead = {"ImportRun", "ImportLoggedModel"}  # an import copies exactly
    for method in METHODS:
        truncates = can_truncate(method.input_type) and method.name not in refuse_instead
        assert truncates == ("warnings" in method.output_type.fields_by_name), method.full_name
        assert not truncates or not (method.client_streaming or method.server_streaming)


def test_reads_are_declared_free_of_side_effects() -> None:
    reading = ("Check", "Get", "Search", "List", "Resolve", "Watch", "Verify")
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
        # For the bytes of a prediction; the thin client does not import this file.
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
