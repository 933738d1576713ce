"""Readiness with frequent callers and with checks that may hang."""

from __future__ import annotations

import logging
import threading

import pytest

from modelyard_kit.rpc.health import Probe, Readiness

DOWN = "The database cannot be reached."
REGISTRY = "modelyard.api.registry.v1.RegistryService"
TRACKING = ("modelyard.api.tracking.v1.TrackingService", "modelyard.api.artifacts.v1.X")


class Checked:
    """A check whose result a test sets."""

    def __init__(self) -> None:
        self.outcome = ""
        self.times = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self) -> str:
        self.times += 1
        assert self.may_end.wait(30)
        return self.outcome


def test_a_good_result_is_cached_and_a_problem_is_checked_again() -> None:
    check = Checked()
    probe = Probe("registry", check)
    assert [probe.problem(), probe.problem()] == ["", ""]
    assert check.times == 1
    check = Checked()
    check.outcome = DOWN
    probe = Probe("registry", check)
    assert probe.problem() == DOWN
    check.outcome = ""
    assert probe.problem() == ""


def test_a_check_that_hangs_is_run_once_and_is_a_problem() -> None:
    check = Checked()
    check.may_end.clear()
    probe = Probe("registry", check)
    problems = [probe.problem() for _ in range(2)]
    assert problems == ["The readiness check is still running: its dependency does not answer."] * 2
    assert check.times == 1
    check.may_end.set()
    assert probe.problem() == ""


def test_a_check_that_fails_is_a_problem_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def check() -> str:
        raise ZeroDivisionError("secret")

    problem = Probe("registry", check).problem()
    assert problem == "The readiness check failed; the cause is in the log."
    assert "the check failed" in caplog.text


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    check = Checked()
    check.outcome = DOWN
    probe = Probe("registry", check)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            probe.problem()
        check.outcome = ""
        probe.problem()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", f"not ready: {DOWN}"),
        ("INFO", "ready again"),
    ]


def test_problems_are_reported_by_area_and_once() -> None:
    readiness = Readiness()
    readiness.add(REGISTRY, str)
    check = Checked()
    check.outcome = DOWN
    for service in TRACKING:
        readiness.add(service, check)
    assert readiness.problems() == [f"tracking: {DOWN}"]
    assert check.times == 1
    readiness.leave()
    assert readiness.problems() == ["Stopping."]
