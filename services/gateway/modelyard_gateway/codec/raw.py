"""Bodies that pass as they are: fields of the type `google.api.HttpBody` that a route names."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from google.api import annotations_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard_kit.errors import InvalidArgument

_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_TYPE_CHARACTERS = 256
_FORMS = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
"""What a page of another site may send without asking first."""
_UNKNOWN = "application/octet-stream"


def request_field(method: MethodDescriptor) -> str:
    """Return the field that is the body of a request as it is; empty when that is JSON."""
    return _raw(method.input_type, _rule(method).body)


def response_field(method: MethodDescriptor) -> str:
    """Return the field that is the body of an answer as it is; empty when that is JSON."""
    return _raw(method.output_type, _rule(method).response_body)


def headers_of(kind: Descriptor) -> dict[str, str]:
    """Return the headers that an answer's other texts are, by field: e.g. `x-model-version`."""
    texts = (field for field in kind.fields if field.type == FieldDescriptor.TYPE_STRING)
    return {field.name: "x-" + field.name.replace("_", "-") for field in texts}


def decode(kind: Descriptor, field: str, body: bytes, content_type: str) -> Message:
    """Return a request whose field is a body.

    Raises:
        InvalidArgument: The type of the body is not given, or one that a form of a foreign page
            can send.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    fits = _MEDIA_TYPE.fullmatch(media_type) and len(content_type) <= _MAX_TYPE_CHARACTERS
    if not fits or media_type in _FORMS or not content_type.isascii():
        given = f"'{content_type[:100]}'" if content_type else "none"
        raise InvalidArgument(
            "The Content-Type must be that of the body, such as application/json or text/csv, and "
            f"none of a form; got {given}."
        )
    message: Message = GetMessageClass(kind)()
    target: HttpBody = getattr(message, field)
    target.content_type = content_type
    target.data = body
    return message


def encode(field: str, message: Message) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer that is a field, and its headers.

    Raises:
        ValueError: The service answered with something else.
    """
    kind: Any = message.DESCRIPTOR  # the stubs know two kinds of it
    if not message.HasField(field):
        raise ValueError(f"{kind.full_name} has no {field}, which is asked for")
    body: HttpBody = getattr(message, field)
    headers = {"content-type": _header(body.content_type) or _UNKNOWN}
    for name, header in headers_of(kind).items():
        if value := getattr(message, name):
            headers[header] = _header(value)
    return body.data, headers


def _header(value: str) -> str:
    """Return a text as a header can carry it."""
    return value if value.isascii() and value.isprintable() else quote(value)


def _rule(method: MethodDescriptor) -> Any:
    extensions: Any = method.GetOptions().Extensions  # the stubs know no editions
    return extensions[annotations_pb2.http]


def _raw(kind: Descriptor, name: str) -> str:
    field = kind.fields_by_name.get(name)
    inside = None if field is None else field.message_type
    is_raw = inside is not None and inside.full_name == HttpBody.DESCRIPTOR.full_name
    return name if is_raw else ""
