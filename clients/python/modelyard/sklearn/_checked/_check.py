"""Checks a model against the tables: everything that it holds is known and fits, or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.models._quote import quote
from modelyard.sklearn._checked._entry import NEVER_OUTSIDE, WIDTH, Entry
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    Refused,
    Unchecked,
    either,
    estimator,
    mapping,
    name_of,
    one_of,
    part,
    plain,
    text,
)
from modelyard.sklearn._checked._tables import TABLE

_REMEDY = (
    "If you trust its author, load it with allow_pickle=True (serve it with --allow-pickle); if "
    "the file may be damaged or forged, log the model again."
)
# `set_output` and scikit-learn's own state; neither is read by compiled code.
_COMMON: Mapping[str, Kind] = {
    "_sklearn_output_config": mapping(text, one_of(None, "default", "pandas", "polars")),
    "_metadata_request": part("sklearn.utils.MetadataRequest"),
}
_SPLITTERS = (
    "sklearn.model_selection.KFold",
    "sklearn.model_selection.StratifiedKFold",
    "numpy.random.mtrand.RandomState",
)
_OBJECT = either(part(*_SPLITTERS), estimator)


def _parameter(value: Any, owner: Owner) -> None:
    """Accept plain data, estimators, splitters and random states: no function, type or file."""
    try:
        either(plain, _OBJECT)(value, owner)
    except Contradiction as wrong:
        raise Contradiction(f"is a {type(value).__name__}, which is no plain value") from wrong


def refuse_unchecked(model: Any) -> None:
    """Refuse a model unless all of it is known to stay inside its arrays.

    Raises:
        InvalidParameter: A class has no entry in the tables, or an object contradicts its entry;
            names the class, and what to do.
    """
    reason = why_unchecked(model)
    if reason is not None:
        raise InvalidParameter(f"The model was not loaded: {reason}. {_REMEDY}")


def why_unchecked(model: Any) -> str | None:
    """Return why a model does not load without `allow_pickle`, or None if it does."""
    try:
        _Check().descend(model)
    except Unchecked as unknown:
        return f"the content of a {unknown.kind.__name__} cannot be checked completely"
    except Refused as wrong:
        return str(wrong)
    except Exception as failed:  # noqa: BLE001 - what contradicts itself can fail anywhere
        return f"its content cannot be checked ({type(failed).__name__})"
    return None


class _Check:
    """One check of a model; each object is checked once, however often it is shared."""

    def __init__(self) -> None:
        # Objects are kept, as the id of one that is gone would be given again.
        self._seen: dict[int, Any] = {}

    def descend(self, value: Any) -> None:
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        entry = TABLE.get(name_of(type(value)) or "")
        if entry is None:
            raise Unchecked(type(value))
        attributes = getattr(value, "__dict__", None)
        owner = Owner(value, attributes if type(attributes) is dict else {}, self.descend)
        if isinstance(entry, Entry):
            _check_estimator(owner, entry)
        else:
            _named(owner, entry, value)


def _named(owner: Owner, kind: Kind, value: Any, attribute: str | None = None) -> None:
    """Check a value; name its owner in the error."""
    try:
        kind(value, owner)
    except Contradiction as wrong:
        place = owner.name if attribute is None else f"{owner.name}.{attribute}"
        raise Refused(f"{place} {wrong}") from wrong


def _check_estimator(owner: Owner, entry: Entry) -> None:
    attributes = owner.attributes
    fitted = {**WIDTH, **entry.fitted}
    kind: Any = type(owner.value)
    parameters = _parameters_of(kind)
    kinds = {**_COMMON, **entry.always, **fitted}
    for name in attributes:
        if name not in kinds and name not in parameters:
            raise Refused(f"{owner.name} has an attribute {quote(name)}, which is not known")
    for name in parameters & attributes.keys():
        allowed = NEVER_OUTSIDE.get(name) or entry.parameters.get(name, _parameter)
        _named(owner, allowed, attributes[name], name)
    _check_constraints(owner, parameters)
    set_by_fit = fitted.keys() - entry.always.keys() - parameters
    present = [name for name in fitted if name in attributes and name in set_by_fit]
    if present and entry.width and "n_features_in_" not in attributes:
        raise Refused(f"{owner.name} lacks its number of features")
    for name in [*_COMMON, *entry.always, *present]:
        if name in attributes and name not in parameters:
            _named(owner, kinds[name], attributes[name], name)
    if present:
        _named(owner, lambda _, own: entry.further(own), owner.value)


@lru_cache(maxsize=512)
def _parameters_of(kind: Any) -> frozenset[str]:
    return frozenset(kind._get_param_names())  # noqa: SLF001 - as scikit-learn's get_params


def _check_constraints(owner: Owner, parameters: frozenset[str]) -> None:
    """Check parameters by scikit-learn's own constraints, which `fit` applied.

    Its own check quotes the whole value, which takes gigabytes if it mentions one text often.
    """
    from sklearn.utils._param_validation import make_constraint

    # Private helpers have none; their kinds are all there is.
    constraints = getattr(type(owner.value), "_parameter_constraints", {})
    for name in parameters & owner.attributes.keys() & constraints.keys():
        if constraints[name] == "no_validation":
            continue
        allowed = [make_constraint(constraint) for constraint in constraints[name]]
        if not any(known.is_satisfied_by(owner.attributes[name]) for known in allowed):
            right = " or ".join(str(known) for known in allowed if not known.hidden)
            raise Refused(quote(f"The {name!r} parameter of {owner.name} must be {right}"))
