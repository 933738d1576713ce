"""A sweep is refused when databases and store differ, and when it would remove too much."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.support.databases.dialects import ONE_SQL, Dialect
from tests.support.platforms.swept_platform import Platform, swept_platform
from tests.support.platforms.tracking_service import refused

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_kit.artifacts.marks import INSTALLATION
from modelyard_kit.db.identity import installations
from modelyard_kit.errors import FailedPrecondition
from modelyard_tracking.metrics import gc_refused
from modelyard_tracking.rules.artifacts import STRAY_MS, SWEPT_ANYWAY

MANY = SWEPT_ANYWAY + 1


@pytest.fixture
def platform(tmp_path: Path, dialect: Dialect) -> Iterator[Platform]:
    with swept_platform(tmp_path, dialect) as running:
        yield running


def leave_strays(platform: Platform, count: int) -> None:
    """Fill the store with old objects that the database does not know."""
    for number in range(count):
        data = str(number).encode()
        platform.store.put(Digest.of(data), [data], len(data))
    platform.clock.ahead_ms += STRAY_MS + 1000


def refusals() -> float:
    (metric,) = gc_refused.collect()
    return next(sample.value for sample in metric.samples if sample.name.endswith("_total"))


def test_nothing_is_swept_from_another_store(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"a": b"one"}, run_id=run_id)
    platform.delete_files(run_id)
    platform.clock.end_leases()
    before, refused_before = platform.objects, refusals()
    own = platform.store.mark(INSTALLATION)
    platform.store.set_mark(INSTALLATION, "0" * 32, replace=True)
    with refused(FailedPrecondition.reason, "the artifact store to 00000000…"):
        platform.sweep()
    assert (platform.objects, refusals()) == (before, refused_before + 1)
    platform.store.set_mark(INSTALLATION, str(own), replace=True)
    assert platform.sweep() == before


def test_nothing_is_swept_by_the_pins_of_a_registry_of_another_installation(
    platform: Platform,
) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": b"one"}, run_id=run_id)
    with platform.registry_database.write() as session:
        session.execute(update(installations).values(id="0" * 32))
    with refused(FailedPrecondition.reason, "registry belongs to the installation 00000000…"):
        platform.sweep()
    erase = pb.EraseDataRequest(run_id=run_id)
    with refused(FailedPrecondition.reason, "registry belongs to the installation 00000000…"):
        platform.tracking.artifacts.EraseData(erase)


@ONE_SQL
def test_a_sweep_of_more_than_a_quarter_is_refused_without_force(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    kept = {f"f{number}": f"kept {number}".encode() for number in range(2)}
    platform.tracking.log_files(kept, run_id=run_id)
    leave_strays(platform, MANY)
    before = platform.objects
    with refused(FailedPrecondition.reason, f"would remove {MANY} of {MANY + 2} objects"):
        platform.sweep()
    assert platform.objects == before
    assert len(platform.sweep(dry_run=True)) == MANY
    assert len(platform.sweep(force=True)) == MANY
    assert platform.objects == {Digest.of(data) for data in kept.values()}


@ONE_SQL
def test_a_small_number_is_swept_whatever_its_share(platform: Platform) -> None:
    platform.tracking.create_run()  # of the first call on, the store has an identity
    leave_strays(platform, SWEPT_ANYWAY)
    assert len(platform.sweep()) == SWEPT_ANYWAY
    assert platform.objects == set()


@ONE_SQL
def test_calls_are_refused_while_the_store_is_another(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.store.set_mark(INSTALLATION, "0" * 32, replace=True)
    with refused(FailedPrecondition.reason):
        platform.sweep()
    assert "the artifact store to 00000000…" in platform.database.problem()
    with refused("TEMPORARILY_UNAVAILABLE", "so nothing is served or changed"):
        platform.tracking.get_run(run_id)
    with refused(FailedPrecondition.reason, "the artifact store to 00000000…"):
        platform.sweep()
