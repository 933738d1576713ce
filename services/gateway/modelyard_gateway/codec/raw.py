"""Raw bodies: fields of the type `google.api.HttpBody` that an HTTP rule names as its body."""

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
"""Types that a page of another site may send without a preflight request."""
_UNKNOWN = "application/octet-stream"


def request_field(method: MethodDescriptor) -> str:
    """Return the field that holds the raw request body; empty if the body is JSON."""
    return _raw(method.input_type, _rule(method).body)


def response_field(method: MethodDescriptor) -> str:
    """Return the field that holds the raw response body; empty if the body is JSON."""
    return _raw(method.output_type, _rule(method).response_body)


def headers_of(kind: Descriptor) -> dict[str, str]:
    """Return response headers for the other string fields of a reply, such as `x-model-version`."""
    texts = (field for field in kind.fields if field.type == FieldDescriptor.TYPE_STRING)
    return {field.name: "x-" + field.name.replace("_", "-") for field in texts}


def decode(kind: Descriptor, field: str, body: bytes, content_type: str) -> Message:
    """Return a request message with a raw body in one of its fields.

    Raises:
        InvalidArgument: The Content-Type is missing, or is one that a form on a page of another
            site can send.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    fits = _MEDIA_TYPE.fullmatch(media_type) and len(content_type) <= _MAX_TYPE_CHARACTERS
    if not fits or media_type in _FORMS or not content_type.isascii():
        given = f"'{content_type[:100]}'" if content_type else "none"
        raise InvalidArgument(
            "The Content-Type must be that of the body, such as application/json or text/csv, and "
            f"not that of a form; got {given}."
        )
    message: Message = GetMessageClass(kind)()
    target: HttpBody = getattr(message, field)
    target.content_type = content_type
    target.data = body
    return message


def encode(field: str, message: Message) -> tuple[bytes, dict[str, str]]:
    """Return the raw body that a field of a reply holds, and the response headers.

    Raises:
        ValueError: The service's reply lacks the field.
    """
    kind: Any = message.DESCRIPTOR  # the stubs declare two types for it
    if not message.HasField(field):
        raise ValueError(f"{kind.full_name} has no {field}, which is required")
    body: HttpBody = getattr(message, field)
    headers = {"content-type": _header(body.content_type) or _UNKNOWN}
    for name, header in headers_of(kind).items():
        if value := getattr(message, name):
            headers[header] = _header(value)
    return body.data, headers


def _header(value: str) -> str:
    """Return a text that is valid in a header, percent-encoded if necessary."""
    return value if value.isascii() and value.isprintable() else quote(value)


def _rule(method: MethodDescriptor) -> Any:
    extensions: Any = method.GetOptions().Extensions  # the type stubs lack editions
    return extensions[annotations_pb2.http]


def _raw(kind: Descriptor, name: str) -> str:
    field = kind.fields_by_name.get(name)
    inside = None if field is None else field.message_type
    is_raw = inside is not None and inside.full_name == HttpBody.DESCRIPTOR.full_name
    return name if is_raw else ""
