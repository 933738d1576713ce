"""Operations on registered models: named collections of versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from sqlalchemy import Executable, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from modelyard_kit.errors import AlreadyExists
from modelyard_kit.keys import checked_key
from modelyard_kit.references.names import check_model_name
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import (
    Base,
    Imported,
    ModelAlias,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
)
from modelyard_registry.operations.changes import Change, Documented, no_model
from modelyard_registry.operations.former_names import check_free
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag, check_tag_keys
from modelyard_registry.rules.protection import PROTECTION_TAG, protects

_PARTS = (ModelVersion, ModelVersionTag, RegisteredModelTag, ModelAlias)
"""The tables of a model's parts, parents before children."""
_TABLES = [Base.metadata.tables[row.__tablename__] for row in (RegisteredModel, *_PARTS)]


def create_model(
    call: Call,
    name: str,
    *,
    description: str | None,
    deployment_job_id: str | None,
    tags: Sequence[tuple[str, str]],
) -> RegisteredModel:
    """Create a model without versions; `PROTECTION_TAG` among its tags protects it."""
    check_model_name(name)
    check_tag_keys(key for key, _ in tags)
    protection = protects(dict(tags).get(PROTECTION_TAG, "false"))
    if call.session.get(RegisteredModel, name) is not None:
        raise _taken(name)
    change = Change.begin_name(call, name)
    model = RegisteredModel(
        name=name,
        description=description,
        user_id=call.actor,
        deployment_job_id=deployment_job_id,
        deletion_protection=protection,
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
    )
    change.add(model)
    for key, value in tags:
        change.add(RegisteredModelTag(name=name, key=key, value=value))
    change.record(Action.MODEL_CREATED)
    return model


def ensure_model(call: Call, name: str) -> None:
    """Create a model unless one with the name exists."""
    with suppress(AlreadyExists):
        create_model(call, name, description=None, deployment_job_id=None, tags=())


def get_model(session: Session, name: str) -> RegisteredModel:
    found = session.get(RegisteredModel, name)
    if found is None:
        raise no_model(name)
    return found


def latest_versions(
    session: Session, names: Sequence[str], stages: Sequence[Stage] = tuple(Stage)
) -> Mapping[str, Sequence[ModelVersion]]:
    """Return, by name, the highest version in each of the stages that has versions.

    The stages are in MLflow's order, that of their lowest versions.
    """
    lowest, highest = func.min(ModelVersion.version), func.max(ModelVersion.version)
    of_stages = (
        select(ModelVersion.name, lowest.label("lowest"), highest.label("highest"))
        .where(ModelVersion.name.in_(names), ModelVersion.stage.in_(stages))
        .group_by(ModelVersion.name, ModelVersion.stage)
        .subquery()
    )
    found: dict[str, list[ModelVersion]] = {name: [] for name in names}
    rows = session.scalars(
        select(ModelVersion)
        .join(
            of_stages,
            (ModelVersion.name == of_stages.c.name) & (ModelVersion.version == of_stages.c.highest),
        )
        .options(
            selectinload(ModelVersion.tags),
            joinedload(ModelVersion.aliases),
            joinedload(ModelVersion.damaged),
        )
        .order_by(ModelVersion.name, of_stages.c.lowest)
    )
    for row in rows.unique():
        found[row.name].append(row)
    return found


def update_model(
    call: Call,
    name: str,
    *,
    description: str | None,
    deployment_job_id: str | None,
    deletion_protection: bool | None,
    etag: str,
) -> RegisteredModel:
    """Set the fields that are not None; equal values change nothing."""
    change, model = Change.begin(call, name)
    check_etag(etag, model.etag)
    given = {
        "description": description,
        "deployment_job_id": deployment_job_id,
        "deletion_protection": deletion_protection,
    }
    values = {
        column: value
        for column, value in given.items()
        if value is not None and value != getattr(model, column)
    }
    if values:
        change.set(model, **values, updated_ms=call.now_ms)
    if deletion_protection is not None:
        _put_protection_tag(change, call.session, name, protection=deletion_protection)
    if not change.is_empty:
        change.record(Action.MODEL_UPDATED)
    return model


