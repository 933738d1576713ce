"""Refuses arrays that would make compiled code access memory out of bounds.

scikit-learn's compiled trees follow child and feature indices without looking at bounds, so that a
forged file can crash the process or write outside an array. Everything here is checked after skops
built the objects and before anything of the model is called. Reading the arrays is safe then:
scikit-learn copies them into memory of the length it announces.
"""

from __future__ import annotations

from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.sklearn._object_graph import attributes, objects_in
from modelyard.sklearn._search_trees import check_search_tree
from modelyard.sklearn._support_vectors import check_support_vectors


def forged(what: str) -> InvalidParameter:
    """Return the refusal of a file whose content is inconsistent."""
    return InvalidParameter(
        f"The model was not loaded: {what}. The file is damaged or forged; log the model again."
    )


def refuse_forged(model: Any) -> None:
    """Check each part of `model` that compiled code follows without bounds checks.

    Those are trees and their ensembles, search trees, support vectors, centres and sparse matrices.

    Raises:
        InvalidParameter: The model is inconsistent; names the first contradiction.
    """
    from scipy import sparse
    from sklearn.cluster._kmeans import _BaseKMeans
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.svm._base import BaseLibSVM
    from sklearn.tree._tree import Tree

    owned: set[int] = set()
    trees: list[Any] = []
    for found in objects_in(model):
        _refuse_hidden_methods(found)
        if isinstance(found, Tree | TreePredictor):
            trees.append(found)
        elif isinstance(found, KDTree | BallTree):
            check_search_tree(found)
        elif isinstance(found, BaseLibSVM):
            check_support_vectors(found)
        elif isinstance(found, _BaseKMeans):
            _check_centres(found)
        elif sparse.issparse(found):
            _check_sparse(found)
        else:
            owned.update(id(tree) for tree in _checked_trees_of(found))
    if any(id(tree) not in owned for tree in trees):
        raise forged("it holds a decision tree that belongs to no estimator")


def _refuse_hidden_methods(found: Any) -> None:
    """Refuse an attribute in place of a method, which could skip that method's width check."""
    kind = type(found)
    if not kind.__module__.startswith("sklearn."):
        return
    for name in attributes(found):
        of_class = next((vars(c)[name] for c in kind.__mro__ if name in vars(c)), None)
        if hasattr(of_class, "__get__") and not hasattr(of_class, "__set__"):
            raise forged(f"{kind.__name__}.{name} is a value where the class has a method")


def _checked_trees_of(owner: Any) -> list[Any]:
    """Check the trees that `owner` will run, and return them."""
    from sklearn.ensemble import IsolationForest
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import (
        BaseHistGradientBoosting,
    )
    from sklearn.tree import BaseDecisionTree

    if isinstance(owner, BaseDecisionTree):
        return _check_decision_tree(owner)
    if isinstance(owner, BaseHistGradientBoosting):
        return _check_hist_gradient_boosting(owner)
    if isinstance(owner, BaseForest) and "estimators_" in attributes(owner):
        _check_members(owner, owner.estimators_)
    elif isinstance(owner, BaseGradientBoosting):
        _check_gradient_boosting(owner)
    elif isinstance(owner, IsolationForest):
        _check_isolation_forest(owner)
    return []


def _width(estimator: Any) -> int:
    """Return the number of features that the estimator enforces; refuse one that enforces none."""
    import numpy as np

    width = attributes(estimator).get("n_features_in_")
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise forged(f"{type(estimator).__name__} lacks its number of features")
    return int(width)


def _check_decision_tree(owner: Any) -> list[Any]:
    from sklearn.tree._tree import Tree

    if "tree_" not in attributes(owner):
        return []
    tree, kind = owner.tree_, type(owner).__name__
    if not isinstance(tree, Tree):
        raise forged(f"the tree of {kind} is not a tree")
    if tree.n_features != _width(owner):
        raise forged(
            f"a tree of {kind} reads {tree.n_features} features where {kind} takes {_width(owner)}"
        )
    _check_nodes(tree)
    return [tree]


def _check_nodes(tree: Any) -> None:
    import numpy as np

    if tree.node_count < 1 or tree.capacity < tree.node_count:
        raise forged(f"a tree has {tree.node_count} nodes, at least 1 is needed")
    if tree.n_outputs < 1 or tree.max_n_classes < 1:
        raise forged("a tree has no outputs")
    left, right = tree.children_left, tree.children_right
    own = np.arange(tree.node_count)
    if len(left) != tree.node_count or len(tree.value) != tree.node_count:
        raise forged("the arrays of a tree differ in length")
    inner = (left != -1) | (right != -1)
    _check_children(own[inner], left[inner], right[inner], tree.node_count)
    _check_features(own[inner], tree.feature[inner], tree.n_features)
    children = np.concatenate([left[inner], right[inner]])
    if len(np.unique(children)) != len(children):
        raise forged("a node of a tree has two parents")
    depth = int(tree.compute_node_depths().max()) - 1
    if tree.max_depth < depth:
        raise forged(f"a tree claims {tree.max_depth} levels and has {depth}")


def _check_children(own: Any, left: Any, right: Any, node_count: int) -> None:
    """Check that children come after their parent, which also excludes cycles."""
    for child in (left, right):
        wrong = (child <= own) | (child >= node_count)
        if wrong.any():
            node = int(own[wrong.argmax()])
            raise forged(
                f"node {node} of a tree has child {int(child[wrong.argmax()])}; a child lies "
                f"between its parent and the number of nodes, {node_count}"
            )


