"""Log lines about events that clients can cause as often as they like."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelyard_kit.observability.bounded_log import PERIOD_S, BoundedLog

logger = logging.getLogger(__name__)


def test_a_minute_has_one_line_which_counts_the_events_since_the_last_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [1000.0]
    log = BoundedLog(logger, "refused", clock=lambda: now[0])
    for method in ("a", "b", "c"):
        log.note(method=method)
    now[0] += PERIOD_S - 0.001
    log.note(method="d")
    now[0] += 0.001
    log.note(method="e")
    lines = [vars(record) for record in caplog.records]
    assert [(line["message"], line["method"], line["count"]) for line in lines] == [
        ("refused", "a", 1),
        ("refused", "e", 4),
    ]
    assert lines[0]["levelname"] == "WARNING"


def test_events_of_many_threads_are_all_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = BoundedLog(logger, "refused", clock=lambda: now[0])
    with ThreadPoolExecutor(8) as pool:
        for _ in range(1000):
            pool.submit(log.note)
    now[0] += PERIOD_S
    log.note()
    assert sum(vars(record)["count"] for record in caplog.records) == 1001
    assert len(caplog.records) == 2
