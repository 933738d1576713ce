from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.databases.sent import statements_sent
from tests.support.platforms.registry_service import Registry, refused, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        running.create_version()
        running.create_version()
        yield running


def test_a_new_version_is_in_stage_none(registry: Registry) -> None:
    assert registry.stages() == {"1": "None", "2": "None"}


@pytest.mark.parametrize("stage", ["production", "PRODUCTION", "Production"])
def test_a_stage_is_written_in_any_case_and_read_in_its_own(registry: Registry, stage: str) -> None:
    assert registry.move(1, stage).current_stage == "Production"
    assert registry.get_version(stage).version == "1"


def test_transition_moves_the_occupant_to_none(registry: Registry) -> None:
    registry.move(1, "Production")
    assert registry.move(2, "Production").current_stage == "Production"
    assert registry.stages() == {"1": "None", "2": "Production"}


def test_a_lower_version_can_displace_a_higher_one(registry: Registry) -> None:
    registry.move(2, "Production")
    registry.move(1, "Production")
    assert registry.stages() == {"1": "Production", "2": "None"}


def test_transition_moves_the_occupant_to_archived_if_asked(registry: Registry) -> None:
    registry.move(2, "Staging")
    registry.move(1, "Staging", archive_existing_versions=True)
    assert registry.stages() == {"1": "Staging", "2": "Archived"}


def test_none_and_archived_hold_any_number(registry: Registry) -> None:
    registry.move(1, "Archived")
    registry.move(2, "Archived")
    assert registry.stages() == {"1": "Archived", "2": "Archived"}
    assert registry.get_version("archived").version == "2"


