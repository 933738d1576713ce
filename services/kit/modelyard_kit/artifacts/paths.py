"""Logical paths: the names of files within a run or a model."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote

from modelyard_kit.errors import InvalidArgument

MAX_SEGMENTS = 32
MAX_SEGMENT_CHARACTERS = 255
MAX_PATH_BYTES = 1024

# Characters with a special meaning in URLs, shells or file systems that handle the path.
FORBIDDEN = frozenset('\\#?;:"<>|')

_MAX_SHOWN_CHARACTERS = 120


def logical_path(text: str) -> str:
    r"""Check the path of a file within its run or model.

    The rule is ours: 1 to 32 segments joined by ``/``, each 1 to 255 printable characters of
    NFC-normalised Unicode other than ``\ # ? ; : " < > |``, none of them ``.`` or ``..``; at
    most 1024 bytes of UTF-8 in total. A path is compared as text and never percent-decoded; a ``%``
    is an ordinary character (MLflow's clients name images with it), but a segment that would be
    empty, ``.`` or ``..`` after decoding is refused too.

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
    for letter in text:
        if letter in FORBIDDEN or not letter.isprintable():
            return f"the character {letter!r} is not allowed"
    if len(text.encode()) > MAX_PATH_BYTES:
        return f"it has {len(text.encode())} bytes, expected at most {MAX_PATH_BYTES}"
    if not unicodedata.is_normalized("NFC", text):
        return "expected Unicode in normal form C (NFC)"
    problem = _segments_problem(text.split("/"))
    if problem is None and not {"", ".", ".."}.isdisjoint(_decoded(text).split("/")):
        return "after percent-decoding it has a segment that is empty, '.' or '..'"
    return problem


def _decoded(text: str) -> str:
    while (decoded := unquote(text).replace("\\", "/")) != text:
        text = decoded
    return text


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
