"""Registered models, their versions and their history."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from modelyard._drop_in import missing_attribute
from modelyard.entities.entity import Entity
from modelyard.entities.sentences import described, stages

__all__ = ["ModelEvent", "ModelVersion", "RegisteredModel", "ResolvedModel", "VerifiedHistory"]

__getattr__ = missing_attribute(__name__)
__path__: list[str] = []  # a package to imports: MLflow has a module for each entity here


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True, slots=True, repr=False)
class ModelVersion(Entity):
    """One numbered, immutable snapshot of a model.

    Attributes:
        version: Decimal number as text.
        current_stage: "None", "Staging", "Production" or "Archived".
        status: "READY" once the bytes are pinned; "FAILED_REGISTRATION" while they are damaged.
        experiment_id: Id of the experiment of the run that made the version.
        digest: SHA-256 of the manifest, 64 hexadecimal digits; empty if not verified.
        verified: Whether the bytes are pinned; False if the source is stored as text only.
        has_model: Whether the files are a model, with MLmodel at their root; None if unknown.
        unverified_reason: Why an imported version is not verified, with the missing files.
        damage: Which bytes are wrong or missing in the store; empty if none are known to be.
        etag: Changes with every write; pass it to a write to detect concurrent changes.
    """

    _SHOWN: ClassVar = ("name", "version", "current_stage", "aliases", "run_id")

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    user_id: str = ""
    current_stage: str = "None"
    source: str = ""
    run_id: str = ""
    status: str = "READY"
    status_message: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    run_link: str = ""
    aliases: list[str] = field(default_factory=list)
    model_id: str = ""
    experiment_id: str = ""
    digest: str = ""
    verified: bool = False
    has_model: bool | None = None
    unverified_reason: str = ""
    damage: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class RegisteredModel(Entity):
    """A name under which versions are registered.

    Attributes:
        latest_versions: Highest version in each stage that is not empty.
        aliases: Version number by alias.
        revision: Number of the newest event of the model.
        deletion_protection: Whether deletions without `force` are refused.
    """

    _SHOWN: ClassVar = ("name", "aliases", "revision")

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    user_id: str = ""
    deployment_job_id: str = ""
    etag: str = ""
    revision: int = 0
    deletion_protection: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class ModelEvent(Entity):
    """One change of a model.

    Attributes:
        revision: Number of the event: 1, 2, 3, … for each name, without gaps.
        timestamp: Time of the change, milliseconds of Unix time.
        action: Kind of change, such as "STAGE_CHANGED".
        version: Number of the changed version; empty for a change of the model itself.
        before: JSON merge patch (RFC 7396) that undoes the change.
        after: JSON merge patch that makes the change.
        hash: Hash of this event and `previous_hash`.
    """

    _SHOWN: ClassVar = ("name", "revision", "action", "version", "actor")

    name: str
    revision: int
    timestamp: int
    actor: str
    action: str
    version: str
    before: str
    after: str
    comment: str
    request_id: str
    previous_hash: str
    hash: str

    @property
    def time(self) -> dt.datetime:
        """Time of the change, in UTC."""
        return dt.datetime.fromtimestamp(self.timestamp / 1000, dt.UTC)

    @property
    def stage(self) -> str | None:
        """Stage of the version after the change; None if the change set no stage."""
        return stages(self._patch(self.after)).get(self.version)

    @property
    def previous_stage(self) -> str | None:
        """Stage of the version before the change; None if it had none or the stage stayed."""
        return stages(self._patch(self.before)).get(self.version)

    @property
    def sentence(self) -> str:
        """The change in a sentence: actor, change, time and comment."""
        before, after = self._patch(self.before), self._patch(self.after)
        did = described(self.action, self.version, before, after)
        why = f": {' '.join(self.comment.split())}" if self.comment else ""
        return f"{self.actor or 'unknown'} {did}, at {self.time:%Y-%m-%d %H:%M:%S} UTC{why}"

    @staticmethod
    def _patch(text: str) -> dict[str, Any]:
        patch: dict[str, Any] = json.loads(text or "{}")
        return patch


@dataclass(frozen=True, slots=True, repr=False)
class VerifiedHistory(Entity):
    """Result of verifying a model's history.

    Attributes:
        revision: Number of verified events.
        hash: Hash of the newest event; a stored one reveals later whether events were rewritten.
    """

    name: str
    revision: int
    hash: str


@dataclass(frozen=True, slots=True, repr=False)
class ReleasedVersion(Entity):
    """A deleted version that was in Staging or Production or had aliases."""

    version: str
    stage: str
    aliases: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class Deletion(Entity):
    """What a deletion gave up.

    Attributes:
        released: The deleted versions that were in Staging or Production or had aliases.
        endpoints: Ids of the endpoints that refer to what was deleted.
    """

    released: list[ReleasedVersion] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class ResolvedModel(Entity):
    """Result of resolving a model URI.

    Attributes:
        digest: SHA-256 of the model's manifest, 64 hexadecimal digits.
        version: Number of the version, for URIs of registered models.
        revision: Revision of the registered model when the URI was resolved.
    """

    _SHOWN: ClassVar = ("uri", "digest")

    uri: str
    digest: str
    version: ModelVersion | None
    run_id: str
    model_id: str
    experiment_id: str
    revision: int
