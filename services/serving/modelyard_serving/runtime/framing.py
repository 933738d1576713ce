"""What the edge and a worker say to each other: a JSON header and a body, each after its length.

Only the edge's side is asynchronous; a worker does one thing at a time.
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
    """The other side is gone, or does not speak this."""


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return the bytes of a frame.

    Raises:
        ValueError: The body is larger than 256 MiB.
    """
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a body of {len(body)} bytes; at most {MAX_BODY_BYTES} fit in a frame")
    head = orjson.dumps(header)
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))


def read(incoming: BinaryIO) -> Frame | None:
    """Read one frame; None when the other side has closed."""
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
        Broken: The other side has closed, or what it sent is no frame.
    """
    try:
        header_bytes, body_bytes = _checked(await incoming.readexactly(_LENGTHS.size))
        head = await incoming.readexactly(header_bytes)
        return _header(head), await incoming.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, ConnectionError) as gone:
        raise Broken("closed") from gone


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
