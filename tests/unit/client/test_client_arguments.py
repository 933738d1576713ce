"""Arguments are checked by their declared types before the call, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelyard._client.arguments import naming_wrong_types
from modelyard.client import MlflowClient
from modelyard.entities import Metric, Param, RunTag
from modelyard.exceptions import InvalidParameter, ModelyardException, NotFound
from modelyard_kit.http.errors import STATUS


class Recorder:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    @naming_wrong_types
    def record(
        self,
        name: str,
        number: int | None = None,
        either: str | int = "",
        tags: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
        params: Sequence[Param] = (),
        anything: str | Path | None = None,
    ) -> Any:
        given = (name, number, either, tags, names, params, anything)
        self.calls.append(given)
        return given


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": None}, "None for argument 'name' of record: expected text of valid Unicode, got"),
        ({"name": "\ud800"}, "argument 'name'"),
        (
            {"number": "3"},
            "'3' for argument 'number' of record: expected a whole number of 64 bits",
        ),
        ({"number": 2**63}, "argument 'number'"),
        ({"either": "\ud800"}, "argument 'either'"),
        ({"tags": [("a", 1)]}, "argument 'tags' of record: expected a dict, got list"),
        ({"tags": {1: "a"}}, "1 for a key of argument 'tags'"),
        (
            {"names": "abc"},
            r"'abc' for argument 'names' of record: expected a list, such as \['abc'",
        ),
        ({"names": ["a", b"b"]}, "b'b' for an item of argument 'names'"),
        ({"params": [Param(3, "x")]}, "3 for key in argument 'params'"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_nothing_is_called_with_an_argument_of_a_wrong_type(
    arguments: dict[str, Any], told: str
) -> None:
    recorder = Recorder()
    with pytest.raises(InvalidParameter, match=told):
        recorder.record(**{"name": "n", **arguments})
    assert recorder.calls == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"number": pd.Series([3])[0]},
        {"either": 3},
        {"tags": pd.Series({"a": 1})},
        {"tags": {}, "names": (), "params": []},
        {"params": [Param("k", 3)]},  # type: ignore[arg-type]  # turned to text
        {"params": [object()]},
        {"anything": Path("a")},
    ],
)
def test_what_will_do_goes_through_as_it_is(arguments: dict[str, Any]) -> None:
    recorder = Recorder()
    recorder.record("n", **arguments)
    names = ("number", "either", "tags", "names", "params", "anything")
    (found,) = recorder.calls
    assert all(found[1 + names.index(name)] is value for name, value in arguments.items())


def test_a_generator_is_not_used_up() -> None:
    names: Any = (name for name in "ab")
    assert list(Recorder().record("n", names=names)[4]) == ["a", "b"]


def test_an_error_of_the_method_itself_stays_what_it_is() -> None:
    @naming_wrong_types
    def fail(numbers: Sequence[Any]) -> Iterator[Any]:
        raise TypeError(f"of {numbers}")

    with pytest.raises(TypeError, match="of 3"):
        fail(3)  # type: ignore[arg-type]  # on purpose


def test_a_real_client_takes_what_is_turned_to_text(client: MlflowClient, tmp_path: Path) -> None:
    experiment_id = client.get_experiment(0).experiment_id
    run_id = client.create_run(int(experiment_id), tags={"a": 1}).info.run_id
    params: Any = [Param("p", 3)]  # type: ignore[arg-type]  # turned to text
    client.log_batch(run_id, [Metric("m", 1.0, 1)], params, [RunTag("t", "x")])
    (tmp_path / "f").write_text("x")
    client.log_artifact(run_id, tmp_path / "f", Path("deep"))
    assert [file.path for file in client.list_artifacts(run_id, "deep")] == ["deep/f"]
    found = client.search_runs([0], None, max_results=None)  # as the server has them by default
    assert client.get_run(run_id).data.params == {"p": "3"}
    assert run_id in {run.info.run_id for run in found}


def test_an_error_has_the_status_and_the_json_of_an_answer_over_http() -> None:
    for code, status in STATUS.items():
        assert ModelyardException("text", code).get_http_status_code() == status
    error = NotFound("No run 'ü'.")
    assert error.get_http_status_code() == 404
    assert json.loads(error.serialize_as_json()) == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": "No run 'ü'.",
    }
    assert ModelyardException("text", "NO_SUCH_CODE").get_http_status_code() == 500
