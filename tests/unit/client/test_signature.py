from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from modelyard.exceptions import InvalidParameter
from modelyard.models import ColSpec, ModelSignature, Schema, TensorSpec, infer_signature
from modelyard.models._enforce import enforce_params, enforce_schema


def refusal(schema: Schema, data: Any) -> str:
    with pytest.raises(InvalidParameter) as caught:
        enforce_schema(data, schema)
    return caught.value.message


def columns(**types: str) -> Schema:
    return Schema([ColSpec(kind, name) for name, kind in types.items()])


def inferred(data: Any) -> list[dict[str, Any]]:
    signature = infer_signature(data)
    assert signature.inputs is not None
    written: list[dict[str, Any]] = json.loads(signature.inputs.to_json())
    assert Schema.from_json(json.dumps(written)) == signature.inputs
    return written


def test_an_array_is_a_tensor_of_any_number_of_rows() -> None:
    assert inferred(np.zeros((150, 4))) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    ]


def test_a_sparse_matrix_is_a_tensor() -> None:
    tensor = {"dtype": "float32", "shape": [-1, 2]}
    found = inferred(sparse.csr_matrix(np.eye(2, dtype=np.float32)))
    assert found == [{"type": "tensor", "tensor-spec": tensor}]


def test_a_dict_of_arrays_is_named_tensors() -> None:
    found = inferred({"a": np.zeros((3, 2)), "b": np.array(["x", "yy"])})
    assert found == [
        {"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}},
        {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([True]), "boolean"),
        (np.array([1], np.int32), "integer"),
        (np.array([1], np.uint16), "integer"),
        (np.array([1]), "long"),
        (np.array([1], np.uint32), "long"),
        (np.array([1], np.float32), "float"),
        (np.array([1.0]), "double"),
        (["x"], "string"),
        (pd.Series(["x"], dtype=object), "string"),
        (pd.Series([b"x"], dtype=object), "binary"),
        (pd.Categorical(["x"]), "string"),
        (pd.to_datetime(["2026-01-31"]), "datetime"),
        (pd.to_datetime(["2026-01-31"], utc=True), "datetime"),
    ],
)
def test_a_column_has_the_type_of_its_values(values: Any, kind: str) -> None:
    found = inferred(pd.DataFrame({"c": values}))
    assert found == [{"type": kind, "name": "c", "required": True}]


def test_a_column_with_missing_values_is_not_required() -> None:
    found = inferred(pd.DataFrame({"t": ["x", None], "n": [1.0, np.nan]}))
    assert [column["required"] for column in found] == [False, True]


def test_a_frame_without_names_is_columns_by_position() -> None:
    assert inferred(pd.DataFrame(np.zeros((1, 2)))) == [{"type": "double", "required": True}] * 2


def test_lists_and_dicts_are_arrays_and_objects() -> None:
    frame = pd.DataFrame([{"l": [1, 2], "o": {"a": 1, "b": "x"}}, {"l": [], "o": {"a": 2}}])
    found = {column["name"]: column for column in inferred(frame)}
    assert found["l"]["items"] == {"type": "long"}
    assert found["o"]["properties"]["b"] == {"type": "string", "required": False}


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"c": [1j]}),
        pd.DataFrame({"c": np.array([1], np.uint64)}),
        pd.DataFrame({"c": [1, "secret"]}),
        pd.DataFrame({"c": [object()]}),
    ],
)
def test_a_type_without_counterpart_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(InvalidParameter, match=r"c|column") as caught:
        infer_signature(data)
    assert "secret" not in caught.value.message


def test_a_signature_survives_its_json_form() -> None:
    signature = infer_signature(
        pd.DataFrame({"a": [1.0]}), np.array([1]), {"alpha": 0.5, "words": ["x"]}
    )
    assert ModelSignature.from_dict(signature.to_dict()) == signature


@pytest.mark.parametrize(
    "text", ["", "{", "{}[", "5", '["a"]', '[{"type": "int"}]', '[{"type": "tensor"}]', "[{}]"]
)
def test_a_malformed_schema_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"malformed|Unknown column type 'int'"):
        Schema.from_json(text)


def test_names_are_given_to_all_columns_once_or_to_none() -> None:
    with pytest.raises(InvalidParameter, match="either every column is named"):
        Schema([ColSpec("double", "a"), ColSpec("double")])
    with pytest.raises(InvalidParameter, match="named twice: a"):
        Schema([ColSpec("double", "a"), ColSpec("double", "a")])
    with pytest.raises(InvalidParameter, match="columns or tensors"):
        Schema([ColSpec("double", "a"), TensorSpec("float64", (-1,), "b")])


def test_columns_are_put_in_order_and_extra_ones_dropped_with_a_warning() -> None:
    frame = pd.DataFrame({"z": [0], "b": [2.0], "a": [1.0]})
    with pytest.warns(UserWarning, match="'z'"):
        fitting = enforce_schema(frame, columns(a="double", b="double"))
    assert list(fitting.columns) == ["a", "b"]


def test_missing_required_columns_are_named() -> None:
    told = refusal(columns(a="double", b="double", c="double"), pd.DataFrame({"b": [987654.0]}))
    assert told == "Missing columns 'a', 'c'. The model expects 'a', 'b', 'c'; got 'b'."


