"""Signature and input example are conveniences: what fails is a warning, and the model is saved."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression

import modelyard
import modelyard.sklearn
from modelyard import pyfunc
from modelyard.exceptions import InvalidParameter, MlflowException
from modelyard.models import ColSpec, Model, ModelSignature, Schema, infer_signature
from modelyard.models._describe import describe
from modelyard.models._enforce import enforce_schema
from modelyard.models._example import read_example, read_served
from modelyard.models._folder import local_path_of_artifact

CYCLIC: list[Any] = []
CYCLIC.append(CYCLIC)
TIMES = pd.date_range("2026-01-31", periods=2)


class Hostile:
    """An object that fails in whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __len__(self) -> int:
        raise RuntimeError("len")


UNDESCRIBED: dict[str, Any] = {
    "doubled names": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "uint64": pd.DataFrame({"a": np.array([1], np.uint64)}),
    "mixed": pd.DataFrame({"a": [1, "x"]}),
    "timedelta": pd.DataFrame({"a": TIMES - TIMES[0]}),
    "period": pd.DataFrame({"a": pd.period_range("2026-01", periods=2)}),
    "interval": pd.DataFrame({"a": pd.interval_range(0, 2)}),
    "categories of intervals": pd.DataFrame({"a": pd.cut([1, 2], 2)}),
    "complex": pd.DataFrame({"a": [1j]}),
    "decimal": pd.DataFrame({"a": [decimal.Decimal("0.1")]}),
    "objects": pd.DataFrame({"a": [object()]}),
    "a large int": pd.DataFrame({"a": pd.Series([2**70], dtype=object)}),
    "no columns": pd.DataFrame(),
    "an empty dict": {},
    "structured": np.zeros(2, "i4,f8"),
    "a generator": (n for n in range(3)),
    "a set": {1, 2},
    "itself": CYCLIC,
    "hostile": Hostile(),
    "a class": int,
}


def counted(data: Any) -> list[int]:
    return [len(data)]


@pytest.mark.parametrize("kind", UNDESCRIBED)
def test_what_cannot_be_described_is_refused_by_an_exception_of_ours(kind: str) -> None:
    with pytest.raises(MlflowException, match=r"signature|column|Column"):
        infer_signature(UNDESCRIBED[kind])
    with pytest.raises(MlflowException):
        infer_signature(None, UNDESCRIBED[kind])
    with pytest.raises(MlflowException):
        infer_signature(params={"p": UNDESCRIBED[kind]})


def described(folder: Path, example: Any, predict: Any, signature: Any = None) -> Model:
    """Return a model that is described by an example, as every flavour describes it."""
    model = Model()
    describe(model, folder, example, signature, predict)
    return model


