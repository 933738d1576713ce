"""Support vector machines, whose library does not check the lengths of its arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    either,
    floats,
    labels,
    number,
    numbers,
    optional,
    part,
    plain,
    row,
    whole,
    wholes,
)

_SPARSE = part("scipy.sparse.csr_matrix", "scipy.sparse.csr_array")
_FITTED: Mapping[str, Kind] = {
    "_sparse": boolean,
    "class_weight_": floats(None),
    "classes_": labels("classes"),
    "_effective_probability": boolean,
    "_gamma": number,
    "support_": wholes("vectors", low=0),
    "support_vectors_": either(floats("vectors", "features"), floats(None, 0), _SPARSE),
    "_n_support": wholes(None, low=0),
    "dual_coef_": either(floats(None, "vectors"), _SPARSE),
    "intercept_": numbers(None),
    "_intercept_": floats(None),
    "_dual_coef_": either(floats(None, "vectors"), _SPARSE),
    "_probA": floats(None),
    "_probB": floats(None),
    "probA_": floats(None),
    "probB_": floats(None),
    "fit_status_": number,
    "_num_iter": plain,
    "n_iter_": plain,
    "offset_": floats(None),
    "shape_fit_": row(whole(1), whole(1)),
}
_ALWAYS: Mapping[str, Kind] = {
    name: optional(number)
    for name in ("C", "nu", "epsilon", "probability", "class_weight", "random_state")
}


_NEEDED = (
    "support_",
    "support_vectors_",
    "_n_support",
    "_dual_coef_",
    "_intercept_",
    "_probA",
    "_probB",
    "shape_fit_",
    "_sparse",
    "_gamma",
)


def _machine(owner: Owner) -> None:
    """Check that arrays agree in length and refer to training rows.

    With c classes and s support vectors there are c - 1 rows of s coefficients and an intercept for
    each pair of classes; a regressor or a one-class machine counts as two classes.
    """
    owner.require(*_NEEDED)
    found = owner.attributes
    support, counts = found["support_"], found["_n_support"]
    vectors, classes = len(support), len(counts)
    pairs = classes * (classes - 1) // 2
    separates = type(owner.value)._impl in {"c_svc", "nu_svc"}  # noqa: SLF001 - the library's name
    coefficients = found["_dual_coef_"]
    consistent = (
        support.dtype == counts.dtype == np.int32
        and classes >= 2  # noqa: PLR2004 - a machine separates two classes
        and (separates or classes == 2)  # noqa: PLR2004
        and (not separates or int(counts.sum()) == vectors)
        and (not separates or owner.lengths.get("classes") == classes)
        and coefficients.shape == (classes - 1, vectors)
        and found["_intercept_"].shape == (pairs,)
        and found["_probA"].shape in {(0,), (pairs,)}
        and found["_probB"].shape == found["_probA"].shape
        and (support < found["shape_fit_"][0]).all()
        and _vectors_fit(owner, vectors)
    )
    if not consistent:
        raise Contradiction("has support vectors that do not fit its other arrays")


def _vectors_fit(owner: Owner, vectors: int) -> bool:
    """Check the stored vectors; a precomputed kernel stores none."""
    stored, coefficients = owner.attributes["support_vectors_"], owner.attributes["_dual_coef_"]
    sparse = bool(owner.attributes["_sparse"])
    if isinstance(stored, np.ndarray) == sparse or isinstance(coefficients, np.ndarray) == sparse:
        return False
    if sparse:
        return bool(
            stored.shape == (vectors, owner.length("features"))
            and coefficients.data.size == coefficients.shape[0] * vectors
        )
    if stored.shape[1] == 0:
        return bool(owner.attributes.get("kernel") == "precomputed")
    return bool(owner.attributes.get("kernel") != "precomputed")


TABLE: Table = {
    f"sklearn.svm.{name}": Entry(always=_ALWAYS, fitted=_FITTED, further=_machine)
    for name in ("SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM")
}
