"""A platform in one process with runs, versions and files, for tests of maintenance commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tests.support.platforms.tracking_service import Tracking

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.api.serving.v1 import endpoint_pb2
from modelyard.api.serving.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.settings.table import UpSettings
from modelyard_server.admin.installation import no_urls
from modelyard_server.processes.embedded import Embedded


@dataclass
class Platform:
    """A running platform and its home."""

    home: Path
    http: str
    tracking: Tracking
    registry: Any
    endpoints: Any

    def log_run(self, number: int) -> str:
        """Log a run with a metric, a parameter and a logged model; return its id."""
        run_id = self.tracking.create_run()
        self.tracking.rpc.LogBatch(
            tracking_pb2.LogBatchRequest(
                run_id=run_id,
                metrics=[
                    tracking_pb2.Metric(key="loss", value=value, timestamp=1, step=step)
                    for step, value in enumerate((0.5 / (number + 1), float("inf"), float("nan")))
                ],
                params=[tracking_pb2.Param(key="ü", value=f"{number} 😀")],
            )
        )
        files = {"model/MLmodel": b"flavors: {}\n", "model/weights": f"w{number}".encode()}
        self.tracking.log_files(files, run_id=run_id)
        return run_id

    def register(self, run_id: str, name: str = "iris") -> str:
        """Register the next version of an existing model; return its number."""
        request = registry_pb2.CreateModelVersionRequest(name=name, source=f"runs:/{run_id}/model")
        return str(self.registry.CreateModelVersion(request).model_version.version)

    def create_model(self, name: str = "iris") -> None:
        self.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=name))

    def move(self, version: str, stage: str, name: str = "iris") -> None:
        request = registry_pb2.TransitionModelVersionStageRequest(
            name=name, version=version, stage=stage
        )
        self.registry.TransitionModelVersionStage(request)

    def versions(self) -> dict[str, str]:
        """Stages by `name/number`."""
        reply = self.registry.SearchModelVersions(registry_pb2.SearchModelVersionsRequest())
        return {f"{v.name}/{v.version}": v.current_stage for v in reply.model_versions}

    def runs(self) -> list[tracking_pb2.Run]:
        """Active runs of the experiment Default."""
        request = tracking_pb2.SearchRunsRequest(experiment_ids=["0"])
        return list(self.tracking.rpc.SearchRuns(request).runs)

    def create_experiment(self, name: str) -> str:
        request = tracking_pb2.CreateExperimentRequest(name=name)
        return str(self.tracking.rpc.CreateExperiment(request).experiment_id)

    def delete_version(self, version: str, name: str = "iris") -> None:
        request = registry_pb2.DeleteModelVersionRequest(name=name, version=version)
        self.registry.DeleteModelVersion(request)

    def create_endpoint(self, endpoint_id: str) -> None:
        target = {"model_uri": "models:/iris/Production", "role": "STABLE", "weight": 100}
        self.endpoints.CreateEndpoint(
            endpoint_pb2.CreateEndpointRequest(
                endpoint_id=endpoint_id, endpoint={"spec": {"targets": [target]}}
            )
        )

    def log_living_run(self) -> str:
        """Log a run that sends heartbeats and lacks a file of an import; return its id."""
        run_id = self.tracking.create_run(heartbeats=True)
        missing = [artifacts_pb2.MissingFile(path="model/vocab", reason="out of reach")]
        request = artifacts_pb2.SetMissingArtifactsRequest(run_id=run_id, files=missing)
        self.tracking.artifacts.SetMissingArtifacts(request)
        self.tracking.log_files({"model/MLmodel": b"flavors: {}\n"}, run_id=run_id)
        return run_id

    def purge_a_run(self) -> str:
        """Create a run, delete and purge it; return its id."""
        run_id = self.tracking.create_run()
        self.tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
        self.tracking.artifacts.PurgeDeleted(artifacts_pb2.PurgeDeletedRequest(older_than_ms=0))
        return run_id

    def fill(self) -> None:
        """Create some of everything: deleted resources, holders of stages, a renamed model."""
        self.create_experiment("other")
        self.log_living_run()
        self.purge_a_run()
        self.create_model()
        runs = [self.log_run(number) for number in range(3)]
        for run_id in runs:
            self.register(run_id)
        self.move("2", "Production")
        self.move("3", "Production")
        self.delete_version("1")
        self.create_model("old")
        self.registry.RenameRegisteredModel(
            registry_pb2.RenameRegisteredModelRequest(name="old", new_name="new")
        )
        self.registry.SetRegisteredModelAlias(
            registry_pb2.SetRegisteredModelAliasRequest(name="iris", alias="best", version="2")
        )
        for endpoint_id in ("gone", "flowers"):
            self.create_endpoint(endpoint_id)
        self.endpoints.DeleteEndpoint(endpoint_pb2.DeleteEndpointRequest(endpoint_id="gone"))


@contextmanager
def running(home: Path) -> Iterator[Platform]:
    """Run a platform in this process, on free ports."""
    embedded = Embedded(UpSettings(home=home, port=0, grpc_port=0))
    store = LocalStore(home / "objects", no_urls())
    try:
        with closing(grpc.insecure_channel(embedded.grpc)) as channel:
            tracking: Any = Tracking(channel, store)  # type: ignore[arg-type]  # it puts only
            registry, endpoints = RegistryServiceStub(channel), EndpointServiceStub(channel)
            yield Platform(home, embedded.http, tracking, registry, endpoints)
    finally:
        embedded.stop()
