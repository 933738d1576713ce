"""The registry's tables, which are also its domain objects.

The rows of one name, written as JSON, are the *document* of that name; events are patches of it.
docs/history.md describes the format.
"""

from __future__ import annotations

from modelyard_registry.models.base import Base, table_of
from modelyard_registry.models.endpoints import Endpoint, EndpointEvent, EndpointModel, EndpointName
from modelyard_registry.models.registered_models import (
    FAILED_REGISTRATION,
    READY,
    ApiToken,
    ApiTokenRevision,
    DamagedManifest,
    Event,
    Imported,
    ModelAlias,
    ModelName,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    RegistryClock,
)

__all__ = [
    "FAILED_REGISTRATION",
    "READY",
    "ApiToken",
    "ApiTokenRevision",
    "Base",
    "DamagedManifest",
    "Endpoint",
    "EndpointEvent",
    "EndpointModel",
    "EndpointName",
    "Event",
    "Imported",
    "ModelAlias",
    "ModelName",
    "ModelVersion",
    "ModelVersionTag",
    "RegisteredModel",
    "RegisteredModelTag",
    "RegistryClock",
    "table_of",
]
