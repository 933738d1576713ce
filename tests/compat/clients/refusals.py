"""Assertions about calls that must fail, for scripts whose environments have no pytest."""

from __future__ import annotations

from collections.abc import Callable

from mlflow.exceptions import MlflowException


def refused(call: Callable[[], object]) -> MlflowException:
    """Return the error of a call that must fail."""
    try:
        answer = call()
    except MlflowException as error:
        return error
    raise AssertionError(f"it was not refused, but answered {answer!r}")
