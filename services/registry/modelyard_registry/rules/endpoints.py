"""Checks of endpoint ids, specs and status reports.

A spec is the JSON object of its message: field names and enum values are those of the contract, and
unset and empty fields are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.uris import VersionSource, parse_model_uri
from modelyard_registry.rules.history import Document, Path

PENDING = "PENDING"
"""State of a target without a report."""

_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_STABLE, _SHADOW = "STABLE", "SHADOW"
_WHOLE = 100
_MAX_SHOWN_CHARACTERS = 80
_RANGES: dict[Path, tuple[float, float]] = {
    ("batching", "max_rows"): (1, 65_536),
    ("batching", "max_queued_requests"): (1, 100_000),
    ("limits", "max_body_bytes"): (1, 1 << 30),
    ("limits", "timeout_ms"): (1, 600_000),
    ("limits", "max_concurrent_requests"): (1, 10_000),
    ("limits", "max_requests_per_second"): (1e-6, 1_000_000),
    ("guardrails", "window_s"): (10, 86_400),
    ("guardrails", "min_requests"): (1, 1_000_000_000),
    ("guardrails", "max_error_rate"): (0, 1),
    ("guardrails", "max_p99_ms"): (1, 600_000),
    ("guardrails", "max_disagreement"): (0, 1),
}
_GUARDS = {"max_error_rate", "max_p99_ms", "max_disagreement"}


def check_endpoint_id(endpoint_id: str) -> None:
    """Check the id of an endpoint, which is used in URLs and in names of other systems.

    Raises:
        InvalidArgument: It is not a valid id.
    """
    if not _ID.fullmatch(endpoint_id):
        raise _invalid(
            "endpoint_id",
            endpoint_id,
            "1 to 63 of a-z, 0-9 and '-', starting with a letter and not ending in '-'",
        )


def check_spec(spec: Document) -> None:
    """Check the spec of an endpoint.

    Raises:
        InvalidArgument: A field is not valid; the message has field, value and expectation.
    """
    _check_targets(spec.get("targets", []))
    for (section, field), (minimum, maximum) in _RANGES.items():
        value = spec.get(section, {}).get(field)
        if value is not None:
            _check_between(f"spec.{section}.{field}", value, minimum, maximum)
    guardrails = spec.get("guardrails", {})
    decides = [name for name in ("roll_back", "promote") if guardrails.get(name)]
    if decides and not _GUARDS & guardrails.keys():
        raise InvalidArgument(
            f"Invalid value for parameter 'spec.guardrails.{decides[0]}': it needs at least one "
            f"limit; set one of {', '.join(sorted(_GUARDS))}.",
            field=f"spec.guardrails.{decides[0]}",
        )


def models_of(spec: Document) -> set[str]:
    """Return the names of the targets' registered models; an empty name for unregistered models."""
    sources = (parse_model_uri(target["model_uri"]) for target in spec["targets"])
    return {source.name if isinstance(source, VersionSource) else "" for source in sources}


def uris_of(spec: Document) -> list[str]:
    return [target["model_uri"] for target in spec["targets"]]


def check_report(targets: Sequence[Document]) -> None:
    """Check the status report of a serving process.

    Raises:
        InvalidArgument: A field is not valid; the message has field, value and expectation.
    """
    for index, target in enumerate(targets):
        for field in ("model_uri", "state"):
            if field not in target:
                raise _missing(f"targets[{index}].{field}")
        digest = target.get("model_digest", "")
        if digest and not _DIGEST.fullmatch(digest):
            expected = "64 lower-case hexadecimal digits"
            raise _invalid(f"targets[{index}].model_digest", digest, expected)
    _check_once(targets, "targets")


def masked(spec: Document, given: Document, paths: Sequence[Path]) -> Document:
    """Return `spec` with the fields at `paths` taken from `given`; the empty path is all fields."""
    result = spec
    for path in paths:
        result = _replaced(result, given, path)
    return result


def leaves(document: Document, above: Path = ()) -> Iterator[Path]:
    """Yield the paths of a document's values; a list counts as one value."""
    for key, value in document.items():
        path = (*above, key)
        if isinstance(value, dict):
            yield from leaves(value, path)
        else:
            yield path


def _replaced(spec: Document, given: Document, path: Path) -> Document:
    if not path:
        return given
    key, *rest = path
    value = given.get(key)
    if rest:
        value = _replaced(spec.get(key, {}), given.get(key, {}), tuple(rest))
    without = {other: present for other, present in spec.items() if other != key}
    return without if value in (None, {}) else without | {key: value}


def _check_targets(targets: Sequence[Document]) -> None:
    if not targets:
        raise _missing("spec.targets")
    for index, target in enumerate(targets):
        _check_target(target, f"spec.targets[{index}]")
    _check_once(targets, "spec.targets")
    stable = sum(target["role"] == _STABLE for target in targets)
    if stable != 1:
        raise InvalidArgument(
            f"Invalid value for parameter 'spec.targets': {stable} targets have the role STABLE, "
            "expected exactly one.",
            field="spec.targets",
        )
    weights = sum(target.get("weight", 0) for target in targets)
    if weights != _WHOLE:
        raise InvalidArgument(
            f"Invalid value for parameter 'spec.targets': the weights add up to {weights}, "
            f"expected {_WHOLE}.",
            field="spec.targets",
        )


def _check_target(target: Document, where: str) -> None:
    try:
        parse_model_uri(target["model_uri"])
    except InvalidArgument as error:
        error.metadata["field"] = f"{where}.model_uri"
        raise
    if "role" not in target:
        raise _missing(f"{where}.role")
    own, other = ("sample", "weight") if target["role"] == _SHADOW else ("weight", "sample")
    if other in target:
        raise InvalidArgument(
            f"Invalid value for parameter '{where}.{other}': a target with the role "
            f"{target['role']} has no {other}; set {own} instead.",
            field=f"{where}.{other}",
        )
    if own not in target:
        raise _missing(f"{where}.{own}")
    minimum, maximum = (1e-6, 1) if own == "sample" else (0, _WHOLE)
    _check_between(f"{where}.{own}", target[own], minimum, maximum)


def _check_once(targets: Sequence[Document], where: str) -> None:
    seen: set[str] = set()
    for index, target in enumerate(targets):
        uri = target["model_uri"]
        if uri in seen:
            raise _invalid(f"{where}[{index}].model_uri", uri, "each model URI at most once")
        seen.add(uri)


def _check_between(field: str, value: float, minimum: float, maximum: float) -> None:
    if not minimum <= value <= maximum:  # NaN is in no range
        expected = f"a number from {minimum:,} to {maximum:,}"
        raise _invalid(field, value, expected)


def _missing(field: str) -> InvalidArgument:
    return InvalidArgument(f"Missing value for required parameter '{field}'.", field=field)


def _invalid(field: str, value: Any, expected: str) -> InvalidArgument:
    text = str(value)
    shown = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"
    return InvalidArgument(
        f"Invalid value '{shown}' for parameter '{field}': expected {expected}.", field=field
    )
