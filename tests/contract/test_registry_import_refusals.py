"""Invalid imports are refused, and nothing is written; of concurrent imports one comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.registry_originals import (
    actions,
    import_model,
    import_version,
    model,
    verify,
    version,
)
from tests.support.platforms.registry_service import (
    OTHER_RUN,
    SOURCE,
    Registry,
    in_threads,
    refused,
    running_registry,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import (
    Error,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        yield running


@BEFORE_SQL
@pytest.mark.parametrize(
    ("message", "next_version", "fragment"),
    [
        (model(""), 0, "registered_model.name"),
        (model(" "), 0, "name cannot be empty"),
        (model("a/b"), 0, "a/b"),
        (model("x" * 257), 0, "257"),
        (model(creation_timestamp=None), 0, "registered_model.creation_timestamp"),
        (model(creation_timestamp=-1), 0, "registered_model.creation_timestamp"),
        (model(last_updated_timestamp=-1), 0, "registered_model.last_updated_timestamp"),
        (model(description="x" * 5001), 0, "registered_model.description"),
        (model(tags=[pb.RegisteredModelTag(key="a//b", value="")]), 0, "tags.key"),
        (model(tags=[pb.RegisteredModelTag(key="a", value=v) for v in "12"]), 0, "Duplicate"),
        (model(), -1, "next_version"),
        (model(), 2**31, "next_version"),
    ],
)
def test_a_bad_model_is_refused_and_nothing_written(
    registry: Registry, message: pb.RegisteredModel, next_version: int, fragment: str
) -> None:
    with refused(registry, InvalidArgument, fragment):
        import_model(registry, message, next_version=next_version)


@pytest.mark.parametrize(
    ("message", "error", "fragment"),
    [
        (version(""), InvalidArgument, "model_version.version"),
        (version("x"), InvalidArgument, "must be an integer"),
        (version(0), InvalidArgument, "from 1 to"),
        (version(2**31 - 1), InvalidArgument, "from 1 to"),
        (version(1, source=""), InvalidArgument, "model_version.source"),
        (version(1, source="runs:/x!/model"), InvalidArgument, "Invalid model URI"),
        (version(1, source="runs:/" + "9" * 32 + "/model"), NotFound, "not found"),
        (version(1, source="models:/other/1"), NotFound, "other"),
        (version(1, creation_timestamp=None), InvalidArgument, "creation_timestamp"),
        (version(1, creation_timestamp=-1), InvalidArgument, "creation_timestamp"),
        (version(1, last_updated_timestamp=-1), InvalidArgument, "last_updated_timestamp"),
        (version(1, current_stage="Live"), InvalidArgument, "Live"),
        (version(1, current_stage="Deleted_Internal"), InvalidArgument, "Deleted_Internal"),
        (version(1, aliases=["a b"]), InvalidArgument, "Invalid alias"),
        (version(1, aliases=["v1"]), InvalidArgument, "reserved"),
        (version(1, aliases=["x" * 256]), InvalidArgument, "256"),
        (version(1, run_link="x" * 501), InvalidArgument, "run_link"),
        (version(1, source=SOURCE, run_id=OTHER_RUN), InvalidArgument, "run_id"),
        (version(1, tags=[pb.ModelVersionTag(key="..", value="")]), InvalidArgument, "tags.key"),
        (
            version(1, aliases=["ok"], tags=[pb.ModelVersionTag(key="a", value="x" * 100_001)]),
            InvalidArgument,
            "100,001",
        ),
    ],
)
def test_a_bad_version_is_refused_and_nothing_written(
    registry: Registry, message: pb.ModelVersion, error: type[Error], fragment: str
) -> None:
    import_model(registry, model())
    with refused(registry, error, fragment):
        import_version(registry, message)


def test_without_tracking_what_must_be_sealed_is_refused(registry: Registry) -> None:
    import_model(registry, model())
    registry.tracking_server.drain(grace_s=5)
    with refused(registry, Unavailable, "tracking"):
        import_version(registry, version(1, source=SOURCE))
    assert import_version(registry, version(1)).created


def test_of_concurrent_imports_of_one_resource_one_creates_it(registry: Registry) -> None:
    registry.create_model()
    replies: list[tuple[str, bool]] = []

    def both(_: int) -> None:
        made = import_model(registry, model())
        replies.append((made.registered_model.name, made.created))
        message = version(2, source=SOURCE, current_stage="Production", aliases=["a"])
        reply = import_version(registry, message)
        replies.append((reply.model_version.name, reply.created))

    in_threads(8, both)
    assert {name for name, _ in replies} == {"iris-imported"}
    assert [created for _, created in replies].count(True) == 2
    assert actions(registry, "iris-imported") == ["MODEL_IMPORTED", "VERSION_IMPORTED"]
    assert verify(registry, "iris-imported") == 2


def test_of_versions_that_race_for_a_stage_one_gets_it(registry: Registry) -> None:
    import_model(registry, model())
    refusals: list[str] = []

    def one(index: int) -> None:
        try:
            import_version(registry, version(index + 1, current_stage="Production"))
        except FailedPrecondition as error:
            refusals.append(str(error))

    in_threads(6, one)
    assert len(refusals) == 5
    assert list(registry.stages().values()) == ["Production"]
