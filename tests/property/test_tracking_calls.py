"""Random calls of tracking, compared with lists: the same replies and errors, for every caller."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from random import Random
from typing import Any, Final, TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.naive_tracking import NaiveTracking, latest
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.soak import examples

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.api.tracking.v1 import tracking_service_pb2 as service
from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.scope import EVERYTHING, Scope
from modelyard_kit.db.base import Database
from modelyard_kit.errors import Error
from modelyard_kit.rpc.caller import Caller, caller, restrict_to_callers
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.search.restriction import RESTRICTION
from modelyard_tracking.servicer import TrackingServicer

METHODS: Final = service.DESCRIPTOR.services_by_name["TrackingService"].methods_by_name
SCOPES: Final = (
    EVERYTHING,
    EVERYTHING,
    Scope(experiments=("fraud*", "fr?ud-_")),
    Scope(models=("iris",)),
)
KEYS: Final = ("loss", "a/b", "mlflow.runName")
VALUES: Final = (0.0, -1.5, math.inf, -math.inf, math.nan)
DATA: Final = (("", ""), ("", ""), ("iris", "d1"))
STEPS_OF_EXAMPLE: Final = 50
UNKNOWN_RUN, UNKNOWN_MODEL = "f" * 32, f"m-{'f' * 32}"
T = TypeVar("T")
_numbers = count()


@pytest.fixture(scope="module")
def database(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path_factory.mktemp("calls"), MIGRATIONS)) as opened:
        restrict_to_callers(opened, RESTRICTION)
        yield opened


class Awaited:
    """The context of a call whose caller waits for the reply."""

    def is_active(self) -> bool:
        return True


class Session:
    """Makes calls of two experiments to the service and to the naive one.

    Args:
        database: Database of the service.
        random: Chooses the calls.
    """

    def __init__(self, database: Database, random: Random) -> None:
        self.random = random
        self.now_ms = 1_700_000_000_000
        self.servicer = TrackingServicer(database, lambda: self.now_ms)
        names = [f"{name}-{next(_numbers)}" for name in ("fraud", "secret")]
        ids = [self._add_experiment(name) for name in names]
        models = {self._add_model(experiment_id): experiment_id for experiment_id in ids}
        self.naive = NaiveTracking(dict(zip(ids, names, strict=True)), models)
        self.naive.now_ms = self.now_ms
        for experiment_id in ids:
            self.create(experiment_id)

    def step(self) -> None:
        """Make one call and compare what comes of it."""
        self.now_ms += self.random.choice((1, 6_000, 150_000))
        self.naive.now_ms = self.now_ms
        self.naive.scope = self.random.choice(SCOPES)
        self.random.choice(STEPS)(self)

    def call(self, request: Message, scope: Scope) -> Any:
        method = METHODS[type(request).__name__.removesuffix("Request")]
        grant = Grant("token", scope=scope)
        deadline = time.monotonic() + 30
        caller.set(Caller(method, "ada", grant, "request", "", "", deadline, ""))
        return getattr(self.servicer, method.name)(request, Awaited())

    def compare(self, request: Message) -> None:
        name = type(request).__name__.removesuffix("Request")
        expected = outcome(lambda: getattr(self.naive, name)(request))
        assert outcome(lambda: self.call(request, self.naive.scope)) == expected, request

    def compare_models(self) -> None:
        """Compare the latest points of logged models, whichever run logged them."""
        logged = [
            (point, run_id) for run_id, run in self.naive.runs.items() for point in run.points
        ]
        for model_id in self.naive.models:
            reply = self.call(pb.GetLoggedModelRequest(model_id=model_id), EVERYTHING)
            found = [
                (m.key, m.dataset_name, m.step, m.timestamp, str(m.value))
                for m in reply.model.data.metrics
            ]
            curves = {point[0] for point, _ in logged if point[0][1] == model_id}
            expected = [
                (key, name, step, timestamp_ms, str(value))
                for curve in sorted(curves)
                for (key, _, name, _), timestamp_ms, step, value in latest(
                    point for point, _ in logged if point[0] == curve
                )
            ]
            assert found == expected

    def create(self, experiment_id: str = "") -> None:
        tags = [pb.RunTag(key=key, value=self.text()) for key in self.some(KEYS)]
        request = pb.CreateRunRequest(
            experiment_id=experiment_id or self.mostly([*self.naive.experiments], "987654"),
            run_name=self.random.choice(("", "v")),
            start_time=self.random.choice((None, 5)),
            tags=tags,
            heartbeats=self.random.choice((False, True)),
        )
        problem = outcome(lambda: self.naive.check_new(request))
        if problem != "None":
            assert outcome(lambda: self.call(request, self.naive.scope)) == problem
            return
        created = self.call(request, self.naive.scope).run
        info, tagged = created.info, {tag.key: tag.value for tag in tags}
        name = request.run_name or tagged.get("mlflow.runName", "") or info.run_name
        self.naive.create(request, info.run_id, name)
        assert str(created) == str(self.naive.runs[info.run_id].message(self.now_ms))

    def search(self) -> None:
        request = pb.SearchRunsRequest(experiment_ids=self.naive.experiments, max_results=2)
        expected = self.naive.search(request)
        found: list[pb.Run] = []
        while not found or request.page_token:
            reply = self.call(request, self.naive.scope)
            found += reply.runs
            request.page_token = reply.next_page_token
            assert reply.HasField("next_page_token")
            if not reply.runs:
                break
        assert list(map(str, found)) == list(map(str, expected))

    def update(self) -> None:
        run_id = self.run_id()
        run = self.naive.runs.get(run_id)
        etags = ("", "", '"0"', f'"{run.revision}"' if run else "")
        self.compare(
            pb.UpdateRunRequest(
                run_id=run_id,
                status=self.random.choice((None, pb.RUNNING, pb.FINISHED)),
                end_time=self.random.choice((None, 7)),
                run_name=self.random.choice(("", "w")),
                etag=self.random.choice(etags),
                heartbeats=self.random.choice((False, True)),
            )
        )

    def log_metric(self) -> None:
        self.compare(pb.LogMetricRequest(run_id=self.run_id(), **self.curve(), **self.number()))

    def log_batch(self) -> None:
        curves = [self.curve() for _ in range(2)]
        points = [
            self.random.choice(curves) | self.number() for _ in range(self.random.randrange(5))
        ]
        request = pb.LogBatchRequest(
            run_id=self.run_id(),
            metrics=[pb.Metric(**fields) for fields in points],
            params=[pb.Param(key=key, value=self.text()) for key in self.some(KEYS)],
            tags=[pb.RunTag(key=key, value=self.text()) for key in self.some(KEYS)],
            series=self.series(),
        )
        for _ in range(self.random.randrange(1, 3)):
            self.compare(request)

    def log_series(self) -> None:
        self.compare(pb.LogMetricSeriesRequest(run_id=self.run_id(), series=self.series()))

    def of_key(self) -> None:
        fields = {"run_id": self.run_id(), "key": self.key()}
        value = self.random.choice(("v", "w"))
        self.compare(
            self.random.choice(
                (
                    pb.LogParamRequest(value=value, **fields),
                    pb.SetTagRequest(value=value, **fields),
                    pb.DeleteTagRequest(**fields),
                )
            )
        )

    def of_run(self) -> None:
        self.compare(self.random.choice(OF_RUN)(run_id=self.run_id()))

    def some(self, values: Sequence[str]) -> list[str]:
        return [value for value in values if self.random.random() < 0.3]

    def run_id(self) -> str:
        return self.mostly([*self.naive.runs] or [UNKNOWN_RUN], UNKNOWN_RUN)

    def key(self) -> str:
        return self.mostly(KEYS, "../x")

    def mostly(self, usual: Sequence[T], rare: T) -> T:
        """Choose one of the usual values, and the rare one now and then."""
        return rare if self.random.random() < 0.02 else self.random.choice(usual)

    def text(self) -> str:
        return self.random.choice(("v", "w"))

    def curve(self) -> dict[str, Any]:
        """Return the fields of a curve."""
        name, digest = self.mostly(DATA, ("iris", ""))
        model_id = self.mostly(["", "", *self.naive.models], UNKNOWN_MODEL)
        fields = {"model_id": model_id, "dataset_name": name, "dataset_digest": digest}
        given = {field: text for field, text in fields.items() if text}
        return {"key": self.key(), **given}

    def number(self) -> dict[str, Any]:
        """Return the other fields of a point."""
        timestamp = self.mostly(
            ({}, {"timestamp": 0}, {"timestamp": 5}, {"timestamp": 5}), {"timestamp": -1}
        )
        step = self.random.choice(({}, {"step": 1}, {"step": 1}, {"step": -(2**63)}))
        return {"value": self.random.choice(VALUES), **timestamp, **step}

    def series(self) -> list[pb.MetricSeries]:
        lengths = [self.random.randrange(4) for _ in range(self.random.randrange(3))]
        return [
            pb.MetricSeries(
                **self.curve(),
                steps=[self.random.randrange(3) for _ in range(length)],
                timestamps=[self.mostly((1, 2), -1) for _ in range(length)],
                values=[self.random.choice(VALUES) for _ in range(length)],
            )
            for length in lengths
        ]

    def _add_experiment(self, name: str) -> str:
        reply = self.call(pb.CreateExperimentRequest(name=name), EVERYTHING)
        return str(reply.experiment_id)

    def _add_model(self, experiment_id: str) -> str:
        request = pb.CreateLoggedModelRequest(experiment_id=experiment_id, name="m")
        return str(self.call(request, EVERYTHING).model.info.model_id)


OF_RUN: Final = (
    *(pb.GetRunRequest,) * 4,
    pb.SendHeartbeatRequest,
    pb.DeleteRunRequest,
    *(pb.RestoreRunRequest,) * 2,
)
STEPS: Final = (
    Session.create,
    Session.search,
    Session.update,
    Session.log_metric,
    Session.log_batch,
    Session.log_batch,
    Session.log_series,
    Session.of_key,
    Session.of_run,
    Session.of_run,
)


def outcome(call: Callable[[], Any]) -> str:
    """Return the reply of a call as text, in which unset fields are left out, or its error."""
    try:
        return str(call())
    except Error as error:
        return as_text(error)


def as_text(error: Error) -> str:
    return f"{type(error).__name__}: {error.message}"


@settings(max_examples=examples(15), deadline=None)
@given(st.randoms(use_true_random=True))
def test_calls_reply_as_lists_do(database: Database, random: Random) -> None:
    session = Session(database, random)
    for _ in range(STEPS_OF_EXAMPLE):
        session.step()
    session.compare_models()