def _check_features(own: Any, feature: Any, n_features: int) -> None:
    wrong = (feature < 0) | (feature >= n_features)
    if wrong.any():
        node = int(own[wrong.argmax()])
        raise forged(
            f"node {node} of a tree reads feature {int(feature[wrong.argmax()])} of {n_features}"
        )


def _check_members(ensemble: Any, members: Any, width: int | None = None) -> None:
    """Check the members of an ensemble, which checks the width of its input only once."""
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    expected = _width(ensemble) if width is None else width
    for member in members:
        tree = attributes(member).get("tree_")
        if not isinstance(member, BaseDecisionTree) or not isinstance(tree, Tree):
            raise forged(f"{type(ensemble).__name__} holds something that is not a decision tree")
        if tree.n_features != expected:
            raise forged(
                f"a tree of {type(ensemble).__name__} reads {tree.n_features} features where the "
                f"ensemble gives it {expected}"
            )


def _check_gradient_boosting(owner: Any) -> None:
    """Check the trees, which compiled code adds to the columns of the first guess."""
    import numpy as np
    from sklearn.dummy import DummyClassifier, DummyRegressor

    stages = attributes(owner).get("estimators_")
    if stages is None:
        return
    kind = type(owner).__name__
    if not isinstance(stages, np.ndarray) or stages.ndim != 2 or stages.size == 0:  # noqa: PLR2004
        raise forged(f"the trees of {kind} are not in a table of stages and outputs")
    _check_members(owner, stages.flat)
    if any(m.tree_.n_outputs != 1 or m.tree_.max_n_classes != 1 for m in stages.flat):
        raise forged(f"a tree of {kind} has more than one output")
    guess = owner.init_
    from_dummy = isinstance(guess, DummyClassifier | DummyRegressor)
    if not from_dummy and not (isinstance(guess, str) and guess == "zero"):
        raise InvalidParameter(
            f"The model was not loaded: {kind} starts from a {type(guess).__name__}, whose output "
            "cannot be checked. Use init=None or init='zero'."
        )
    columns = owner._raw_predict_init(np.zeros((1, _width(owner)), np.float32)).shape[1]  # noqa: SLF001
    if columns != stages.shape[1]:
        raise forged(f"{kind} has {stages.shape[1]} trees a stage and {columns} outputs")


def _check_isolation_forest(owner: Any) -> None:
    import numpy as np

    members = attributes(owner).get("estimators_", [])
    if not members:
        return
    width = _width(owner)
    if owner._max_features == width:  # noqa: SLF001 - read by its score
        _check_members(owner, members)
        return
    if len(owner.estimators_features_) != len(members):
        raise forged("IsolationForest has trees without a choice of features")
    for member, chosen in zip(members, owner.estimators_features_, strict=True):
        # A mask has the length of the input and selects fewer features.
        _check_members(owner, [member], np.zeros((1, width))[:, chosen].shape[1])


def _check_hist_gradient_boosting(owner: Any) -> list[Any]:
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    stages = attributes(owner).get("_predictors")
    if stages is None:
        return []
    if owner._preprocessor is not None or owner.is_categorical_ is not None:  # noqa: SLF001
        raise InvalidParameter(
            f"The model was not loaded: {type(owner).__name__} with categorical features cannot "
            "be checked. Encode them before the model."
        )
    trees = [tree for stage in stages for tree in stage]
    for tree in trees:
        if not isinstance(tree, TreePredictor):
            raise forged(f"{type(owner).__name__} holds something that is not a tree")
        _check_predictor(tree, _width(owner))
    return trees


def _check_predictor(tree: Any, n_features: int) -> None:
    import numpy as np
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = attributes(tree).get("nodes")
    if type(nodes) is not np.ndarray or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1:
        raise forged("the nodes of a tree are not an array of nodes")
    if len(nodes) < 1:
        raise forged("a tree has 0 nodes, at least 1 is needed")
    own = np.arange(len(nodes))
    inner = nodes["is_leaf"] == 0
    if nodes["is_categorical"][inner].any():
        raise forged("a tree splits on a category and its estimator has none")
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_children(own[inner], left[inner], right[inner], len(nodes))
    _check_features(own[inner], nodes["feature_idx"][inner], n_features)


def _check_centres(owner: Any) -> None:
    """Check centres, as distances to them are computed for all columns of the input."""
    centres = attributes(owner).get("cluster_centers_")
    if centres is None:
        return
    if getattr(centres, "ndim", 0) != 2 or centres.shape[1] != _width(owner):  # noqa: PLR2004
        raise forged(f"the centres of {type(owner).__name__} do not have {_width(owner)} columns")


def _check_sparse(matrix: Any) -> None:
    """Check the indices of a matrix; SciPy checks only lengths when it loads one."""
    if matrix.format == "dia":
        consistent = matrix.data.shape[0] == len(matrix.offsets)
    elif matrix.format in {"csr", "csc"}:
        try:
            matrix.check_format(full_check=True)
        except ValueError as broken:
            raise forged("the indices of a sparse matrix lie outside it") from broken
        consistent = True
    else:
        consistent = False
    if not consistent:
        raise forged(f"a sparse matrix of format {matrix.format} cannot be checked")
