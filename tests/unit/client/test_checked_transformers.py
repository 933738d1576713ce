"""Transformers, clusters and densities load only if their indices and widths agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_iris
from sklearn.decomposition import NMF, KernelPCA
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import MissingIndicator
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.metrics import accuracy_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import (
    FunctionTransformer,
    MultiLabelBinarizer,
    OneHotEncoder,
    PolynomialFeatures,
)
from sklearn.random_projection import SparseRandomProjection

from modelyard.sklearn._checked import why_unchecked

X, y = load_iris(return_X_y=True)
CODES = np.array([[0, 1], [1, 0], [2, 1]])
TEXTS = ["one two", "two three"]


def changed(model: BaseEstimator, **attributes: Any) -> BaseEstimator:
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def counted(**attributes: Any) -> BaseEstimator:
    return changed(CountVectorizer().fit(TEXTS), **attributes)


def one_hot(**attributes: Any) -> BaseEstimator:
    return changed(OneHotEncoder().fit(CODES), **attributes)


def mixture(**attributes: Any) -> BaseEstimator:
    return changed(GaussianMixture(2, random_state=0).fit(X), **attributes)


REFUSED: dict[str, tuple[Callable[[], BaseEstimator], str]] = {
    "a column of two terms": (
        lambda: counted(vocabulary_={"one": 0, "two": 0}),
        "has a column of two terms",
    ),
    "a negative column": (lambda: counted(vocabulary_={"one": -1}), "is -1"),
    "a record's column outside": (
        lambda: changed(DictVectorizer().fit([{"a": 1}]), vocabulary_={"a": 1}),
        "is 1; it must be at least 0 and below 1",
    ),
    "files as input": (lambda: counted(input="file"), "input is none of 'content'"),
    "an input of names inside a pipeline's part": (
        lambda: changed(TfidfVectorizer().fit(TEXTS), input="filename"),
        "input is none of 'content'",
    ),
    "an analyzer of the user": (
        lambda: HashingVectorizer(analyzer=accuracy_score),
        "analyzer is none of 'word'",
    ),
    "a pattern that takes for ever": (
        lambda: counted(token_pattern="(a+)+$"),
        "known to be quick",
    ),
    "a codec that unpacks": (lambda: counted(encoding="zlib"), "encoding is none of 'utf-8'"),
    "no columns to hash into": (lambda: HashingVectorizer(n_features=0), "n_features"),
    "fewer columns than categories": (
        lambda: one_hot(_n_features_outs=[2, 2]),
        "has 2 columns for 3 categories",
    ),
    "categories out of order": (
        lambda: one_hot(categories_=[np.array([2, 0, 1]), np.array([0, 1])]),
        "not in order",
    ),
    "a dropped category that there is not": (
        lambda: one_hot(_drop_idx_after_grouping=np.array([5, None], object)),
        "drops category 5 of 3",
    ),
    "elements in the other byte order": (
        lambda: one_hot(dtype=np.dtype(">f8")),
        "a type of numbers that a sparse matrix can hold",
    ),
    "elements of two bytes": (
        lambda: one_hot(dtype="f2"),
        "a type of numbers that a sparse matrix can hold",
    ),
    "a class twice": (
        lambda: changed(MultiLabelBinarizer().fit(["ab"]), classes_=np.array(["a", "a", "b"])),
        "has a class twice",
    ),
    "a cache of columns": (
        lambda: changed(MultiLabelBinarizer().fit([["a"]]), _cached_dict={"a": 10**9}),
        "_cached_dict is a dict, not None",
    ),
    "more columns than are computed": (
        lambda: changed(PolynomialFeatures().fit(X), _n_out_full=99),
        "99 columns of output where 15 are computed",
    ),
    "arguments that skip elements": (
        lambda: FunctionTransformer(np.log1p, kw_args={"where": False}),
        "kw_args is a dict, not None",
    ),
    "a missing column outside": (
        lambda: changed(MissingIndicator().fit(X), features_=np.array([4])),
        "has 4, not less than 4",
    ),
    "a score of another function": (
        lambda: changed(SelectKBest(k=2).fit(X, y), score_func=accuracy_score),
        "not a function that is known to be harmless",
    ),
    "a component less than means": (
        lambda: mixture(precisions_cholesky_=np.ones((1, 4, 4))),
        "precisions_cholesky_ has the length 1",
    ),
    "another form of covariance": (
        lambda: mixture(covariance_type="diag"),
        "dimensions where 2 are right",
    ),
    "a precision of fewer columns": (
        lambda: changed(EmpiricalCovariance().fit(X), precision_=np.eye(2)),
        "precision_",
    ),
    "no centres": (
        lambda: changed(
            KMeans(2, n_init=1).fit(X), cluster_centers_=np.ones((0, 4)), _counts=np.ones(0)
        ),
        "has no centres",
    ),
    "more threads than a process may have": (
        lambda: changed(KMeans(2, n_init=1).fit(X), _n_threads=10**6),
        "_n_threads is 1000000",
    ),
    "rounds without end": (
        lambda: changed(NMF(2, max_iter=5, tol=1.0).fit(X), max_iter=2**40),
        "max_iter is 1099511627776",
    ),
    "a sampler that multiplies its input": (
        lambda: AdditiveChi2Sampler(sample_steps=10**6),
        "sample_steps is 1000000",
    ),
    "a kernel that is a function": (
        lambda: changed(KernelPCA(2).fit(X), kernel=accuracy_score),
        "kernel is none of",
    ),
    "a projection of fewer columns": (
        lambda: changed(
            SparseRandomProjection(2, random_state=0).fit(X), components_=sparse.csr_matrix((2, 3))
        ),
        "components_",
    ),
    "an observed row less": (
        lambda: changed(
            GaussianProcessRegressor(RBF(), optimizer=None).fit(X[:9], y[:9]), alpha_=np.ones(8)
        ),
        "alpha_ has the length 8",
    ),
    "thresholds without values": (
        lambda: changed(
            IsotonicRegression().fit(X[:, 0], y), X_thresholds_=np.ones(3), y_thresholds_=np.ones(2)
        ),
        "y_thresholds_ has the length 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_points_outside_is_refused(case: str) -> None:
    make, told = REFUSED[case]
    assert told in str(why_unchecked(make()))


@pytest.mark.parametrize(
    "pattern", [r"(?u)\b\w\w+\b", r"\b\w+\b", r"\S+", r"[a-z]+", r"\b[a-z]{2,}\b"]
)
def test_usual_token_patterns_are_quick(pattern: str) -> None:
    assert why_unchecked(CountVectorizer(token_pattern=pattern).fit(TEXTS)) is None


@pytest.mark.parametrize(
    "pattern", [r"\w*\w*", r"(\w+\s?)+", r"[a-z]+\b", r"(?=a)\w+", r"\w+ \w+", r"\w" * 99]
)
def test_token_patterns_that_may_go_back_are_refused(pattern: str) -> None:
    assert "known to be quick" in str(why_unchecked(counted(token_pattern=pattern)))
