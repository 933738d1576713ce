"""A valid request for each RPC that is built, for a small prepared set of resources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.support.platforms.registry_originals import version
from tests.support.platforms.tracking_originals import experiment, model, run

ORIGIN = "http://other.test"
DIGEST = hashlib.sha256(b"bytes").hexdigest()
_FILE = {"path": "notes/a.txt", "size_bytes": 5, "digest": DIGEST}
_MISSING = {"path": "notes/a.txt", "reason": "out of reach"}


class Call(Protocol):
    """Calls `Service.Rpc` with fields and returns the reply."""

    def __call__(self, rpc: str, **fields: Any) -> Any: ...


@dataclass
class World:
    """The prepared resources, and ways to create more.

    Attributes:
        call: Calls an RPC.
        put: Uploads bytes to a URL.
        run_id: Id of an active run of experiment 0, with a metric, a param, a tag and a file.
        model_id: Id of a logged model of that run.
        digest: Digest of a version's manifest.
    """

    call: Call
    put: Callable[[str, bytes], None]
    run_id: str = ""
    model_id: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        self._names = count(1)
        run_id = self.run_id = self.new_run()
        self.call("TrackingService.LogMetric", run_id=run_id, key="loss", value=1.0, timestamp=1)
        self.call("TrackingService.LogParam", run_id=run_id, key="depth", value="3")
        self.new_file(run_id=run_id)
        self.model_id = self.new_model()
        self.new_name("iris")
        for _ in range(2):
            made = self.call(
                "RegistryService.CreateModelVersion",
                name="iris",
                source=f"models:/{self.model_id}",
            )
        self.digest = made.model_version.digest
        self.call("RegistryService.SetRegisteredModelAlias", name="iris", alias="best", version="1")
        self.call(
            "RegistryService.ImportRegisteredModel",
            origin=ORIGIN,
            registered_model={"name": "away", "creation_timestamp": 1},
        )
        self.taken_stage()
        fields = {"endpoint_id": "fraud", "endpoint": {"spec": _SPEC}}
        self.call("EndpointService.CreateEndpoint", **fields)

    def unique(self) -> str:
        return f"n{next(self._names)}"

    def new_experiment(self) -> str:
        made = self.call("TrackingService.CreateExperiment", name=self.unique())
        return str(made.experiment_id)

    def deleted_experiment(self) -> str:
        experiment_id = self.new_experiment()
        self.call("TrackingService.DeleteExperiment", experiment_id=experiment_id)
        return experiment_id

    def new_run(self) -> str:
        made = self.call("TrackingService.CreateRun", experiment_id="0")
        return str(made.run.info.run_id)

    def new_file(self, **owner: str) -> None:
        declared = self.call("ArtifactsService.DeclareArtifacts", files=[_FILE], **owner)
        for upload in declared.uploads:
            self.put(upload.url, b"bytes")
        self.call("ArtifactsService.CommitArtifacts", files=[_FILE], **owner)

    def new_model(self) -> str:
        made = self.call(
            "TrackingService.CreateLoggedModel",
            experiment_id="0",
            name="model",
            source_run_id=self.run_id,
        )
        model_id = str(made.model.info.model_id)
        self.new_file(model_id=model_id)
        self.call(
            "TrackingService.FinalizeLoggedModel", model_id=model_id, status="LOGGED_MODEL_READY"
        )
        return model_id

    def new_name(self, name: str = "") -> str:
        name = name or self.unique()
        self.call("RegistryService.CreateRegisteredModel", name=name)
        return name

    def new_version(self) -> str:
        made = self.call(
            "RegistryService.CreateModelVersion", name="iris", source=f"models:/{self.model_id}"
        )
        return str(made.model_version.version)

    def alias(self) -> str:
        fields = {"name": "iris", "alias": "best", "version": "1"}
        self.call("RegistryService.SetRegisteredModelAlias", **fields)
        return "best"

    def moved_alias(self) -> str:
        """Return an alias that points at version 2, and pointed at version 1 before."""
        moved = "RegistryService.SetRegisteredModelAlias"
        for number in ("1", "2"):
            self.call(moved, name="iris", alias="moved", version=number)
        return "moved"

    def taken_stage(self) -> str:
        """Return a stage that version 2 holds, and version 1 held before."""
        for number in ("1", "2"):
            fields = {"name": "iris", "version": number, "stage": "Production"}
            self.call("RegistryService.TransitionModelVersionStage", **fields)
        return "Production"

    def new_endpoint(self) -> str:
        endpoint_id = self.unique()
        self.call(
            "EndpointService.CreateEndpoint", endpoint_id=endpoint_id, endpoint={"spec": _SPEC}
        )
        return endpoint_id

    def new_token(self) -> dict[str, Any]:
        name = self.unique()
        return {
            "id": hashlib.sha256(name.encode()).hexdigest()[:10],
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "name": name,
            "role": "VIEWER",
            "models": ["iris*"],
        }

    def token_id(self) -> str:
        return str(self.call("AccessService.CreateToken", **self.new_token()).token.id)


def _in_run(**fields: Any) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"run_id": world.run_id} | fields


def _of_model(**fields: Any) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"model_id": world.model_id} | fields


def _always(**fields: Any) -> Callable[[World], dict[str, Any]]:
    return lambda _world: fields


def _iris(**fields: Any) -> Callable[[World], dict[str, Any]]:
    return lambda _world: {"name": "iris"} | fields


_TAG = {"key": "team", "value": "x"}
_METRIC = {"key": "loss", "value": 1.0, "timestamp": 2, "step": 3}
_DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
_INPUT = {"tags": [{"key": "context", "value": "train"}], "dataset": _DATASET}
_SERIES = {"key": "loss", "steps": [1], "timestamps": [2], "values": [3.0]}
_TARGET = {"model_uri": "models:/iris/1", "role": "STABLE", "weight": 100}
_SPEC = {
    "targets": [_TARGET],
    "batching": {"max_rows": 8},
    "limits": {"timeout_ms": 500, "max_requests_per_second": 0.5},
    "schema_mode": "STRICT",
    "guardrails": {"max_error_rate": 0.1, "roll_back": True},
}
_PAGE = {"filter": "name = 'iris'", "order_by": ["name"], "max_results": 10}

TRACKING: dict[str, Callable[[World], dict[str, Any]]] = {
    "CreateExperiment": lambda world: {"name": world.unique(), "tags": [_TAG]},
    "GetExperiment": _always(experiment_id="0"),
    "GetExperimentByName": _always(experiment_name="Default"),
    "SearchExperiments": _always(**_PAGE | {"view_type": "ALL"}),
    "DeleteExperiment": lambda world: {"experiment_id": world.new_experiment()},
    "RestoreExperiment": lambda world: {"experiment_id": world.deleted_experiment()},
    "UpdateExperiment": lambda world: {
        "experiment_id": world.new_experiment(),
        "new_name": world.unique(),
    },
    "SetExperimentTag": _always(experiment_id="0", **_TAG),
    "DeleteExperimentTag": _always(experiment_id="0", key="team"),
    "CreateRun": _always(experiment_id="0", user_id="ada", run_name="r", start_time=1, tags=[_TAG]),
    "GetRun": _in_run(),
    "UpdateRun": _in_run(status="RUNNING", run_name="r"),
    "SendHeartbeat": _in_run(),
    "DeleteRun": lambda world: {"run_id": world.new_run()},
    "RestoreRun": _in_run(),
    "SearchRuns": _always(
        experiment_ids=["0"],
        filter="metrics.loss > 0",
        run_view_type="ALL",
        max_results=10,
        order_by=["metrics.loss"],
    ),
    "LogMetric": _in_run(**_METRIC),
    "LogParam": _in_run(key="depth", value="3"),
    "SetTag": _in_run(**_TAG),
    "DeleteTag": _in_run(key="team"),
    "LogBatch": _in_run(metrics=[_METRIC], params=[{"key": "depth", "value": "3"}], tags=[_TAG]),
    "LogMetricSeries": _in_run(series=[_SERIES]),
    "GetMetricSeries": lambda world: {
        "run_ids": [world.run_id],
        "metric_keys": ["loss"],
        "max_points": 10,
    },
    "GetMetricHistory": _in_run(metric_key="loss", max_results=10),
    "GetMetricHistoryBulkInterval": lambda world: {
        "run_ids": [world.run_id],
        "metric_key": "loss",
        "start_step": 0,
        "end_step": 9,
        "max_results": 10,
    },
    "GetMetricHistoryBulk": lambda world: {
        "run_id": [world.run_id],
        "metric_key": "loss",
        "max_results": 10,
    },
    "LogModel": lambda world: {
        "run_id": world.run_id,
        "model_json": json.dumps(
            {"artifact_path": "m", "flavors": {}, "utc_time_created": "", "run_id": world.run_id}
        ),
    },
    "LogInputs": lambda world: {
        "run_id": world.run_id,
        "datasets": [_INPUT],
        "models": [{"model_id": world.model_id}],
    },
    "LogOutputs": lambda world: {
        "run_id": world.run_id,
        "models": [{"model_id": world.model_id, "step": 1}],
    },
    "CreateLoggedModel": lambda world: {
        "experiment_id": "0",
        "name": "m",
        "model_type": "t",
        "source_run_id": world.run_id,
        "params": [{"key": "depth", "value": "3"}],
        "tags": [_TAG],
    },
    "FinalizeLoggedModel": _of_model(status="LOGGED_MODEL_READY"),
    "GetLoggedModel": _of_model(),
    "DeleteLoggedModel": lambda world: {"model_id": world.new_model()},
    "SearchLoggedModels": _always(
        experiment_ids=["0"],
        filter="name = 'model'",
        datasets=[{"dataset_name": "d", "dataset_digest": "1"}],
        max_results=10,
        order_by=[{"field_name": "creation_time"}],
    ),
    "SetLoggedModelTags": _of_model(tags=[_TAG]),
    "DeleteLoggedModelTag": _of_model(tag_key="team"),
    "LogLoggedModelParams": _of_model(params=[{"key": "depth", "value": "3"}]),
    "SearchDatasets": _always(experiment_ids=["0"]),
    "ImportExperiment": lambda world: {
        "origin": ORIGIN,
        "experiment": experiment("0", name=world.unique(), tags=[_TAG]),
    },
    "ImportRun": _always(origin=ORIGIN, run=run("7" * 32)),
    "ImportLoggedModel": _always(origin=ORIGIN, model=model("m-" + "7" * 32)),
}
ARTIFACTS: dict[str, Callable[[World], dict[str, Any]]] = {
    "ListArtifacts": _in_run(path="model", experiment_id="0"),
    "ListLoggedModelArtifacts": _of_model(artifact_directory_path="notes", experiment_id="0"),
    "CheckArtifactsWritable": _in_run(experiment_id="0"),
    "DeclareArtifacts": _in_run(files=[_FILE], experiment_id="0"),
    "CommitArtifacts": _of_model(files=[_FILE]),
    "GetArtifacts": _of_model(path="notes", experiment_id="0"),
    "DeleteArtifacts": lambda world: {"model_id": world.new_model(), "path": "notes"},
    "SealManifest": _of_model(path="notes"),
    "SetMissingArtifacts": lambda world: {"run_id": world.new_run(), "files": [_MISSING]},
    "SweepObjects": _always(dry_run=True),
    "ScrubObjects": _always(),
    "InspectObjects": _always(digests=[DIGEST]),
    "PurgeDeleted": _always(older_than_ms=1, dry_run=True),
    "EraseData": _in_run(tag="gone", dry_run=True),
    "CreatePresignedUploadUrl": _in_run(path="b.txt", expiration=60),
    "CreatePresignedDownloadUrl": _in_run(path="notes/a.txt", expiration=60),
}
_BACK = {"name": "iris", "to": "1", "comment": "why"}
REGISTRY: dict[str, Callable[[World], dict[str, Any]]] = {
    "CreateRegisteredModel": lambda world: {
        "name": world.unique(),
        "tags": [_TAG],
        "description": "d",
    },
    "RenameRegisteredModel": lambda world: {"name": world.new_name(), "new_name": world.unique()},
    "UpdateRegisteredModel": _iris(description="d"),
    "DeleteRegisteredModel": lambda world: {"name": world.new_name(), "comment": "old"},
    "GetRegisteredModel": _iris(),
    "SearchRegisteredModels": _always(**_PAGE),
    "GetLatestVersions": _iris(stages=["Production"]),
    "CreateModelVersion": lambda world: {
        "name": "iris",
        "source": f"models:/{world.model_id}",
        "run_id": world.run_id,
        "tags": [_TAG],
        "run_link": "",
        "description": "d",
    },
    "UpdateModelVersion": _iris(version="1", description="d"),
    "TransitionModelVersionStage": _iris(version="1", stage="Staging", comment="why"),
    "DeleteModelVersion": lambda world: {"name": "iris", "version": world.new_version()},
    "GetModelVersion": _iris(version="1"),
    "SearchModelVersions": _always(**_PAGE),
    "GetModelVersionDownloadUri": _iris(version="1"),
    "SetRegisteredModelTag": _iris(**_TAG),
    "SetModelVersionTag": _iris(version="1", **_TAG),
    "DeleteRegisteredModelTag": _iris(key="team"),
    "DeleteModelVersionTag": _iris(version="1", key="team"),
    "SetRegisteredModelAlias": _iris(alias="best", version="1"),
    "DeleteRegisteredModelAlias": _iris(alias="best"),
    "GetModelVersionByAlias": lambda world: {"name": "iris", "alias": world.alias()},
    "ResolveModel": _always(uri="models:/iris/1", include_downloads=False),
    "RollbackStage": lambda world: {"stage": world.taken_stage(), **_BACK},
    "RollbackAlias": lambda world: {"alias": world.moved_alias(), **_BACK},
    "ListModelEvents": _iris(after_revision=0, page_size=10),
    "WatchModels": _iris(after_revision=0),
    "VerifyHistory": _iris(),
    "ListPinnedManifests": _always(page_size=10),
    "SetDamagedManifests": _always(manifests=[]),
    "GetPinnedManifest": lambda world: {"digest": world.digest},
    "ImportRegisteredModel": lambda world: {
        "origin": ORIGIN,
        "registered_model": {"name": world.unique(), "creation_timestamp": 1, "tags": [_TAG]},
        "next_version": 3,
    },
    "ImportModelVersion": _always(origin=ORIGIN, model_version=version(90, "away")),
}
ENDPOINTS: dict[str, Callable[[World], dict[str, Any]]] = {
    "CreateEndpoint": lambda world: {
        "endpoint_id": world.unique(),
        "endpoint": {"spec": _SPEC},
        "comment": "why",
    },
    "GetEndpoint": _always(endpoint_id="fraud"),
    "ListEndpoints": _always(page_size=10),
    "UpdateEndpoint": _always(
        endpoint_id="fraud",
        endpoint={"spec": _SPEC},
        update_mask={"paths": ["spec"]},
        comment="why",
    ),
    "DeleteEndpoint": lambda world: {"endpoint_id": world.new_endpoint(), "comment": "old"},
    "ListEndpointEvents": _always(endpoint_id="fraud", after_revision=0, page_size=10),
    "VerifyEndpointHistory": _always(endpoint_id="fraud"),
    "WatchEndpoints": _always(endpoint_id="fraud", after_revision=0),
    "ReportServing": _always(
        endpoint_id="fraud",
        targets=[{"model_uri": "models:/iris/1", "state": "SERVING", "model_digest": DIGEST}],
    ),
}
ACCESS: dict[str, Callable[[World], dict[str, Any]]] = {
    "CreateToken": lambda world: world.new_token(),
    "ListTokens": _always(page_size=10),
    "RevokeToken": lambda world: {"id": world.token_id()},
    "ListTokenChecks": _always(revision=0),
    "GetCaller": _always(),
}
VALID = {
    f"{service}.{rpc}": fields
    for service, table in {
        "TrackingService": TRACKING,
        "ArtifactsService": ARTIFACTS,
        "RegistryService": REGISTRY,
        "EndpointService": ENDPOINTS,
        "AccessService": ACCESS,
    }.items()
    for rpc, fields in table.items()
}


def valid(world: World, method: MethodDescriptor) -> Message:
    """Return a request of an RPC that succeeds."""
    fields = VALID[f"{method.containing_service.name}.{method.name}"](world)
    request: Message = GetMessageClass(method.input_type)(**fields)
    return request
