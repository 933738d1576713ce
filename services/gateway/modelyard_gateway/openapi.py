"""The OpenAPI 3.1 document of the HTTP edge, derived from the contract like the routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import version
from inspect import getdoc
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from starlette.responses import Response

from modelyard.api.options.v1 import options_pb2
from modelyard_gateway.backends import SERVICES
from modelyard_gateway.codec import raw, warning_header, well_known
from modelyard_gateway.transcoder import bindings
from modelyard_kit.http.requests import Request

_PACKAGE = "modelyard.api."
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_WHOLE = {"type": "integer"}
_FINITE = {"type": "number", "format": "double"}
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {**_WHOLE, "format": "int32"},
    FieldDescriptor.TYPE_INT64: {**_WHOLE, "format": "int64"},
    FieldDescriptor.TYPE_DOUBLE: {
        "anyOf": [
            _FINITE,
            {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
        ]
    },
}
_BOUNDS = {"min": "minimum", "max": "maximum"}
_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.FieldMask": {"type": "string"},
}
_ANYTHING: dict[str, Any] = {"*/*": {}}
"""Bytes of any media type."""
_ERROR = {
    "type": "object",
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["error_code", "message"],
}
_DESCRIPTION = (
    "MLflow's REST API, and Modelyard's own under /api/modelyard. Each path is also served under "
    "/ajax-api instead of /api. Unknown fields are ignored. Files are uploaded and "
    "downloaded through MLflow's artifact routes, which are not described here."
)


async def respond(_request: Request) -> Response:
    return Response(_body(), media_type="application/json")


@cache
def _body() -> bytes:
    return orjson.dumps(document(version("modelyard")))


def document(of_version: str) -> dict[str, Any]:
    """Return the OpenAPI document of all routes of the contract."""
    paths: dict[str, dict[str, Any]] = {}
    kinds: dict[str, Descriptor] = {}
    for method in _methods():
        for number, (verb, path) in enumerate(bindings(method)):
            operation = _operation(method, verb, path, number)
            paths.setdefault(path, {})[verb.lower()] = operation
            if not raw.response_field(method):
                _collect(method.output_type, kinds)
            if not raw.request_field(method):
                _collect(method.input_type, kinds)
    schemas = {_name(kind): _object(kind, ()) for kind in kinds.values()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Modelyard", "version": of_version, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **schemas},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _methods() -> Iterator[MethodDescriptor]:
    for services in SERVICES.values():
        for service in services:
            yield from service.methods


def _operation(method: MethodDescriptor, verb: str, path: str, number: int) -> dict[str, Any]:
    text = _comment(method)
    variables = _VARIABLE.findall(path)
    operation: dict[str, Any] = {
        "operationId": method.name if number == 0 else f"{method.name}{number + 1}",
        "summary": re.split(r"(?<=\.)\s", text)[0],
        "description": text,
        "tags": [method.containing_service.name],
        "parameters": list(_parameters(method.input_type, verb, variables)),
        "responses": {
            "200": _answer(method),
            "default": {
                "description": "Refused.",
                "content": _json({"$ref": "#/components/schemas/Error"}),
            },
        },
    }
    if raw.request_field(method):
        operation["requestBody"] = {"required": True, "content": _ANYTHING}
    elif verb != "GET":
        body = _object(method.input_type, variables)
        operation["requestBody"] = {
            "required": bool(body.get("required")),
            "content": _json(body if variables else _reference(method.input_type)),
        }
    return operation


def _answer(method: MethodDescriptor) -> dict[str, Any]:
    if not raw.response_field(method):
        content = _json(_reference(method.output_type))
        warns = warning_header.has_warnings(method.output_type)
        headers = {"headers": {"warning": {"schema": {"type": "string"}}}} if warns else {}
        return {"description": "Done.", "content": content} | headers
    names = raw.headers_of(method.output_type).values()
    parts = {name: {"schema": {"type": "string"}} for name in names}
    return {"description": "Done.", "headers": parts, "content": _ANYTHING}


def _comment(method: MethodDescriptor) -> str:
    """Return the comment of an RPC, which is the docstring in the generated servicer."""
    service = method.containing_service
    module = service.file.name.removesuffix(".proto").replace("/", ".") + "_pb2_grpc"
    servicer = getattr(import_module(module), f"{service.name}Servicer")
    return " ".join((getdoc(getattr(servicer, method.name)) or "").split())


def _parameters(kind: Descriptor, verb: str, variables: list[str]) -> Iterator[dict[str, Any]]:
    for name in variables:
        schema = _value(kind.fields_by_name[name])
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if verb == "GET":
        yield from _query(kind, "", variables)


def _query(kind: Descriptor, prefix: str, variables: list[str]) -> Iterator[dict[str, Any]]:
    for field in kind.fields:
        if field.name in variables:
            continue
        nested = field.message_type
        if nested is not None and nested.full_name not in _KNOWN:
            if not field.is_repeated:
                yield from _query(nested, f"{prefix}{field.name}.", [])
            continue
        required = {"required": True} if _is_required(field) else {}
        yield {"name": prefix + field.name, "in": "query", **required, "schema": _value(field)}


def _collect(kind: Descriptor, kinds: dict[str, Descriptor]) -> None:
    """Add a message type and those of its fields."""
    if kind.full_name in kinds or kind.full_name in _KNOWN:
        return
    if not kind.GetOptions().map_entry:
        kinds[kind.full_name] = kind
    for field in kind.fields:
        if field.message_type is not None:
            _collect(field.message_type, kinds)


def _object(kind: Descriptor, without: tuple[str, ...] | list[str]) -> dict[str, Any]:
    fields = [f for f in kind.fields if f.name not in without and f.name != warning_header.FIELD]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _value(field) for field in fields},
    }
    if required := [field.name for field in fields if _is_required(field)]:
        schema["required"] = required
    return schema


def _value(field: FieldDescriptor) -> dict[str, Any]:
    options: Any = field.GetOptions().Extensions  # the type stubs lack editions
    limit = options[options_pb2.max_length]
    map_value = well_known.map_value(field)
    if map_value is not None:
        schema = {"type": "object", "additionalProperties": _single(map_value)}
        return schema | ({"maxProperties": limit} if limit else {})
    single = _single(field)
    if field.is_repeated:
        return {"type": "array", "items": single} | ({"maxItems": limit} if limit else {})
    if limit and field.type == FieldDescriptor.TYPE_STRING and not options[options_pb2.truncated]:
        return single | {"maxLength": limit}
    return single


def _single(field: FieldDescriptor) -> dict[str, Any]:
    if field.message_type is not None:
        known = _KNOWN.get(field.message_type.full_name)
        return _reference(field.message_type) if known is None else known
    if field.enum_type is not None:
        names = [value.name for value in field.enum_type.values if value.number]
        return {"type": "string", "enum": names}
    options: Any = field.GetOptions()  # the stubs know no editions
    finite = options.HasExtension(options_pb2.double_range)
    return (_FINITE if finite else _SCALARS[field.type]) | _limits(options)


def _limits(options: Any) -> dict[str, Any]:
    """Return the limits that the options of a field set to a single value."""
    limits: dict[str, Any] = {}
    for option in (options_pb2.range, options_pb2.double_range):
        if options.HasExtension(option):
            known = options.Extensions[option].ListFields()
            limits |= {_BOUNDS[bound.name]: value for bound, value in known}
    if options.HasExtension(options_pb2.pattern):
        limits["pattern"] = f"^(?:{options.Extensions[options_pb2.pattern].regex})$"
    if texts := options.Extensions[options_pb2.one_of]:
        limits["enum"] = list(texts)
    return limits


def _is_required(field: FieldDescriptor) -> bool:
    options: Any = field.GetOptions().Extensions  # the type stubs lack editions
    return bool(options[options_pb2.required])


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _reference(kind: Descriptor) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{_name(kind)}"}


def _name(kind: Descriptor) -> str:
    return kind.full_name.removeprefix(_PACKAGE)
