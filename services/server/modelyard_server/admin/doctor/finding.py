"""Result of a check: one line, and a remedy if there is a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from modelyard.exceptions import ModelyardException
from modelyard_kit.errors import Error


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check.

    Attributes:
        check: Name of the check.
        state: Outcome: ok, warn or fail.
        summary: Result, in a line.
        remedy: Remedy for the problem; empty if the state is ok.
    """

    check: str
    state: State
    summary: str
    remedy: str = ""


def ok(check: str, summary: str) -> Finding:
    return Finding(check, State.OK, summary)


def warn(check: str, summary: str, remedy: str) -> Finding:
    return Finding(check, State.WARN, summary, remedy)


def fail(check: str, summary: str, remedy: str) -> Finding:
    return Finding(check, State.FAIL, summary, remedy)


def guarded(check: str, remedy: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of `look`; an error it raises becomes a finding, too."""
    try:
        yield from look()
    except (Error, ModelyardException) as error:
        yield fail(check, error.message, remedy)
    except OSError as error:
        yield fail(check, f"{error.strerror or error}", remedy)
