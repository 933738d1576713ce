"""Entities of another registry as messages, and helpers for the calls that import them."""

from __future__ import annotations

from typing import Any

from tests.support.platforms.registry_service import Registry

from modelyard.api.registry.v1 import registry_pb2 as pb

ORIGIN = "http://mlflow.test"
FOREIGN = "s3://bucket/model"


def model(name: str = "iris", **fields: Any) -> pb.RegisteredModel:
    times = {"creation_timestamp": 1000, "last_updated_timestamp": 2000}
    return pb.RegisteredModel(name=name, **{**times, **fields})


def version(number: int | str, name: str = "iris", **fields: Any) -> pb.ModelVersion:
    values = {"creation_timestamp": 1000, "last_updated_timestamp": 2000, "source": FOREIGN}
    return pb.ModelVersion(name=name, version=str(number), **{**values, **fields})


def import_model(
    registry: Registry, message: pb.RegisteredModel, origin: str = ORIGIN, next_version: int = 0
) -> pb.ImportRegisteredModelResponse:
    request = pb.ImportRegisteredModelRequest(
        origin=origin, registered_model=message, next_version=next_version
    )
    reply: pb.ImportRegisteredModelResponse = registry.call("ImportRegisteredModel", request)
    return reply


def import_version(
    registry: Registry, message: pb.ModelVersion, origin: str = ORIGIN
) -> pb.ImportModelVersionResponse:
    request = pb.ImportModelVersionRequest(origin=origin, model_version=message)
    reply: pb.ImportModelVersionResponse = registry.call("ImportModelVersion", request)
    return reply


def actions(registry: Registry, name: str = "iris") -> list[str]:
    return [pb.ModelEvent.Action.Name(event.action) for event in registry.events(name)]


def verify(registry: Registry, name: str = "iris") -> int:
    reply = registry.call("VerifyHistory", pb.VerifyHistoryRequest(name=name))
    return int(reply.revision)


def delete_version(registry: Registry, number: int) -> None:
    request = pb.DeleteModelVersionRequest(name="iris", version=str(number))
    registry.call("DeleteModelVersion", request)


def rename(registry: Registry, new_name: str) -> None:
    request = pb.RenameRegisteredModelRequest(name="iris", new_name=new_name)
    registry.call("RenameRegisteredModel", request)


def resolve(registry: Registry, uri: str, as_of_ms: int) -> str:
    request = pb.ResolveModelRequest(uri=uri)
    request.as_of.FromMilliseconds(as_of_ms)
    return str(registry.call("ResolveModel", request).model_version.version)
