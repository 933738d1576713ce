"""Logical paths: the names of files within a run or a model."""

from __future__ import annotations

from modelyard_kit.errors import InvalidArgument

MAX_SEGMENTS = 32
MAX_SEGMENT_CHARACTERS = 255
MAX_PATH_BYTES = 1024

_MAX_SHOWN_CHARACTERS = 120


def logical_path(text: str) -> str:
    """Check the path of a file within its run or model.

    Every name of a Linux or macOS file system is allowed: 1 to 32 segments joined by ``/``, each 1
    to 255 characters other than NUL, none of them ``.`` or ``..``; at most 1024 bytes of UTF-8 in
    total. A path is compared as text: never normalised, never percent-decoded, and never part of a
    key of the store. A program that writes files under these names checks what its system can hold.

    Returns:
        The same text.

    Raises:
        InvalidArgument: The path breaks a rule, which the message names.
    """
    shown = repr(text[:_MAX_SHOWN_CHARACTERS])
    problem = _problem(text)
    if problem:
        raise InvalidArgument(f"Invalid artifact path {shown}: {problem}")
    return text


def _problem(text: str) -> str | None:
    if not text:
        return "it is empty, expected a relative path such as model/MLmodel"
    if "\0" in text:
        return "the character '\\x00' is not allowed"
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        return "it is not UTF-8; rename the file"
    if size_bytes > MAX_PATH_BYTES:
        return f"it has {size_bytes} bytes, expected at most {MAX_PATH_BYTES}"
    return _segments_problem(text.split("/"))


def _segments_problem(segments: list[str]) -> str | None:
    if not segments[0]:
        return "expected a relative path, without a leading /"
    if len(segments) > MAX_SEGMENTS:
        return f"it has {len(segments)} segments, expected at most {MAX_SEGMENTS}"
    for segment in segments:
        if segment in {"", ".", ".."}:
            return f"the segment {segment!r} is not allowed"
        if len(segment) > MAX_SEGMENT_CHARACTERS:
            return (
                f"a segment has {len(segment)} characters, "
                f"expected at most {MAX_SEGMENT_CHARACTERS}"
            )
    return None
