"""Gradient boosting: compiled code adds the values of many trees to the columns of a guess."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Owner,
    boolean,
    booleans,
    either,
    floats,
    labels,
    name_of,
    number,
    one_of,
    optional,
    part,
    plain,
    sequence,
    whole,
    wholes,
)
from modelyard.sklearn._checked._losses import LOSS, SCORER
from modelyard.sklearn._checked._trees import check_children, check_features, check_members

_BITSET_NUMBERS = 8
_PREPROCESSED = [
    ("encoder", "sklearn.preprocessing.OrdinalEncoder"),
    ("numerical", "sklearn.preprocessing.FunctionTransformer"),
]
_GUESSES = ("sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor")


def _stages(value: Any, owner: Owner) -> None:
    """Accept a table of stages and outputs whose elements are fitted regression trees."""
    if type(value) is not np.ndarray or value.dtype != object or value.ndim != 2 or not value.size:  # noqa: PLR2004
        raise Contradiction("is not a table of stages and outputs")
    owner.fits("outputs", value.shape[1])
    tree = part("sklearn.tree.DecisionTreeRegressor")
    for member in value.flat:
        tree(member, owner)


def _gradient_boosting(owner: Owner) -> None:
    owner.require("estimators_", "init_")
    members = owner.attributes["estimators_"]
    check_members(members.flat, owner.length("features"))
    for member in members.flat:
        if member.tree_.n_outputs != 1 or member.tree_.max_n_classes != 1:
            raise Contradiction("holds a tree with more than one output")
    # The guess is numpy's arithmetic; its trees are added to it by compiled code.
    row = np.broadcast_to(np.float32(0), (1, owner.length("features")))
    columns = owner.value._raw_predict_init(row).shape[1]  # noqa: SLF001 - only the model knows it
    if columns != members.shape[1]:
        raise Contradiction(f"has {members.shape[1]} trees a stage and {columns} outputs")


def _predictor(_: Any, owner: Owner) -> None:
    """Check the nodes of one tree; its features are checked by its estimator."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    if set(owner.attributes) != {"nodes", "binned_left_cat_bitsets", "raw_left_cat_bitsets"}:
        raise Contradiction("has other attributes than a tree")
    nodes = owner.attributes["nodes"]
    if type(nodes) is not np.ndarray or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1:
        raise Contradiction("has nodes that are not an array of nodes")
    if len(nodes) < 1:
        raise Contradiction("has 0 nodes, at least 1 is needed")
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        bits = owner.attributes[name]
        if (
            type(bits) is not np.ndarray
            or bits.dtype != np.uint32
            or bits.shape[1:] != (_BITSET_NUMBERS,)
        ):
            raise Contradiction(f"has in {name} no sets of categories")
        inner = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] != 0)]
        if len(inner) and inner["bitset_idx"].max() >= len(bits):
            raise Contradiction(f"splits on a set of categories outside {name}")
    own = np.arange(len(nodes))
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    check_children(own[inner], left[inner], right[inner], len(nodes))


def _histogram_boosting(owner: Owner) -> None:
    """Check that trees read features of the input, and categories only of categorical ones."""
    owner.require("_predictors", "_bin_mapper", "is_categorical_", "_preprocessor")
    width = owner.length("features")
    categorical = owner.attributes.get("_is_categorical_remapped")
    if categorical is None:
        categorical = np.zeros(width, bool)
    binned = vars(owner.attributes["_bin_mapper"]).get("is_categorical_", ())
    if not np.array_equal(binned, categorical):
        raise Contradiction(f"has bins that are not of its {width} features")
    _check_preprocessor(owner, width)
    for tree in (tree for stage in owner.attributes["_predictors"] for tree in stage):
        nodes = tree.nodes
        inner = nodes["is_leaf"] == 0
        features = nodes["feature_idx"].astype(np.int64)
        check_features(np.flatnonzero(inner), features[inner], width)
        if not categorical[features[inner & (nodes["is_categorical"] != 0)]].all():
            raise Contradiction("holds a tree that splits a numeric feature by categories")


