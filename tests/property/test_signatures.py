"""A signature accepts the frame it was inferred from, and leaves its values as they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from tests.support.soak import examples

from modelyard.exceptions import InvalidParameter
from modelyard.models import infer_signature
from modelyard.models._enforce import enforce_schema

TIMES = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001 - a column without zone
INT64 = st.integers(-(2**63), 2**63 - 1)
NUMPY = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(),
    npst.unsigned_integer_dtypes(),
    npst.floating_dtypes(),
)
NESTED = st.recursive(
    st.one_of(INT64, st.floats(), st.booleans(), st.text(max_size=3), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=6,
)
NULLABLE = {
    "boolean": st.booleans(),
    "Int8": st.integers(-128, 127),
    "UInt16": st.integers(0, 2**16 - 1),
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Int64": INT64,
    "Float32": st.floats(width=32, allow_nan=False),
    "Float64": st.floats(allow_nan=False),
    "string": st.text(max_size=3),
}
OBJECTS = {
    "ints": INT64,
    "big": st.integers(),
    "numbers": INT64 | st.floats(),
    "bools": st.booleans(),
    "texts": st.text(max_size=3),
    "bytes": st.binary(max_size=3),
    "times": TIMES,
    "dates": st.dates(),
    "decimals": st.decimals(allow_nan=False),
    "nested": NESTED,
    "mixed": INT64 | st.text(max_size=3) | st.booleans(),
    "arrays": npst.arrays(NUMPY, npst.array_shapes(max_dims=2, max_side=3)),
}


@st.composite
def columns(draw: st.DrawFn, rows: int) -> Any:
    """A column of any dtype, with and without missing values."""
    kind = draw(st.sampled_from(["numpy", "nullable", "object", "category", "time", "sparse"]))
    if kind == "numpy":
        return draw(npst.arrays(draw(NUMPY), rows))
    if kind == "nullable":
        name = draw(st.sampled_from(sorted(NULLABLE)))
        values = draw(st.lists(NULLABLE[name] | st.none(), min_size=rows, max_size=rows))
        return pd.array(values, dtype=name)  # type: ignore[call-overload] # not a literal
    if kind == "time":
        values = draw(st.lists(TIMES | st.none(), min_size=rows, max_size=rows))
        zone = draw(st.sampled_from([None, "UTC", "Europe/Berlin"]))
        return pd.Series(values, dtype="datetime64[us]").dt.tz_localize("UTC").dt.tz_convert(zone)
    if kind == "sparse":
        return pd.arrays.SparseArray(
            draw(npst.arrays(st.sampled_from([np.int64, np.float64]), rows))
        )
    of = draw(st.sampled_from(sorted(OBJECTS)))
    missing = draw(st.sampled_from([st.nothing(), st.sampled_from([None, np.nan, pd.NaT, pd.NA])]))
    values = draw(st.lists(OBJECTS[of] | missing, min_size=rows, max_size=rows))
    series = pd.Series(values, dtype=object)
    if kind == "category" and of in {"ints", "texts", "times", "bools"}:
        return pd.Categorical(series.infer_objects())
    return series


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows, width = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    frame = pd.DataFrame({number: draw(columns(rows)) for number in range(width)})
    labels = st.lists(
        st.text(max_size=3) | st.integers(0, 9) | st.dates(), min_size=width, max_size=width
    )
    if width and draw(st.booleans()):
        pairs = st.tuples(st.sampled_from("ab"), st.integers(0, 3))
        frame.columns = draw(
            labels.map(lambda names: pd.Index(names, dtype=object))
            | st.lists(pairs, min_size=width, max_size=width).map(pd.MultiIndex.from_tuples)
        )
    if rows and draw(st.booleans()):
        frame.index = pd.Index([0] * rows)
    return frame


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; all missing values are equal."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.array_equal(left, right) or np.array_equal(left, right, equal_nan=True)
    if not (pd.api.types.is_scalar(left) and pd.api.types.is_scalar(right)):
        return left is right
    return bool((pd.isna(left) and pd.isna(right)) or left == right)


REFUSALS = (
    "A signature cannot describe column",
    "A signature cannot describe data without columns",
    "A column must have one type",
    "Column names must be unique",
    "must be double, got float or int",  # ints that no float holds, among floats
)
SLOW = list(HealthCheck)  # the machine may be busy


@settings(max_examples=examples(60), deadline=None, suppress_health_check=SLOW)
@given(frames() | pdst.data_frames([pdst.column("a", dtype=float), pdst.column("b", dtype=int)]))
def test_a_frame_fits_its_own_signature_and_keeps_its_values(frame: pd.DataFrame) -> None:
    try:
        signature = infer_signature(frame)
    except InvalidParameter as refused:
        assert any(reason in refused.message for reason in REFUSALS)  # noqa: PT017
        return
    assert signature.inputs is not None
    given_to_model = enforce_schema(frame, signature.inputs)
    assert list(given_to_model.columns) == list(frame.columns)
    assert list(given_to_model.index) == list(frame.index)
    for position in range(frame.shape[1]):
        pairs = zip(
            given_to_model.iloc[:, position].tolist(),
            frame.iloc[:, position].tolist(),
            strict=True,
        )
        assert all(same(got, shown) for got, shown in pairs)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=SLOW)
@given(
    st.one_of(
        *OBJECTS.values(),
        npst.arrays(npst.scalar_dtypes() | npst.array_dtypes(), npst.array_shapes(max_side=2)),
        st.lists(NESTED, max_size=3),
        st.dictionaries(st.text(max_size=2) | st.integers(0, 3), NESTED, max_size=3),
    )
)
def test_what_is_inferred_from_any_object_accepts_it_or_is_refused(data: Any) -> None:
    try:
        signature = infer_signature(data)
    except InvalidParameter:
        return
    if signature.inputs is not None:
        enforce_schema(data, signature.inputs)
