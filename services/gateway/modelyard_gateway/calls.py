"""Calls to the services on behalf of a request: metadata, JSON bodies and errors."""

from __future__ import annotations

import re
from typing import Any

import grpc

from modelyard_gateway.codec import documents
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request
from modelyard_kit.observability import request_ids, tracing
from modelyard_kit.rpc import grpc_errors

_MAX_HEADER = 4096  # a service takes 8 KiB of metadata in all
_FORWARDED = ("authorization", "idempotency-key", "x-modelyard-user")
_LARGER = "larger than max"
"""Part of gRPC's refusal of a large reply; requests that are too large are refused before."""
_JSON_TYPE = re.compile(r"[a-z]+/([a-z0-9.-]+\+)?json")


def parsed(request: Request, body: bytes) -> Any:
    """Return the JSON of a body; an empty one is an empty object.

    Raises:
        InvalidArgument: The body is not JSON, or its Content-Type is not.
        HttpError: The body holds too much.
    """
    media_type = request.exchange.header(b"content-type").partition(";")[0].strip().lower()
    # A form on a page of another site cannot send this type, so this also prevents CSRF.
    if not _JSON_TYPE.fullmatch(media_type) and (body or media_type):
        given = f"'{media_type[:100]}'" if media_type else "none"
        raise InvalidArgument(f"The Content-Type must be application/json, got {given}.")
    return documents.parse(body) if body else {}


def metadata_of(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the caller's identity, as metadata for the calls made for a request.

    Raises:
        InvalidArgument: A header has characters that metadata cannot carry.
        HttpError: A header is too long.
    """
    found = list(trace_of(request))
    for name in _FORWARDED:
        if value := request.exchange.header(name.encode()):
            if not (value.isascii() and value.isprintable()):
                raise InvalidArgument(f"The header {name} must be printable ASCII.")
            if len(value) > _MAX_HEADER:
                message = f"The header {name} is longer than {_MAX_HEADER} characters."
                raise HttpError(431, "INVALID_PARAMETER_VALUE", message)
            found.append((name, value))
    return tuple(found)


def trace_of(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the request id and trace of a request, as metadata for the calls made for it."""
    known = ((request_ids.HEADER, request.exchange.request_id),)
    traceparent = request.exchange.span.traceparent
    return (*known, (tracing.HEADER, traceparent)) if traceparent else known


def refused(area: str, error: grpc.RpcError, request_id: str) -> Exception:
    """Return the exception for a call that a service refused."""
    ended: Any = error  # an error raised by a call is also the call
    if ended.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}:
        message = f"internal error (request id {request_id})"
        return HttpError(500, "INTERNAL_ERROR", message)
    if ended.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _LARGER in str(ended.details()):
        message = (
            "The answer is too large; request less, for example with a smaller max_results or "
            "page_size."
        )
        return HttpError(413, "INVALID_PARAMETER_VALUE", message)
    return grpc_errors.from_rpc(error, area)