@pytest.mark.parametrize("kind", UNDESCRIBED)
def test_an_example_that_cannot_be_described_is_a_warning(kind: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = described(tmp_path, UNDESCRIBED[kind], lambda _data, _params: [1])
    assert any("No signature is inferred" in str(one.message) for one in told)
    assert model.signature is None
    assert not (tmp_path / "serving_input_example.json").exists()


def test_both_flavours_save_a_model_whose_example_cannot_be_described(tmp_path: Path) -> None:
    example, model = UNDESCRIBED["mixed"], LinearRegression().fit([[1.0]], [1.0])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pyfunc.save_model(tmp_path / "p", python_model=counted, input_example=example)
        modelyard.sklearn.save_model(model, tmp_path / "s", input_example=example)
    assert len([one for one in told if "No signature is inferred" in str(one.message)]) == 2
    assert pyfunc.load_model(tmp_path / "p", allow_pickle=True).predict([1]) == [1]
    assert pyfunc.load_model(tmp_path / "s").predict([[1.0]]).tolist() == [1.0]


def test_a_model_that_fails_on_its_example_has_the_signature_of_its_input(tmp_path: Path) -> None:
    def failing(_data: Any, _params: Any) -> Any:
        raise ZeroDivisionError("by design")

    with pytest.warns(UserWarning, match="fails on the input example: ZeroDivisionError: by des"):
        model = described(tmp_path, pd.DataFrame({"a": [1]}), failing)
    assert model.signature == infer_signature(pd.DataFrame({"a": [1]}))
    # Serving refuses a model that fails on the example it warms up with.
    assert not (tmp_path / "serving_input_example.json").exists()
    assert "serving_input_path" not in (model.saved_input_example_info or {})


def test_an_answer_that_cannot_be_described_leaves_the_input_described(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="The signature has no outputs: A signature cannot desc"):
        model = described(tmp_path, np.ones((1, 2)), lambda _data, _params: [{1, 2}])
    assert model.signature == infer_signature(np.ones((1, 2)))


def test_an_example_that_serving_would_refuse_is_kept_from_it(tmp_path: Path) -> None:
    signature = ModelSignature(Schema([ColSpec("double", "b")]))
    with pytest.warns(UserWarning, match=r"Serving does not warm up .*: Missing column 'b'"):
        model = described(tmp_path, pd.DataFrame({"a": [1.0]}), None, signature)
    assert model.signature == signature
    assert [file.name for file in tmp_path.iterdir()] == ["input_example.json"]


@pytest.mark.parametrize("signature", [{}, "double", Schema([]), True])
def test_what_is_no_signature_is_refused_before_anything_is_written(
    signature: Any, tmp_path: Path
) -> None:
    with pytest.raises(InvalidParameter, match="signature must be a ModelSignature, got"):
        pyfunc.save_model(tmp_path / "p", python_model=counted, signature=signature)
    model = LinearRegression().fit([[1.0]], [1.0])
    with pytest.raises(InvalidParameter, match="signature must be a ModelSignature, got"):
        modelyard.sklearn.save_model(model, tmp_path / "s", signature=signature)
    assert list(tmp_path.iterdir()) == []


ACCEPTED: dict[str, Any] = {
    "embeddings": pd.DataFrame({"e": [np.zeros(3), np.ones(3)]}),
    "sparse": pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1.0])}),
    "Int64 with NA": pd.DataFrame({"age": pd.array([31, None], dtype="Int64")}),
    "boolean with NA": pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}),
    "objects with None": pd.DataFrame({"a": pd.Series([True, None], dtype=object)}),
    "categories of ints": pd.DataFrame({"c": pd.Categorical([1, 2])}),
    "categories with a hole": pd.DataFrame({"c": pd.Categorical([1, None])}),
    "two levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", 1)])),
    "numbers as names": pd.DataFrame([[1, 2]], columns=pd.Index([5, 0])),
    "two time zones": pd.DataFrame(
        {"t": pd.Series([TIMES[0].tz_localize("UTC"), TIMES[1]], dtype=object)}
    ),
    "dates": pd.DataFrame({"d": [dt.date(2026, 1, 31)]}),
    "a part of an array": pd.DataFrame(np.zeros((1, 3))).iloc[:, 1:],
    "no rows": pd.DataFrame({"a": []}),
    "nested": pd.DataFrame([{"l": [1, 2], "o": {"a": [None, 1.5]}}]),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_frame_fits_its_own_signature_and_reaches_the_model_as_it_is(kind: str) -> None:
    frame = ACCEPTED[kind]
    signature = ModelSignature.from_dict(infer_signature(frame).to_dict())
    assert signature.inputs is not None
    pd.testing.assert_frame_equal(enforce_schema(frame, signature.inputs), frame)


@pytest.mark.parametrize(
    "data",
    [
        sparse.csr_matrix(np.eye(2)),
        np.array(TIMES),
        np.array([1.0], ">f8"),
        np.array(1.5),
        np.array([1j]),
        np.array(["a", b"b"], object),
        {"x": np.ones(2), 1: np.zeros(1)},
        {1: 2, "b": [1, 2]},
        pd.Series([1, None], name="s", dtype="Int64"),
        [1, 2.5],
        7,
        "text",
        b"bytes",
        float("nan"),
        pd.NA,
        dt.datetime(2026, 1, 31, tzinfo=dt.UTC),
    ],
    ids=repr,
)
def test_other_data_fits_its_own_signature(data: Any) -> None:
    signature = infer_signature(data)
    assert signature.inputs is not None
    enforce_schema(data, Schema.from_json(signature.inputs.to_json()))


