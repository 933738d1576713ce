"""Imports from another registry: complete and repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.registry_originals import (
    FOREIGN,
    ORIGIN,
    actions,
    delete_version,
    import_model,
    import_version,
    model,
    rename,
    verify,
    version,
)
from tests.support.platforms.registry_service import (
    LOGGED_MODEL,
    LOGGED_MODEL_OF_NO_RUN,
    OTHER_RUN,
    RUN,
    SOURCE,
    Registry,
    refused,
    running_registry,
)

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        yield running


def test_a_model_is_imported_completely(registry: Registry) -> None:
    tags = [pb.RegisteredModelTag(key="team", value="x")]
    message = model(user_id="bob", description="Iris", tags=tags, deployment_job_id="7")
    reply = import_model(registry, message)
    assert reply.created
    found = registry.get_model()
    assert found == reply.registered_model
    assert (found.creation_timestamp, found.last_updated_timestamp) == (1000, 2000)
    assert (found.user_id, found.description, found.deployment_job_id) == ("bob", "Iris", "7")
    assert list(found.tags) == tags
    assert actions(registry) == ["MODEL_IMPORTED"]
    [event] = registry.events()
    assert (event.actor, event.comment) == ("ada", f"from {ORIGIN}")
    assert event.create_time.ToMilliseconds() == registry.time.ms


def test_a_model_imported_again_unchanged_makes_no_event(registry: Registry) -> None:
    message = model(tags=[pb.RegisteredModelTag(key="team", value="x")])
    import_model(registry, message, next_version=5)
    before = registry.rows()
    assert not import_model(registry, message, next_version=5).created
    assert registry.rows() == before


def test_a_model_imported_again_becomes_what_it_is_now(registry: Registry) -> None:
    import_model(registry, model(tags=[pb.RegisteredModelTag(key=key, value="1") for key in "ab"]))
    tags = [pb.RegisteredModelTag(key=key, value="2") for key in "bc"]
    import_model(
        registry, model(description="new", last_updated_timestamp=3000, tags=tags), next_version=4
    )
    found = registry.get_model()
    assert (found.description, found.last_updated_timestamp) == ("new", 3000)
    assert list(found.tags) == tags
    assert actions(registry) == ["MODEL_IMPORTED"] * 2
    assert registry.create_version().version == "4"


def test_deletion_protection_stays_unless_it_is_given(registry: Registry) -> None:
    import_model(registry, model())
    registry.call(
        "UpdateRegisteredModel",
        pb.UpdateRegisteredModelRequest(name="iris", deletion_protection=True),
    )
    import_model(registry, model())
    assert registry.get_model().deletion_protection
    import_model(registry, model(deletion_protection=False))
    assert not registry.get_model().deletion_protection


def test_a_name_that_another_model_has_is_replaced_for_its_versions_too(
    registry: Registry,
) -> None:
    for name in ("iris", "iris-imported"):
        registry.create_model(name)
    for created in (True, False):
        reply = import_model(registry, model())
        assert (reply.registered_model.name, reply.created) == ("iris-imported-2", created)
    reply_of_version = import_version(registry, version(3))
    assert reply_of_version.model_version.name == "iris-imported-2"
    assert registry.get_version(3, "iris-imported-2").version == "3"
    assert registry.stages() == {}


def test_a_name_that_had_versions_is_replaced(registry: Registry) -> None:
    registry.create_model()
    registry.create_version()
    registry.call("DeleteRegisteredModel", pb.DeleteRegisteredModelRequest(name="iris"))
    assert import_model(registry, model()).registered_model.name == "iris-imported"


def test_a_name_that_had_no_versions_is_taken_again(registry: Registry) -> None:
    registry.create_model()
    registry.call("DeleteRegisteredModel", pb.DeleteRegisteredModelRequest(name="iris"))
    assert import_model(registry, model()).registered_model.name == "iris"
    assert actions(registry) == ["MODEL_CREATED", "MODEL_DELETED", "MODEL_IMPORTED"]


def test_a_replaced_name_of_full_length_is_cut(registry: Registry) -> None:
    registry.create_model("x" * 256)
    name = import_model(registry, model("x" * 256)).registered_model.name
    assert name == "x" * 247 + "-imported"


def test_an_imported_model_is_found_again_after_a_rename_here(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1))
    rename(registry, "flowers")
    assert import_model(registry, model(description="d")).registered_model.name == "flowers"
    reply = import_version(registry, version(1, description="d"))
    assert (reply.model_version.name, reply.created) == ("flowers", False)
    assert import_version(registry, version(2)).model_version.name == "flowers"
    with refused(registry, NotFound, "iris"):
        registry.get_model()


def test_a_model_that_was_deleted_here_is_imported_under_a_name_of_its_own(
    registry: Registry,
) -> None:
    import_model(registry, model())
    import_version(registry, version(1))
    registry.call("DeleteRegisteredModel", pb.DeleteRegisteredModelRequest(name="iris"))
    assert import_model(registry, model()).registered_model.name == "iris-imported"
    assert import_version(registry, version(1)).created


def test_two_origins_are_kept_apart(registry: Registry) -> None:
    import_model(registry, model(), "one")
    import_version(registry, version(1), "one")
    assert import_model(registry, model(), "two").registered_model.name == "iris-imported"
    assert import_version(registry, version(1), "two").model_version.name == "iris-imported"


# Versions


def test_a_version_is_imported_completely(registry: Registry) -> None:
    import_model(registry, model())
    message = version(
        4,
        source=SOURCE,
        run_id=RUN,
        user_id="bob",
        description="A forest",
        run_link="http://ci/7",
        status=pb.READY,
        current_stage="production",
        tags=[pb.ModelVersionTag(key="team", value="x")],
        aliases=["champion"],
    )
    reply = import_version(registry, message)
    assert reply.created
    found = registry.get_version(4)
    assert found == reply.model_version
    assert (found.creation_timestamp, found.last_updated_timestamp) == (1000, 2000)
    assert (found.user_id, found.description) == ("bob", "A forest")
    assert (found.run_link, found.current_stage) == ("http://ci/7", "Production")
    assert (found.source, found.run_id, found.experiment_id) == (SOURCE, RUN, "7")
    assert (list(found.tags), list(found.aliases)) == (list(message.tags), ["champion"])
    assert found.verified
    assert len(found.digest) == 64
    assert registry.get_model().last_updated_timestamp == 2000
    assert actions(registry) == ["MODEL_IMPORTED", "VERSION_IMPORTED"]
    event = registry.events()[-1]
    assert (event.version, event.comment) == ("4", f"from {ORIGIN}")
    assert verify(registry) == 2


def test_numbers_keep_their_gaps_and_the_counter_goes_on_after_the_greatest(
    registry: Registry,
) -> None:
    import_model(registry, model())
    for number in (7, 2, 5):
        import_version(registry, version(number))
    assert set(registry.stages()) == {"2", "5", "7"}
    assert registry.create_version().version == "8"
    assert import_version(registry, version(3)).created
    assert registry.create_version().version == "9"


def test_the_counter_never_goes_back(registry: Registry) -> None:
    import_model(registry, model(), next_version=9)
    import_model(registry, model(), next_version=2)
    import_version(registry, version(1))
    assert registry.create_version().version == "9"


def test_a_version_imported_again_unchanged_makes_no_event_and_no_call(
    registry: Registry,
) -> None:
    import_model(registry, model())
    message = version(
        1,
        source=f"models:/{LOGGED_MODEL}",
        current_stage="Staging",
        aliases=["b", "a"],
        tags=[pb.ModelVersionTag(key="k", value="v")],
    )
    import_version(registry, message)
    before = registry.rows()
    asked = len(registry.tracking.sealed)
    assert not import_version(registry, message).created
    assert registry.rows() == before
    assert len(registry.tracking.sealed) == asked


def test_a_version_imported_again_becomes_what_it_is_now(registry: Registry) -> None:
    import_model(registry, model())
    tags = [pb.ModelVersionTag(key=key, value="1") for key in "ab"]
    first = import_version(
        registry, version(1, current_stage="Staging", tags=tags, aliases=["a", "b"])
    ).model_version
    tags = [pb.ModelVersionTag(key=key, value="2") for key in "bc"]
    import_version(
        registry,
        version(1, current_stage="Archived", description="old", tags=tags, aliases=["b", "c"]),
    )
    found = registry.get_version(1)
    assert (found.current_stage, found.description) == ("Archived", "old")
    assert (list(found.tags), list(found.aliases)) == (tags, ["b", "c"])
    assert found.etag != first.etag
    assert actions(registry)[1:] == ["VERSION_IMPORTED"] * 2


def test_an_alias_moves_as_it_did_at_the_origin(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1, aliases=["champion"]))
    import_version(registry, version(2, aliases=["champion"]))
    assert list(registry.get_version(1).aliases) == []
    import_version(registry, version(1))
    assert registry.get_version(2).aliases == ["champion"]
    assert verify(registry) == 3


@pytest.mark.parametrize(
    "source",
    [SOURCE, f"models:/{LOGGED_MODEL}", f"mlflow-artifacts:/7/{RUN}/artifacts/model"],
)
def test_a_source_of_this_server_is_sealed_and_any_other_stored_as_text(
    registry: Registry, source: str
) -> None:
    import_model(registry, model())
    assert import_version(registry, version(1)).model_version.source == FOREIGN
    assert not registry.get_version(1).verified
    import_version(registry, version(1, source=source))
    found = registry.get_version(1)
    assert found.verified
    assert found.source == source
    pinned = f"mlflow-artifacts:/manifests/{found.digest}"
    assert import_version(registry, version(2, source=pinned)).model_version.digest == found.digest


def test_the_run_that_the_origin_names_counts_where_none_is_known(registry: Registry) -> None:
    import_model(registry, model())
    message = version(1, source=f"models:/{LOGGED_MODEL_OF_NO_RUN}", run_id="theirs")
    import_version(registry, message)
    found = registry.get_version(1)
    assert (found.run_id, found.verified) == ("theirs", True)
    before = registry.rows()
    import_version(registry, message)
    assert registry.rows() == before


def test_bytes_that_were_pinned_never_change(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1, source=SOURCE))
    other = f"runs:/{OTHER_RUN}/model"
    for source in (other, FOREIGN):
        with refused(registry, InvalidArgument, "its source cannot change"):
            import_version(registry, version(1, source=source))
    with refused(registry, InvalidArgument, "run_id"):
        import_version(registry, version(1, source=SOURCE, run_id=OTHER_RUN))


def test_a_stage_that_another_version_holds_is_refused(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1, current_stage="Production"))
    with refused(registry, FailedPrecondition, "version 1 holds the stage"):
        import_version(registry, version(2, current_stage="Production"))
    import_version(registry, version(1, current_stage="Archived"))
    import_version(registry, version(2, current_stage="Production"))
    import_version(registry, version(3, current_stage="Archived"))
    assert registry.stages() == {"1": "Archived", "2": "Production", "3": "Archived"}


def test_a_number_that_was_used_here_is_refused(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1))
    assert registry.create_version().version == "2"
    with refused(registry, AlreadyExists, "was created here"):
        import_version(registry, version(2))
    delete_version(registry, 2)
    with refused(registry, AlreadyExists, "was deleted here"):
        import_version(registry, version(2))
    rename(registry, "flowers")
    with refused(registry, AlreadyExists, "was deleted here"):
        import_version(registry, version(2))


def test_a_version_that_was_deleted_here_stays_deleted(registry: Registry) -> None:
    import_model(registry, model())
    import_version(registry, version(1))
    delete_version(registry, 1)
    with refused(registry, AlreadyExists, "version=1.*was deleted here"):
        import_version(registry, version(1))


def test_a_version_of_a_model_that_was_not_imported_is_refused(registry: Registry) -> None:
    registry.create_model()
    import_model(registry, model("other"), "elsewhere")
    for name in ("iris", "other", "unknown"):
        with refused(
            registry, InvalidArgument, f"{name} was not imported from the origin {ORIGIN}"
        ):
            import_version(registry, version(1, name))
