"""A model loads without `allow_pickle` only if all it holds is known to stay inside its arrays."""

# ruff: noqa: SLF001 - a forger sets what is private

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, IsolationForest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OutputCodeClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from tests.support.forging import refusal, saved

from modelyard.exceptions import InvalidParameter
from modelyard.sklearn import _skops_file
from modelyard.sklearn._checked import why_unchecked

X, y = load_iris(return_X_y=True)
CODED = np.column_stack([X[:, :2], y]).astype(float)


def with_attributes(model: BaseEstimator, **changed: Any) -> BaseEstimator:
    for name, value in changed.items():
        setattr(model, name, value)
    return model


def brute() -> BaseEstimator:
    return KNeighborsClassifier(algorithm="brute").fit(X, y)


def in_tree() -> BaseEstimator:
    return KNeighborsClassifier(algorithm="kd_tree").fit(X, y)


def weighted(model: BaseEstimator) -> BaseEstimator:
    metric = model._tree.__getstate__()[-2]
    power, _, matrix = metric.__getstate__()
    metric.__setstate__((power, np.ones(1), matrix))
    return model


def other_row(values: Any, value: int) -> Any:
    values = values.copy()
    values[0] = value
    return values


FORGED: dict[str, tuple[Callable[[], BaseEstimator], str]] = {
    "neighbours wider than their rows": (
        lambda: with_attributes(brute(), n_features_in_=50_000),
        "axis 1, not 50000 (features)",
    ),
    "neighbours with a label that no class has": (
        lambda: with_attributes(brute(), _y=other_row(brute()._y, 3)),
        "a label outside its 3 classes",
    ),
    "neighbours with a negative label": (
        lambda: with_attributes(brute(), _y=other_row(brute()._y, -1)),
        "a label outside its 3 classes",
    ),
    "neighbours that announce more rows": (
        lambda: with_attributes(brute(), n_samples_fit_=10**6),
        "announces 1000000 rows",
    ),
    "neighbours with weights of columns": (
        lambda: with_attributes(brute(), effective_metric_params_={"w": np.ones(2)}),
        "effective_metric_params_ is a ndarray",
    ),
    "neighbours with a distance of two columns": (
        lambda: with_attributes(brute(), effective_metric_="haversine"),
        "effective_metric_ is none of",
    ),
    "neighbours with the tree of other rows": (
        lambda: with_attributes(
            in_tree(), _tree=KNeighborsClassifier(algorithm="kd_tree").fit(X[:9], y[:9])._tree
        ),
        "a tree of other rows",
    ),
    "neighbours whose tree has weights of columns": (
        lambda: weighted(KNeighborsClassifier(algorithm="kd_tree", p=3).fit(X, y)),
        "a distance with weights",
    ),
    "a density over fewer columns": (
        lambda: with_attributes(KernelDensity().fit(X[:, :2]), n_features_in_=4),
        "a tree of another number of features",
    ),
    "centroids of fewer columns": (
        lambda: with_attributes(NearestCentroid().fit(X, y), centroids_=np.ones((3, 1))),
        "axis 1, not 4 (features)",
    ),
    "a code book of more columns than members": (
        lambda: with_attributes(
            OutputCodeClassifier(LogisticRegression(), random_state=0).fit(X, y),
            code_book_=np.ones((3, 90)),
        ),
        "code_book_ has the length 90",
    ),
    "a machine for other training rows": (
        lambda: with_attributes(SVC(kernel="precomputed").fit(X @ X.T, y), kernel="rbf"),
        "do not fit its other arrays",
    ),
    "a machine with 64-bit indices": (
        lambda: with_attributes(SVC().fit(X, y), support_=SVC().fit(X, y).support_.astype(int)),
        "do not fit its other arrays",
    ),
    "members that choose columns outside the input": (
        lambda: with_attributes(
            BaggingClassifier(LogisticRegression(max_iter=1000), 1).fit(X, y),
            estimators_features_=[np.array([0, 1, 2, 9])],
        ),
        "has 9, not less than 4",
    ),
    "trees that choose columns outside the input": (
        lambda: with_attributes(
            IsolationForest(n_estimators=1, max_features=2, random_state=0).fit(X),
            estimators_features_=[np.array([0, 9])],
        ),
        "has 9, not less than 4",
    ),
    "layers that do not follow each other": (
        lambda: with_attributes(
            MLPClassifier((3,), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y),
            coefs_=[np.ones((4, 3)), np.ones((2, 3))],
        ),
        "a layer of shape (2, 3) after one of 3",
    ),
    "a term beyond the vocabulary": (
        lambda: with_attributes(CountVectorizer().fit(["a0 b0"]), vocabulary_={"a0": 4 * 10**8}),
        "400000000",
    ),
    "coefficients of text": (
        lambda: with_attributes(Ridge().fit(X, y), coef_=np.array(["1"] * 4)),
        "coef_ has elements of type <U1",
    ),
    "numbers in the other byte order": (
        lambda: with_attributes(Ridge().fit(X, y), coef_=np.ones(4, ">f8")),
        "coef_ has elements of type >f8",
    ),
    "an attribute that scikit-learn does not set": (
        lambda: with_attributes(Ridge().fit(X, y), _validate_data=None),
        "an attribute '_validate_data', which is not known",
    ),
    "a parameter outside its range": (
        lambda: with_attributes(Ridge().fit(X, y), alpha=-1),
        "The 'alpha' parameter of Ridge must be",
    ),
    "a number that no machine holds": (
        lambda: with_attributes(Ridge().fit(X, y), max_iter=2**80),
        "Ridge.max_iter is a int, which is no plain value",
    ),
    "a function as a parameter": (
        lambda: with_attributes(brute(), weights=np.log),
        "weights is none of 'uniform'",
    ),
    "a function of the user": (
        lambda: FunctionTransformer(saved),
        "FunctionTransformer.func",
    ),
    "a folder for a cache": (
        lambda: with_attributes(make_pipeline(StandardScaler()), memory="/tmp/cache"),  # noqa: S108 - never opened
        "Pipeline.memory is none of None",
    ),
    "more processes than there can be": (
        lambda: with_attributes(brute(), n_jobs=10**6),
        "n_jobs is 1000000",
    ),
    "an estimator without checks in a pipeline": (
        lambda: make_pipeline(StandardScaler(), HDBSCAN()),
        "the content of a HDBSCAN cannot be checked",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_does_not_stay_inside_its_arrays_is_named(case: str) -> None:
    make, told = FORGED[case]
    assert told in str(why_unchecked(make()))


def categorical() -> BaseEstimator:
    boosted = HistGradientBoostingClassifier(max_iter=2, categorical_features=[2])
    return boosted.fit(CODED, y)


def swap_columns(model: BaseEstimator) -> None:
    indices = model._preprocessor._transformer_to_input_indices
    indices["numerical"] = indices["numerical"][:1]


def claim_category(model: BaseEstimator) -> None:
    model._is_categorical_remapped = np.array([False, True, False])
    model._bin_mapper.is_categorical_ = model._is_categorical_remapped.astype(np.uint8)


def drop_bits(model: BaseEstimator) -> None:
    for stage in model._predictors:
        stage[0].raw_left_cat_bitsets = stage[0].raw_left_cat_bitsets[:0]


def replace_function(model: BaseEstimator) -> None:
    function = model._preprocessor.transformers_[1][1].func
    function.keywords["ensure_2d"] = False


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (swap_columns, "prepares other columns"),
        (claim_category, "splits a numeric feature by categories"),
        (drop_bits, "a set of categories outside raw_left_cat_bitsets"),
        (replace_function, "FunctionTransformer.func is not a function"),
    ],
)
def test_categories_of_boosting_are_checked(
    forge: Callable[[BaseEstimator], None], told: str
) -> None:
    model = categorical()
    assert why_unchecked(model) is None
    forge(model)
    assert told in str(why_unchecked(model))


