import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelyard.exceptions import ModelyardException
from modelyard.models import ModelSignature, infer_signature
from modelyard_kit.errors import InvalidArgument
from modelyard_serving.scoring import answer, parse_csv, parse_json, render

SECRET = "a secret value"


class Echo:
    """Returns its input and counts its calls."""

    signature: ModelSignature | None = None

    def __init__(self) -> None:
        self.params: Mapping[str, Any] | None = {}

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        self.params = params
        return np.ones(len(data))


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_dataframe_split_becomes_a_table_with_its_columns() -> None:
    frame, _ = parse_json(
        body(dataframe_split={"columns": ["a", "b"], "data": [[1, 2.5], [3, None]]})
    )

    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1, 3], "b": [2.5, math.nan]}))


def test_dataframe_split_without_columns_has_numbered_ones() -> None:
    frame, _ = parse_json(body(dataframe_split={"data": [[1, 2], [3, 4]]}))

    assert list(frame.columns) == [0, 1]


def test_an_index_in_dataframe_split_is_ignored() -> None:
    frame, _ = parse_json(body(dataframe_split={"columns": ["a"], "index": [7], "data": [[1]]}))

    assert frame["a"].tolist() == [1]


def test_dataframe_records_may_name_their_columns_in_any_order() -> None:
    frame, _ = parse_json(body(dataframe_records=[{"a": 1, "b": 2}, {"b": 4, "a": 3}]))

    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1, 3], "b": [2, 4]}))


