"""What a check found: one line, and what to do if it is not good."""

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
    """The outcome of a check.

    Attributes:
        check: What was looked at.
        state: Whether it is good.
        said: What was found, in a line.
        remedy: What to do; empty if it is good.
    """

    check: str
    state: State
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    return Finding(check, State.OK, said)


def warn(check: str, said: str, remedy: str) -> Finding:
    return Finding(check, State.WARN, said, remedy)


def fail(check: str, said: str, remedy: str) -> Finding:
    return Finding(check, State.FAIL, said, remedy)


def guarded(check: str, remedy: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what `look` finds; a refusal on the way is a finding, too."""
    try:
        yield from look()
    except (Error, ModelyardException) as error:
        yield fail(check, error.message, remedy)
    except OSError as error:
        yield fail(check, f"{error.strerror or error}", remedy)