def test_a_version_may_be_moved_to_where_it_is(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.time.ms += 5
    moved = registry.move(1, "Production", archive_existing_versions=True)
    assert moved.current_stage == "Production"
    assert moved.last_updated_timestamp == registry.time.ms


@BEFORE_SQL
def test_an_unknown_stage_is_refused_with_the_known_ones(registry: Registry) -> None:
    message = (
        "Invalid Model Version stage: Prod. "
        "Value must be one of None, Staging, Production, Archived."
    )
    with refused(registry, InvalidArgument, message):
        registry.move(1, "Prod")


@BEFORE_SQL
@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_archiving_the_occupants_of_a_shared_stage_is_refused(
    registry: Registry, stage: str
) -> None:
    with refused(registry, InvalidArgument, f"Staging or Production; got {stage}"):
        registry.move(1, stage, archive_existing_versions=True)


@BEFORE_SQL
@pytest.mark.parametrize("version", ["one", "9" * 20])
def test_a_transition_needs_a_version_number(registry: Registry, version: str) -> None:
    with refused(registry, InvalidArgument, "must be an integer"):
        registry.move(version, "Staging")


def test_a_missing_version_is_not_found(registry: Registry) -> None:
    with refused(registry, NotFound, r"Model Version \(name=iris, version=3\) not found"):
        registry.move(3, "Staging")


def test_a_stale_etag_aborts_a_transition(registry: Registry) -> None:
    etag = registry.get_version(1).etag
    registry.move(1, "Staging", etag=etag)
    with refused(registry, Aborted, "Etag mismatch: the current etag is"):
        registry.move(1, "Production", etag=etag)


def test_an_unexpected_holder_aborts_a_transition(registry: Registry) -> None:
    registry.move(1, "Production", expected_holder="none")
    with refused(registry, Aborted, "is held by version 1, the request expected no version"):
        registry.move(2, "Production", expected_holder="None")
    registry.move(2, "Production", expected_holder="1")
    with refused(registry, InvalidArgument, "expected_holder needs a stage with a single holder"):
        registry.move(2, "Archived", expected_holder="2")


def test_an_empty_stage_is_not_found_and_named(registry: Registry) -> None:
    with refused(registry, NotFound, "No version of Registered Model iris is in stage Production"):
        registry.get_version("production")


def test_a_move_is_an_event_with_its_comment(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production", comment="better recall")
    event = registry.events()[-1]
    assert (event.actor, event.version, event.comment) == ("ada", "2", "better recall")
    assert '"1":{"revision":3,"stage":"None"}' in event.after
    assert '"1":{"revision":2,"stage":"Production"}' in event.before


def test_rollback_from_two_to_one_and_promotion_of_one_over_two(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    assert registry.roll_back().version == "1"
    assert registry.stages() == {"1": "Production", "2": "Archived"}
    registry.move(2, "Production")
    registry.move(1, "Production")
    assert registry.stages() == {"1": "Production", "2": "None"}


def test_each_rollback_goes_further_back(registry: Registry) -> None:
    for version in ("3", "4"):
        assert registry.create_version().version == version
    for number in (1, 2, 3, 4):
        registry.move(number, "Production")
    assert [registry.roll_back().version for _ in range(3)] == ["3", "2", "1"]
    message = "Nothing to roll back to: .* Versions that `to` can name: 2, 3, 4"
    with refused(registry, FailedPrecondition, message):
        registry.roll_back()


def test_rollback_never_reinstates_a_version_that_a_rollback_took_out(registry: Registry) -> None:
    registry.create_version()
    for number in (2, 1, 2, 3):
        registry.move(number, "Production")
    assert [registry.roll_back().version for _ in range(2)] == ["2", "1"]
    with refused(registry, FailedPrecondition, "`to` can name: 2, 3"):
        registry.roll_back()


def test_a_transition_makes_a_version_a_candidate_again(registry: Registry) -> None:
    registry.create_version()
    registry.move(1, "Production")
    registry.move(2, "Production")
    registry.roll_back()
    registry.move(2, "Production")
    registry.move(3, "Production")
    assert [registry.roll_back().version for _ in range(2)] == ["2", "1"]


def test_a_transition_of_the_present_holder_makes_it_a_candidate_again(registry: Registry) -> None:
    registry.create_version()
    registry.move(1, "Production")
    registry.move(2, "Production")
    registry.roll_back()
    registry.roll_back(to="2")
    registry.move(2, "Production", comment="tested again")
    registry.move(3, "Production")
    assert registry.roll_back().version == "2"


def test_a_rollback_of_one_stage_takes_nothing_out_of_the_other(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    registry.move(1, "Staging")
    registry.roll_back()  # takes version 1 from Staging, too
    assert registry.stages() == {"1": "Production", "2": "Archived"}
    assert registry.roll_back("Staging").version == "1"


def test_rollback_to_a_version_names_any_earlier_holder(registry: Registry) -> None:
    registry.create_version()
    for number in (1, 2, 3):
        registry.move(number, "Production")
    assert registry.roll_back(to="1").version == "1"
    assert registry.roll_back(to="3", comment="it was right").version == "3"
    assert registry.stages() == {"1": "Archived", "2": "None", "3": "Production"}
    assert registry.events()[-1].action == pb.ModelEvent.STAGE_ROLLED_BACK
    assert registry.roll_back().version == "2"


@pytest.mark.parametrize("to", ["2", "3", "5", "9"])
def test_rollback_to_what_is_no_earlier_holder_is_refused_with_the_possible_ones(
    registry: Registry, to: str
) -> None:
    """Version 2 was only staged, 3 is deleted, 5 is the present holder, 9 never was."""
    for _ in range(3):
        registry.create_version()
    registry.move(2, "Staging")
    for number in (1, 3, 4, 5):
        registry.move(number, "Production")
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="iris", version="3"))
    message = f"Version {to} of iris cannot be rolled back to: .* `to` can name: 4, 1."
    with refused(registry, FailedPrecondition, message):
        registry.roll_back(to=to)


@BEFORE_SQL
def test_rollback_to_what_is_no_number_is_refused(registry: Registry) -> None:
    with refused(registry, InvalidArgument, "'to': expected the number of a version"):
        registry.roll_back(to="two")


def test_a_rollback_passes_over_a_version_that_is_not_ready(registry: Registry) -> None:
    for number in (1, 2):
        registry.move(number, "Production")
    with registry.database.write() as session:
        session.execute(text("UPDATE model_version SET status = 'FAILED' WHERE version = 1"))
    with refused(registry, FailedPrecondition, "`to` can name: none"):
        registry.roll_back()
    with refused(registry, FailedPrecondition, "Version 1 of iris cannot be rolled back to"):
        registry.roll_back(to="1")


def test_an_alias_is_rolled_back_as_a_stage_is(registry: Registry) -> None:
    registry.create_version()
    registry.move(3, "Production")
    for number in (1, 2, 3):
        registry.set_alias("champion", number)
    reinstated = registry.roll_back_alias(comment="on fire", expected_holder="3")
    assert (reinstated.version, list(reinstated.aliases)) == ("2", ["champion"])
    event = registry.events()[-1]
    assert (event.action, event.version, event.comment) == (
        pb.ModelEvent.ALIAS_ROLLED_BACK,
        "2",
        "on fire",
    )
    assert registry.roll_back_alias().version == "1"
    with refused(registry, FailedPrecondition, "that was @champion .* `to` can name: 2, 3"):
        registry.roll_back_alias()
    assert registry.roll_back_alias(to="3").version == "3"
    assert registry.get_version("champion").version == "3"
    assert registry.stages() == {"1": "None", "2": "None", "3": "Production"}


def test_a_deleted_alias_is_rolled_back_to_what_it_pointed_at(registry: Registry) -> None:
    registry.set_alias("champion", 1)
    request = pb.DeleteRegisteredModelAliasRequest(name="iris", alias="champion")
    registry.call("DeleteRegisteredModelAlias", request)
    assert registry.roll_back_alias(expected_holder="none").version == "1"


def test_a_rollback_of_an_alias_that_never_was_or_moved_is_refused(registry: Registry) -> None:
    with refused(registry, FailedPrecondition, "that was @champion .* `to` can name: none"):
        registry.roll_back_alias()
    registry.set_alias("champion", 1)
    registry.set_alias("champion", 2)
    with refused(registry, Aborted, "@champion is held by version 2, the request expected version"):
        registry.roll_back_alias(expected_holder="1")
    with refused(registry, InvalidArgument, "reserved"):
        registry.roll_back_alias("7")


def test_a_rollback_reads_a_page_of_a_long_history(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    for value in range(5):
        tag = pb.SetRegisteredModelTagRequest(name="iris", key="k", value=str(value))
        registry.call("SetRegisteredModelTag", tag)
    with statements_sent(registry.database) as statements:
        registry.roll_back()
    reads = [each for each in statements if each.startswith("SELECT event") and "LIMIT" in each]
    assert len(reads) == 2  # of the model's name, and of its moves


def test_rollback_of_an_empty_stage_reinstates_its_newest_holder(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(1, "Archived")
    assert registry.roll_back().version == "1"


def test_rollback_passes_over_deleted_versions(registry: Registry) -> None:
    registry.create_version()
    for version in (1, 2, 3):
        registry.move(version, "Production")
    registry.call("DeleteModelVersion", pb.DeleteModelVersionRequest(name="iris", version="2"))
    assert registry.roll_back().version == "1"


def test_rollback_knows_the_holders_under_a_former_name(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    rename = pb.RenameRegisteredModelRequest(name="iris", new_name="flowers")
    registry.call("RenameRegisteredModel", rename)
    registry.create_model("iris")
    assert registry.roll_back(name="flowers").version == "1"


def test_rollback_knows_the_holders_under_a_former_name_that_was_so_before(
    registry: Registry,
) -> None:
    registry.create_model("draft")
    for name, new_name in (("draft", "ready"), ("ready", "draft")):
        request = pb.RenameRegisteredModelRequest(name=name, new_name=new_name)
        registry.call("RenameRegisteredModel", request)
    for number in (1, 2):
        registry.create_version("draft")
        registry.move(number, "Production", "draft")
    request = pb.RenameRegisteredModelRequest(name="draft", new_name="ready")
    registry.call("RenameRegisteredModel", request)
    assert registry.roll_back(name="ready").version == "1"


def test_rollback_without_an_earlier_holder_is_refused(registry: Registry) -> None:
    with refused(registry, FailedPrecondition, "Nothing to roll back to"):
        registry.roll_back()
    registry.move(1, "Production")
    with refused(registry, FailedPrecondition, "no other version of iris that was in Production"):
        registry.roll_back()


def test_rollback_of_a_shared_stage_or_with_a_stale_holder_is_refused(registry: Registry) -> None:
    registry.move(1, "Production")
    registry.move(2, "Production")
    with refused(registry, InvalidArgument, "A rollback needs a stage with a single holder"):
        registry.roll_back("Archived")
    with refused(registry, Aborted, "is held by version 2, the request expected version 1"):
        registry.roll_back(expected_holder="1")
    assert registry.roll_back(expected_holder="2", comment="on fire").version == "1"
    assert registry.events()[-1].comment == "on fire"
