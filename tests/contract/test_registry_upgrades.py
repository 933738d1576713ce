"""A registry's database of any earlier revision, with rows in each table, works after `migrate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.databases.dialects import (
    INSTALLATION,
    REPLY,
    Dialect,
    Row,
    revisions_before_head,
    upgrade,
)
from tests.support.platforms.endpoint_service import ENDPOINTS, Endpoints
from tests.support.platforms.registry_service import RUN, SOURCE, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.serving.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from modelyard_kit.rpc.channel import connect
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.rules.history import FIRST_PREVIOUS_HASH, event_hash

TIMES = {"created_ms": 1, "updated_ms": 2}
EVENT = {
    "name": "iris",
    "revision": 1,
    "clock": 0,
    "at_ms": 1,
    "actor": "ada",
    "action": "MODEL_CREATED",
    "before": "{}",
    "after": "{}",
    "comment": "",
    "request_id": "r",
    "previous_hash": FIRST_PREVIOUS_HASH,
}
HASH = event_hash(EVENT | {"version": ""})
VERSION = {
    "name": "iris",
    "version": 3,
    "stage": "Production",
    "source": SOURCE,
    "run_id": RUN,
    "experiment_id": "7",
    "user_id": "ada",
    "status": "READY",
    "digest": "0" * 64,
    "revision": 2,
    **TIMES,
}
ROWS = [
    Row(
        "0001",
        "model_name",
        {"name": "iris", "revision": 1, "next_version": 4, "head_hash": HASH},
    ),
    Row(
        "0001",
        "registered_model",
        {"name": "iris", "user_id": "ada", "deletion_protection": True, **TIMES},
    ),
    Row("0001", "registered_model_tag", {"name": "iris", "key": "team", "value": "x"}),
    Row("0001", "model_version", VERSION),
    Row("0001", "model_version_tag", {"name": "iris", "version": 3, "key": "k", "value": "v"}),
    Row("0001", "model_alias", {"name": "iris", "alias": "champion", "version": 3}),
    Row("0001", "event", EVENT | {"hash": HASH}),
    REPLY,
    INSTALLATION,
    Row(
        "0002",
        "imported",
        {"origin": "there", "kind": "model", "origin_id": "Iris", "name": "iris"},
    ),
    Row(
        "0003",
        "api_token",
        {
            "id": "0123456789",
            "sha256": "0" * 64,
            "name": "ci",
            "role": "VIEWER",
            "models": "[]",
            "experiments": "[]",
            "created_by": "ada",
            "created_ms": 1,
        },
    ),
    Row("0004", "endpoint_name", {"name": "old", "revision": 1, "head_hash": HASH}),
    Row("0004", "endpoint_model", {"name": "old", "model": "iris"}),
    Row("0004", "endpoint", {"name": "old", "spec": "{}", "status": "{}", **TIMES}),
    Row("0004", "endpoint_event", EVENT | {"name": "old", "clock": -1, "hash": HASH}),
    Row("0007", "damaged_manifest", {"digest": "1" * 64, "damage": "The manifest is damaged."}),
]


@pytest.mark.parametrize("revision", revisions_before_head(MIGRATIONS))
def test_rows_of_an_earlier_revision_are_read_and_written(
    tmp_path: Path, dialect: Dialect, revision: str
) -> None:
    upgrade(dialect, tmp_path, MIGRATIONS, revision, ROWS)
    with running_registry(tmp_path, dialect) as registry:
        model = registry.get_model()
        assert [(tag.key, tag.value) for tag in model.tags] == [("team", "x")]
        assert [(alias.alias, alias.version) for alias in model.aliases] == [("champion", "3")]
        version = registry.get_version("champion")
        assert (version.current_stage, version.run_id) == ("Production", RUN)
        assert version.verified
        assert not version.HasField("has_model")
        assert [(tag.key, tag.value) for tag in version.tags] == [("k", "v")]
        registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))
        created = registry.create_version()
        assert (created.version, created.has_model) == ("4", True)
        registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))
        with connect(registry.target, ENDPOINTS) as channel:
            endpoints = Endpoints(registry, EndpointServiceStub(channel))
            assert endpoints.create().revision == 1
            assert endpoints.events()[0].clock == registry.events()[-1].clock + 1
