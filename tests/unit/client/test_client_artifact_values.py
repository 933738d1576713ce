"""Text and dicts as files of a run."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import yaml

from modelyard import artifacts
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, NotFound

CIRCULAR: dict[str, Any] = {}
CIRCULAR["itself"] = CIRCULAR


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


@pytest.mark.parametrize("file", ["d.json", "deep/d.yaml", "d"])
def test_a_dict_is_read_back_with_its_numbers(client: MlflowClient, run_id: str, file: str) -> None:
    given = {"b": np.float64(0.5), "a": np.arange(2), "when": dt.date(2026, 1, 31), "ü": [None]}
    client.log_dict(run_id, given, file)
    read = {"b": 0.5, "a": [0, 1], "when": "2026-01-31", "ü": [None]}
    if file.endswith(".yaml"):
        assert yaml.safe_load(artifacts.load_text(f"runs:/{run_id}/{file}")) == read
    else:
        assert artifacts.load_dict(f"runs:/{run_id}/{file}") == read


@pytest.mark.parametrize("file", ["d.json", "d.yaml"])
@pytest.mark.parametrize("given", [CIRCULAR, {("a", "b"): 1}])
def test_a_dict_without_a_form_in_json_is_refused(
    client: MlflowClient, run_id: str, given: dict[Any, Any], file: str
) -> None:
    with pytest.raises(InvalidParameter, match=f"'{file}' cannot be written as JSON"):
        client.log_dict(run_id, given, file)
    assert client.list_artifacts(run_id) == []


@pytest.mark.parametrize(
    ("text", "file", "told"),
    [
        (None, "t.txt", "argument 'text' of log_text: expected text"),
        (b"bytes", "t.txt", "argument 'text' of log_text: expected text"),
        ("\ud800", "t.txt", "argument 'text' of log_text: expected text of valid Unicode"),
        ("text", None, "argument 'artifact_file' of log_text"),
        ("text", "a\0.txt", "Invalid artifact_file .* expected a path such as"),
        ("text", "../t.txt", "the segment '..' is not allowed"),
        ("text", "/t.txt", "expected a relative path"),
    ],
)
def test_what_is_no_text_or_path_is_refused_and_nothing_is_written(
    client: MlflowClient, run_id: str, text: Any, file: Any, told: str
) -> None:
    with pytest.raises(InvalidParameter, match=told):
        client.log_text(run_id, text, file)
    assert client.list_artifacts(run_id) == []


def test_a_file_of_another_kind_is_refused_by_its_uri(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "no JSON", "deep/t.txt")
    with pytest.raises(InvalidParameter, match=r"runs:/.*/deep/t\.txt' is not a JSON file"):
        artifacts.load_dict(f"runs:/{run_id}/deep/t.txt")
    with pytest.raises(InvalidParameter, match="/deep' is not a UTF-8 text file"):
        artifacts.load_text(f"runs:/{run_id}/deep")
    with pytest.raises(NotFound):
        artifacts.load_text(f"runs:/{run_id}/absent")
