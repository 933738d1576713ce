"""Framing of messages between an endpoint and a worker: lengths, a JSON header and a body.

Only the endpoint's side is asynchronous; a worker handles one message at a time.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, BinaryIO

import orjson

MAX_BODY_BYTES = 256 << 20
_MAX_HEADER_BYTES = 64 << 10
_LENGTHS = struct.Struct(">II")

Frame = tuple[dict[str, Any], bytes]


class Broken(Exception):
    """The peer closed the connection, or sent an invalid frame."""


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return the bytes of a frame.

    Raises:
        ValueError: The body is larger than 256 MiB.
    """
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a body of {len(body)} bytes; a frame holds at most {MAX_BODY_BYTES}")
    head = orjson.dumps(header)
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))


def read(incoming: BinaryIO) -> Frame | None:
    """Read one frame; None if the peer has closed the connection."""
    lengths = incoming.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _checked(lengths)
    head, body = incoming.read(header_bytes), incoming.read(body_bytes)
    if len(head) < header_bytes or len(body) < body_bytes:
        return None
    return _header(head), body


async def receive(incoming: asyncio.StreamReader) -> Frame:
    """Read one frame.

    Raises:
        Broken: The peer closed the connection, or sent an invalid frame.
    """
    try:
        header_bytes, body_bytes = _checked(await incoming.readexactly(_LENGTHS.size))
        head = await incoming.readexactly(header_bytes)
        return _header(head), await incoming.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Broken("closed") from error


def _checked(lengths: bytes) -> tuple[int, int]:
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > _MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise Broken(f"a frame of {header_bytes} and {body_bytes} bytes is too large")
    return header_bytes, body_bytes


def _header(head: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(head)
    except orjson.JSONDecodeError as malformed:
        raise Broken("a header that is not JSON") from malformed
    if not isinstance(header, dict):
        raise Broken("a header that is not an object")
    return header
