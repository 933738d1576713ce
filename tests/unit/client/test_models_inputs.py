"""What a loaded scikit-learn model accepts as its input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelyard.sklearn
from modelyard import pyfunc
from modelyard.exceptions import InvalidParameter

X, y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=["sl", "sw", "pl", "pw"])
FOREST = RandomForestClassifier(5, random_state=0).fit(X, y)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    modelyard.sklearn.save_model(FOREST, path)
    return path


def test_any_names_are_accepted_by_a_model_trained_without(folder: Path) -> None:
    loaded = pyfunc.load_folder(folder)
    assert not loaded.needs_names
    expected = FOREST.predict(X)
    for data in (X, FRAME, FRAME.to_dict("list"), X.tolist()):
        assert np.array_equal(loaded.predict(data), expected)


@pytest.mark.parametrize("data", [X[:, :3], FRAME.iloc[:, :3], X[:, :3].tolist()])
def test_another_width_is_refused_with_both_widths(folder: Path, data: Any) -> None:
    with pytest.raises(InvalidParameter, match="expects 4 columns, got 3"):
        pyfunc.load_folder(folder).predict(data)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("secret", "expects numbers, column 1 holds str"),
        ({"secret": 1}, "expects numbers, column 1 holds dict"),
        (["secret"], "expects numbers, column 1 holds list"),
        (np.nan, "does not accept missing values"),
        (np.inf, "does not accept infinite or too large numbers"),
    ],
)
def test_an_input_the_estimator_cannot_use_is_refused_without_quoting_it(
    tmp_path: Path, value: Any, told: str
) -> None:
    modelyard.sklearn.save_model(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m")
    with pytest.raises(InvalidParameter, match=told) as caught:
        pyfunc.load_folder(tmp_path / "m").predict(pd.DataFrame([[1.0, value, 1.0, 1.0]]))
    assert "secret" not in caught.value.message


def test_text_among_numbers_is_named_by_its_column_in_rows_too(tmp_path: Path) -> None:
    modelyard.sklearn.save_model(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m")
    with pytest.raises(InvalidParameter, match="expects numbers, column 2 holds str"):
        pyfunc.load_folder(tmp_path / "m").predict([[1.0, 2, "secret", 4]])


def test_a_category_that_was_not_trained_on_is_refused_without_quoting_it(tmp_path: Path) -> None:
    colours = pd.DataFrame({"colour": ["red", "blue"] * 5})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(colours, [0, 1] * 5)
    modelyard.sklearn.save_model(model, tmp_path / "m")
    with pytest.raises(InvalidParameter, match="a category the model was not trained on"):
        pyfunc.load_folder(tmp_path / "m").predict(pd.DataFrame({"colour": ["secret"]}))


@pytest.mark.parametrize(
    "example", [X[:2].tolist(), FRAME.head(2).to_dict("list"), FRAME.head(2).to_dict("records")]
)
def test_an_example_of_lists_describes_a_table(tmp_path: Path, example: Any) -> None:
    modelyard.sklearn.save_model(FOREST, tmp_path / "m", input_example=example)
    loaded = pyfunc.load_folder(tmp_path / "m")
    expected = FOREST.predict(X)
    for data in (example, X.tolist(), X, FRAME, FRAME.to_dict("records")):
        assert np.array_equal(loaded.predict(data), expected[: len(loaded.predict(data))])


def test_a_single_row_without_its_table_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidParameter, match="rows of 4 columns, got an array of 1 dimension"):
        pyfunc.load_folder(folder).predict(X[0])


def test_a_model_trained_on_names_takes_them_in_any_order(tmp_path: Path) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(FRAME, y)
    modelyard.sklearn.save_model(model, tmp_path / "m")
    loaded = pyfunc.load_folder(tmp_path / "m")
    assert loaded.needs_names
    expected = model.predict(FRAME)
    assert np.array_equal(loaded.predict(FRAME[["pw", "pl", "sw", "sl"]]), expected)
    assert np.array_equal(loaded.predict(X), expected)
    with pytest.warns(UserWarning, match="'extra'"):
        loaded.predict(FRAME.assign(extra=1))


def test_a_model_trained_on_other_columns_names_the_missing_ones(tmp_path: Path) -> None:
    model = RandomForestClassifier(5, random_state=0).fit(FRAME, y)
    modelyard.sklearn.save_model(model, tmp_path / "m")
    with pytest.raises(InvalidParameter, match="Missing columns 'sl', 'sw'"):
        pyfunc.load_folder(tmp_path / "m").predict(FRAME.rename(columns={"sl": "a", "sw": "b"}))


def test_a_pipeline_of_texts_takes_a_table_of_one_column(tmp_path: Path) -> None:
    texts = pd.Series(["good day", "bad night"] * 5, name="text")
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [0, 1] * 5)
    modelyard.sklearn.save_model(model, tmp_path / "m")
    loaded = pyfunc.load_folder(tmp_path / "m")
    for data in (texts, texts.to_frame(), texts.tolist(), texts.to_frame().to_numpy()):
        assert loaded.predict(data).tolist() == [0, 1] * 5


def test_a_pipeline_over_named_columns_round_trips(tmp_path: Path) -> None:
    frame = FRAME.assign(colour=["red", "blue"] * 75)
    steps = make_column_transformer((StandardScaler(), ["sl", "sw"]), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(steps, KNeighborsClassifier()).fit(frame, y)
    modelyard.sklearn.save_model(model, tmp_path / "m", input_example=frame.head(3))
    assert np.array_equal(pyfunc.load_folder(tmp_path / "m").predict(frame), model.predict(frame))