def test_a_missing_optional_column_is_accepted() -> None:
    schema = Schema([ColSpec("double", "a"), ColSpec("string", "b", required=False)])
    assert list(enforce_schema(pd.DataFrame({"a": [1.0]}), schema).columns) == ["a"]


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        (np.array([1], np.int32), "long", "int64"),
        (np.array([1], np.int32), "double", "float64"),
        (np.array([1.5], np.float32), "double", "float64"),
        (np.array([2**53]), "double", "float64"),
        (np.array([7]), "integer", "int32"),
        (np.array([5.1, np.nan, np.inf]), "float", "float32"),
        ([None, 1.5], "double", "float64"),
        (pd.array([1, None], dtype="Int64"), "double", "float64"),
        (["2026-01-31T12:00:00"], "datetime", None),
    ],
)
def test_conversions_that_keep_the_numbers_are_made(
    values: Any, kind: str, dtype: str | None
) -> None:
    fitting = enforce_schema(pd.DataFrame({"a": values}), columns(a=kind))
    assert dtype is None or fitting["a"].dtype == dtype


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        (["secret"], "double", "must be double, got"),
        (np.array([1.5]), "long", "must be long, got float64"),
        (np.array([2**53 + 1]), "double", "must be double, got int64"),
        (np.array([2**40]), "integer", "must be integer, got int64"),
        (np.array([1e300]), "float", "must be float, got float64"),
        (np.array([1]), "boolean", "must be boolean, got int64"),
        (np.array([True]), "double", "must be double, got bool"),
        (np.array([1]), "string", "must be string, got int64"),
        (["secret"], "binary", "must be binary"),
        (["secret"], "datetime", "must be datetime"),
        (pd.array([1, None], dtype="Int64"), "long", "must be long, but has missing values"),
    ],
)
def test_conversions_that_could_change_a_value_are_refused(
    values: Any, kind: str, told: str
) -> None:
    message = refusal(columns(a=kind), pd.DataFrame({"a": values}))
    assert "Column 'a'" in message
    assert told in message
    assert "secret" not in message


def test_named_columns_fit_a_tensor_of_the_same_width() -> None:
    schema = Schema([TensorSpec("float64", (-1, 2))])
    fitting = enforce_schema(pd.DataFrame({"x": [1.0], "y": [2.0]}), schema)
    assert fitting.tolist() == [[1.0, 2.0]]
    assert refusal(schema, pd.DataFrame({"x": [1.0]})) == "The model expects 2 columns, got 1."


def test_named_columns_fit_columns_by_position() -> None:
    schema = Schema([ColSpec("double"), ColSpec("double")])
    assert enforce_schema(pd.DataFrame({"x": [1.0], "y": [2.0]}), schema).shape == (1, 2)
    assert refusal(schema, np.zeros((1, 3))) == "The model expects 2 columns, got 3."


def test_an_array_fits_named_columns_of_the_same_width() -> None:
    fitting = enforce_schema(np.zeros((1, 2)), columns(a="double", b="double"))
    assert list(fitting.columns) == ["a", "b"]
    assert "expects 2 columns, got 3" in refusal(columns(a="double", b="double"), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.zeros((1, 3)), "must have shape (-1, 2), got (1, 3)"),
        (np.zeros(2), "must have shape (-1, 2), got (2)"),
        (np.array([["secret", "b"]]), "must be float32, got <U6"),
        ([[1.0, 2.0], [3.0]], "differ in length"),
        (np.full((1, 2), 1e300), "must be float32, got float64"),
        (sparse.csr_matrix(np.zeros((1, 3))), "must have shape"),
    ],
)
def test_a_tensor_of_another_shape_or_type_is_refused(data: Any, told: str) -> None:
    message = refusal(Schema([TensorSpec("float32", (-1, 2))]), data)
    assert told in message
    assert "secret" not in message


def test_numbers_in_lists_take_the_type_of_the_tensor() -> None:
    fitting = enforce_schema([[1, 2.5]], Schema([TensorSpec("float32", (-1, 2))]))
    assert fitting.dtype == np.float32


def test_named_tensors_are_asked_for_by_name() -> None:
    schema = Schema([TensorSpec("float64", (-1,), "a"), TensorSpec("int64", (-1,), "b")])
    with pytest.warns(UserWarning, match="'z'"):
        fitting = enforce_schema({"b": [1], "a": np.array([1]), "z": 0}, schema)
    assert {name: array.dtype.name for name, array in fitting.items()} == {
        "a": "float64",
        "b": "int64",
    }
    assert refusal(schema, {"a": [1.0]}) == "Missing 'b'. The model expects 'a', 'b'."
    assert "named arrays" in refusal(schema, np.zeros(1))


def test_columns_of_unequal_length_are_refused() -> None:
    told = refusal(columns(a="double", b="double"), {"a": [1.0], "b": [1.0, 2.0]})
    assert told == "The columns of the input differ in length."


def test_parameters_have_defaults_and_types() -> None:
    params = infer_signature(params={"alpha": 0.5, "words": ["x"]}).params
    assert enforce_params(None, params) == {"alpha": 0.5, "words": ["x"]}
    assert enforce_params({"alpha": 1, "words": ["y", "z"]}, params) == {
        "alpha": 1.0,
        "words": ["y", "z"],
    }
    with pytest.warns(UserWarning, match="'beta'"):
        enforce_params({"beta": 1}, params)


@pytest.mark.parametrize("given", [{"alpha": "secret"}, {"alpha": [1.0]}, {"words": "secret"}])
def test_a_parameter_of_another_type_is_refused(given: dict[str, Any]) -> None:
    params = infer_signature(params={"alpha": 0.5, "words": ["x"]}).params
    with pytest.raises(InvalidParameter, match=r"alpha|words") as caught:
        enforce_params(given, params)
    assert "secret" not in caught.value.message


def test_a_fitting_frame_is_passed_on_as_it_is() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": ["x"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert enforce_schema(frame, columns(a="double", b="string")) is frame


def test_importing_the_modules_imports_no_numpy() -> None:
    script = (
        "import sys, modelyard.models, modelyard.sklearn, modelyard.pyfunc, modelyard.types\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'skops', 'yaml', 'grpc'} & sys.modules.keys()\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
