"""The services work with the grants that docs/databases.md names, and can do no more with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from tests.support.databases import dialects
from tests.support.platforms.endpoint_service import ENDPOINTS, Endpoints
from tests.support.platforms.registry_service import running_registry
from tests.support.platforms.tracking_service import tracking_at

from modelyard.api.serving.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.db.migrations import Migrations
from modelyard_kit.rpc.channel import connect
from modelyard_registry.app import MIGRATIONS as REGISTRY
from modelyard_tracking.app import MIGRATIONS as TRACKING

pytestmark = pytest.mark.postgres

PAGE = Path(__file__).parents[2] / "docs" / "databases.md"


@contextmanager
def as_role(folder: Path, tree: Migrations) -> Iterator[str]:
    """Have the service of `folder` connect as a role with the documented grants; yield its URL."""
    owner = dialects.migrated_url("postgresql", folder, tree)
    role = f"role_of_{make_url(owner).database}"
    found = re.search(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    grants = (
        found[1].replace(" TO registry", f" TO {role}").replace(" FROM registry", f" FROM {role}")
    )
    if tree is TRACKING:
        grants = re.sub("REVOKE.*", "", grants)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(grants.encode())
        url = make_url(owner).set(username=role).render_as_string()
        dialects.use(folder, tree, url)
        yield url
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_the_registry_works_and_cannot_change_history(tmp_path: Path) -> None:
    with as_role(tmp_path, REGISTRY) as url:
        with running_registry(tmp_path, "postgresql") as registry:
            registry.create_model()
            registry.create_version()
            registry.move(1, "Production")
            registry.set_alias("champion", 1)
            assert registry.get_version("champion").current_stage == "Production"
            with connect(registry.target, ENDPOINTS) as channel:
                endpoints = Endpoints(registry, EndpointServiceStub(channel))
                endpoints.create()
                endpoints.delete()
        for statement in (b"UPDATE event SET comment = ''", b"DELETE FROM endpoint_event"):
            with (
                psycopg.connect(url) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(statement)


def test_tracking_works_and_keeps_the_ids_of_imports(tmp_path: Path) -> None:
    with as_role(tmp_path, TRACKING), tracking_at(tmp_path, "postgresql") as tracking:
        run_id = tracking.create_run()
        tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key="m", value=1.0))
        imported = tracking.rpc.ImportExperiment(
            pb.ImportExperimentRequest(
                origin="there",
                experiment=pb.Experiment(experiment_id="5", name="five", lifecycle_stage="active"),
            )
        )
        assert imported.experiment_id == "5"
        created = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name="six"))
        assert created.experiment_id == "6"
