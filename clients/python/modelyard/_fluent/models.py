"""Logging a model folder: upload it, link it to its run, register it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard._fluent.registry import register_model
from modelyard._fluent.runs import active_run, start_run
from modelyard._fluent.state import client, process
from modelyard._notices import notice
from modelyard.entities import LoggedModelOutput
from modelyard.exceptions import ModelyardException
from modelyard.models.model import Model, ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Options of a logged model beside its folder.

    Attributes:
        step: Step of the training at which the model was made.
        await_registration_for_seconds: Ignored: a new version is READY when the call returns.
    """

    name: str
    params: Mapping[str, Any] | None
    tags: Mapping[str, str] | None
    model_type: str | None
    step: int
    registered_model_name: str | None
    await_registration_for_seconds: int | None


def log_folder(write: Callable[[Path], object], options: LogOptions) -> ModelInfo:
    """Let `write` fill a temporary folder and log it to the active run."""
    with tempfile.TemporaryDirectory(prefix="modelyard-") as temporary:
        folder = Path(temporary) / "model"
        write(folder)
        return log_model_folder(folder, options)


def log_model_folder(folder: Path, options: LogOptions) -> ModelInfo:
    """Log a model folder to the active run, or a new one.

    Its MLmodel file is completed with the ids of model and run before it is uploaded. A failed
    upload leaves a logged model in state FAILED, which cannot be registered.

    Args:
        folder: Model folder with an MLmodel file.
        options: Name of the model, its tags and params, and whether to register it.
    """
    from modelyard._transport import rpc

    tracking = client()
    run = active_run() or start_run()
    run_id = run.info.run_id
    logged = tracking.create_logged_model(
        run.info.experiment_id,
        options.name,
        source_run_id=run_id,
        tags=options.tags,
        params=options.params,
        model_type=options.model_type,
    )
    model = Model.load(folder)
    model.run_id, model.model_id, model.artifact_path = run_id, logged.model_id, options.name
    model.save(folder)
    try:
        tracking.log_model_artifacts(logged.model_id, folder)
    except BaseException:
        with suppress(ModelyardException), rpc.without_waiting():
            tracking.finalize_logged_model(logged.model_id, "FAILED")
        raise
    tracking.finalize_logged_model(logged.model_id, "READY")
    tracking.log_outputs(run_id, [LoggedModelOutput(logged.model_id, options.step)])
    process.last_model_id = logged.model_id
    notice("logged model %r as %s in run %s", options.name, logged.model_uri, run_id)
    version = None
    if options.registered_model_name:
        registered = register_model(
            logged.model_uri,
            options.registered_model_name,
            options.await_registration_for_seconds,
        )
        version = int(registered.version)
    return model.info(logged.model_uri, version)
