"""Checks KDTree and BallTree, whose compiled search follows the indices of its nodes."""

from __future__ import annotations

from typing import Any

from modelyard.exceptions import InvalidParameter


def check_search_tree(tree: Any) -> None:
    """Refuse a tree whose nodes, points and bounds disagree.

    Nodes form a complete binary tree in one array: the children of node i are 2i+1 and 2i+2.

    Raises:
        InvalidParameter: The arrays are inconsistent; names the contradiction.
    """
    import numpy as np
    from sklearn.neighbors import KDTree

    data, points, nodes, bounds, _, n_levels, n_nodes, *_, metric, weights = tree.__getstate__()
    rows, columns = data.shape
    inner = np.asarray(nodes["is_leaf"]) == 0
    start, end = nodes["idx_start"], nodes["idx_end"]
    if (
        n_levels < 1
        or n_nodes != 2**n_levels - 1
        or len(nodes) != n_nodes
        or bounds.shape != (2 if isinstance(tree, KDTree) else 1, n_nodes, columns)
        or len(points) != rows
        or (weights is not None and len(weights) != rows)
    ):
        raise _forged(tree, "arrays whose lengths disagree")
    if (points < 0).any() or (points >= rows).any():
        raise _forged(tree, f"a point outside its {rows} rows")
    if (start < 0).any() or (start > end).any() or (end > rows).any():
        raise _forged(tree, f"a node outside its {rows} points")
    if (2 * np.arange(n_nodes)[inner] + 2 >= n_nodes).any():
        raise _forged(tree, f"a child outside its {n_nodes} nodes")
    if metric is None:
        raise _forged(tree, "no distance")


def _forged(tree: Any, what: str) -> InvalidParameter:
    return InvalidParameter(
        f"The model was not loaded: a {type(tree).__name__} has {what}. The file is damaged or "
        "forged; log the model again."
    )
