"""Values of metrics, params and tags, as MLflow's client converts them."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

import modelyard
from modelyard._client.limits import metric_value
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.client import MlflowClient
from modelyard.entities import Metric
from modelyard.exceptions import InvalidParameter


class Tensor:
    """A tensor as of TensorFlow, which has no `item`."""

    def __init__(self, value: Any) -> None:
        self._array = np.array(value)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def numpy(self) -> Any:
        return self._array


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        (np.array([0.25]), 0.25),
        (np.array([[[3]]], np.uint8), 3.0),
        (np.array(0.5, np.float16), 0.5),
        (np.array([Decimal("0.125")], object), 0.125),
        (np.array(["0.5"]), 0.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.ma.masked_array([2.0], [False]), 2.0),
        (pd.Series([0.75]), 0.75),
        (Tensor([[0.25]]), 0.25),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
        ("0.123", 0.123),
        (" 1e-3 ", 0.001),
        (b"0.5", 0.5),
        ("-inf", -math.inf),
        (True, 1.0),
        (np.bool_(0), 0.0),
        (2**60, float(2**60)),
    ],
)
def test_one_number_in_any_form_is_a_metric(value: Any, logged: float) -> None:
    assert metric_value("m", value) == logged


def test_a_masked_value_is_nan() -> None:
    assert math.isnan(metric_value("m", np.ma.masked_array([2.0], [True])))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.array([1.0, 2.0]), r"ndarray of shape \(2,\) and type float64"),
        (np.zeros((0,)), r"ndarray of shape \(0,\)"),
        (pd.Series([1, 2]), r"Series of shape \(2,\) and type int64"),
        (pd.DataFrame({"a": [1]}), r"DataFrame of shape \(1, 1\)"),
        (Tensor([1, 2]), r"Tensor of shape \(2,\)"),
        (np.array([(1, 2)], "i4,i4"), r"ndarray of shape \(1,\)"),
        (np.array(["2026-01-31"], "M8[ns]"), r"ndarray of shape \(1,\) and type datetime64"),
        (np.timedelta64(1, "s"), "timedelta64"),
        (pd.NA, r"a missing value \(<NA>\)"),
        ("good", "the text 'good'"),
        ("x" * 9000, "the text 'xxxx"),
        (10**400, "an int that is too large"),
        (1j, "complex"),
        (None, "NoneType"),
        ([1.0], "list"),
        ({}, "dict"),
        (object(), "object"),
    ],
)
def test_what_is_no_number_is_refused_with_its_type_and_shape(value: Any, got: str) -> None:
    with pytest.raises(InvalidParameter, match=f"expected a number of 64 bits, got {got}") as told:
        metric_value("m", value)
    assert len(told.value.message) < 200


def test_every_way_to_log_a_metric_takes_the_same_values(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "a", np.array([0.25]))  # type: ignore[arg-type] # MLflow takes it
    client.log_batch(run_id, metrics=[Metric("b", "0.5", 1)])  # type: ignore[arg-type] # as above
    modelyard.log_metrics({"c": Tensor(3), "d": True}, run_id=run_id)  # type: ignore[dict-item] # as above
    assert client.get_run(run_id).data.metrics == {"a": 0.25, "b": 0.5, "c": 3.0, "d": 1.0}
    with pytest.raises(InvalidParameter, match=r"metric 'e': .* shape \(2,\)"):
        modelyard.log_metrics({"e": np.ones(2), "f": 1.0}, run_id=run_id)  # type: ignore[dict-item] # refused
    assert set(client.get_run(run_id).data.metrics) == {"a", "b", "c", "d"}


def test_params_and_tags_of_any_type_are_text(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    values: dict[str, Any] = {
        "none": None,
        "bytes": b"x",
        "array": np.arange(3),
        "na": pd.NA,
        "dict": {"a": 1},
    }
    modelyard.log_params(values, run_id=run_id)
    for key, value in values.items():
        client.set_tag(run_id, key, value)
    found = client.get_run(run_id).data
    assert found.params == {key: str(value) for key, value in values.items()}
    assert {key: found.tags[key] for key in values} == found.params
    with pytest.raises(InvalidParameter, match=r"a key of .*: expected text"):
        modelyard.log_params({1: "a"}, run_id=run_id)  # type: ignore[dict-item] # refused


def test_long_params_of_a_logged_model_are_truncated(client: MlflowClient) -> None:
    long: dict[str, Any] = {"p": "x" * 6001, "lone": "ok"}
    model = client.create_logged_model("0", "m", params=long, tags={"t": "y" * 8001})
    assert (len(model.params["p"]), len(model.tags["t"])) == (6000, 8000)
    with pytest.raises(InvalidParameter, match="valid Unicode"):
        client.log_model_params(model.model_id, {"q": "\ud800"})


def test_a_warning_of_the_server_is_one_of_python(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    whole = pb.LogParamRequest(run_id=run_id, key="p", value="x" * 6001)
    with pytest.warns(UserWarning, match="value of 'p' has 6,001 characters; the first 6,000"):
        client._tracking(whole, pb.LogParamResponse)  # noqa: SLF001 - log_param truncates itself
    assert len(client.get_run(run_id).data.params["p"]) == 6000
