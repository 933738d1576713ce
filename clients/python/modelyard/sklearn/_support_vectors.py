"""Checks support vector machines, whose library is told lengths and believes them."""

from __future__ import annotations

from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.sklearn._object_graph import attributes


def check_support_vectors(machine: Any) -> None:
    """Refuse a machine whose arrays disagree in length or point outside its training rows.

    Args:
        machine: A `BaseLibSVM`. One for c classes with s support vectors has c - 1 rows of s
            coefficients and an intercept for each pair of classes; a regressor or a one-class
            machine counts as two classes.

    Raises:
        InvalidParameter: Naming what contradicts what.
    """
    import numpy as np

    if "support_" not in attributes(machine):
        return
    support, counts = machine.support_, machine._n_support  # noqa: SLF001 - what the library reads
    vectors, classes = len(support), len(counts)
    pairs = classes * (classes - 1) // 2
    per_class = machine._impl in {"c_svc", "nu_svc"}  # noqa: SLF001
    coefficients = machine._dual_coef_
    stored = coefficients.data.size if machine._sparse else coefficients.size  # noqa: SLF001
    consistent = (
        # The class says which of the library's machines it is; an instance may not.
        "_impl" not in attributes(machine)
        and classes >= 2  # noqa: PLR2004 - a machine separates two
        and (per_class or classes == 2)  # noqa: PLR2004
        and (np.asarray(counts) >= 0).all()
        and (not per_class or int(np.sum(counts)) == vectors)
        and coefficients.shape == (classes - 1, vectors)
        and stored == (classes - 1) * vectors
        and machine._intercept_.shape == (pairs,)
        and machine._probA.shape in {(0,), (pairs,)}  # noqa: SLF001
        and machine._probB.shape == machine._probA.shape  # noqa: SLF001
        and _rows(machine.support_vectors_) in {0, vectors}
        and (support >= 0).all()
        and (support < machine.shape_fit_[0]).all()
    )
    if not consistent:
        raise InvalidParameter(
            f"The model was not loaded: the support vectors of a {type(machine).__name__} do not "
            "fit its other arrays. The file is damaged or forged; log the model again."
        )


def _rows(vectors: Any) -> int:
    """Stored vectors; none are kept for a kernel computed beforehand."""
    return int(vectors.shape[0]) if vectors.shape[1] else 0
