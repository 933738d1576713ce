"""What an endpoint may be: its id, its spec, what is reported of it.

A spec is the JSON object of its message, with the contract's names of fields and values and without
what is unset or empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.uris import VersionSource, parse_model_uri
from modelyard_registry.rules.history import Document, Path

PENDING = "PENDING"
"""The state of a target that nothing was reported of."""

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
    """Check the id of an endpoint, which stands in URLs and in names of other systems.

    Raises:
        InvalidArgument: It is none.
    """
    if not _ID.fullmatch(endpoint_id):
        raise _invalid(
            "endpoint_id",
            endpoint_id,
            "1 to 63 of the letters a-z, digits and '-', a letter first and no '-' at the end",
        )


def check_spec(spec: Document) -> None:
    """Check what an endpoint shall do.

    Raises:
        InvalidArgument: Names the field, the value and what would be right.
    """
    _check_targets(spec.get("targets", []))
    for (section, field), (least, most) in _RANGES.items():
        value = spec.get(section, {}).get(field)
        if value is not None:
            _check_between(f"spec.{section}.{field}", value, least, most)
    guardrails = spec.get("guardrails", {})
    decides = [name for name in ("roll_back", "promote") if guardrails.get(name)]
    if decides and not _GUARDS & guardrails.keys():
        raise InvalidArgument(
            f"Invalid value for parameter 'spec.guardrails.{decides[0]}': there is no limit to "
            f"decide by; set one of {', '.join(sorted(_GUARDS))}.",
            field=f"spec.guardrails.{decides[0]}",
        )


def models_of(spec: Document) -> set[str]:
    """Return the registered models of the targets; an empty name for all others."""
    sources = (parse_model_uri(target["model_uri"]) for target in spec["targets"])
    return {source.name if isinstance(source, VersionSource) else "" for source in sources}


def uris_of(spec: Document) -> list[str]:
    return [target["model_uri"] for target in spec["targets"]]


def check_report(targets: Sequence[Document]) -> None:
    """Check what a serving process reports.

    Raises:
        InvalidArgument: Names the field, the value and what would be right.
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
    """Return a spec whose fields at some paths are those of another; the empty path is all."""
    result = spec
    for path in paths:
        result = _replaced(result, given, path)
    return result


def leaves(document: Document, above: Path = ()) -> Iterator[Path]:
    """Return where a document has values; a list is one."""
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
            f"Invalid value for parameter 'spec.targets': {stable} have the role STABLE, expected "
            "exactly one.",
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
            f"{target['role']} has none; it has a {own}.",
            field=f"{where}.{other}",
        )
    if own not in target:
        raise _missing(f"{where}.{own}")
    least, most = (1e-6, 1) if own == "sample" else (0, _WHOLE)
    _check_between(f"{where}.{own}", target[own], least, most)


def _check_once(targets: Sequence[Document], where: str) -> None:
    seen: set[str] = set()
    for index, target in enumerate(targets):
        uri = target["model_uri"]
        if uri in seen:
            raise _invalid(f"{where}[{index}].model_uri", uri, "each model once")
        seen.add(uri)


def _check_between(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN is nowhere
        expected = f"a number from {least:,} to {most:,}"
        raise _invalid(field, value, expected)


def _missing(field: str) -> InvalidArgument:
    return InvalidArgument(f"Missing value for required parameter '{field}'.", field=field)


def _invalid(field: str, value: Any, expected: str) -> InvalidArgument:
    text = str(value)
    shown = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"
    return InvalidArgument(
        f"Invalid value '{shown}' for parameter '{field}': expected {expected}.", field=field
    )
