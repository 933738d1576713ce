"""Decision trees and forests, whose compiled code follows the indices of nodes and features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    either,
    estimator,
    floats,
    labels,
    none,
    number,
    numbers,
    optional,
    part,
    plain,
    sequence,
    text,
    whole,
    wholes,
)

TREE = part("sklearn.tree.Tree")
_LEARNERS = (
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
)
MEMBER = part(*(f"sklearn.tree.{name}" for name in _LEARNERS))


def check_tree(tree: Any, _: Owner) -> None:
    """Check the nodes of a decision tree, whatever estimator has it.

    Reading its arrays is safe: scikit-learn copies them into memory of the length it announces.
    """
    if tree.node_count < 1 or tree.capacity < tree.node_count:
        raise Contradiction(f"has {tree.node_count} nodes, at least 1 is needed")
    if tree.n_outputs < 1 or tree.max_n_classes < 1:
        raise Contradiction("has no outputs")
    left, right = tree.children_left, tree.children_right
    own = np.arange(tree.node_count)
    if len(left) != tree.node_count or len(tree.value) != tree.node_count:
        raise Contradiction("has arrays that differ in length")
    inner = (left != -1) | (right != -1)
    check_children(own[inner], left[inner], right[inner], tree.node_count)
    check_features(own[inner], tree.feature[inner], tree.n_features)
    children = np.concatenate([left[inner], right[inner]])
    if len(np.unique(children)) != len(children):
        raise Contradiction("has a node with two parents")
    depth = int(tree.compute_node_depths().max()) - 1
    if tree.max_depth < depth:
        raise Contradiction(f"claims {tree.max_depth} levels and has {depth}")


def check_children(own: Any, left: Any, right: Any, node_count: int) -> None:
    """Check that children come after their parent, which also excludes cycles."""
    for child in (left, right):
        wrong = (child <= own) | (child >= node_count)
        if wrong.any():
            node = int(own[wrong.argmax()])
            raise Contradiction(
                f"has at node {node} the child {int(child[wrong.argmax()])}; a child lies "
                f"between its parent and the number of nodes, {node_count}"
            )


def check_features(own: Any, feature: Any, n_features: int) -> None:
    """Check that inner nodes read features of the input."""
    wrong = (feature < 0) | (feature >= n_features)
    if wrong.any():
        node, read = int(own[wrong.argmax()]), int(feature[wrong.argmax()])
        raise Contradiction(f"reads at node {node} feature {read} of {n_features}")


def check_members(members: Iterable[Any], width: int) -> None:
    """Check that fitted members take `width` features, which their ensemble does not check."""
    for member in members:
        tree = vars(member).get("tree_")
        if tree is None:
            raise Contradiction("holds a decision tree that is not fitted")
        if tree.n_features != width:
            raise Contradiction(
                f"gives its trees {width} features where one reads {tree.n_features}"
            )


def _decision_tree(owner: Owner) -> None:
    owner.require("tree_")
    tree, width = owner.attributes["tree_"], owner.length("features")
    if tree.n_features != width:
        raise Contradiction(f"takes {width} features where its tree reads {tree.n_features}")
    if tree.n_outputs != owner.length("outputs"):
        raise Contradiction(f"has {owner.length('outputs')} outputs and its tree {tree.n_outputs}")


def _forest(owner: Owner) -> None:
    owner.require("estimators_")
    members = owner.attributes["estimators_"]
    check_members(members, owner.length("features"))
    if not members:
        raise Contradiction("has no trees")


def _isolation_forest(owner: Owner) -> None:
    owner.require("estimators_", "estimators_features_", "_max_features")
    members, width = owner.attributes["estimators_"], owner.length("features")
    if owner.attributes["_max_features"] == width:
        check_members(members, width)
        return
    for member, chosen in zip(members, owner.attributes["estimators_features_"], strict=True):
        check_members([member], len(chosen))


_OUTPUTS: Mapping[str, Kind] = {
    "n_outputs_": whole(1, 2**31, sets="outputs"),
    "classes_": either(labels("classes"), sequence(labels(None), "outputs")),
    "n_classes_": either(whole(1), sequence(whole(1)), wholes(None, low=1)),
}
_SAMPLING: Mapping[str, Kind] = {
    "_n_samples": number,
    "_max_samples": number,
    "_max_features": whole(1),
    "_sample_weight": optional(numbers(None)),
    "_n_samples_bootstrap": optional(number),
    "_seeds": plain,
    "oob_score_": number,
    "oob_prediction_": plain,
    "oob_decision_function_": plain,
}
_FOREST_ALWAYS: Mapping[str, Kind] = {
    "estimator": optional(MEMBER),
    "estimator_params": sequence(text),
    "class_weight": plain,
    "bootstrap": plain,
    "bootstrap_features": plain,
    "oob_score": plain,
    "max_samples": plain,
}
_TREE_ENTRY = Entry(
    always={"class_weight": none},
    fitted={**_OUTPUTS, "max_features_": whole(1), "tree_": TREE},
    further=_decision_tree,
)
_FOREST = {
    **_OUTPUTS,
    **_SAMPLING,
    "estimator_": MEMBER,
    "estimators_": sequence(MEMBER),
    "one_hot_encoder_": part("sklearn.preprocessing.OneHotEncoder"),
    "_n_features_out": whole(1),
}
_FORESTS = (
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "RandomTreesEmbedding",
)

TABLE: Table = {
    "sklearn.tree.Tree": check_tree,
    **{f"sklearn.tree.{name}": _TREE_ENTRY for name in _LEARNERS},
    **{
        f"sklearn.ensemble.{name}": Entry(always=_FOREST_ALWAYS, fitted=_FOREST, further=_forest)
        for name in _FORESTS
    },
    "sklearn.ensemble.IsolationForest": Entry(
        always=_FOREST_ALWAYS,
        fitted={
            **_SAMPLING,
            "max_samples_": whole(1),
            "offset_": number,
            "estimator_": estimator,
            "estimators_": sequence(part("sklearn.tree.ExtraTreeRegressor"), "members"),
            # A mask would select fewer features than its length.
            "estimators_features_": sequence(wholes(None, low=0, below="features"), "members"),
            "_average_path_length_per_tree": sequence(floats(None), "members"),
            "_decision_path_lengths": sequence(wholes(None), "members"),
        },
        further=_isolation_forest,
    ),
}
