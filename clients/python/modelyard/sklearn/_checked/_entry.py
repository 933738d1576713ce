"""An entry of the tables: what an estimator of one class may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelyard.sklearn._checked._kinds import Kind, Owner, labels, one_of, optional, whole

WIDTH: Mapping[str, Kind] = {
    "n_features_in_": whole(1, 2**31, sets="features"),
    "feature_names_in_": labels("features"),
}
"""The number of features that an estimator enforces on its input, and their names."""


def _no_further(owner: Owner) -> None:
    """Accept what the kinds of the attributes accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What an estimator of one class may hold; anything else is refused.

    Parameters of the constructor need no mention: they are checked by scikit-learn's own
    constraints and must be plain data, estimators of the tables, splitters or random states.

    Attributes:
        always: Attributes that the constructor sets beyond its parameters.
        fitted: Attributes that `fit` sets, in the order in which they are checked, after
            `n_features_in_`, which sets "features", and `feature_names_in_`.
        width: Whether a fitted estimator must have `n_features_in_`.
        parameters: Kinds of parameters that may hold something else.
        further: Check of a fitted estimator, whose attributes are of their kinds by then.
    """

    fitted: Mapping[str, Kind]
    always: Mapping[str, Kind] = field(default_factory=dict)
    width: bool = True
    parameters: Mapping[str, Kind] = field(default_factory=dict)
    further: Callable[[Owner], None] = _no_further


Part = Callable[[Any, Owner], None]
"""Checks an object that is no estimator, such as a tree or a sparse matrix."""

Table = Mapping[str, Entry | Part]
"""Entries by the name of a class, see `name_of`."""

NEVER_OUTSIDE: Mapping[str, Kind] = {
    "memory": one_of(None),
    "input": one_of("content"),
    "n_jobs": optional(whole(-1024, 1025)),
}
"""Parameters that reach outside the arrays, whatever class has them: caches, files, threads."""
