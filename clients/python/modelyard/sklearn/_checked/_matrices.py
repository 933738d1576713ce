"""Tables of numbers that may be sparse."""

from __future__ import annotations

from typing import Any

from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Dimension,
    Kind,
    Owner,
    either,
    numbers,
    part,
)

_SPARSE = part(
    *(
        f"scipy.sparse.{layout}_{kind}"
        for layout in ("csr", "csc", "dia")
        for kind in ("matrix", "array")
    )
)


def sparse(rows: Dimension, columns: Dimension) -> Kind:
    """Accept a sparse matrix of this shape, whose indices its own entry checks."""

    def check(value: Any, owner: Owner) -> None:
        _SPARSE(value, owner)
        if len(value.shape) != 2:  # noqa: PLR2004 - rows and columns
            raise Contradiction(f"has {len(value.shape)} dimensions where 2 are right")
        for wanted, length in zip((rows, columns), value.shape, strict=True):
            if not owner.fits(wanted, length):
                raise Contradiction(f"is sparse with {length} {wanted}, another number than others")

    return check


def matrix(rows: Dimension, columns: Dimension) -> Kind:
    """Accept a dense or sparse matrix of this shape."""
    return either(numbers(rows, columns), sparse(rows, columns))
