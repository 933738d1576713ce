"""Resources inside and outside a token's scope, and requests for every RPC that names some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.support.platforms.access_platform import METHODS, Platform

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit.artifacts import Digest
from modelyard_kit.auth.grants import permission_of

BYTES = b"weights"
SEARCHES = {
    "TrackingService.SearchExperiments",
    "TrackingService.SearchRuns",
    "TrackingService.SearchLoggedModels",
    "TrackingService.SearchDatasets",
    "RegistryService.SearchRegisteredModels",
    "RegistryService.SearchModelVersions",
    "RegistryService.WatchModels",
    "EndpointService.ListEndpoints",
    "EndpointService.WatchEndpoints",
}
"""RPCs that answer with the visible resources; a foreign name in their requests finds nothing."""
NAMES_NOTHING = {
    "AccessService.GetCaller",
    "EndpointService.CreateEndpoint",
    "RegistryService.CreateRegisteredModel",
    "TrackingService.CreateExperiment",
}


@dataclass(frozen=True)
class Things:
    """An experiment with a run, a logged model, a dataset; a model with a version; an endpoint."""

    word: str
    experiment_id: str
    run_id: str
    model_id: str
    digest: str

    @property
    def identities(self) -> tuple[str, ...]:
        return (self.word, self.run_id, self.model_id, self.digest)


MISSING = Things("absent", "999", "a" * 32, "m-" + "b" * 32, "c" * 64)


def made(platform: Platform, word: str) -> Things:
    call = platform.call
    experiment_id = call("TrackingService.CreateExperiment", name=f"{word}-exp").experiment_id
    run = call("TrackingService.CreateRun", experiment_id=experiment_id, run_name=f"{word}-run")
    run_id = run.run.info.run_id
    model = call(
        "TrackingService.CreateLoggedModel",
        experiment_id=experiment_id,
        name=f"{word}-logged",
        source_run_id=run_id,
    )
    model_id = model.model.info.model_id
    call("TrackingService.SetExperimentTag", experiment_id=experiment_id, key="k", value="v")
    tags = [{"key": "k", "value": "v"}]
    call("TrackingService.SetLoggedModelTags", model_id=model_id, tags=tags)
    call("TrackingService.SetTag", run_id=run_id, key="k", value=f"{word}-tag")
    call("TrackingService.LogMetric", run_id=run_id, key="k", value=1.0)
    dataset = {"name": f"{word}-data", "digest": "d", "source_type": "s", "source": "s"}
    call("TrackingService.LogInputs", run_id=run_id, datasets=[{"dataset": dataset}])
    _log_file(platform, run_id=run_id)
    _log_file(platform, model_id=model_id)
    put_bytes(platform, run_id)
    call("TrackingService.FinalizeLoggedModel", model_id=model_id, status="LOGGED_MODEL_READY")
    name = f"{word}-model"
    call("RegistryService.CreateRegisteredModel", name=name)
    version = call("RegistryService.CreateModelVersion", name=name, source=f"runs:/{run_id}/")
    call("RegistryService.SetRegisteredModelAlias", name=name, alias="champion", version="1")
    call("RegistryService.SetModelVersionTag", name=name, version="1", key="k", value=word)
    digest = version.model_version.digest
    target = {"model_uri": f"models:/{name}@champion", "role": "STABLE", "weight": 100}
    call(
        "EndpointService.CreateEndpoint",
        endpoint_id=f"{word}-endpoint",
        endpoint={"spec": {"targets": [target]}},
    )
    return Things(word, experiment_id, run_id, model_id, digest)


def _log_file(platform: Platform, **owner: str) -> None:
    content = BYTES + str(owner).encode()
    file = {"path": "a/b.bin", "size_bytes": len(content), "digest": Digest.of(content)}
    declared = platform.call("ArtifactsService.DeclareArtifacts", files=[file], **owner)
    for upload in declared.uploads:
        platform.put(upload.url, content, dict(upload.headers))
    platform.call("ArtifactsService.CommitArtifacts", files=[file], **owner)


def put_bytes(platform: Platform, run_id: str) -> None:
    file = {"path": "new.bin", "size_bytes": len(BYTES), "digest": Digest.of(BYTES)}
    declared = platform.call("ArtifactsService.DeclareArtifacts", files=[file], run_id=run_id)
    for upload in declared.uploads:
        platform.put(upload.url, BYTES, dict(upload.headers))


def request_about(method: MethodDescriptor, things: Things) -> Message:
    """Return a valid request that names the resources in every field that can name one."""
    request = GetMessageClass(method.input_type)()
    _fill(request, things, method.name)
    has_both = {"run_id", "model_id"} <= set(method.input_type.fields_by_name)
    if has_both and method.containing_service.name == "ArtifactsService":
        request.ClearField("model_id")
    return request


def _fill(message: Message, things: Things, rpc: str) -> None:
    for field in message.DESCRIPTOR.fields:
        value = _value(field.name, things, rpc)
        if value is None:
            continue
        if field.is_repeated:
            getattr(message, field.name).extend([value] if not isinstance(value, list) else value)
        else:
            setattr(message, field.name, value)
    for field in message.DESCRIPTOR.fields:
        if (message.DESCRIPTOR.name, field.name) in _NESTED:
            made_of: Any = field.message_type
            item = GetMessageClass(made_of)(**_NESTED[message.DESCRIPTOR.name, field.name])
            if field.is_repeated:
                getattr(message, field.name).append(item)
            else:
                getattr(message, field.name).CopyFrom(item)


def _value(field: str, things: Things, rpc: str) -> Any:
    special = _SPECIAL.get((rpc, field))
    value = _FIELDS.get(field) if special is None else special
    if not isinstance(value, str):
        return value
    for name in ("word", "experiment_id", "run_id", "model_id", "digest"):
        value = value.replace(f"<{name}>", getattr(things, name))
    return value


_FIELDS = {
    "name": "<word>-model",
    "endpoint_id": "<word>-endpoint",
    "run_id": "<run_id>",
    "run_ids": "<run_id>",
    "model_id": "<model_id>",
    "experiment_id": "<experiment_id>",
    "experiment_ids": "<experiment_id>",
    "experiment_name": "<word>-exp",
    "digest": "<digest>",
    "source": "models:/<word>-model/1",
    "uri": "models:/<word>-model/1",
    "version": "1",
    "stage": "Staging",
    "alias": "champion",
    "key": "k",
    "metric_key": "k",
    "tag_key": "k",
}
_SPECIAL: dict[tuple[str, str], Any] = {
    ("RenameRegisteredModel", "new_name"): "fraud-<word>-renamed",
    ("UpdateExperiment", "new_name"): "fraud-<word>-renamed",
    ("CreateModelVersion", "run_id"): "",
    ("CreateModelVersion", "model_id"): "",
    ("CreateLoggedModel", "name"): "model",
    ("LogMetric", "model_id"): "",
    ("LogMetric", "value"): 1.0,
    (
        "LogModel",
        "model_json",
    ): '{"flavors": {}, "utc_time_created": "now", "artifact_path": "a", "run_id": "<run_id>"}',
    ("FinalizeLoggedModel", "status"): 2,
    ("DeleteLoggedModelTag", "tag_key"): "k",
    ("RestoreRun", "run_id"): "<run_id>",
    ("RollbackStage", "stage"): "Staging",
    **{(rpc, "to"): "" for rpc in ("RollbackStage", "RollbackAlias")},
    **{
        (rpc, "path"): "a/b.bin"
        for rpc in ("CreatePresignedUploadUrl", "CreatePresignedDownloadUrl")
    },
    **{(rpc, "run_uuid"): "" for rpc in ("GetRun", "ListArtifacts")},
}
_NESTED: dict[tuple[str, str], dict[str, Any]] = {
    ("LogMetricSeriesRequest", "series"): {
        "key": "k",
        "steps": [1],
        "timestamps": [1],
        "values": [1.0],
    },
    **{
        (request, "files"): {
            "path": "new.bin",
            "size_bytes": len(BYTES),
            "digest": Digest.of(BYTES),
        }
        for request in ("DeclareArtifactsRequest", "CommitArtifactsRequest")
    },
    ("UpdateEndpointRequest", "endpoint"): {"spec": {"limits": {"timeout_ms": 5}}},
}
_SCOPED = {"TrackingService", "RegistryService", "EndpointService", "ArtifactsService"}
SCOPED_RPCS = {
    rpc: method
    for rpc, method in METHODS.items()
    if rpc.split(".")[0] in _SCOPED
    and permission_of(method) not in {Permission.ADMIN, Permission.INTERNAL}
    and rpc not in NAMES_NOTHING
}