def _put_protection_tag(change: Change, session: Session, name: str, *, protection: bool) -> None:
    tag = session.get(RegisteredModelTag, (name, PROTECTION_TAG))
    if protection and (tag is None or not protects(tag.value)):
        _put_tag(change, session, name, PROTECTION_TAG, "true")
    elif tag is not None and not protection and protects(tag.value):
        change.remove(tag)


def rename_model(call: Call, name: str, new_name: str, *, comment: str) -> RegisteredModel:
    """Rename a model with all its parts; the old name keeps its history and version counter.

    Raises:
        AlreadyExists: The new name is taken, or its version numbers would be reused.
    """
    if new_name == name:
        return get_model(call.session, name)
    check_model_name(new_name)
    Change.lock(call, {name, new_name})
    leaving, model = Change.begin(call, name)
    if call.session.get(RegisteredModel, new_name) is not None:
        raise _taken(new_name)
    arriving = Change.begin_name(call, new_name)
    check_free(call.session, arriving.names, name)
    rows = rows_of(call.session, model)
    for row in rows:
        leaving.note_removed(row)
    for row in reversed(rows):
        arriving.note_added(row)
    # The keys have `ON UPDATE CASCADE`, but a database cascades row by row, in one long statement.
    for statement in (*_copying(name, new_name), *deleting(name)):
        call.session.execute(statement)
    renamed = get_model(call.session, new_name)
    # Unset first: a second rename from the same name must be a change, for the event to have it.
    leaving.set(leaving.names, renamed_from=None)
    arriving.set(arriving.names, renamed_from=None)
    next_version = max(leaving.names.next_version, arriving.names.next_version)
    arriving.set(arriving.names, next_version=next_version, renamed_from=name)
    arriving.set(renamed, updated_ms=call.now_ms)
    leaving.record(Action.MODEL_RENAMED, comment=comment)
    arriving.record(Action.MODEL_RENAMED, comment=comment)
    return renamed


def set_tag(call: Call, name: str, key: str, value: str) -> None:
    """Set a tag; an equal value changes nothing. `PROTECTION_TAG` sets the protection, too."""
    checked_key(key, "key")
    protection = protects(value) if key == PROTECTION_TAG else None
    change, model = Change.begin(call, name)
    _put_tag(change, call.session, name, key, value)
    if protection is not None:
        change.set(model, deletion_protection=protection)
    if not change.is_empty:
        change.record(Action.MODEL_TAG_SET)


def delete_tag(call: Call, name: str, key: str) -> None:
    """Delete a tag, and the protection with `PROTECTION_TAG`; a missing one changes nothing."""
    change, model = Change.begin(call, name)
    tag = call.session.get(RegisteredModelTag, (name, key))
    if tag is not None:
        change.remove(tag)
    if key == PROTECTION_TAG:
        change.set(model, deletion_protection=False)
    if not change.is_empty:
        change.record(Action.MODEL_TAG_DELETED)


def _put_tag(change: Change, session: Session, name: str, key: str, value: str) -> None:
    tag = session.get(RegisteredModelTag, (name, key))
    if tag is None:
        change.add(RegisteredModelTag(name=name, key=key, value=value))
    else:
        change.set(tag, value=value)


def rows_of(session: Session, model: RegisteredModel) -> Sequence[Documented]:
    """Return the rows of a model and its parts, children before parents."""
    rows: list[Documented] = []
    for part in reversed(_PARTS):
        rows += session.scalars(select(part).where(part.name == model.name))
    return [*rows, model]


def _copying(name: str, new_name: str) -> Iterator[Executable]:
    for table in _TABLES:
        values = {
            column.name: literal(new_name) if column.name == "name" else column
            for column in table.columns
        }
        rows = select(*values.values()).where(table.c.name == name)
        yield insert(table).from_select(list(values), rows)
    yield update(Imported).where(Imported.name == name).values(name=new_name)


def deleting(name: str) -> Iterator[Executable]:
    for table in reversed(_TABLES):
        yield delete(table).where(table.c.name == name)


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"Registered Model (name={name}) already exists.", name=name)
