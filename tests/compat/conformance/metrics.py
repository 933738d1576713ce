"""Cases of the metrics' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import GET_RUN, point

_HISTORY = get("mlflow/metrics/get-history", run_id="$run", metric_key="loss")
_LOG = Route(
    "POST",
    "mlflow/runs/log-metric",
    {"run_id": "$run", "key": "loss", "value": 0.5, "timestamp": 1000, "step": 2},
    then=(GET_RUN, _HISTORY),
)
_READ = Route("GET", "mlflow/metrics/get-history", {"run_id": "$run", "metric_key": "loss"})
_INTERVAL = Route(
    "GET",
    "mlflow/metrics/get-history-bulk-interval",
    {"run_ids": ["$run"], "metric_key": "loss", "max_results": 5},
)
_BULK_PATH = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
_BULK = Route(
    "GET", _BULK_PATH, {"run_id": ["$run"], "metric_key": "loss"}, (), f"GET {_BULK_PATH}"
)
_CURVE = post(
    "mlflow/runs/log-batch",
    run_id="$run",
    metrics=[point("loss", i / 4, 1000 + i // 2, i) for i in range(9)],
)
_VALUES = ("NaN", "Infinity", "-Infinity", "1.5", "1e3", 7, 1e308, 0, -0.0)


def cases() -> Iterator[Case]:
    yield from _log()
    yield from _read()
    yield from _intervals()


def _log() -> Iterator[Case]:
    yield from _LOG.basics()
    for value in _VALUES:
        yield _LOG.case(f"value {value!r}", value=value)
    bare = b'{"run_id": "$run", "key": "loss", "value": %s, "timestamp": 1000}'
    for word in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
        yield _LOG.raw(f"the literal {word.decode()}", bare % word)
    yield _LOG.case("by run_uuid", run_id=ABSENT, run_uuid="$run")
    yield _LOG.case("without a run", run_id=ABSENT, then=())
    yield _LOG.case("a time as text", timestamp="1000")
    yield _LOG.case("a time before 1970", timestamp=-1)
    yield _LOG.case("a time of 2.0", timestamp=2.0)
    yield _LOG.case("a step below zero", step=-3)
    yield _LOG.case("a step beyond 64 bits", step=2**63)
    yield _LOG.case("the same again", before=(_LOG.ask(),))
    yield _LOG.case("a lower step later", before=(_LOG.ask(step=9, value=9.0),))
    yield _LOG.case("another value of its step", before=(_LOG.ask(value=0.25),))
    yield _LOG.case("a smaller value of its step", before=(_LOG.ask(value=0.75),))
    for title, key in (("strange characters", "a=b"), ("251 characters", "k" * 251), ("..", "..")):
        yield _LOG.case(f"key: {title}", key=key)
    yield _LOG.case("a deleted run", run_id="$deleted_run", then=())
    yield _LOG.case("an unknown run", run_id="0" * 32, then=())
    model = (*_LOG.then, get("mlflow/logged-models/$logged_model"))
    yield _LOG.case("a model's", model_id="$logged_model", then=model)
    again = (_LOG.ask(model_id="$logged_model"),)
    yield _LOG.case("a model's next", model_id="$logged_model", step=3, before=again, then=model)
    dataset: dict[str, Any] = {"dataset_name": "iris", "dataset_digest": "abc"}
    yield _LOG.case("a dataset's", model_id="$logged_model", **dataset, then=model)
    yield _LOG.case("an unknown model's", model_id="m-" + "0" * 32)


def _read() -> Iterator[Case]:
    for case in _READ.basics():
        yield Case(case.route, case.title, case.ask, (_CURVE,))
    yield _READ.case("by run_uuid", run_id=ABSENT, run_uuid="$run", before=(_CURVE,))
    yield _READ.case("an unknown key", metric_key="nope")
    yield _READ.case("an unknown run", run_id="0" * 32)
    for size in (1, 0, -1, 25_000, 25_001, "x"):
        yield _READ.case(f"max_results {size}", before=(_CURVE,), max_results=size)
    page = Ask(
        "GET", _READ.path, {**_READ.right, "max_results": 4}, keep={"token": "next_page_token"}
    )
    yield _READ.case("the second page", before=(_CURVE, page), page_token="$token")
    yield _READ.case("a broken token", max_results=4, page_token="nonsense")
    for case in _BULK.basics():
        yield Case(case.route, case.title, case.ask, (_CURVE,))
    both = ["$run", "$run2"]
    curve2 = _LOG.ask(run_id="$run2")
    yield _BULK.case("two runs", before=(_CURVE, curve2), run_id=both)
    yield _BULK.case("three points", before=(_CURVE,), max_results=3)
    yield _BULK.case("an unknown key", metric_key="nope")
    yield _BULK.case("an unknown run", run_id=["0" * 32])
    yield _BULK.case("101 runs", run_id=["0" * 32] * 101)


def _intervals() -> Iterator[Case]:
    for case in _INTERVAL.basics():
        yield Case(case.route, case.title, case.ask, (_CURVE,))
    yield _INTERVAL.case(
        "two runs", before=(_CURVE, _LOG.ask(run_id="$run2")), run_ids=["$run", "$run2"]
    )
    yield _INTERVAL.case("all points", before=(_CURVE,), max_results=100)
    yield _INTERVAL.case("one point", before=(_CURVE,), max_results=1)
    ranges = ((2, 5), (5, 2), (2, ABSENT), (ABSENT, 5), (-5, 3), (100, 200))
    for low, high in ranges:
        title = f"steps {'…' if low is ABSENT else low} to {'…' if high is ABSENT else high}"
        yield _INTERVAL.case(title, before=(_CURVE,), start_step=low, end_step=high)
    yield _INTERVAL.case("an unknown key", metric_key="nope")
    yield _INTERVAL.case("an unknown run", run_ids=["0" * 32])
    yield _INTERVAL.case("101 runs", run_ids=["0" * 32] * 101)
    for size in (0, -1, 2500, 2501, "x"):
        yield _INTERVAL.case(f"max_results {size}", before=(_CURVE,), max_results=size)
