"""The sweep removes all orphans and no live object, whatever happens at the same time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text
from tests.support.databases.dialects import Dialect
from tests.support.platforms.swept_platform import Platform, swept_platform
from tests.support.platforms.tracking_service import file_message, refused

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_kit.db.rows import rows_of
from modelyard_kit.errors import Unavailable
from modelyard_kit.references.uris import VersionSource
from modelyard_registry.models import ModelVersion
from modelyard_registry.operations.model_versions import Registration, pinned_source
from modelyard_tracking.models import StoredObject
from modelyard_tracking.operations import sweeping
from modelyard_tracking.rules.artifacts import CLAIM_MS, STRAY_MS

ONE, TWO = b"one", b"two"
D1, D2 = Digest.of(ONE), Digest.of(TWO)


@pytest.fixture
def platform(tmp_path: Path, dialect: Dialect) -> Iterator[Platform]:
    with swept_platform(tmp_path, dialect) as running:
        yield running


def rows(platform: Platform) -> dict[str, str]:
    """States by digest."""
    with platform.database.read() as session:
        return {
            row.digest: row.state
            for row in session.execute(select(StoredObject.digest, StoredObject.state))
        }


def unused(platform: Platform, *contents: bytes) -> str:
    """Leave objects behind that nothing refers to or leases; return the run that had them."""
    run_id = platform.tracking.create_run()
    files = {f"f{number}": data for number, data in enumerate(contents)}
    platform.tracking.log_files(files, run_id=run_id)
    platform.delete_files(run_id)
    platform.clock.end_leases()
    return run_id


def test_deleted_objects_are_swept_after_their_lease(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"a": ONE, "b": TWO}, run_id=run_id)
    platform.delete_files(run_id, "a")
    assert platform.sweep() == set()
    platform.clock.end_leases()
    assert platform.sweep() == {D1}
    assert platform.objects == {D2}
    assert rows(platform) == {D2: "stored"}


def test_an_abandoned_upload_is_swept(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.declare(run_id, ONE)
    platform.store.put(D1, [ONE], len(ONE))
    platform.declare(run_id, TWO)
    platform.clock.end_leases()
    assert platform.sweep() == {D1, D2}
    assert (platform.objects, rows(platform)) == (set(), {})


def test_a_dry_run_names_the_same_and_changes_nothing(platform: Platform) -> None:
    unused(platform, ONE, TWO)
    before = rows(platform)
    assert platform.sweep(dry_run=True) == {D1, D2}
    assert (rows(platform), platform.objects) == (before, {D1, D2})
    assert platform.sweep() == {D1, D2}


def test_an_object_that_another_run_has_too_stays(platform: Platform) -> None:
    other = platform.tracking.create_run()
    platform.tracking.log_files({"same": ONE}, run_id=other)
    unused(platform, ONE)
    assert platform.sweep() == set()


def test_a_registered_version_keeps_its_bytes_until_it_is_deleted(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": ONE, "other": TWO}, run_id=run_id)
    first, second = platform.register(run_id), platform.register(run_id)
    platform.delete_files(run_id)
    platform.clock.end_leases()
    assert platform.sweep() == {D2}
    platform.delete_version(first)
    assert platform.sweep() == set()
    platform.delete_version(second)
    assert len(platform.sweep()) == 2
    assert (platform.objects, rows(platform)) == (set(), {})


def test_nothing_is_swept_while_the_registry_cannot_be_reached(platform: Platform) -> None:
    unused(platform, ONE)
    platform.registry_server.drain(1)
    with refused("TEMPORARILY_UNAVAILABLE", "registry"):
        platform.sweep()
    assert platform.objects == {D1}


def test_nothing_is_swept_while_a_registered_manifest_is_missing(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": TWO}, run_id=run_id)
    platform.register(run_id)
    (manifest,) = platform.needed() - {D2}
    platform.store.delete(manifest)
    unused(platform, ONE)
    with refused("DATA_LOSS", manifest):
        platform.sweep()
    assert D1 in platform.objects


def test_objects_without_a_row_are_swept_after_a_day(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": TWO}, run_id=run_id)
    platform.register(run_id)
    platform.store.put(D1, [ONE], len(ONE))
    with platform.database.write() as session:  # as after the restore of an older backup
        for row in session.scalars(select(StoredObject)):
            session.delete(row)
    assert platform.sweep() == set()
    platform.clock.ahead_ms += STRAY_MS + 1000
    assert platform.sweep(dry_run=True) == {D1}
    assert platform.sweep() == {D1}
    assert platform.objects == platform.needed()
    assert rows(platform) == {}


def test_a_sweep_continues_after_its_last_page(platform: Platform) -> None:
    digests = {Digest.of(str(number).encode()) for number in range(1_500)}
    with platform.database.write() as session:
        session.add_all(
            StoredObject(digest=digest, size_bytes=1, state="declared", leased_until_ms=0)
            for digest in digests
        )
    first = platform.sweep_page(force=True)
    assert (first.examined, len(first.objects)) == (1_000, 1_000)
    assert [item.digest for item in first.objects] == sorted(digests)[:1_000]
    second = platform.sweep_page(first.next_page_token)
    assert (second.examined, len(second.objects)) == (500, 500)
    assert platform.sweep_page(second.next_page_token).next_page_token == ""
    assert rows(platform) == {}


def test_a_page_token_of_something_else_is_refused(platform: Platform) -> None:
    with refused("INVALID_PARAMETER_VALUE", "page_token"):
        platform.sweep_page("bm90IG9uZQ")


def test_declaring_objects_being_swept_waits_and_then_requires_an_upload(
    platform: Platform,
) -> None:
    run_id = unused(platform, ONE)

    def declared_meanwhile() -> None:
        with refused("TEMPORARILY_UNAVAILABLE", D1, "Retry in a few seconds"):
            platform.declare(run_id, ONE)

    platform.store.after["delete"] = declared_meanwhile
    assert platform.sweep() == {D1}
    assert [upload.digest for upload in platform.declare(run_id, ONE).uploads] == [D1]


@pytest.mark.parametrize("committed", [False, True])
def test_objects_declared_during_a_scan_are_not_removed(
    platform: Platform, *, committed: bool
) -> None:
    run_id = unused(platform, ONE)
    kept = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": TWO}, run_id=kept)
    platform.register(kept)

    def declared_meanwhile() -> None:
        assert not platform.declare(run_id, ONE).uploads
        if committed:
            platform.tracking.log_files({"a": ONE}, run_id=run_id)

    platform.store.before["open"] = declared_meanwhile  # the sweep reads the manifests
    assert platform.sweep() == set()
    assert platform.objects >= {D1, D2}


def test_objects_found_by_a_declaration_stay_in_the_store(platform: Platform) -> None:
    run_id = unused(platform, ONE)
    swept = []
    platform.store.after["sizes_bytes"] = lambda: swept.append(platform.sweep())
    assert not platform.declare(run_id, ONE).uploads
    assert (swept, platform.objects) == ([set()], {D1})


def test_a_sweep_forgets_only_what_it_claimed_itself(platform: Platform) -> None:
    unused(platform, ONE)
    now_ms = platform.clock()
    with platform.database.write() as session:
        assert sweeping.claim(session, [D1], now_ms, now_ms + CLAIM_MS) == [D1]
    platform.clock.end_leases()
    later_ms = platform.clock()
    with platform.database.write() as session:
        assert sweeping.claim(session, [D1], later_ms, later_ms + CLAIM_MS) == [D1]
    with platform.database.write() as session:
        sweeping.forget(session, [D1], now_ms + CLAIM_MS)
    assert rows(platform) == {D1: "sweeping"}


def test_objects_checked_by_a_commit_stay_until_it_ends(platform: Platform) -> None:
    run_id = unused(platform, ONE)
    swept = []
    platform.store.after["sizes_bytes"] = lambda: swept.append(platform.sweep())
    files = [file_message("a", ONE)]  # declared long ago: its lease is over
    platform.tracking.artifacts.CommitArtifacts(
        pb.CommitArtifactsRequest(run_id=run_id, files=files)
    )
    assert (swept, platform.objects) == ([set()], {D1})


def test_a_commit_after_the_sweep_misses_the_bytes(platform: Platform) -> None:
    run_id = unused(platform, ONE)
    platform.sweep()
    files = [file_message("a", ONE)]
    with refused("INVALID_STATE", D1, "Declare the files"):
        platform.tracking.artifacts.CommitArtifacts(
            pb.CommitArtifactsRequest(run_id=run_id, files=files)
        )


def test_what_is_being_registered_is_not_swept(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": ONE}, run_id=run_id)
    platform.clock.end_leases()
    swept = []

    def deleted_and_swept_meanwhile() -> None:
        platform.delete_files(run_id)
        swept.append(platform.sweep())

    platform.store.before["put"] = deleted_and_swept_meanwhile  # of the manifest
    platform.register(run_id)
    assert swept == [set()]
    assert platform.objects == platform.needed()


def test_a_crash_while_bytes_are_deleted_is_made_good_by_the_next_sweep(
    platform: Platform,
) -> None:
    unused(platform, ONE, TWO)

    def crash() -> None:
        raise OSError("the disk is gone")

    platform.store.after["delete"] = crash
    with refused("INTERNAL_ERROR"):
        platform.sweep()
    assert set(rows(platform).values()) == {"sweeping"}
    assert platform.sweep() == set()  # the claim of the other sweep is still running
    platform.clock.end_leases()
    assert platform.sweep() == {D1, D2}
    assert (platform.objects, rows(platform)) == (set(), {})


def test_an_object_of_a_crashed_sweep_can_be_declared_when_its_claim_is_over(
    platform: Platform,
) -> None:
    run_id = unused(platform, ONE)

    def crash() -> None:
        raise OSError("the disk is gone")

    platform.store.after["delete"] = crash
    with refused("INTERNAL_ERROR"):
        platform.sweep()
    with refused("TEMPORARILY_UNAVAILABLE"):
        platform.declare(run_id, ONE)
    platform.clock.ahead_ms += CLAIM_MS + 1000
    assert [upload.digest for upload in platform.declare(run_id, ONE).uploads] == [D1]
    assert rows(platform) == {D1: "declared"}


def test_a_sweep_that_was_stopped_for_too_long_deletes_nothing_more(platform: Platform) -> None:
    unused(platform, ONE)
    # When it began, the end of its claim, the transaction of that, then the first deletion.
    platform.clock.calls_until_jump, platform.clock.jump_ms = 3, CLAIM_MS
    assert platform.sweep_page().objects == []
    assert (platform.objects, rows(platform)) == ({D1}, {D1: "sweeping"})


def test_a_second_sweep_at_the_same_time_is_refused(platform: Platform) -> None:
    unused(platform, ONE)

    def swept_meanwhile() -> None:
        with refused("ABORTED", "Another sweep is running"):
            platform.sweep()

    platform.store.before["delete"] = swept_meanwhile
    assert platform.sweep() == {D1}


def test_two_replicas_that_sweep_at_once_share_the_work(platform: Platform) -> None:
    unused(platform, ONE, TWO)
    removed = []
    with platform.replica() as other:
        request = pb.SweepObjectsRequest()
        platform.store.before["delete"] = lambda: removed.extend(
            other.SweepObjects(request).objects
        )
        assert platform.sweep() == {D1, D2}
    assert removed == []
    assert (platform.objects, rows(platform)) == (set(), {})


def test_a_copy_keeps_its_original_from_being_deleted(platform: Platform, dialect: Dialect) -> None:
    if dialect == "sqlite":
        pytest.skip("has one writer")
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": ONE}, run_id=run_id)
    platform.register(run_id)
    copy = Registration("models:/iris/1", "", "", None, None, [])
    gone = delete(ModelVersion).where(ModelVersion.version == 1)
    database = platform.registry_database
    with database.write() as copying:
        _, pinned = pinned_source(rows_of(copying), copy, VersionSource("iris", 1))
        with pytest.raises(Unavailable), database.write() as deleting:
            deleting.execute(text("SET LOCAL lock_timeout = 100"))
            deleting.execute(gone)
    assert pinned.digest is not None
    with database.write() as deleting:
        deleting.execute(gone)
