"""Forged skops files are refused with one error, and the process lives to say so."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from tests.support.forging import (
    Edit,
    edit_arrays,
    edit_schema,
    is_histogram_tree,
    is_tree,
    nodes_in,
    number,
    refusal,
    rewrite,
    saved,
    set_first,
)

from modelyard.sklearn import _skops_file

X, y = load_iris(return_X_y=True)

FORGED_NODES = [
    (set_first("feature", 10**9), "feature 1000000000 of 4"),
    (set_first("feature", -2), "feature -2 of 4"),
    (set_first("left_child", 10**9), "child 1000000000"),
    (set_first("right_child", 10**9), "child 1000000000"),
    (set_first("left_child", 0), "child 0"),
    (set_first("left_child", -7), "child -7"),
    (set_first("right_child", -1), "child -1"),
    (set_first("left_child", 2), "two parents"),
]


def small_models() -> dict[str, BaseEstimator]:
    tree = DecisionTreeClassifier(random_state=0, max_depth=1)
    forest = RandomForestClassifier(2, random_state=0, max_depth=1, bootstrap=False)
    searched = GridSearchCV(
        make_pipeline(StandardScaler(), forest), {"randomforestclassifier__n_jobs": [1]}, cv=2
    )
    boosted = GradientBoostingClassifier(n_estimators=2, max_depth=1)
    return {"tree": tree, "forest": forest, "pipeline in a search": searched, "boosted": boosted}


@pytest.mark.parametrize(("edit", "told"), FORGED_NODES)
@pytest.mark.parametrize("kind", list(small_models()))
def test_a_forged_node_is_refused_wherever_its_tree_is(
    tmp_path: Path, kind: str, edit: Edit, told: str
) -> None:
    path = saved(small_models()[kind].fit(X, y), tmp_path)
    edit_arrays(path, is_tree, edit)
    assert told in refusal(path)


def test_without_the_check_a_forged_node_kills_the_process(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)
    edit_arrays(path, is_tree, set_first("feature", 2**50))
    script = (
        "import sys, numpy, skops.io\n"
        "model = skops.io.load(sys.argv[1], trusted=['sklearn.tree._tree.Tree'])\n"
        "model.predict(numpy.zeros((1, 4)))"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=False)
    assert done.returncode < 0
    assert f"feature {2**50} of 4" in refusal(path)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)

    def cycle(nodes: Any) -> Any:
        inner = np.flatnonzero(nodes["left_child"] != -1)
        nodes["left_child"][inner[1]] = inner[0]
        return nodes

    edit_arrays(path, is_tree, cycle)
    assert "child 0" in refusal(path)


def tree_attributes(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = nodes_in(schema, "__class__", "Tree")[0]["content"]["content"]
    return found


@pytest.mark.parametrize("count", [0, -1])
def test_a_tree_without_nodes_is_refused(tmp_path: Path, count: int) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)
    edit_schema(path, lambda s: tree_attributes(s).update(node_count=number(str(count))))
    assert f"{count} nodes" in refusal(path)


def test_a_tree_that_announces_more_nodes_than_it_stores_is_cut_to_them(tmp_path: Path) -> None:
    model = DecisionTreeClassifier(random_state=0).fit(X, y)
    path = saved(model, tmp_path)
    edit_schema(path, lambda s: tree_attributes(s).update(node_count=number(str(10**9))))
    assert _skops_file.load(path).tree_.node_count == model.tree_.node_count


def test_values_of_another_length_than_the_nodes_are_refused(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)
    edit_arrays(path, lambda a: a.ndim == 3, lambda values: values[:-1])
    assert "not a readable skops file (ValueError)" in refusal(path)


def test_a_depth_below_the_real_one_is_refused(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)
    edit_schema(path, lambda s: tree_attributes(s).update(max_depth=number("1")))
    assert "claims 1 levels" in refusal(path)


def set_width(schema: dict[str, Any], class_name: str, width: str) -> None:
    owner = nodes_in(schema, "__class__", class_name)[0]
    owner["content"]["content"]["n_features_in_"] = number(width)


@pytest.mark.parametrize("width", ["2", "400", '"4"', "true", "0"])
def test_a_tree_of_another_width_than_its_estimator_is_refused(tmp_path: Path, width: str) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)
    edit_schema(path, lambda s: set_width(s, "DecisionTreeClassifier", width))
    assert "features" in refusal(path)


def test_an_ensemble_narrower_than_its_trees_is_refused(tmp_path: Path) -> None:
    path = saved(RandomForestClassifier(2, random_state=0).fit(X, y), tmp_path)
    edit_schema(path, lambda s: set_width(s, "RandomForestClassifier", "2"))
    assert "gives its trees 2 features where one reads 4" in refusal(path)


def test_an_estimator_that_demands_no_width_is_refused(tmp_path: Path) -> None:
    path = saved(RandomForestClassifier(2, random_state=0).fit(X, y), tmp_path)

    def drop(schema: dict[str, Any]) -> None:
        del schema["content"]["content"]["n_features_in_"]

    edit_schema(path, drop)
    assert "lacks its number of features" in refusal(path)


def test_a_tree_outside_an_estimator_is_refused(tmp_path: Path) -> None:
    path = saved(DecisionTreeClassifier(random_state=0).fit(X, y), tmp_path)

    def move(schema: dict[str, Any]) -> None:
        content = schema["content"]["content"]
        content["criterion"] = content.pop("tree_")

    edit_schema(path, move)
    assert "DecisionTreeClassifier.criterion is a Tree" in refusal(path)


def test_a_value_in_place_of_a_method_is_refused(tmp_path: Path) -> None:
    path = saved(RandomForestClassifier(2, random_state=0).fit(X, y), tmp_path)

    def hide(schema: dict[str, Any]) -> None:
        content = schema["content"]["content"]
        content["_validate_X_predict"] = content.pop("warm_start")

    edit_schema(path, hide)
    assert "an attribute '_validate_X_predict', which is not known" in refusal(path)


def test_fewer_first_guesses_than_boosted_trees_are_refused(tmp_path: Path) -> None:
    model = GradientBoostingClassifier(n_estimators=2, init="zero").fit(X, y)
    path = saved(model, tmp_path)

    def narrow(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["n_trees_per_iteration_"] = number("1")

    edit_schema(path, narrow)
    assert "n_trees_per_iteration_ is 1 where other attributes have 3" in refusal(path)


def test_an_isolation_forest_that_gives_its_trees_fewer_features_is_refused(tmp_path: Path) -> None:
    path = saved(IsolationForest(n_estimators=2, max_features=3, random_state=0).fit(X), tmp_path)
    edit_arrays(path, lambda a: a.shape == (3,) and a.dtype.kind == "i", lambda a: a[:1])
    assert "gives its trees 1 features where one reads 3" in refusal(path)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (set_first("feature_idx", 10**6), "feature 1000000 of 4"),
        (set_first("left", 10**6), "child 1000000"),
        (set_first("right", 0), "child 0"),
        (set_first("is_categorical", 1), "splits on a set of categories outside"),
        (lambda nodes: nodes[:0], "0 nodes"),
        (lambda nodes: nodes.reshape(1, -1), "not an array of nodes"),
    ],
)
def test_a_forged_histogram_tree_is_refused(tmp_path: Path, edit: Edit, told: str) -> None:
    path = saved(HistGradientBoostingClassifier(max_iter=2).fit(X, y), tmp_path)
    edit_arrays(path, is_histogram_tree, edit)
    assert told in refusal(path)


def shift_index(points: Any) -> Any:
    points[0] = 10**9
    return points


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize(
    ("wanted", "edit"),
    [
        (lambda a: "idx_start" in (a.dtype.names or ()), set_first("idx_end", 10**9)),
        (lambda a: "idx_start" in (a.dtype.names or ()), set_first("idx_start", -1)),
        (lambda a: "idx_start" in (a.dtype.names or ()), lambda a: a[:-1]),
        (lambda a: a.dtype.kind == "i" and np.array_equal(np.sort(a), range(len(X))), shift_index),
        (lambda a: a.ndim == 3, lambda bounds: bounds[:, :1]),
    ],
)
def test_a_forged_search_tree_is_refused(
    tmp_path: Path, algorithm: str, wanted: Callable[[Any], bool], edit: Edit
) -> None:
    path = saved(KNeighborsClassifier(algorithm=algorithm).fit(X, y), tmp_path)
    edit_arrays(path, wanted, edit)
    assert "Tree has" in refusal(path)


def test_sparse_indices_outside_the_matrix_are_refused(tmp_path: Path) -> None:
    model = KNeighborsClassifier(algorithm="brute").fit(sparse.csr_matrix(X), y)
    path = saved(model, tmp_path)

    def forge(members: dict[str, bytes]) -> None:
        for name in [name for name in members if name.endswith(".npz")]:
            arrays = dict(np.load(io.BytesIO(members[name])))
            arrays["indices"][0] = 10**6
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            members[name] = buffer.getvalue()

    rewrite(path, forge)
    assert "csr_matrix has indices outside itself" in refusal(path)


@pytest.mark.parametrize("rows", [X, sparse.csr_matrix(X)], ids=["dense", "sparse"])
@pytest.mark.parametrize("machine", [SVC(), SVR(), NuSVC(nu=0.1), OneClassSVM()], ids=str)
def test_a_machine_as_it_was_trained_is_accepted(
    tmp_path: Path, machine: BaseEstimator, rows: Any
) -> None:
    path = saved(machine.fit(rows, y), tmp_path)
    assert np.array_equal(_skops_file.load(path).predict(rows), machine.predict(rows))


@pytest.mark.parametrize("machine", [SVC(), SVR()], ids=str)
@pytest.mark.parametrize(
    "attribute", ["support_", "_n_support", "_dual_coef_", "_intercept_", "support_vectors_"]
)
def test_a_machine_with_arrays_of_other_lengths_is_refused(
    tmp_path: Path, machine: BaseEstimator, attribute: str
) -> None:
    model = machine.fit(X, y)
    setattr(model, attribute, getattr(model, attribute)[:-1].copy())
    told = refusal(saved(model, tmp_path))
    assert "do not fit its other arrays" in told or "has the length" in told


def test_a_mask_that_chooses_fewer_features_than_a_tree_reads_is_refused(tmp_path: Path) -> None:
    model = IsolationForest(n_estimators=2, max_features=3, random_state=0).fit(X)
    model.estimators_features_[0] = np.array([True, False, False, False])
    assert "has elements of type bool" in refusal(saved(model, tmp_path))


def test_centres_narrower_than_the_input_are_refused(tmp_path: Path) -> None:
    model = KMeans(2, n_init=1).fit(X)
    assert np.array_equal(_skops_file.load(saved(model, tmp_path)).predict(X), model.predict(X))
    model.cluster_centers_ = model.cluster_centers_[:, :1].copy()
    assert "has the length 1 in axis 1, not 4 (features)" in refusal(saved(model, tmp_path))


def test_a_regressor_that_says_it_is_a_classifier_is_refused(tmp_path: Path) -> None:
    model = SVR().fit(X, y)
    model._impl = "c_svc"  # noqa: SLF001 - what a forger would set
    assert "an attribute '_impl', which is not known" in refusal(saved(model, tmp_path))


def test_a_support_vector_outside_the_training_rows_is_refused(tmp_path: Path) -> None:
    model = SVC(kernel="precomputed").fit(X @ X.T, y)
    assert _skops_file.load(saved(model, tmp_path)).kernel == "precomputed"
    model.support_[0] = 10**6
    assert "do not fit" in refusal(saved(model, tmp_path))
