"""Registered models, their versions and their history."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelyard.entities.entity import Entity


@dataclass(frozen=True, slots=True)
class ModelVersion(Entity):
    """One numbered, immutable snapshot of a model.

    Attributes:
        version: Decimal number as text.
        current_stage: "None", "Staging", "Production" or "Archived".
        status: "READY" once the bytes are pinned.
        experiment_id: Id of the experiment of the run that made the version.
        digest: SHA-256 of the manifest, 64 hexadecimal digits; empty if not verified.
        verified: Whether the bytes are pinned; False if the source is stored as text only.
        has_model: Whether the files are a model, with MLmodel at their root; None if unknown.
        unverified_reason: Why an imported version is not verified, with the missing files.
        etag: Changes with every write; pass it to a write to detect concurrent changes.
    """

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
    etag: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredModel(Entity):
    """A name under which versions are registered.

    Attributes:
        latest_versions: Highest version in each stage that is not empty.
        aliases: Version number by alias.
        revision: Number of the newest event of the model.
        deletion_protection: Whether deletions without `force` are refused.
    """

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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ResolvedModel(Entity):
    """Result of resolving a model URI.

    Attributes:
        digest: SHA-256 of the model's manifest, 64 hexadecimal digits.
        version: Number of the version, for URIs of registered models.
        revision: Revision of the registered model when the URI was resolved.
    """

    uri: str
    digest: str
    version: ModelVersion | None
    run_id: str
    model_id: str
    experiment_id: str
    revision: int
