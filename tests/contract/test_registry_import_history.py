"""The history of an imported model begins with the import, and continues normally."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.registry_originals import (
    import_model,
    import_version,
    model,
    rename,
    resolve,
    version,
)
from tests.support.platforms.registry_service import (
    SOURCE,
    Registry,
    refused,
    running_registry,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import (
    FailedPrecondition,
    NotFound,
)


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        yield running


def test_holders_of_a_stage_before_the_import_are_unknown(registry: Registry) -> None:
    import_model(registry, model())
    registry.time.ms += 1000
    import_version(registry, version(1, source=SOURCE, current_stage="Production"))
    imported_ms = registry.time.ms
    rename(registry, "flowers")
    for uri in ("models:/flowers/Production", "models:/flowers/latest", "models:/flowers@a"):
        for as_of_ms in (1500, imported_ms - 1):
            with refused(registry, NotFound, "is unknown"):
                resolve(registry, uri, as_of_ms)
    with refused(registry, NotFound, "No version of Registered Model flowers was Production"):
        resolve(registry, "models:/flowers/Production", 999)
    assert resolve(registry, "models:/flowers/Production", imported_ms) == "1"


def test_what_an_import_changed_was_known_before_it(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1))
    registry.time.ms += 1000
    import_version(registry, version(1, aliases=["a"]))
    import_version(registry, version(1, current_stage="Staging", creation_timestamp=500))
    with refused(registry, NotFound, "No version"):
        resolve(registry, "models:/iris/Staging", registry.time.ms - 1)


def test_a_rollback_reinstates_an_imported_holder(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(3, source=SOURCE, current_stage="Production"))
    registry.create_version()
    registry.move(4, "Production")
    assert registry.roll_back().version == "3"
    assert registry.stages() == {"3": "Production", "4": "Archived"}
    with refused(registry, FailedPrecondition, "`to` can name: 4"):
        registry.roll_back()


def test_a_watcher_sees_an_import(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(2, current_stage="Staging"))
    stream = registry.stub.WatchModels(pb.WatchModelsRequest(name="iris"), timeout=30)
    seen = list(islice((reply.event for reply in stream if reply.HasField("event")), 2))
    stream.cancel()
    assert [event.action for event in seen] == [
        pb.ModelEvent.MODEL_IMPORTED,
        pb.ModelEvent.VERSION_IMPORTED,
    ]
    after = json.loads(seen[1].after)
    assert after["next_version"] == 3
    assert after["versions"]["2"]["stage"] == "Staging"