def test_a_served_example_with_holes_fits_the_signature(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"n": pd.array([31, None], dtype="Int64"), "b": pd.array([None, True], dtype="boolean")}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signature = described(tmp_path, frame, lambda _data, _params: [1]).signature
    body = json.loads((tmp_path / "serving_input_example.json").read_text())
    assert body["dataframe_split"]["data"] == [[31, None], [None, True]]
    request = pd.DataFrame(body["dataframe_split"]["data"], columns=["n", "b"])
    assert signature is not None
    assert signature.inputs is not None
    fitting = enforce_schema(request, signature.inputs)
    assert (str(fitting["n"].dtype), fitting["n"].tolist()) == ("Int64", [31, pd.NA])


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
def test_a_sparse_example_is_stored_as_a_matrix_and_not_served(make: Any, tmp_path: Path) -> None:
    matrix = make(np.array([[0.0, 1.5], [np.nan, 0.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = described(tmp_path, (matrix, {"p": 1}), lambda _data, _params: [1])
    assert [file.name for file in tmp_path.iterdir()] == ["input_example.json"]
    stored = read_example(tmp_path, model.saved_input_example_info)
    assert stored.format == ("csc" if make is sparse.csc_array else "csr")
    np.testing.assert_array_equal(stored.toarray(), matrix.toarray())


@pytest.mark.parametrize(
    "example",
    [
        np.array([[1.5, np.nan]]),
        np.array([[np.nan]], np.float32),
        {"x": np.array([np.nan, 2.0]), "n": np.array([1])},
        {"when": dt.datetime(2026, 1, 31, tzinfo=dt.UTC), "day": dt.date(2026, 1, 31)},
    ],
    ids=repr,
)
def test_arrays_with_nan_and_times_are_stored_and_served(example: Any, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = described(tmp_path, example, lambda _data, _params: [1])
    assert model.signature is not None
    assert model.signature.inputs is not None
    inputs = model.signature.inputs
    served, given = enforce_schema(read_served(tmp_path), inputs), enforce_schema(example, inputs)
    if isinstance(example, dict) and "x" not in example:
        assert served["when"].tolist() == given["when"].tolist()
    else:
        np.testing.assert_equal(served, given)
        stored = read_example(tmp_path, model.saved_input_example_info)
        np.testing.assert_equal(enforce_schema(stored, inputs), given)


@pytest.mark.parametrize(
    "held", [["a", None], [2**60 + 1, None], [2**53 + 1, 0.5, None], [True, None], [[1], None]]
)
def test_other_objects_are_no_floats_with_holes(held: list[Any]) -> None:
    array = np.empty(len(held), object)
    array[:] = held
    with pytest.raises(InvalidParameter, match="The input must be float64, got object"):
        enforce_schema(array, infer_signature(np.ones(1)).inputs or Schema([]))


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        (pd.array([True, None], dtype="boolean"), "boolean", "must be boolean, but has missing"),
        ([1.5, None], "long", "must be long, but has missing values"),
        (pd.Series([2**53 + 1, 0.5], dtype=object), "double", "must be double, got float or int"),
        (pd.Series([1e300], dtype=object), "float", "has values that do not fit its type float"),
        (pd.Categorical(["a"]), "long", "must be long, got categories of str"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_no_type_twice(values: Any, kind: str, told: str) -> None:
    with pytest.raises(InvalidParameter, match=f"Column 'a' {told}"):
        enforce_schema(pd.DataFrame({"a": values}), Schema([ColSpec(kind, "a")]))


def test_a_list_of_another_type_is_named_by_its_elements() -> None:
    signature = infer_signature(pd.DataFrame({"e": [[1.5, 2.5]]}))
    assert signature.inputs is not None
    with pytest.raises(InvalidParameter, match="Column 'e' must be list of double, got list of s"):
        enforce_schema(pd.DataFrame({"e": [["secret"]]}), signature.inputs)


def test_a_column_given_twice_is_refused() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(InvalidParameter, match="several columns of the name 'a'"):
        enforce_schema(frame, Schema([ColSpec("double", "a")]))


def test_a_model_is_loaded_by_its_file_uri(tmp_path: Path) -> None:
    folder = tmp_path / "my model 100%"
    modelyard.sklearn.save_model(LinearRegression().fit([[1.0]], [1.0]), folder)
    path = str(folder).replace("%", "%25").replace(" ", "%20")
    for uri in (f"file://{path}", f"file:{path}", f"FILE://{path}", f"file://localhost{path}"):
        assert modelyard.sklearn.load_model(uri).predict([[1.0]]).tolist() == [1.0]
        assert pyfunc.load_model(uri).predict([[1.0]]).tolist() == [1.0]
    modelyard.models.set_signature(uri, infer_signature(np.ones((1, 1))))
    assert modelyard.models.get_model_info(uri).signature == infer_signature(np.ones((1, 1)))
    # A path is no URI, and is not decoded.
    assert pyfunc.load_model(str(folder)).signature is not None


@pytest.mark.parametrize("uri", ["file://other/tmp/m", "file://", "file:///a%00b", "file://["])
def test_a_file_uri_of_another_machine_or_of_no_path_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameter, match=r"Invalid file URI .*expected file:///<path>"):
        pyfunc.load_model(uri)


def test_artifacts_are_named_by_file_uris_too(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("text")
    assert local_path_of_artifact(f"file://{tmp_path}/a%20b.txt") == tmp_path / "a b.txt"
