"""Every estimator of scikit-learn, fitted on ordinary data, and how many are loaded again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator and input that it takes."""

    name: str
    model: BaseEstimator
    data: Any


BLOBS, CLASSES = make_blobs(24, 4, centers=3, random_state=0)
TABLE = np.abs(BLOBS)
TEXTS = [f"{first} {second} runs" for first in ("one", "two", "six") for second in "abcdefgh"]
TOKENS = [text.split() for text in TEXTS]
RECORDS = [{"size": float(row), "kind": "ab"[row % 2]} for row in range(24)]
MIXED = np.array([[text.split()[0], text.split()[1]] for text in TEXTS], object)

ORDINARY_DATA: list[tuple[Any, ...]] = [
    (TABLE, CLASSES),
    (TABLE, CLASSES + 1.5),
    (TABLE, CLASSES > 0),
    (TABLE, np.column_stack([CLASSES > 0, CLASSES > 1]).astype(int)),
    (TABLE, TABLE[:, :2]),
    (TABLE[:, 0], CLASSES),
    (TABLE[:, :3],),
    (TABLE @ TABLE.T,),
    (CLASSES,),
    (TEXTS,),
    (RECORDS,),
    (TOKENS,),
]
"""What estimators are fitted on: each on the first that it takes."""


def every_estimator() -> Iterator[Fitted]:
    """Yield each public estimator of scikit-learn, fitted with its small parameters."""
    for name, kind in all_estimators():
        if kind is FrozenEstimator:
            yield Fitted(name, FrozenEstimator(LogisticRegression().fit(TABLE, CLASSES)), TABLE)
        else:
            yield _first_that_fits(name, next(iter(_construct_instances(kind))))


def _first_that_fits(name: str, model: BaseEstimator) -> Fitted:
    takes = model.__sklearn_tags__().input_tags
    data = ORDINARY_DATA
    if takes.string:
        data = [(TEXTS,), (TOKENS,), *data]
    elif takes.dict:
        data = [(RECORDS,), *data]
    elif takes.one_d_array:
        data = [(TABLE[:, 0], CLASSES), (CLASSES,), *data]
    for arguments in data:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return Fitted(name, model.fit(*arguments), arguments[0])
        except (ValueError, TypeError, IndexError, AttributeError):
            continue
    raise AssertionError(f"no ordinary data fits {name}")


def usual_models() -> Iterator[Fitted]:
    """Yield models as users compose them, with parameters that take other code than defaults."""
    on_table: dict[str, BaseEstimator] = {
        "brute neighbours": KNeighborsClassifier(3, algorithm="brute"),
        "neighbours in a k-d tree": KNeighborsClassifier(
            3, algorithm="kd_tree", weights="distance"
        ),
        "neighbours in a ball tree": KNeighborsClassifier(3, algorithm="ball_tree", p=1),
        "linear machine": SVC(kernel="linear"),
        "polynomial machine": SVC(kernel="poly", degree=2),
        "forest of some features": IsolationForest(
            n_estimators=3, max_features=0.5, random_state=0
        ),
        "search": GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": [1.0]},
            cv=2,
        ),
        "union": make_union(StandardScaler(), make_pipeline(StandardScaler())),
    }
    for name, model in on_table.items():
        yield Fitted(name, model.fit(TABLE, CLASSES), TABLE)
    boosted = HistGradientBoostingClassifier(max_iter=2, categorical_features=[3])
    coded = np.column_stack([TABLE[:, :3], CLASSES])
    yield Fitted("boosting with categories", boosted.fit(coded, CLASSES), coded)
    forest = RandomForestRegressor(2, max_depth=2, random_state=0)
    yield Fitted("forest of two outputs", forest.fit(TABLE, TABLE[:, :2]), TABLE)
    linear = SGDClassifier(random_state=0).fit(sparse.csr_matrix(TABLE), CLASSES).sparsify()
    yield Fitted("sparse linear", linear, TABLE)
    nearest = KNeighborsClassifier(3).fit(sparse.csr_matrix(TABLE), CLASSES)
    yield Fitted("sparse neighbours", nearest, TABLE)
    for vectorizer in (CountVectorizer(ngram_range=(1, 2)), TfidfVectorizer(analyzer="char_wb")):
        texts = make_pipeline(vectorizer, LogisticRegression()).fit(TEXTS, CLASSES)
        yield Fitted(f"{type(vectorizer).__name__} of texts", texts, TEXTS)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [0]), ("passthrough", [1])
    )
    assert isinstance(columns, ColumnTransformer)
    numbered = np.column_stack([MIXED[:, 0], CLASSES])
    table = make_pipeline(columns, LogisticRegression()).fit(numbered, CLASSES)
    yield Fitted("columns", table, numbered)


@dataclass(frozen=True)
class RoundTrips:
    """Which models are stored with skops and loaded again without `allow_pickle`.

    Attributes:
        stored: The files of those that skops can store.
        loaded: Names of those that are loaded.
        refused: Reasons by the names of the others.
    """

    stored: dict[str, bytes]
    loaded: list[str]
    refused: dict[str, str]

    def __str__(self) -> str:
        known, every = len(self.loaded), len(self.loaded) + len(self.refused)
        first = f"{known} of {every} estimators of scikit-learn load without allow_pickle; not:"
        return "\n".join([first, *(f"  {name}: {why}" for name, why in self.refused.items())])


def round_trips(models: Iterable[Fitted], folder: Path) -> RoundTrips:
    """Store and load each of `models`."""
    path = folder / "model.skops"
    found = RoundTrips({}, [], {})
    for fitted in models:
        try:
            skops.io.dump(fitted.model, path)
            found.stored[fitted.name] = path.read_bytes()
            _skops_file.load(path)
        except Exception as why:  # noqa: BLE001 - what skops cannot store fails in many ways
            reason = why.message if isinstance(why, ModelyardException) else str(why)
            found.refused[fitted.name] = reason.splitlines()[0]
        else:
            found.loaded.append(fitted.name)
    return found
