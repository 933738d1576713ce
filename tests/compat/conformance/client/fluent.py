"""Probes of the functions of `mlflow` itself."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure  # type: ignore[import-not-found]
from tests.compat.conformance.client.registry import versioned
from tests.compat.conformance.client.told import Probe, client, fresh

_TABLE = {"text": ["a", "b"], "score": [1, 2]}
_FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]})


def _in_run(do: Callable[[], Any]) -> Any:
    """Return the run that a function logged to, without what depends on the machine."""
    mlflow.set_experiment(fresh())
    with mlflow.start_run(run_name="a run") as active:
        do()
    run = client.get_run(active.info.run_id)
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    inputs = [item.dataset.name for item in run.inputs.dataset_inputs]
    outputs = len(run.outputs.model_outputs) if run.outputs else 0
    return [run.info.status, run.data.metrics, run.data.params, tags, inputs, outputs]


def _files(do: Callable[[], Any]) -> Any:
    mlflow.set_experiment(fresh())
    with mlflow.start_run() as active:
        do()
    found = mlflow.artifacts.list_artifacts(run_id=active.info.run_id)
    return sorted(item.path for item in found)


def _upload() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.txt")
        file.write_text("hello", encoding="utf-8")
        mlflow.log_artifact(str(file))


def _upload_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.txt").write_text("hello", encoding="utf-8")
        mlflow.log_artifacts(folder, "folder")


def _stream() -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(b"hello")
        stream.seek(0)
        mlflow.log_stream(stream, "stream.bin")


def _figure() -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])
    mlflow.log_figure(figure, "curve.png")


def _dataset() -> Any:
    return mlflow.data.from_pandas(_FRAME, source="here", name="frame", targets="y")


def _start_run() -> Any:
    mlflow.set_experiment(fresh())
    with (
        mlflow.start_run(run_name="outer", tags={"a": "1"}, description="d") as outer,
        mlflow.start_run(run_name="inner", nested=True) as inner,
    ):
        active = mlflow.active_run()
        nested = active is not None and active.info.run_id == inner.info.run_id
    parent = mlflow.get_parent_run(inner.info.run_id)
    assert parent is not None
    note = parent.data.tags["mlflow.note.content"]
    return [nested, parent.info.run_id == outer.info.run_id, parent.info.run_name, note]


def _failed() -> Any:
    mlflow.set_experiment(fresh())
    with contextlib.suppress(ZeroDivisionError), mlflow.start_run() as active:
        mlflow.log_metric("never", 1 / 0)
    return client.get_run(active.info.run_id).info.status


def _resumed() -> Any:
    mlflow.set_experiment(fresh())
    with mlflow.start_run() as active:
        mlflow.log_param("a", 1)
    with mlflow.start_run(run_id=active.info.run_id):
        mlflow.log_param("b", 2)
    last = mlflow.last_active_run()
    assert last is not None
    return [last.info.status, last.data.params]


def _ended() -> Any:
    mlflow.set_experiment(fresh())
    active = mlflow.start_run()
    mlflow.end_run("KILLED")
    return [client.get_run(active.info.run_id).info.status, mlflow.active_run()]


def _experiment_tags() -> Any:
    owner = mlflow.set_experiment(fresh())
    mlflow.set_experiment_tag("a", "1")
    mlflow.set_experiment_tags({"b": "2", "c": "3"})
    mlflow.delete_experiment_tag("b")
    return mlflow.get_experiment(owner.experiment_id).tags


def _deleted_experiment() -> Any:
    name = fresh()
    owner = mlflow.create_experiment(name)
    mlflow.delete_experiment(owner)
    return mlflow.set_experiment(name)


def _search_runs() -> Any:
    name = fresh()
    mlflow.set_experiment(name)
    for rate in ("0.1", "0.2"):
        with mlflow.start_run():
            mlflow.log_param("rate", rate)
            mlflow.log_metric("loss", float(rate))
    found = mlflow.search_runs(experiment_names=[name], order_by=["metrics.loss DESC"])
    listed = mlflow.search_runs(
        experiment_names=[name], filter_string="params.rate = '0.1'", output_format="list"
    )
    columns = found[["status", "metrics.loss", "params.rate"]]
    return [columns, [run.data.params for run in listed]]


def _deleted_run() -> Any:
    mlflow.set_experiment(fresh())
    with mlflow.start_run() as active:
        pass
    mlflow.delete_run(active.info.run_id)
    deleted = mlflow.get_run(active.info.run_id).info.lifecycle_stage
    mlflow.restore_run(active.info.run_id)
    return [deleted, mlflow.get_run(active.info.run_id).info.lifecycle_stage]


def _log_model_in_run(**fields: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(fresh())
    with mlflow.start_run():
        fitted = LogisticRegression().fit(_FRAME[["x"]], _FRAME["y"])
        return mlflow.sklearn.log_model(fitted, name="model", pip_requirements=[], **fields)


def _registered() -> Any:
    version = mlflow.register_model(_log_model_in_run().model_uri, fresh())
    loaded = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    predictions = loaded.predict(_FRAME[["x"]]).tolist()
    return [version.version, version.status, version.current_stage, predictions]


def _external() -> Any:
    mlflow.set_experiment(fresh())
    made = mlflow.create_external_model(name="external", params={"a": "1"}, tags={"t": "x"})
    return [made.name, str(made.status), made.params, made.tags["t"]]


def _initialized() -> Any:
    mlflow.set_experiment(fresh())
    made = mlflow.initialize_logged_model(name="m", params={"a": "1"})
    mlflow.log_model_params({"b": "2"}, made.model_id)
    mlflow.set_logged_model_tags(made.model_id, {"t": "x", "u": "y"})
    mlflow.delete_logged_model_tag(made.model_id, "u")
    mlflow.finalize_logged_model(made.model_id, "READY")
    found = mlflow.get_logged_model(made.model_id)
    last = mlflow.last_logged_model()
    tags = {key: value for key, value in found.tags.items() if not key.startswith("mlflow.")}
    same = last is not None and last.model_id == made.model_id
    return [str(found.status), found.params, tags, same]


def _active_model() -> Any:
    mlflow.set_experiment(fresh())
    mlflow.set_active_model(name="active")
    had = mlflow.get_active_model_id()
    mlflow.clear_active_model()
    return [had is not None, mlflow.get_active_model_id()]


def _outputs() -> None:
    made = mlflow.initialize_logged_model(name="m")
    mlflow.log_outputs([mlflow.entities.LoggedModelOutput(made.model_id, 1)])


def _autolog() -> Any:
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment(fresh())
    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        with mlflow.start_run() as active:
            LogisticRegression(C=2.0).fit(_FRAME[["x"]], _FRAME["y"])
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = client.get_run(active.info.run_id)
    return [run.data.params["C"], sorted(run.data.metrics), len(run.inputs.dataset_inputs)]


def _evaluate() -> Any:
    mlflow.set_experiment(fresh())
    data = pd.DataFrame({"target": [1.0, 2.0], "guess": [1.0, 2.5]})
    with mlflow.start_run() as active:
        mlflow.models.evaluate(
            data=data, targets="target", predictions="guess", model_type="regressor"
        )
    return client.get_run(active.info.run_id).data.metrics


def _asynchronous() -> None:
    mlflow.log_metric("loss", 0.5, step=1, timestamp=1000, synchronous=False)
    mlflow.log_param("depth", 3, synchronous=False)
    mlflow.set_tag("team", "red", synchronous=False)
    mlflow.flush_async_logging()


def _load_table() -> Any:
    mlflow.set_experiment(fresh())
    with mlflow.start_run() as active:
        mlflow.log_table(_TABLE, "table.json")
    return mlflow.load_table("table.json", run_ids=[active.info.run_id])


def _system_metrics() -> Any:
    mlflow.set_system_metrics_sampling_interval(1)
    mlflow.set_system_metrics_samples_before_logging(1)
    mlflow.set_system_metrics_node_id("node")
    mlflow.enable_system_metrics_logging()
    mlflow.disable_system_metrics_logging()


def _tagged_version() -> Any:
    name = versioned()
    mlflow.set_model_version_tag(name, "1", "a", "1")
    return client.get_model_version(name, "1").tags


def _set_experiment() -> Any:
    name = fresh()
    first, second = mlflow.set_experiment(name), mlflow.set_experiment(name)
    return [first.experiment_id == second.experiment_id, second.name, second.lifecycle_stage]


def _by_id() -> Any:
    owner = mlflow.create_experiment(fresh())
    mlflow.delete_experiment(owner)
    mlflow.restore_experiment(owner)
    return mlflow.set_experiment(experiment_id=owner)


def _same_address() -> Any:
    address = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(mlflow.get_registry_uri())
    return [mlflow.is_tracking_uri_set(), mlflow.get_registry_uri() == address]


def _artifact_uri() -> Any:
    mlflow.set_experiment(fresh())
    with mlflow.start_run() as active:
        return mlflow.get_artifact_uri("a").removeprefix(active.info.artifact_uri)


def _search_models() -> Any:
    name = versioned(2)
    models = mlflow.search_registered_models(filter_string=f"name = '{name}'")
    versions = mlflow.search_model_versions(
        filter_string=f"name = '{name}'", order_by=["version_number ASC"]
    )
    return [[model.name for model in models], [version.version for version in versions]]


def _search_logged() -> Any:
    owner = mlflow.set_experiment(fresh())
    mlflow.initialize_logged_model(name="one")
    found = mlflow.search_logged_models([owner.experiment_id], output_format="list")
    return [model.name for model in found]


def _parts(*names: str, probe: Probe) -> dict[str, tuple[Probe, ...]]:
    """Return one probe for several functions that only make sense together."""
    return dict.fromkeys((f"mlflow.{name}" for name in names), (probe,))


PROBES: Mapping[str, tuple[Probe, ...]] = {
    **_parts(
        "set_tracking_uri",
        "get_tracking_uri",
        "is_tracking_uri_set",
        "set_registry_uri",
        "get_registry_uri",
        probe=_same_address,
    ),
    "mlflow.set_experiment": (_set_experiment, _deleted_experiment),
    **_parts("create_experiment", "delete_experiment", "restore_experiment", probe=_by_id),
    "mlflow.get_experiment": (lambda: mlflow.get_experiment("0").name,),
    "mlflow.get_experiment_by_name": (lambda: mlflow.get_experiment_by_name("nowhere"),),
    "mlflow.search_experiments": (
        lambda: [e.name for e in mlflow.search_experiments(filter_string="name = 'Default'")],
    ),
    **_parts(
        "set_experiment_tag", "set_experiment_tags", "delete_experiment_tag", probe=_experiment_tags
    ),
    "mlflow.start_run": (_start_run, _failed, _resumed),
    **_parts("active_run", "get_parent_run", probe=_start_run),
    "mlflow.last_active_run": (_resumed,),
    "mlflow.end_run": (_ended,),
    **_parts("delete_run", "restore_run", "get_run", probe=_deleted_run),
    "mlflow.search_runs": (_search_runs,),
    "mlflow.log_metric": (lambda: _in_run(lambda: mlflow.log_metric("loss", 0.5, step=1)),),
    "mlflow.log_metrics": (lambda: _in_run(lambda: mlflow.log_metrics({"a": 1.0, "b": 2.0})),),
    "mlflow.log_param": (lambda: _in_run(lambda: mlflow.log_param("depth", 3)),),
    "mlflow.log_params": (lambda: _in_run(lambda: mlflow.log_params({"a": 1, "b": None})),),
    "mlflow.set_tag": (lambda: _in_run(lambda: mlflow.set_tag("team", "red")),),
    "mlflow.set_tags": (lambda: _in_run(lambda: mlflow.set_tags({"a": 1, "b": "2"})),),
    "mlflow.delete_tag": (
        lambda: _in_run(lambda: [mlflow.set_tag("a", 1), mlflow.delete_tag("a")]),
    ),
    "mlflow.flush_async_logging": (lambda: _in_run(_asynchronous),),
    "mlflow.flush_artifact_async_logging": (lambda: _in_run(mlflow.flush_artifact_async_logging),),
    "mlflow.log_artifact": (lambda: _files(_upload),),
    "mlflow.log_artifacts": (lambda: _files(_upload_folder),),
    "mlflow.log_text": (lambda: _files(lambda: mlflow.log_text("hi", "a.txt")),),
    "mlflow.log_dict": (lambda: _files(lambda: mlflow.log_dict({"a": 1}, "a.yml")),),
    "mlflow.log_figure": (lambda: _files(_figure),),
    "mlflow.log_image": (
        lambda: _files(lambda: mlflow.log_image(np.zeros((2, 2, 3), np.uint8), "a.png")),
    ),
    "mlflow.log_stream": (lambda: _files(_stream),),
    "mlflow.log_table": (lambda: _files(lambda: mlflow.log_table(_TABLE, "t.parquet")),),
    "mlflow.load_table": (_load_table,),
    "mlflow.get_artifact_uri": (_artifact_uri,),
    "mlflow.log_input": (lambda: _in_run(lambda: mlflow.log_input(_dataset(), "train")),),
    "mlflow.log_inputs": (
        lambda: _in_run(lambda: mlflow.log_inputs([_dataset()], ["train"], [None])),
    ),
    "mlflow.log_outputs": (lambda: _in_run(_outputs),),
    "mlflow.register_model": (
        _registered,
        lambda: mlflow.register_model("runs:/" + "0" * 32 + "/model", fresh()),
    ),
    **_parts("search_registered_models", "search_model_versions", probe=_search_models),
    "mlflow.set_model_version_tag": (_tagged_version,),
    "mlflow.search_logged_models": (_search_logged,),
    "mlflow.create_external_model": (_external,),
    **_parts(
        "initialize_logged_model",
        "finalize_logged_model",
        "get_logged_model",
        "last_logged_model",
        "set_logged_model_tags",
        "delete_logged_model_tag",
        "log_model_params",
        probe=_initialized,
    ),
    **_parts("set_active_model", "get_active_model_id", "clear_active_model", probe=_active_model),
    "mlflow.autolog": (_autolog,),
    "mlflow.evaluate": (_evaluate,),
    **_parts(
        "enable_system_metrics_logging",
        "disable_system_metrics_logging",
        "set_system_metrics_sampling_interval",
        "set_system_metrics_samples_before_logging",
        "set_system_metrics_node_id",
        probe=_system_metrics,
    ),
}
