"""Rules of endpoints that span fields; what a single field may hold is in the contract.

A spec is the JSON object of its message: field names and enum values are those of the contract, and
unset and empty fields are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelyard_kit.errors import InvalidArgument, missing
from modelyard_kit.references.uris import VersionSource, parse_model_uri
from modelyard_registry.rules.history import Document, Path

PENDING = "PENDING"
"""State of a target without a report."""

_STABLE, _SHADOW = "STABLE", "SHADOW"
_WHOLE = 100
_MAX_SHOWN_CHARACTERS = 80
_GUARDS = {"max_error_rate", "max_p99_ms", "max_disagreement"}


def check_spec(spec: Document) -> None:
    """Check the spec of an endpoint.

    Raises:
        InvalidArgument: A field is not valid; the message has field, value and expectation.
    """
    _check_targets(spec.get("targets", []))
    guardrails = spec.get("guardrails", {})
    decides = [name for name in ("roll_back", "promote") if guardrails.get(name)]
    if decides and not _GUARDS & guardrails.keys():
        raise InvalidArgument(
            f"Invalid value for parameter 'spec.guardrails.{decides[0]}': it needs at least one "
            f"limit; set one of {', '.join(sorted(_GUARDS))}.",
            field=f"spec.guardrails.{decides[0]}",
        )


def check_once(targets: Sequence[Document], where: str) -> None:
    """Check that no two targets have the same model URI.

    Args:
        targets: Targets of a spec or of a report.
        where: Parameter that holds them.

    Raises:
        InvalidArgument: Names the field and the URI.
    """
    seen: set[str] = set()
    for index, target in enumerate(targets):
        uri = target["model_uri"]
        if uri in seen:
            field = f"{where}[{index}].model_uri"
            raise InvalidArgument(
                f"Invalid value '{_shown(uri)}' for parameter '{field}': expected each model URI "
                "at most once.",
                field=field,
            )
        seen.add(uri)


def models_of(spec: Document) -> set[str]:
    """Return the names of the targets' registered models; an empty name for unregistered models."""
    sources = (parse_model_uri(target["model_uri"]) for target in spec["targets"])
    return {source.name if isinstance(source, VersionSource) else "" for source in sources}


def uris_of(spec: Document) -> list[str]:
    return [target["model_uri"] for target in spec["targets"]]


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
        raise missing("spec.targets")
    for index, target in enumerate(targets):
        _check_target(target, f"spec.targets[{index}]")
    check_once(targets, "spec.targets")
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
    own, other = ("sample", "weight") if target["role"] == _SHADOW else ("weight", "sample")
    if other in target:
        raise InvalidArgument(
            f"Invalid value for parameter '{where}.{other}': a target with the role "
            f"{target['role']} has no {other}; set {own} instead.",
            field=f"{where}.{other}",
        )
    if own not in target:
        raise missing(f"{where}.{own}")


def _shown(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"
