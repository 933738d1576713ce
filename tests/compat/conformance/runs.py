"""Cases of the runs' routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compat.conformance.door import Ask, Case, get, post
from tests.compat.conformance.route import ABSENT, Route
from tests.compat.conformance.things import GET_RUN, point, tags

_CREATE = Route(
    "POST",
    "mlflow/runs/create",
    {
        "experiment_id": "$home",
        "user_id": "ada",
        "run_name": "fresh",
        "start_time": 1234,
        "tags": [{"key": "a", "value": "1"}],
    },
)
_GET = Route("GET", "mlflow/runs/get", {"run_id": "$run"})
_UPDATE = Route(
    "POST",
    "mlflow/runs/update",
    {"run_id": "$run", "status": "FINISHED", "end_time": 2000, "run_name": "renamed"},
    then=(GET_RUN,),
)
_DELETE = Route("POST", "mlflow/runs/delete", {"run_id": "$run"}, then=(GET_RUN,))
_RESTORE = Route(
    "POST",
    "mlflow/runs/restore",
    {"run_id": "$deleted_run"},
    then=(get("mlflow/runs/get", run_id="$deleted_run"),),
)
_PARAM = Route(
    "POST",
    "mlflow/runs/log-parameter",
    {"run_id": "$run", "key": "k", "value": "v"},
    then=(GET_RUN,),
)
_SET_TAG = Route(
    "POST",
    "mlflow/runs/set-tag",
    {"run_id": "$run", "key": "k", "value": "v"},
    then=(GET_RUN,),
)
_DELETE_TAG = Route(
    "POST", "mlflow/runs/delete-tag", {"run_id": "$run", "key": "k"}, then=(GET_RUN,)
)
_BATCH = Route(
    "POST",
    "mlflow/runs/log-batch",
    {
        "run_id": "$run",
        "metrics": [point("loss", 0.5)],
        "params": [{"key": "p", "value": "1"}],
        "tags": [{"key": "t", "value": "x"}],
    },
    then=(GET_RUN,),
)
_BAD_KEYS = (
    ("strange characters", "a=b"),
    ("251 characters", "k" * 251),
    ("a leading /", "/a"),
    ("..", "../a"),
    ("a doubled /", "a//b"),
    ("an empty text", ""),
    ("inner / and dots", "a/b.c-d e"),
)


def cases() -> Iterator[Case]:
    yield from _create()
    yield from _states()
    yield from _params_and_tags()
    yield from _batches()


def _create() -> Iterator[Case]:
    yield from _CREATE.basics("experiment_id")
    yield _CREATE.case("nothing at all", **dict.fromkeys(_CREATE.right, ABSENT))
    for title, owner in (
        ("an unknown experiment", "987654"),
        ("an experiment's id that is no number", "abc"),
        ("a deleted experiment", "$deleted_experiment"),
    ):
        yield _CREATE.case(title, experiment_id=owner)
    named = tags(**{"mlflow.runName": "fresh"})
    yield _CREATE.case("name and tag agree", tags=named)
    yield _CREATE.case("name and tag differ", tags=named, run_name="other")
    yield _CREATE.case("the name as a tag alone", tags=named, run_name=ABSENT)
    yield _CREATE.case("an empty name", run_name="")
    yield _CREATE.case("a time before 1970", start_time=-1)
    yield _CREATE.case("a time as text", start_time="1234")
    yield _CREATE.case("a bad tag key", tags=tags(**{"a=b": "1"}))
    yield _CREATE.case("one tag twice", tags=[*tags(a="1"), *tags(a="2")])
    yield _CREATE.case("a field that does not exist", colour="red")
    yield _CREATE.raw("no JSON", b"{")


def _states() -> Iterator[Case]:
    yield from _GET.basics()
    yield _GET.case("by run_uuid", run_id=ABSENT, run_uuid="$run")
    yield _GET.case("a deleted one", run_id="$deleted_run")
    yield _GET.case("an unknown id", run_id="0" * 32)
    yield _GET.case("an id with strange characters", run_id="../x")
    for route in (_UPDATE, _DELETE, _RESTORE):
        yield from route.basics()
        yield route.case("an unknown id", run_id="0" * 32, then=())
    yield _UPDATE.case("by run_uuid", run_id=ABSENT, run_uuid="$run")
    yield _UPDATE.case("an unknown status", status="NOPE")
    yield _UPDATE.case("a status by number", status=4)
    yield _UPDATE.case("an unknown number", status=99)
    yield _UPDATE.case("a status in small letters", status="finished")
    yield _UPDATE.case("an end as text", end_time="2000")
    yield _UPDATE.case("an end before its start", end_time=1)
    yield _UPDATE.case("running again", before=(_UPDATE.ask(),), status="RUNNING", end_time=ABSENT)
    yield _UPDATE.case("an empty name", run_name="")
    yield _UPDATE.case("a deleted one", run_id="$deleted_run", then=())
    yield _DELETE.case("twice", before=(_DELETE.ask(),))
    yield _RESTORE.case("one that is active", run_id="$run", then=(GET_RUN,))


def _params_and_tags() -> Iterator[Case]:
    for route in (_PARAM, _SET_TAG):
        yield from route.basics()
        yield route.case("by run_uuid", run_id=ABSENT, run_uuid="$run")
        yield route.case("the same again", before=(route.ask(),))
        yield route.case("another value", before=(route.ask(value="old"),))
        yield route.case("an empty value", value="")
        yield route.case("a deleted run", run_id="$deleted_run", then=())
        yield route.case("an unknown run", run_id="0" * 32, then=())
        for title, key in _BAD_KEYS:
            yield route.case(f"key: {title}", key=key)
        for size in (6000, 6001, 8000, 8001):
            yield route.case(f"{size} characters", value="v" * size)
    yield _SET_TAG.case("the run's name", key="mlflow.runName", value="by tag")
    before = (_SET_TAG.ask(),)
    for case in _DELETE_TAG.basics():
        yield Case(case.route, case.title, case.ask, before, case.then)
    yield _DELETE_TAG.case("a missing tag")
    yield _DELETE_TAG.case("an unknown run", run_id="0" * 32, then=())
    yield _DELETE_TAG.case("a deleted run", run_id="$deleted_run", then=())


def _batches() -> Iterator[Case]:
    yield from _BATCH.basics()
    for count in (1000, 1001):
        many = [point(f"m{i % 7}", i, step=i) for i in range(count)]
        alone: dict[str, Any] = {"metrics": many, "params": ABSENT, "tags": ABSENT}
        yield _BATCH.case(f"{count} metrics", **alone)
    for count in (100, 101):
        many = [{"key": f"k{i}", "value": "v"} for i in range(count)]
        yield _BATCH.case(f"{count} params", params=many)
        yield _BATCH.case(f"{count} tags", tags=many)
    too_many = [point(f"m{i}", i) for i in range(999)]
    yield _BATCH.case("1,001 items in all", metrics=too_many)
    yield _BATCH.case("a bad key among good ones", params=tags(good="1", **{"a=b": "2"}))
    yield _BATCH.case("a bad value among good ones", metrics=[point("a", 1.0), point("b", "x")])
    yield _BATCH.case("a metric without a value", metrics=[{"key": "a", "timestamp": 1}])
    yield _BATCH.case("a metric without a time", metrics=[{"key": "a", "value": 1}])
    yield _BATCH.case("a metric without a key", metrics=[{"value": 1, "timestamp": 1}])
    yield _BATCH.case("one param twice, alike", params=[*tags(p="1"), *tags(p="1")])
    yield _BATCH.case("one param twice, unlike", params=[*tags(p="1"), *tags(p="2")])
    yield _BATCH.case("one tag twice", tags=[*tags(t="1"), *tags(t="2")])
    yield _BATCH.case("a param that has another value", before=(_BATCH.ask(params=tags(p="0")),))
    yield _BATCH.case("the same again", before=(_BATCH.ask(),))
    yield _BATCH.case("a param of 6,001 characters", params=tags(p="v" * 6001))
    yield _BATCH.case("nothing to log", metrics=[], params=[], tags=[])
    yield _BATCH.case("a deleted run", run_id="$deleted_run", then=())
    yield _BATCH.case("an unknown run", run_id="0" * 32, then=())
    bare = b'{"run_id": "$run", "metrics": [{"key": "a", "value": %s, "timestamp": 1000}]}'
    for word in (b"NaN", b"Infinity", b'"NaN"', b'"-Infinity"'):
        yield _BATCH.raw(f"{word.decode()} as a value", bare % word)


_LOG_MODEL = Route(
    "POST",
    "mlflow/runs/log-model",
    {
        "run_id": "$run",
        "model_json": '{"run_id": "$run", "artifact_path": "m", "flavors": {"python_function": {}},'
        ' "utc_time_created": "2026-01-01 00:00:00", "model_uuid": "u"}',
    },
    then=(GET_RUN,),
)
_DATASET = {"name": "iris", "digest": "abc", "source_type": "local", "source": "here"}
_CONTEXT = [{"key": "mlflow.data.context", "value": "train"}]
_INPUTS = Route(
    "POST",
    "mlflow/runs/log-inputs",
    {"run_id": "$run", "datasets": [{"tags": _CONTEXT, "dataset": _DATASET}]},
    then=(GET_RUN,),
)
_OUTPUTS = Route(
    "POST",
    "mlflow/runs/outputs",
    {"run_id": "$run", "models": [{"model_id": "$logged_model", "step": 3}]},
    then=(GET_RUN,),
)


def lineage() -> Iterator[Case]:
    yield from _LOG_MODEL.basics()
    yield _LOG_MODEL.case("no JSON", model_json="{")
    yield _LOG_MODEL.case("no MLmodel", model_json='{"a": 1}')
    yield _LOG_MODEL.case("a second model", before=(_LOG_MODEL.ask(),))
    for route in (_LOG_MODEL, _INPUTS, _OUTPUTS):
        yield route.case("an unknown run", run_id="0" * 32, then=())
        yield route.case("a deleted run", run_id="$deleted_run", then=())
    yield from _INPUTS.basics()
    yield _INPUTS.case("the same again", before=(_INPUTS.ask(),))
    yield _INPUTS.case("no tags", datasets=[{"dataset": _DATASET}])
    yield _INPUTS.case("a tag alone", datasets=[{"tags": _CONTEXT}])
    for key in _DATASET:
        less = {k: v for k, v in _DATASET.items() if k != key}
        yield _INPUTS.case(f"a dataset without {key}", datasets=[{"dataset": less}])
    for key, size in (("name", 501), ("digest", 37), ("schema", 1_048_576)):
        more = _DATASET | {key: "x" * size}
        yield _INPUTS.case(f"a {key} of {size} characters", datasets=[{"dataset": more}])
    yield _INPUTS.case("a model", models=[{"model_id": "$logged_model"}], datasets=ABSENT)
    yield from _OUTPUTS.basics()
    yield _OUTPUTS.case("the same again", before=(_OUTPUTS.ask(),))
    yield _OUTPUTS.case("without a step", models=[{"model_id": "$logged_model"}])
    yield _OUTPUTS.case("an unknown model", models=[{"model_id": "m-" + "0" * 32, "step": 1}])
    datasets = Route("POST", "", {}, name="POST /ajax-api/2.0/mlflow/experiments/search-datasets")
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    for title, given in (("as it should be", ["$runs"]), ("an unknown one", ["987654"])):
        yield datasets.bare(title, Ask("POST", path, {"experiment_ids": given}))
    yield datasets.bare("without experiment_ids", Ask("POST", path, {}))
    yield datasets.bare("no run has read any", post(path, experiment_ids=["$experiment"]))
    many = [str(number) for number in range(21)]
    yield datasets.bare("21 experiments", Ask("POST", path, {"experiment_ids": many}))
