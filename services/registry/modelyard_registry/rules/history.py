"""Actions and merge patches of events, and the hash that makes events tamper-evident.

The hash of an event is the SHA-256, in hexadecimal, of the canonical JSON (members sorted, no
white space, UTF-8) of the object with these members, all of the event itself::

    action after actor at_ms before clock comment name previous_hash request_id revision version

`at_ms` is Unix time in milliseconds; `version` is the number as text, empty for none; `before` and
`after` are the merge patches as texts; `previous_hash` is the hash of the event of the same name
with the revision before, and 64 zeros for the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum, auto
from typing import Any

FIRST_PREVIOUS_HASH = "0" * 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)

Path = tuple[str, ...]
"""Path of a value in a document."""

Document = dict[str, Any]
"""The rows of one name as a JSON object; also a merge patch (RFC 7396) of one."""


class _Named(StrEnum):
    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name


class Action(_Named):
    """Kind of change of a model, named as in the contract."""

    MODEL_CREATED = auto()
    MODEL_UPDATED = auto()
    MODEL_RENAMED = auto()
    MODEL_DELETED = auto()
    MODEL_TAG_SET = auto()
    MODEL_TAG_DELETED = auto()
    ALIAS_SET = auto()
    ALIAS_DELETED = auto()
    VERSION_CREATED = auto()
    VERSION_UPDATED = auto()
    VERSION_DELETED = auto()
    VERSION_TAG_SET = auto()
    VERSION_TAG_DELETED = auto()
    STAGE_CHANGED = auto()
    STAGE_ROLLED_BACK = auto()
    MODEL_IMPORTED = auto()
    VERSION_IMPORTED = auto()
    ALIAS_ROLLED_BACK = auto()


class EndpointAction(_Named):
    """Kind of change of an endpoint, named as in the contract."""

    ENDPOINT_CREATED = auto()
    ENDPOINT_UPDATED = auto()
    ENDPOINT_DELETED = auto()


def canonical(document: Mapping[str, Any]) -> str:
    return _ENCODER.encode(document)


def event_hash(fields: Mapping[str, Any]) -> str:
    """Return the hash of an event with these fields."""
    return hashlib.sha256(canonical(fields).encode()).hexdigest()


def cells(row: object, path: Path, columns: Iterable[str]) -> dict[Path, Any]:
    """Return columns of a row by their path in the document; `path` is that of the row."""
    values = {(*path, column): getattr(row, column) for column in columns}
    # A merge patch cannot hold null, so columns that are NULL are left out of the document.
    return {path: value for path, value in values.items() if value is not None}


def put(patch: Document, path: Path, value: Any) -> None:
    """Write a value into a patch; None means that the path is absent.

    Below a path that is absent nothing is written.
    """
    parent = _parent(patch, path)
    if parent is not None:
        parent[path[-1]] = value


def put_first(patch: Document, path: Path, value: Any) -> None:
    """Write a value into a patch unless the path already has one."""
    parent = _parent(patch, path)
    if parent is not None:
        parent.setdefault(path[-1], value)


def apply(document: Document, patch: Document) -> Document:
    """Return the document with the merge patch applied (RFC 7396)."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            present = result.get(key)
            result[key] = apply(present if isinstance(present, dict) else {}, value)
        else:
            result[key] = value
    return result


def difference(before: Document, after: Document) -> Document:
    """Return the merge patch from `before` to `after`; neither may contain null."""
    patch: Document = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inside := difference(old, value):
                patch[key] = inside
        elif old != value:
            patch[key] = value
    return patch


def _parent(patch: Document, path: Path) -> Document | None:
    parent: Document | None = patch
    for key in path[:-1]:
        if parent is None:
            return None
        parent = parent.setdefault(key, {})
    return parent
