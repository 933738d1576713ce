"""Logged models: models written by runs, with ids of their own and no need of a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE, UNLOCKED, Lock
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from modelyard_kit.keys import checked_key
from modelyard_tracking.models import LoggedModel, LoggedModelParam, LoggedModelTag
from modelyard_tracking.operations.experiments import get_active_experiment
from modelyard_tracking.operations.runs import get_active_run
from modelyard_tracking.rules.run_names import invent_name
from modelyard_tracking.rules.states import Lifecycle, ModelStatus
from modelyard_tracking.rules.values import checked_model_name, new_model_id


def create_logged_model(
    session: Session,
    experiment_id: str,
    name: str,
    model_type: str,
    source_run_id: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    now_ms: int,
) -> LoggedModel:
    """Create a logged model, pending until finalized.

    Raises:
        InvalidArgument: The name has a forbidden character, or the run is in another experiment.
        NotFound: The experiment or the run does not exist.
        FailedPrecondition: The experiment or the run is deleted.
    """
    experiment = get_active_experiment(session, experiment_id)
    if source_run_id is not None:
        run = get_active_run(session, source_run_id)
        if run.experiment_id != experiment.experiment_id:
            raise InvalidArgument(
                f"The run {source_run_id} is in the experiment {run.experiment_id}, "
                f"not in {experiment_id}.",
                run_id=source_run_id,
            )
    model = LoggedModel(
        model_id=new_model_id(),
        experiment_id=experiment.experiment_id,
        name=checked_model_name(name or invent_name()),
        model_type=model_type,
        source_run_id=source_run_id,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    session.add(model)
    session.flush()
    session.add_all(
        LoggedModelTag(model_id=model.model_id, key=checked_key(key, "tags.key"), value=value)
        for key, value in tags.items()
    )
    session.add_all(
        LoggedModelParam(model_id=model.model_id, key=checked_key(key, "params.key"), value=value)
        for key, value in params.items()
    )
    return model


def get_logged_model(session: Session, model_id: str, lock: Lock = UNLOCKED) -> LoggedModel:
    wanted = select(LoggedModel).where(LoggedModel.model_id == model_id)
    if lock is not None:
        wanted = wanted.with_for_update(**lock).execution_options(populate_existing=True)
    found = session.scalar(wanted)
    if found is None or found.lifecycle_stage != Lifecycle.ACTIVE:
        raise NotFound(f"Logged model with ID '{model_id}' not found.", model_id=model_id)
    return found


def finalize_logged_model(
    session: Session, model_id: str, status: ModelStatus, now_ms: int
) -> LoggedModel:
    """Mark a logged model as ready or failed."""
    model = get_logged_model(session, model_id, EXCLUSIVE)
    model.status = ModelStatus.final(status)
    model.updated_ms = now_ms
    return model


def delete_logged_model(session: Session, model_id: str, now_ms: int) -> None:
    """Delete a logged model; deleting it again changes nothing."""
    deleted = select(LoggedModel.model_id).where(
        LoggedModel.model_id == model_id, LoggedModel.lifecycle_stage == Lifecycle.DELETED
    )
    if session.scalar(deleted) is not None:
        return
    model = get_logged_model(session, model_id, EXCLUSIVE)
    model.lifecycle_stage = Lifecycle.DELETED
    model.deleted_ms = now_ms
    model.updated_ms = now_ms


def set_logged_model_tags(
    session: Session, model_id: str, tags: Mapping[str, str], now_ms: int
) -> LoggedModel:
    model = get_logged_model(session, model_id, EXCLUSIVE)
    for key, value in tags.items():
        checked_key(key, "tags.key")
        session.merge(LoggedModelTag(model_id=model_id, key=key, value=value))
    model.updated_ms = now_ms
    return model


def delete_logged_model_tag(session: Session, model_id: str, key: str, now_ms: int) -> None:
    model = get_logged_model(session, model_id, EXCLUSIVE)
    tag = session.get(LoggedModelTag, (model_id, key))
    if tag is None:
        raise NotFound(
            f"No tag with key '{key}' found for logged model with ID '{model_id}'.",
            model_id=model_id,
            key=key,
        )
    session.delete(tag)
    model.updated_ms = now_ms


def log_logged_model_params(
    session: Session, model_id: str, params: Mapping[str, str], now_ms: int
) -> None:
    """Set params of a logged model; a param cannot be changed afterwards.

    Raises:
        InvalidArgument: A param already has another value.
    """
    model = get_logged_model(session, model_id, EXCLUSIVE)
    for key, value in params.items():
        present = session.get(LoggedModelParam, (model_id, checked_key(key, "params.key")))
        if present is None:
            session.add(LoggedModelParam(model_id=model_id, key=key, value=value))
        elif present.value != value:
            raise InvalidArgument(
                f"Changing param values is not allowed. Param with key='{key}' was already "
                f"logged with value='{present.value}' for logged model ID='{model_id}'. "
                f"Attempted logging new value '{value}'.",
                key=key,
            )
    model.updated_ms = now_ms


def require_ready(model: LoggedModel) -> None:
    """Refuse a logged model whose upload is not complete.

    Raises:
        FailedPrecondition: The model is pending or failed.
    """
    if model.status != ModelStatus.READY:
        raise FailedPrecondition(
            f"The logged model '{model.model_id}' is {model.status}, not READY; "
            "finalize it after its files are uploaded.",
            model_id=model.model_id,
            status=model.status,
        )


def params_of(session: Session, model_ids: Sequence[str]) -> dict[str, list[LoggedModelParam]]:
    found: dict[str, list[LoggedModelParam]] = {model_id: [] for model_id in model_ids}
    rows = select(LoggedModelParam).where(LoggedModelParam.model_id.in_(model_ids))
    for row in session.scalars(rows.order_by(LoggedModelParam.key)):
        found[row.model_id].append(row)
    return found


def tags_of(session: Session, model_ids: Sequence[str]) -> dict[str, list[LoggedModelTag]]:
    found: dict[str, list[LoggedModelTag]] = {model_id: [] for model_id in model_ids}
    rows = select(LoggedModelTag).where(LoggedModelTag.model_id.in_(model_ids))
    for row in session.scalars(rows.order_by(LoggedModelTag.key)):
        found[row.model_id].append(row)
    return found
