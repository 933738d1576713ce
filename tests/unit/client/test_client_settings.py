"""Variables of the environment that the client refuses, or warns of."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from tests.support.processes.up_process import environment

import modelyard
from modelyard import _settings
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter
from modelyard_server.processes.embedded import Embedded


def test_a_misspelt_variable_is_refused_by_the_first_call_and_not_by_the_import(
    platform: Embedded,
) -> None:
    code = (
        "import sys, modelyard; print('imported')\n"
        "modelyard.set_tracking_uri(sys.argv[1]); modelyard.get_experiment('0')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, platform.http],
        env=environment(MODELYARD_TRAKING_URI="http://127.0.0.1:5000"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "imported\n")
    assert (
        "Unknown setting MODELYARD_TRAKING_URI; similar are MODELYARD_TRACKING_URI" in done.stderr
    )


def test_a_variable_of_a_service_is_known(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_GATEWAY_LISTEN", "127.0.0.1:0")
    assert MlflowClient(platform.http).get_experiment("0").name == "Default"


def test_a_variable_like_no_other_is_refused_with_the_page_that_lists_them() -> None:
    with pytest.raises(
        InvalidParameter, match=r"MODELYARD_QQQQQQQQQQQQQQQQ; docs/settings\.md lists all"
    ):
        _settings.check({"MODELYARD_QQQQQQQQQQQQQQQQ": "1"})


def test_variables_of_mlflow_without_effect_are_named_once(
    platform: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", '{"a": "b"}')
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    modelyard.set_tracking_uri(platform.http)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        modelyard.get_experiment("0")
        modelyard.get_experiment("0")
    (warning,) = caught
    assert str(warning.message) == (
        "Modelyard's SDK ignores MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING, MLFLOW_RUN_CONTEXT; "
        "docs/sdk.md lists what it reads."
    )