def _check_preprocessor(owner: Owner, width: int) -> None:
    """Check that the columns are put in another order and none is lost, as trees read by number."""
    chosen, preprocessor = owner.attributes["is_categorical_"], owner.attributes["_preprocessor"]
    if (chosen is None) != (preprocessor is None) or (chosen is None) != (
        owner.attributes.get("_is_categorical_remapped") is None
    ):
        raise Contradiction("has categories without their encoder, or an encoder without them")
    if preprocessor is None:
        return
    found = vars(preprocessor)
    columns = {"encoder": chosen, "numerical": ~chosen}
    kinds = [(name, name_of(type(step))) for name, step, _ in found.get("transformers_", ())][:2]
    remaining = [step for _, step, _ in found.get("transformers_", ())][2:]
    if (
        found.get("n_features_in_") != width
        or kinds != _PREPROCESSED
        or any(not isinstance(step, str) or step != "drop" for step in remaining)
        or any(
            not np.array_equal(taken, columns[name])
            or list(found["_transformer_to_input_indices"].get(name, ()))
            != np.flatnonzero(columns[name]).tolist()
            for name, _, taken in found["transformers_"][:2]
        )
    ):
        raise Contradiction("prepares other columns than its trees read")


_GRADIENT = Entry(
    always={"alpha": plain},
    parameters={"init": optional(either(one_of("zero"), part(*_GUESSES)))},
    fitted={
        "classes_": labels("classes"),
        "n_classes_": whole(1),
        "estimators_": _stages,
        "n_trees_per_iteration_": whole(1, sets="outputs"),
        "init_": either(one_of("zero"), part(*_GUESSES)),
        "max_features_": whole(1),
        "n_estimators_": whole(1),
        "train_score_": floats(None),
        "oob_improvement_": floats(None),
        "oob_scores_": floats(None),
        "oob_score_": number,
        "_loss": LOSS,
        "_rng": part("numpy.random.mtrand.RandomState"),
    },
    further=_gradient_boosting,
)
_HISTOGRAM = Entry(
    fitted={
        "classes_": labels("classes"),
        "is_categorical_": optional(booleans("features")),
        "_preprocessor": optional(part("sklearn.compose.ColumnTransformer")),
        "_is_categorical_remapped": optional(booleans("features")),
        "_label_encoder": part("sklearn.preprocessing.LabelEncoder"),
        "n_trees_per_iteration_": whole(1, sets="outputs"),
        "_predictors": sequence(sequence(part("sklearn.ensemble.TreePredictor"), "outputs")),
        "_baseline_prediction": either(floats(1, "outputs"), number),
        "_bin_mapper": part("sklearn.ensemble._BinMapper"),
        "_n_features": whole(1, sets="features"),
        "_random_seed": number,
        "_feature_subsample_rng": part("numpy.random.Generator"),
        "_loss": LOSS,
        "_scorer": optional(SCORER),
        "_use_validation_data": plain,
        "_in_fit": boolean,
        "do_early_stopping_": boolean,
        "train_score_": floats(None),
        "validation_score_": floats(None),
    },
    further=_histogram_boosting,
)

TABLE: Table = {
    "sklearn.ensemble.GradientBoostingClassifier": _GRADIENT,
    "sklearn.ensemble.GradientBoostingRegressor": _GRADIENT,
    "sklearn.ensemble.HistGradientBoostingClassifier": _HISTOGRAM,
    "sklearn.ensemble.HistGradientBoostingRegressor": _HISTOGRAM,
    "sklearn.ensemble.TreePredictor": _predictor,
    "sklearn.ensemble._BinMapper": Entry(
        width=False,
        parameters={"n_threads": optional(whole(1, 1025))},
        fitted={
            "n_bins_": number,
            "is_categorical_": wholes("features", low=0, below=2),
            "bin_thresholds_": sequence(floats(None), "features"),
            "n_bins_non_missing_": wholes("features", low=0, below=257),
            "missing_values_bin_idx_": whole(0, 256),
        },
    ),
}
