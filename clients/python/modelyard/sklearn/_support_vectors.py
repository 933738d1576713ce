"""Checks support vector machines, whose library does not check the lengths of its arrays."""

from __future__ import annotations

from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.sklearn._object_graph import attributes


def check_support_vectors(machine: Any) -> None:
    """Refuse a machine whose arrays disagree in length or point outside its training rows.

    Args:
        machine: A `BaseLibSVM`. With c classes and s support vectors it has c - 1 rows of s
            coefficients and an intercept for each pair of classes; a regressor or a one-class
            machine counts as two classes.

    Raises:
        InvalidParameter: The arrays are inconsistent.
    """
    import numpy as np

    if "support_" not in attributes(machine):
        return
    support, counts = machine.support_, machine._n_support  # noqa: SLF001 - read by the library
    vectors, classes = len(support), len(counts)
    pairs = classes * (classes - 1) // 2
    per_class = machine._impl in {"c_svc", "nu_svc"}  # noqa: SLF001
    coefficients = machine._dual_coef_
    stored = coefficients.data.size if machine._sparse else coefficients.size  # noqa: SLF001
    consistent = (
        # The class determines the kind of machine; an instance must not override it.
        "_impl" not in attributes(machine)
        and classes >= 2  # noqa: PLR2004 - a machine separates two classes
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
    """Return the number of stored vectors; zero for a precomputed kernel."""
    return int(vectors.shape[0]) if vectors.shape[1] else 0