def test_instances_are_rows_or_records_of_tensors() -> None:
    rows, _ = parse_json(body(instances=[[1, 2], [3, 4]]))
    tensors, _ = parse_json(body(instances=[{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]))

    assert rows == [[1, 2], [3, 4]]
    assert tensors == {"a": [[1, 2], [4, 5]], "b": [3, 6]}


def test_inputs_are_a_tensor_or_tensors_by_name() -> None:
    assert parse_json(body(inputs=[[1.5, 2]]))[0] == [[1.5, 2]]
    assert parse_json(body(inputs={"a": [1, 2], "b": 3}))[0] == {"a": [1, 2], "b": [3]}


def test_params_are_passed_with_the_input() -> None:
    assert parse_json(body(inputs=[1], params={"temperature": 0.5}))[1] == {"temperature": 0.5}
    assert parse_json(body(inputs=[1], params=None))[1] == {}


def test_fields_of_other_servers_are_ignored() -> None:
    assert parse_json(body(instances=[[1]], signature_name="serving_default"))[0] == [[1]]


@pytest.mark.parametrize(
    ("sent", "phrase"),
    [
        (b"", "Ensure that input is a valid JSON formatted string"),
        (b'{"instances": [NaN]}', "Ensure that input is a valid JSON formatted string"),
        (b'{"instances": [[1]]', "line 1, column 20"),
        (b'{"instances": ["\xff"]}', "Ensure that input is a valid JSON formatted string"),
        (b"[" * 5000 + b"]" * 5000, "Ensure that input is a valid JSON formatted string"),
        (b"[[1, 2]]", "The input must be a JSON dictionary with exactly one of the input fields"),
        (b"{}", "got none of them"),
        (body(instances=[[1]], inputs=[[1]]), "got instances and inputs"),
        (body(dataframe_split=[1]), "Dataframe split format must be a dictionary. Got list"),
        (body(dataframe_split={"columns": ["a"]}), "is not a valid dataframe representation"),
        (body(dataframe_split={"data": [1, 2]}), "is not a valid dataframe representation"),
        (body(dataframe_split={"columns": ["a", "a"], "data": [[1, 2]]}), "different names"),
        (body(dataframe_split={"columns": [["a"]], "data": [[1]]}), "different names"),
        (body(dataframe_split={"columns": ["a", "b"], "data": [[1, 2], [3]]}), "row 1 of data"),
        (body(dataframe_split={"columns": ["a"], "data": []}), "The input has no rows"),
        (body(dataframe_records={"a": 1}), "must be a list of records. Got dict"),
        (body(dataframe_records=[{"a": 1}, 2]), "record 1 is int, expected a dictionary"),
        (body(dataframe_records=[]), "The input has no rows"),
        (body(instances={"a": 1}), "instances must be a list of rows. Got dict"),
        (body(instances=[]), "The input has no rows"),
        (body(instances=[[1, 2], [3]]), "The rows of instances differ in length"),
        (body(instances=[{"a": 1}, {"b": 1}]), "all records of the same names"),
        (body(instances=[{"a": 1}, [1]]), "all records of the same names"),
        (body(inputs=3), "inputs must be a list or a dictionary. Got int"),
        (body(inputs=[]), "The input has no rows"),
        (body(inputs={}), "inputs must not be empty"),
        (body(inputs={"a": [[1], [1, 2]]}), "The rows of inputs ('a') differ in length"),
        (body(inputs=[1], params=[1]), "params must be a dictionary. Got list"),
    ],
)
def test_an_invalid_body_is_refused_with_the_expected_form(sent: bytes, phrase: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_json(sent)

    assert phrase in refused.value.message


@pytest.mark.parametrize(
    "sent",
    [
        body(instances=[[SECRET], [SECRET, 1]]),
        body(dataframe_split={"columns": ["a"], "data": [[SECRET, 1]]}),
        body(dataframe_records=[SECRET]),
        body(inputs=SECRET),
        body(params={"a": SECRET}),
        f'{{"instances": ["{SECRET}"'.encode(),
    ],
)
def test_no_message_repeats_the_data(sent: bytes) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_json(sent)

    assert SECRET not in refused.value.message


def test_csv_has_a_line_of_names_and_then_rows() -> None:
    frame = parse_csv(b"\xef\xbb\xbfa,b\n1,x\n2,y\n", None)

    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


def test_a_column_of_text_stays_text_even_if_it_looks_like_numbers() -> None:
    signature = infer_signature(pd.DataFrame({"code": ["007"], "size": [1.5]}))

    frame = parse_csv(b"code,size\n007,2\n", signature)

    assert frame["code"].tolist() == ["007"]
    assert frame["size"].tolist() == [2]


@pytest.mark.parametrize(
    ("sent", "phrase"),
    [
        (b"", "The input has no rows"),
        (b"a,b\n", "The input has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "valid CSV formatted string"),
        (b"a,b\n\xff,2\n", "must be UTF-8; byte 4 is not"),
    ],
)
def test_an_invalid_csv_body_is_refused(sent: bytes, phrase: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_csv(sent, None)

    assert phrase in refused.value.message


@pytest.mark.parametrize(
    ("predicted", "written"),
    [
        (np.array([0, 1]), [0, 1]),
        (np.array([[0.5, math.nan, math.inf]]), [[0.5, None, None]]),
        (np.array([True, False]), [True, False]),
        (np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), [[1, 2], [3, 4]]),
        (np.array(["setosa", "virginica"]), ["setosa", "virginica"]),
        (np.array(["setosa", None], dtype=object), ["setosa", None]),
        (np.array([0.5], dtype=np.float16), [0.5]),
        (np.array([0.5], dtype=np.longdouble), [0.5]),
        (np.array(3.0), 3.0),
        (np.float32(0.5), 0.5),
        (pd.Series([1, math.nan]), [1, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.DataFrame({"t": [pd.Timestamp("2026-01-31"), pd.NaT]}),
         [{"t": "2026-01-31T00:00:00"}, {"t": None}]),
        ([np.int64(1), {"a": np.array([1.5])}], [1, {"a": [1.5]}]),
        ({"a": np.array([1]), 2: b"\x00\xff"}, {"a": [1], "2": "AP8="}),
        ("text", "text"),
        (None, None),
    ],
)  # fmt: skip
def test_predictions_of_every_kind_become_valid_json(predicted: Any, written: Any) -> None:
    assert json.loads(render(predicted), parse_constant=pytest.fail) == {"predictions": written}


def test_a_prediction_that_json_cannot_represent_is_the_models_fault() -> None:
    with pytest.raises(TypeError, match="returned object"):
        render(object())


def test_params_reach_only_a_model_whose_signature_names_them() -> None:
    model = Echo()
    answer(model, "application/json", body(instances=[[1]], params={"check_input": False}))
    without = model.params

    model.signature = infer_signature(np.ones((1, 1)), params={"check_input": True})
    answer(model, "application/json", body(instances=[[1]], params={"check_input": False}))

    assert without is None
    assert model.params == {"check_input": False}


def test_csv_and_json_reach_the_same_model() -> None:
    assert answer(Echo(), "text/csv", b"a\n1\n2\n") == b'{"predictions":[1.0,1.0]}'
    assert answer(Echo(), "application/json", body(inputs=[1, 2])) == b'{"predictions":[1.0,1.0]}'


def test_a_refusal_of_the_model_passes_through() -> None:
    class Refusing(Echo):
        def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
            raise ModelyardException("Missing column 'a'.", "INVALID_PARAMETER_VALUE")

    with pytest.raises(ModelyardException, match="Missing column"):
        answer(Refusing(), "application/json", body(inputs=[1]))
