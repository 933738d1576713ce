"""Operations on registered models: named collections of versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from sqlalchemy import Executable, delete, insert, literal, select, update

from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import AlreadyExists
from modelyard_kit.keys import checked_key
from modelyard_kit.references.names import check_model_name
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call, OnRows
from modelyard_registry.models import (
    Imported,
    ModelAlias,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    table_of,
)
from modelyard_registry.operations.changes import Change, Documented, no_model
from modelyard_registry.operations.former_names import check_free
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag, check_tag_keys
from modelyard_registry.rules.protection import PROTECTION_TAG, protects
from modelyard_registry.statements import model_versions, registered_models
from modelyard_registry.statements.model_versions import Version
from modelyard_registry.statements.registered_models import Model, ModelTag, ShownModel

_PARTS = (ModelVersion, ModelVersionTag, RegisteredModelTag, ModelAlias)
"""The tables of a model's parts, parents before children."""
_TABLES = [table_of(rows) for rows in (RegisteredModel, *_PARTS)]


def create_model(
    call: OnRows,
    name: str,
    *,
    description: str | None,
    deployment_job_id: str | None,
    tags: Sequence[tuple[str, str]],
) -> None:
    """Create a model without versions; `PROTECTION_TAG` among its tags protects it."""
    check_model_name(name)
    check_tag_keys(key for key, _ in tags)
    protection = protects(dict(tags).get(PROTECTION_TAG, "false"))
    if find_model(call.rows, name) is not None:
        raise _taken(name)
    change = Change.begin_name(call, name)
    change.add(
        Model(
            name=name,
            description=description,
            user_id=call.actor,
            deployment_job_id=deployment_job_id,
            deletion_protection=protection,
            created_ms=call.now_ms,
            updated_ms=call.now_ms,
        )
    )
    for key, value in tags:
        change.add(ModelTag(name, key, value))
    change.record(Action.MODEL_CREATED)


def ensure_model(call: OnRows, name: str) -> None:
    """Create a model unless one with the name exists."""
    with suppress(AlreadyExists):
        create_model(call, name, description=None, deployment_job_id=None, tags=())


def find_model(rows: Rows, name: str) -> Model | None:
    return rows.first(registered_models.MODEL, {"name": name})


def get_model(rows: Rows, name: str) -> ShownModel:
    found = rows.first(registered_models.SHOWN_MODEL, {"name": name})
    if found is None:
        raise no_model(name)
    return found


def latest_versions(
    rows: Rows, names: Sequence[str], stages: Sequence[Stage] = tuple(Stage)
) -> Mapping[str, Sequence[Version]]:
    """Return, by name, the highest version in each of the stages that has versions.

    The stages are in MLflow's order, that of their lowest versions.
    """
    found: dict[str, list[Version]] = {name: [] for name in names}
    wanted = {"names": names, "stages": list(map(str, stages))}
    for row in rows.execute(model_versions.HIGHEST_OF_STAGES, wanted):
        found[row.name].append(row)
    return found


def update_model(
    call: OnRows,
    name: str,
    *,
    description: str | None,
    deployment_job_id: str | None,
    deletion_protection: bool | None,
    etag: str,
) -> None:
    """Set the fields that are not None; equal values change nothing."""
    change, model = Change.begin(call, name)
    check_etag(etag, str(change.names.revision))
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
        _put_protection_tag(change, call.rows, name, protection=deletion_protection)
    if not change.is_empty:
        change.record(Action.MODEL_UPDATED)


def _put_protection_tag(change: Change, rows: Rows, name: str, *, protection: bool) -> None:
    tag = _find_tag(rows, name, PROTECTION_TAG)
    if protection and (tag is None or not protects(tag.value)):
        _put_tag(change, tag, ModelTag(name, PROTECTION_TAG, "true"))
    elif tag is not None and not protection and protects(tag.value):
        change.remove(tag)


def rename_model(call: Call, name: str, new_name: str, *, comment: str) -> None:
    """Rename a model with all its parts; the old name keeps its history and version counter.

    Raises:
        AlreadyExists: The new name is taken, or its version numbers would be reused.
    """
    if new_name == name:
        get_model(call.rows, name)  # must be there
        return
    check_model_name(new_name)
    Change.lock(call, {name, new_name})
    leaving, model = Change.begin(call, name)
    rows = call.rows
    if find_model(rows, new_name) is not None:
        raise _taken(new_name)
    arriving = Change.begin_name(call, new_name)
    check_free(rows, arriving.names, name)
    documented = documented_rows(rows, model)
    for row in documented:
        leaving.note_removed(row)
    for row in reversed(documented):
        arriving.note_added(row)
    # The keys have `ON UPDATE CASCADE`, but a database cascades row by row, in one long statement.
    for statement in (*_copying(name, new_name), *deleting(name)):
        call.session.execute(statement)
    # Unset first: a second rename from the same name must be a change, for the event to have it.
    leaving.set_names(renamed_from=None)
    arriving.set_names(renamed_from=None)
    next_version = max(leaving.names.next_version, arriving.names.next_version)
    arriving.set_names(next_version=next_version, renamed_from=name)
    arriving.set(model._replace(name=new_name), updated_ms=call.now_ms)
    leaving.record(Action.MODEL_RENAMED, comment=comment)
    arriving.record(Action.MODEL_RENAMED, comment=comment)


def set_tag(call: OnRows, name: str, key: str, value: str) -> None:
    """Set a tag; an equal value changes nothing. `PROTECTION_TAG` sets the protection, too."""
    checked_key(key, "key")
    protection = protects(value) if key == PROTECTION_TAG else None
    change, model = Change.begin(call, name)
    _put_tag(change, _find_tag(call.rows, name, key), ModelTag(name, key, value))
    if protection is not None:
        change.set(model, deletion_protection=protection)
    if not change.is_empty:
        change.record(Action.MODEL_TAG_SET)


def delete_tag(call: OnRows, name: str, key: str) -> None:
    """Delete a tag, and the protection with `PROTECTION_TAG`; a missing one changes nothing."""
    change, model = Change.begin(call, name)
    tag = _find_tag(call.rows, name, key)
    if tag is not None:
        change.remove(tag)
    if key == PROTECTION_TAG:
        change.set(model, deletion_protection=False)
    if not change.is_empty:
        change.record(Action.MODEL_TAG_DELETED)


def _find_tag(rows: Rows, name: str, key: str) -> ModelTag | None:
    return rows.first(registered_models.TAG, {"name": name, "key": key})


def _put_tag(change: Change, present: ModelTag | None, wanted: ModelTag) -> None:
    if present is None:
        change.add(wanted)
    else:
        change.set(present, value=wanted.value)


def documented_rows(rows: Rows, model: Model) -> Sequence[Documented]:
    """Return the rows of a model and its parts, children before parents."""
    of_model = {"name": model.name}
    return [
        *rows.execute(registered_models.ALIASES, of_model),
        *rows.execute(registered_models.TAGS, of_model),
        *rows.execute(model_versions.TAGS, of_model),
        *rows.execute(model_versions.VERSIONS, of_model),
        model,
    ]


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
