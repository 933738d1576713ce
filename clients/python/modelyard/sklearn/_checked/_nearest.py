"""Models that search the training rows: compiled code computes distances for all columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    mapping,
    name_of,
    none,
    number,
    numbers,
    one_of,
    optional,
    part,
    plain,
    sequence,
    whole,
)

# Distances of any two rows of equal length; others need a matrix, a number of columns, or bools.
METRIC = one_of(
    "chebyshev",
    "cityblock",
    "cosine",
    "euclidean",
    "infinity",
    "l1",
    "l2",
    "manhattan",
    "minkowski",
    "p",
    "precomputed",
    "sqeuclidean",
    "nan_euclidean",
)
_DISTANCES = {
    f"sklearn.metrics.{name}Distance64"
    for name in ("Chebyshev", "Euclidean", "Manhattan", "Minkowski")
}
SEARCH_TREE = part("sklearn.neighbors.KDTree", "sklearn.neighbors.BallTree")
_ROWS = either(
    floats("rows", "features"),
    numbers("rows", "features"),
    part("scipy.sparse.csr_matrix", "scipy.sparse.csr_array"),
)


def check_search_tree(tree: Any, _: Owner) -> None:
    """Check a tree's nodes, points and bounds.

    Nodes form a complete binary tree in one array: the children of node i are 2i+1 and 2i+2.
    """
    from sklearn.neighbors import KDTree

    data, points, nodes, bounds, _leaf_size, n_levels, n_nodes, *_, metric, weights = (
        tree.__getstate__()
    )
    rows, columns = data.shape
    inner = np.asarray(nodes["is_leaf"]) == 0
    start, end = nodes["idx_start"], nodes["idx_end"]
    if (
        n_levels < 1
        or n_nodes != 2**n_levels - 1
        or len(nodes) != n_nodes
        or bounds.shape != (2 if type(tree) is KDTree else 1, n_nodes, columns)
        or len(points) != rows
        or (weights is not None and len(weights) != rows)
    ):
        raise Contradiction("has arrays whose lengths disagree")
    if (points < 0).any() or (points >= rows).any():
        raise Contradiction(f"has a point outside its {rows} rows")
    if (start < 0).any() or (start > end).any() or (end > rows).any():
        raise Contradiction(f"has a node outside its {rows} points")
    if (2 * np.arange(n_nodes)[inner] + 2 >= n_nodes).any():
        raise Contradiction(f"has a child outside its {n_nodes} nodes")
    if str(name_of(type(metric))) not in _DISTANCES:
        raise Contradiction(f"has a {type(metric).__name__} as its distance")
    # Weights would be read for each column.
    if type(metric).__name__ == "MinkowskiDistance64" and metric.__getstate__()[1].size:
        raise Contradiction("has a distance with weights")


def _search(owner: Owner) -> None:
    owner.require("_fit_X", "_fit_method", "n_samples_fit_", "effective_metric_", "_tree")
    found, width = owner.attributes, owner.length("features")
    rows = found["_fit_X"].shape[0]
    if found["_fit_X"].shape[1] != width or found["n_samples_fit_"] != rows:
        raise Contradiction(
            f"has {rows} rows of {found['_fit_X'].shape[1]} columns where it takes {width} columns "
            f"and announces {found['n_samples_fit_']} rows"
        )
    tree = found["_tree"]
    if (tree is None) != (found["_fit_method"] == "brute"):
        raise Contradiction(f"searches by {found['_fit_method']} and has another tree")
    if tree is not None and tree.__getstate__()[0].shape != (rows, width):
        raise Contradiction("has a tree of other rows than its own")
    for name in ("_y", "_lrd", "_distances_fit_X_"):
        if name in found and len(found[name]) != rows:
            raise Contradiction(f"has {len(found[name])} elements in {name} for {rows} rows")
    if "classes_" in found:
        _check_classes(found["classes_"], found["_y"])


def _check_classes(classes: Any, coded: Any) -> None:
    """Check that each row's label is an index into the classes of its output."""
    columns = coded.reshape(len(coded), -1)
    of_outputs = [classes] if isinstance(classes, np.ndarray) else classes
    if len(of_outputs) != columns.shape[1] or columns.dtype.kind not in "iu":
        raise Contradiction("has labels for another number of outputs")
    for names, column in zip(of_outputs, columns.T, strict=True):
        if len(column) and (column.min() < 0 or column.max() >= len(names)):
            raise Contradiction(f"has a label outside its {len(names)} classes")


def _density(owner: Owner) -> None:
    owner.require("tree_")
    if owner.attributes["tree_"].__getstate__()[0].shape[1] != owner.length("features"):
        raise Contradiction("has a tree of another number of features")


def _exponent(value: Any, owner: Owner) -> None:
    """Accept the exponent of a distance; its weights would be read for each column."""
    mapping(one_of("p", "w"), optional(number))(value, owner)
    if value.get("w") is not None:
        raise Contradiction("has weights of columns, which cannot be checked")


_SEARCH: Mapping[str, Kind] = {
    "outputs_2d_": boolean,
    "classes_": either(labels("classes"), sequence(labels(None))),
    "_y": either(numbers(None), numbers(None, None)),
    "effective_metric_": METRIC,
    "effective_metric_params_": _exponent,
    "_fit_method": one_of("brute", "kd_tree", "ball_tree"),
    "_fit_X": _ROWS,
    "n_samples_fit_": whole(1),
    "_tree": optional(SEARCH_TREE),
    "outlier_label_": plain,
    "_n_features_out": whole(1),
    "n_neighbors_": whole(1),
    "_distances_fit_X_": floats(None, None),
    "_lrd": floats(None),
    "negative_outlier_factor_": floats(None),
    "offset_": number,
}
_SEARCHERS = Entry(
    always={"radius": optional(number), "n_neighbors": optional(number)},
    parameters={
        "metric": METRIC,
        "metric_params": none,
        "weights": one_of("uniform", "distance", None),
    },
    fitted=_SEARCH,
    further=_search,
)

TABLE: Table = {
    "sklearn.neighbors.KDTree": check_search_tree,
    "sklearn.neighbors.BallTree": check_search_tree,
    **{
        f"sklearn.neighbors.{name}": _SEARCHERS
        for name in (
            "KNeighborsClassifier",
            "KNeighborsRegressor",
            "KNeighborsTransformer",
            "LocalOutlierFactor",
            "NearestNeighbors",
            "RadiusNeighborsClassifier",
            "RadiusNeighborsRegressor",
            "RadiusNeighborsTransformer",
        )
    },
    "sklearn.neighbors.KernelDensity": Entry(
        parameters={"metric": METRIC, "metric_params": none},
        fitted={"bandwidth_": number, "tree_": SEARCH_TREE},
        further=_density,
    ),
    "sklearn.neighbors.NearestCentroid": Entry(
        parameters={"metric": one_of("euclidean", "manhattan")},
        fitted={
            "classes_": labels("classes"),
            "centroids_": floats("classes", "features"),
            "class_prior_": floats("classes"),
            "true_classes_": labels(None),
            "within_class_std_dev_": floats("features"),
            "deviations_": floats("classes", "features"),
        },
    ),
    "sklearn.neighbors.NeighborhoodComponentsAnalysis": Entry(
        parameters={"callback": none},
        fitted={
            "components_": floats("components", "features"),
            "random_state_": part("numpy.random.mtrand.RandomState"),
            "n_iter_": number,
            "_n_features_out": whole(1),
        },
    ),
}
