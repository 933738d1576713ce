"""Params, which are immutable, and tags, which are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from modelyard_kit.db.base import LATER
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from modelyard_tracking.models import Param, Run, RunTag
from modelyard_tracking.rules.values import MODEL_HISTORY_TAG, RUN_NAME_TAG, checked_run_name


def log_params(session: Session, run_id: str, params: Mapping[str, str]) -> bool:
    """Set params, and return whether any was new.

    Args:
        session: Session of the transaction.
        run_id: Id of an active run.
        params: Values by checked key.

    Raises:
        InvalidArgument: A param already has another value.
    """
    if not params:
        return False
    rows = session.execute(
        select(Param.key, Param.value).where(Param.run_id == run_id, Param.key.in_(params))
    )
    present = {row.key: row.value for row in rows}
    for key, value in params.items():
        if present.get(key, value) != value:
            raise InvalidArgument(
                f"Changing param values is not allowed. Param with key='{key}' was already "
                f"logged with value='{present[key]}' for run ID='{run_id}'. Attempted logging "
                f"new value '{value}'.",
                key=key,
            )
    new = [
        {"run_id": run_id, "key": key, "value": value}
        for key, value in params.items()
        if key not in present
    ]
    if new:
        session.execute(insert(Param), new)
    return bool(new)


def set_tags(session: Session, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of an active run, by checked key; the tag `mlflow.runName` renames the run."""
    if not tags:
        return
    replaced = delete(RunTag).where(RunTag.run_id == run_id, RunTag.key.in_(tags))
    session.execute(replaced.execution_options(synchronize_session=False, **LATER))
    session.execute(
        insert(RunTag),
        [{"run_id": run_id, "key": key, "value": value} for key, value in tags.items()],
    )
    if RUN_NAME_TAG in tags:
        session.execute(
            update(Run)
            .where(Run.run_id == run_id)
            .values(name=checked_run_name(tags[RUN_NAME_TAG]))
            .execution_options(synchronize_session=False, **LATER)
        )


def delete_tag(session: Session, run_id: str, key: str) -> None:
    found = session.scalar(
        delete(RunTag)
        .where(RunTag.run_id == run_id, RunTag.key == key)
        .returning(RunTag.key)
        .execution_options(synchronize_session=False)
    )
    if found is None:
        raise NotFound(f"No tag with name: {key} in run with id {run_id}", run_id=run_id, key=key)


def append_model(session: Session, run_id: str, description: dict[str, Any]) -> None:
    """Append the content of an MLmodel file to the tag `mlflow.log-model.history` of an active run.

    A repeated description changes nothing.

    Raises:
        FailedPrecondition: The value of the tag is not a JSON list.
    """
    tag = session.get(RunTag, (run_id, MODEL_HISTORY_TAG))
    try:
        descriptions = json.loads(tag.value) if tag is not None else []
    except ValueError:
        descriptions = None
    if not isinstance(descriptions, list):
        raise FailedPrecondition(
            f"The tag '{MODEL_HISTORY_TAG}' of the run {run_id} is not a JSON list; delete the "
            "tag, then retry.",
            run_id=run_id,
        )
    if description not in descriptions:
        descriptions.append(description)
    set_tags(session, run_id, {MODEL_HISTORY_TAG: json.dumps(descriptions)})
