"""A refusal reaches MLflow's user as its message, after one request.

MLflow's client retries 408, 429 and 5xx for minutes: a refusal with such a status would make its
user wait in vain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat import environments, running
from tests.compat.counting import counting
from tests.support.processes.up_process import Up, up

from modelyard.tracking import MlflowClient

TOKEN = "a-token-of-the-clients"
# The error_code and a part of the message that the client's user reads.
REFUSALS = {
    "param_changed": ("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"),
    "run_missing": ("RESOURCE_DOES_NOT_EXIST", "0" * 32),
    "run_deleted": ("INVALID_PARAMETER_VALUE", "active"),
    "filter_unreadable": ("INVALID_PARAMETER_VALUE", "~"),
    "page_token_unreadable": ("INVALID_PARAMETER_VALUE", "page_token"),
    "batch_too_large": ("INVALID_PARAMETER_VALUE", "at most 1,000"),
    "experiment_taken": ("RESOURCE_ALREADY_EXISTS", "taken"),
    "rename_taken": ("RESOURCE_ALREADY_EXISTS", "taken"),
    "location_elsewhere": ("INVALID_PARAMETER_VALUE", "artifact_location"),
    "model_missing": ("RESOURCE_DOES_NOT_EXIST", "no such model"),
    "model_taken": ("RESOURCE_ALREADY_EXISTS", "model-"),
    "model_protected": ("INVALID_STATE", "deletion_protection"),
    "name_bad": ("INVALID_PARAMETER_VALUE", "a/b"),
    "stage_bad": ("INVALID_PARAMETER_VALUE", "None, Staging, Production, Archived"),
    "stage_empty": ("RESOURCE_DOES_NOT_EXIST", "Production"),
    "version_missing": ("RESOURCE_DOES_NOT_EXIST", "9"),
    "version_of_missing_run": ("RESOURCE_DOES_NOT_EXIST", "0" * 32),
    "alias_of_nothing": ("RESOURCE_DOES_NOT_EXIST", "9"),
    "alias_missing": ("RESOURCE_DOES_NOT_EXIST", "missing"),
    "tag_too_long": ("INVALID_PARAMETER_VALUE", "at most 100,000"),
    "description_too_long": ("INVALID_PARAMETER_VALUE", "description"),
    "token_missing": ("UNAUTHENTICATED", "token"),
    "token_wrong": ("UNAUTHENTICATED", "token"),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Yield a platform that needs a token."""
    folder = tmp_path_factory.mktemp("guarded")
    token_file = folder / "token"
    token_file.write_text(TOKEN, encoding="utf-8")
    token_file.chmod(0o600)
    with up(folder / "home", MODELYARD_TOKEN_FILE=str(token_file)) as running_up:
        yield running_up


@pytest.fixture(scope="module", autouse=True)
def _protected_model(tracking_uri: str) -> None:
    client = MlflowClient(tracking_uri)
    client.create_registered_model("protected")
    client.update_registered_model("protected", deletion_protection=True)


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_each_refusal_takes_one_request(
    platform: Up, guarded: Up, tmp_path: Path, version: str
) -> None:
    with counting(*platform.address) as plain, counting(*guarded.address) as with_token:
        words = ("-m", "tests.compat.refused_calls", with_token.address, TOKEN)
        env = running.variables(plain.address)
        printed = running.run(version, *words, env=env, cwd=tmp_path)
        ends = json.loads(printed.splitlines()[-1])

        assert {name: code for name, (code, _) in ends.items()} == {
            name: code for name, (code, _) in REFUSALS.items()
        }
        messages = {name: message for name, (_, message) in ends.items()}
        unsaid = {n: messages[n] for n, (_, part) in REFUSALS.items() if part not in messages[n]}
        assert unsaid == {}
        # Some calls read the model first; the refusal is the last answer and the only one.
        statuses = plain.statuses | with_token.statuses
        refusals = {name: [s for s in seen if s != 200] for name, seen in statuses.items()}
        assert {name: len(seen) for name, seen in refusals.items()} == dict.fromkeys(REFUSALS, 1)
        assert all(seen[-1] == refusals[name][0] < 500 for name, seen in statuses.items())