def test_a_random_state_at_a_place_outside_its_numbers_is_refused() -> None:
    state = np.random.RandomState(0)
    model = IsolationForest(n_estimators=2, random_state=state).fit(X)
    assert why_unchecked(model) is None
    changed = state._bit_generator.state
    changed["state"]["pos"] = 10**9
    state._bit_generator.state = changed
    assert "position 1000000000" in str(why_unchecked(model))


def test_a_subclass_is_another_class() -> None:
    class Ridge2(Ridge):  # type: ignore[misc] # scikit-learn has no types
        pass

    Ridge2.__name__ = Ridge2.__qualname__ = "Ridge"
    Ridge2.__module__ = Ridge.__module__
    assert "cannot be checked" in str(why_unchecked(Ridge2().fit(X, y)))


def test_saving_says_what_loading_will_need(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelyard")
    path = saved(HDBSCAN(copy=True).fit(X), tmp_path)
    assert "Loading this HDBSCAN will need allow_pickle: the content" in caplog.text
    assert "load it with allow_pickle=True" in refusal(path)
    assert _skops_file.load(path, any_type=True).labels_.shape == y.shape


def test_saving_what_loads_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "modelyard")
    saved(Ridge().fit(X, y), tmp_path)
    assert caplog.text == ""


@pytest.mark.parametrize("taken_for", ["file", "filename"])
def test_a_vectorizer_of_files_is_refused_at_save_and_at_load(
    tmp_path: Path, taken_for: str
) -> None:
    import skops.io

    model = make_pipeline(CountVectorizer(input=taken_for))
    with pytest.raises(InvalidParameter, match="it would read files where it is served"):
        saved(model, tmp_path)
    skops.io.dump(model, tmp_path / "model.skops")
    assert "CountVectorizer.input is none of 'content'" in refusal(tmp_path / "model.skops")
