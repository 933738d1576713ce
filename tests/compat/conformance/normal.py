"""Brings the answers of two servers into a comparable form.

It omits values that differ between any two servers (ids, times, made-up names) and differences that
a client of MLflow's messages cannot see: missing or empty lists and objects, the order of
tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Fields of our answers that MLflow does not have.
OURS = frozenset(
    {
        "etag",
        "request_id",
        "digest",
        "verified",
        "revision",
        "deletion_protection",
        "released",
        "endpoints",
    }
)
THEIRS = frozenset({"workspace"})  # always "default": ours has one
UNNAMED = "anonymous"  # the user in our answers if none is given; MLflow omits it

_UNORDERED = frozenset(
    {"tags", "params", "aliases", "dataset_inputs", "model_outputs", "files", "latest_versions"}
)
_ERRORS_FROM = 400
_TODAY_MS = 1_600_000_000_000  # what cases write is before, what servers write is after
_MADE_UP = re.compile(r"^[a-z]+-[a-z]+-\d+$")
_ID = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
_LOCATION = re.compile(r"^mlflow-artifacts:/\d+(?=/|$)")


def comparable(status: int, kind: str, body: bytes, known: Mapping[str, str]) -> Any:
    """Return an answer without what differs between any two servers.

    Args:
        kind: Content type.
        known: Names of known values, such as ids, by value.
    """
    if status < _ERRORS_FROM and body in (b"", b"{}"):
        return {"status": status, "body": {}}
    if kind != "application/json":
        return {"status": status, kind: len(body) if status >= _ERRORS_FROM else body.decode()}
    try:
        document = json.loads(body)
    except ValueError:
        return {"status": status, "not JSON": body[:100].decode(errors="replace")}
    if status >= _ERRORS_FROM:
        return {"status": status, "error_code": document.get("error_code")}
    return {"status": status, "body": _plain(document, known, "")}


def plain(value: Any) -> Any:
    """Return a parsed value without what differs between any two servers."""
    return _plain(value, {}, "")


def _plain(value: Any, known: Mapping[str, str], key: str) -> Any:
    if isinstance(value, dict):
        return _plain_object(value, known)
    if isinstance(value, list):
        items = [_plain(item, known, key) for item in value]
        if key == "metrics" and all(isinstance(item, dict) and "run_id" in item for item in items):
            return sorted(items, key=_run_id)  # the order of runs is that of their ids
        return sorted(items, key=json.dumps) if key in _UNORDERED else items
    if isinstance(value, str):
        return _plain_text(value, known, key)
    if isinstance(value, int) and not isinstance(value, bool) and value > _TODAY_MS:
        return "a time"
    return value


def _run_id(item: Mapping[str, Any]) -> str:
    return str(item["run_id"])


def _plain_object(value: dict[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    left_out = OURS | THEIRS | ({"experiment_id"} if "current_stage" in value else set())
    items = {key: _plain(item, known, key) for key, item in value.items() if key not in left_out}
    if items.get("user_id") in ("", UNNAMED):
        del items["user_id"]
    if "metrics" in items and "params" in value:  # the latest of each key, in no order
        items["metrics"] = sorted(items["metrics"], key=json.dumps)
    return {key: item for key, item in items.items() if item not in ([], {})}


def _plain_text(value: str, known: Mapping[str, str], key: str) -> str:
    if value in known:
        return f"${known[value]}"
    if value.startswith('[{"'):  # a tag that holds JSON, whose keys are in no order
        value = json.dumps(json.loads(value), sort_keys=True)
    if key == "experiment_id" and value != "0":
        return "an experiment"
    if key == "next_page_token" and value:
        return "a token"
    if _MADE_UP.match(value):
        return "a made-up name"
    value = _LOCATION.sub("mlflow-artifacts:/an experiment", value)
    return _ID.sub(lambda found: f"${known[found[0]]}" if found[0] in known else "an id", value)
