"""Models as users make them are saved and loaded without `allow_pickle`, and answer the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import (
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from tests.support.forging import saved

from modelyard.exceptions import InvalidParameter
from modelyard.sklearn import _skops_file
from modelyard.sklearn._checked import why_unchecked

ROWS = 30
TABLE = np.random.default_rng(0).gamma(2.0, size=(ROWS, 3))
CLASSES = np.arange(ROWS) % 3
FRAME = pd.DataFrame(TABLE, columns=["size", "age", "price"]).assign(
    town=np.array(["Bern", "Ulm", "Graz"])[CLASSES], seller=["a", "b"] * 15
)
TEXTS = [f"the {town} house {number}" for number, town in enumerate(FRAME["town"])]


def columns() -> ColumnTransformer:
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    coded = OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((numeric, ["size", "age"]), (coded, ["town", "seller"]))


def chosen_by_type() -> BaseEstimator:
    numeric = make_column_selector(dtype_include=np.number)
    return make_column_transformer((StandardScaler(), numeric)).set_output(transform="pandas")


def forest(**parameters: Any) -> BaseEstimator:
    return RandomForestClassifier(**{"n_estimators": 2, "max_depth": 2, **parameters})


def search() -> BaseEstimator:
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    return GridSearchCV(RandomForestRegressor(2), {"max_depth": [1, 2]}, cv=2, scoring=scorer)


CASES: dict[str, tuple[Callable[[], BaseEstimator], Any, Any]] = {
    "columns of a frame": (lambda: make_pipeline(columns(), forest()), FRAME, CLASSES),
    "columns chosen by type": (chosen_by_type, FRAME, CLASSES),
    "a function of numpy": (
        lambda: make_pipeline(FunctionTransformer(np.log1p), Ridge()),
        TABLE,
        CLASSES,
    ),
    "texts without stop words": (
        lambda: make_pipeline(TfidfVectorizer(stop_words=["the"]), LogisticRegression()),
        TEXTS,
        CLASSES,
    ),
    "a search": (
        lambda: GridSearchCV(forest(), {"max_depth": [1, 2]}, cv=2, scoring="f1_macro"),
        TABLE,
        CLASSES,
    ),
    "a search by a scorer of scikit-learn": (search, TABLE, CLASSES),
    "calibrated": (lambda: CalibratedClassifierCV(LogisticRegression(), cv=2), TABLE, CLASSES),
    "stacked": (
        lambda: StackingClassifier([("one", forest()), ("two", LogisticRegression())], cv=2),
        TABLE,
        CLASSES,
    ),
    "a vote": (
        lambda: VotingRegressor([("one", Ridge()), ("two", LinearRegression())]),
        TABLE,
        CLASSES,
    ),
    "a target in logarithms": (
        lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        TABLE,
        TABLE[:, 0],
    ),
    "weights of classes": (lambda: forest(class_weight={0: 2.0, 1: 1, 2: 1}), TABLE, CLASSES),
    "a random state": (lambda: forest(random_state=np.random.RandomState(3)), TABLE, CLASSES),
    "numbers of numpy": (
        lambda: forest(n_estimators=np.int64(3), max_features=np.float64(0.5)),
        TABLE,
        CLASSES,
    ),
    "named features and classes": (
        forest,
        FRAME[["size", "age"]].astype("float32"),
        FRAME["town"],
    ),
    "true or false": (LogisticRegression, TABLE, CLASSES > 0),
    "two targets": (lambda: MultiOutputRegressor(Ridge()), TABLE, TABLE[:, :2]),
    "sparse rows": (lambda: SGDClassifier(random_state=0), sparse.csr_matrix(TABLE), CLASSES),
}


@pytest.mark.parametrize("case", CASES)
def test_usual_models_load_without_allow_pickle_and_answer_the_same(
    case: str, tmp_path: Path
) -> None:
    make, data, target = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(data, target)
    assert why_unchecked(model) is None
    loaded = _skops_file.load(saved(model, tmp_path))
    for method in ("predict", "transform"):
        if hasattr(model, method):
            before, after = (getattr(one, method)(data) for one in (model, loaded))
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


def own_score(truth: Any, predicted: Any) -> float:
    return float(np.mean(truth == predicted))


def test_a_search_by_a_function_of_the_user_is_refused_with_what_to_do(tmp_path: Path) -> None:
    model = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring=make_scorer(own_score), cv=2)
    with pytest.raises(InvalidParameter, match=r"own_score.*cloudpickle"):
        saved(model.fit(TABLE, CLASSES), tmp_path)
