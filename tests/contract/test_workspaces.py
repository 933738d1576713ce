"""Workspaces of MLflow, of which there is one here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.http.transcoder_edge import Edge, running_edge


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.mark.parametrize("workspace", ["", "default", " default "])
def test_the_only_workspace_may_be_named(edge: Edge, workspace: str) -> None:
    headers = {"X-MLFLOW-WORKSPACE": workspace}
    assert edge.ask("GET", "/api/2.0/mlflow/runs/get?run_id=1", headers=headers).status == 200


@pytest.mark.parametrize("workspace", ["team-a", "Default", "default,team-a", "x" * 5000])
@pytest.mark.parametrize("path", ["/api/2.0/mlflow/runs/get", "/health", "/nowhere"])
def test_a_request_for_another_workspace_is_refused(edge: Edge, path: str, workspace: str) -> None:
    before = len(edge.asked)
    answer = edge.ask("GET", f"{path}?run_id=1", headers={"X-MLFLOW-WORKSPACE": workspace})

    status, code, message = answer.refusal()
    assert (status, code) == (400, "FEATURE_DISABLED")
    assert f"no workspace '{workspace[:100]}': the only one is 'default'" in message
    assert not edge.asked[before:]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/3.0/mlflow/workspaces"),
        ("POST", "/ajax-api/3.0/mlflow/workspaces"),
        ("GET", "/api/3.0/mlflow/workspaces/default"),
        ("PATCH", "/api/3.0/mlflow/workspaces/team-a"),
        ("DELETE", "/api/3.0/mlflow/workspaces/team-a"),
    ],
)
def test_a_route_for_workspaces_says_that_there_are_none(
    edge: Edge, method: str, path: str
) -> None:
    status, code, message = edge.ask(method, path).refusal()

    assert (status, code) == (501, "NOT_IMPLEMENTED")
    assert message == f"{path} belongs to workspaces, which Modelyard does not have."
