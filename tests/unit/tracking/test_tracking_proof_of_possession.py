"""Which objects are hidden from a caller with a scope, on both databases."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect, open_migrated

from modelyard_kit.artifacts import Digest, ManifestFile
from modelyard_kit.auth.scope import Scope, restrict
from modelyard_kit.db.base import Database
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.models import Experiment, Run
from modelyard_tracking.operations import artifacts, proof_of_possession
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.search.restriction import RESTRICTION

OWN, FOREIGN, BOTH, COMING, MANIFEST, NOWHERE = (Digest.of(bytes([n])) for n in range(6))


@pytest.fixture
def database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path, MIGRATIONS)) as opened:
        yield opened


def test_objects_outside_the_scope_are_hidden(database: Database) -> None:
    with database.write() as session:
        for name, digests in (("own", (OWN, BOTH)), ("foreign", (FOREIGN, BOTH))):
            experiment = Experiment(name=name, created_ms=0, updated_ms=0)
            session.add(experiment)
            session.flush()
            where = {"experiment_id": experiment.experiment_id}
            session.add(Run(run_id=name, name=name, user_id="ada", start_ms=0, **where))
            session.flush()
            files = [ManifestFile(digest, 1, digest) for digest in digests]
            artifacts.commit_files(session, Owner(OwnerKind.RUN, name), files, 1)
        for digest, state in ((OWN, "stored"), (FOREIGN, "stored"), (BOTH, "stored")):
            artifacts.lease_objects(session, {digest: 1}, 0, state=state)
        artifacts.lease_objects(session, {COMING: 1}, 0, state="declared")
        artifacts.lease_objects(session, {MANIFEST: 1}, 0, state="declared", is_manifest=True)
    asked = [OWN, FOREIGN, BOTH, COMING, MANIFEST, NOWHERE]
    with database.read() as session:
        scope = Scope(experiments=("own",))
        restrict(session, scope, RESTRICTION.options(scope))
        assert proof_of_possession.hidden_objects(session, asked) == {FOREIGN, MANIFEST}
    with database.read() as session:
        assert proof_of_possession.hidden_objects(session, asked) == {MANIFEST}
