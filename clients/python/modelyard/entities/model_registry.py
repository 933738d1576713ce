"""Registered models, their versions and their history."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelyard.entities.entity import Entity


@dataclass(frozen=True, slots=True)
class ModelVersion(Entity):
    """One numbered, immutable snapshot of a model.

    Attributes:
        version: A decimal number as text.
        current_stage: "None", "Staging", "Production" or "Archived".
        status: "READY" once its bytes are pinned.
        experiment_id: The experiment of the run that made it.
        digest: SHA-256 of its manifest, 64 hexadecimal digits; empty when it is not verified.
        verified: False for a source that is kept as text only.
        etag: Send it back to write only what was read.
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
    etag: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredModel(Entity):
    """A name under which versions are kept.

    Attributes:
        latest_versions: The highest version in each stage that holds one.
        aliases: Version by alias.
        revision: The number of its newest event.
        deletion_protection: Deletes are refused unless they say `force`.
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
        revision: 1, 2, 3, … for each name, without gaps.
        timestamp: Unix time, milliseconds.
        action: Such as "STAGE_CHANGED".
        version: The version it was done to; empty for a change of the model itself.
        before: JSON merge patch (RFC 7396) that undoes the change.
        after: JSON merge patch that does it.
        hash: Covers this event and `previous_hash`.
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
    """What a model URI stands for.

    Attributes:
        digest: SHA-256 of the model's manifest, 64 hexadecimal digits.
        version: Set for URIs of registered models.
        revision: The model's revision at the time of the answer.
    """

    uri: str
    digest: str
    version: ModelVersion | None
    run_id: str
    model_id: str
    experiment_id: str
    revision: int
