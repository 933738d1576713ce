"""Objects that are no estimators and that several of them hold."""

from __future__ import annotations

from typing import Any

from modelyard.models._quote import quote
from modelyard.sklearn._checked._entry import Table
from modelyard.sklearn._checked._kinds import Contradiction, Kind, Owner, boolean, plain

_MT19937_NUMBERS = 624


def _random_state(value: Any, owner: Owner) -> None:
    """Check the position in the generator's numbers, which numpy does not check."""
    _bit_generator(value._bit_generator, owner)  # noqa: SLF001 - it has no other name


def _generator(value: Any, owner: Owner) -> None:
    _bit_generator(value.bit_generator, owner)


def _bit_generator(value: Any, _: Owner) -> None:
    state = value.state
    if state["bit_generator"] == "MT19937":
        if not 0 <= state["state"]["pos"] <= _MT19937_NUMBERS:
            raise Contradiction(f"is at position {state['state']['pos']} of {_MT19937_NUMBERS}")
    elif state["bit_generator"] != "PCG64":
        raise Contradiction(f"is a {state['bit_generator']}, which cannot be checked")


def plain_attributes(_: Any, owner: Owner) -> None:
    """Check an object that holds plain data and runs Python only."""
    for content in owner.attributes.values():
        plain(content, owner)


def holds(**kinds: Kind) -> Kind:
    """Return a check of an object that has these attributes and no others."""

    def check(_: Any, owner: Owner) -> None:
        for name, content in owner.attributes.items():
            if name not in kinds:
                raise Contradiction(f"has an attribute {quote(name)}, which is not known")
            kinds[name](content, owner)

    return check


def sparse_matrix(value: Any, owner: Owner) -> None:
    """Check the indices of a matrix; SciPy checks only lengths when it loads one."""
    if value.data.dtype.kind not in "biuf":
        raise Contradiction(f"has elements of type {value.data.dtype}")
    if value.format in {"csr", "csc"}:
        try:
            value.check_format(full_check=True)
        except ValueError as broken:
            raise Contradiction("has indices outside itself") from broken
    elif value.format == "dia":
        if value.data.ndim != 2 or value.offsets.ndim != 1:  # noqa: PLR2004 - rows of diagonals
            raise Contradiction("has diagonals without rows")
        if value.data.shape[0] != len(value.offsets):
            raise Contradiction("has another number of diagonals than of offsets")
    for attribute in owner.attributes:
        if attribute not in {"_shape", "maxprint", "data", "indices", "indptr", "offsets"}:
            attribute_of_scipy = attribute.startswith("_has_")
            (boolean if attribute_of_scipy else _unknown)(owner.attributes[attribute], owner)


def _unknown(_: Any, __: Owner) -> None:
    raise Contradiction("has an attribute that SciPy does not write")


TABLE: Table = {
    "numpy.random.mtrand.RandomState": _random_state,
    "numpy.random.Generator": _generator,
    "sklearn.model_selection.KFold": plain_attributes,
    "sklearn.model_selection.StratifiedKFold": plain_attributes,
    "scipy.sparse.csr_matrix": sparse_matrix,
    "scipy.sparse.csr_array": sparse_matrix,
    "scipy.sparse.csc_matrix": sparse_matrix,
    "scipy.sparse.csc_array": sparse_matrix,
    "scipy.sparse.dia_matrix": sparse_matrix,
    "scipy.sparse.dia_array": sparse_matrix,
}
