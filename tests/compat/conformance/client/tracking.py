"""Probes of MlflowClient's methods about experiments, runs and artifacts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure  # type: ignore[import-not-found]
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from tests.compat.conformance.client.told import Probe, client, fresh


def experiment() -> str:
    return str(client.create_experiment(fresh()))


def run(**tags: str) -> str:
    made = client.create_run(experiment(), start_time=1000, tags=tags, run_name="a run")
    return str(made.info.run_id)


def _experiment_after(do: Any) -> Any:
    owner = experiment()
    do(owner)
    return client.get_experiment(owner)


def _run_after(do: Any) -> Any:
    owner = run()
    do(owner)
    return client.get_run(owner)


def _search_experiments() -> Any:
    name = fresh()
    for end in ("a", "b", "c"):
        client.create_experiment(f"{name} {end}", tags={"end": end})
    found = client.search_experiments(
        filter_string=f"name LIKE '{name} %' AND tags.end != 'b'", order_by=["name DESC"]
    )
    page = client.search_experiments(max_results=1, filter_string=f"name LIKE '{name} %'")
    return [found, bool(page.token)]


def _search_runs() -> Any:
    owner = experiment()
    for number in (1, 2, 3):
        made = client.create_run(owner, start_time=number, run_name=f"run {number}")
        client.log_metric(made.info.run_id, "loss", 1 / number, timestamp=1, step=0)
        client.set_terminated(made.info.run_id, end_time=10)
    found = client.search_runs([owner], "metrics.loss < 0.6", order_by=["metrics.loss DESC"])
    page = client.search_runs([owner], max_results=2)
    rest = client.search_runs([owner], max_results=2, page_token=page.token)
    return [found, page, rest, rest.token]


def _history() -> Any:
    owner = run()
    for step in (2, 0, 1):
        client.log_metric(owner, "loss", step / 2, timestamp=1000 + step, step=step)
    client.log_metric(owner, "loss", float("nan"), timestamp=2000, step=3)
    points = client.get_metric_history(owner, "loss")
    return [[point.timestamp, point.step, str(point.value)] for point in points]


def _batch(owner: str) -> None:
    metrics = [Metric("loss", 0.5, 1000, 0), Metric("loss", 0.25, 1001, 1)]
    client.log_batch(owner, metrics, [Param("depth", "3")], [RunTag("team", "red")])


def _inputs(owner: str) -> None:
    dataset = Dataset("iris", "abc", "local", "here")
    tags = [InputTag("mlflow.data.context", "train")]
    client.log_inputs(owner, [DatasetInput(dataset, tags)], [LoggedModelInput(_logged())])


def _logged() -> str:
    return str(client.create_logged_model(experiment(), name="a model").model_id)


def _files(do: Any) -> Any:
    owner = run()
    do(owner)
    with tempfile.TemporaryDirectory() as folder:
        got = Path(client.download_artifacts(owner, "", folder))
        listed = [[item.path, item.is_dir, item.file_size] for item in client.list_artifacts(owner)]
        names = sorted(str(item.relative_to(got)) for item in got.rglob("*") if item.is_file())
        return [listed, names]


def _upload(owner: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.txt")
        file.write_text("hello", encoding="utf-8")
        client.log_artifact(owner, str(file), "folder")


def _upload_folder(owner: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sub").mkdir()
        Path(folder, "sub", "a.txt").write_text("hello", encoding="utf-8")
        Path(folder, "b.txt").write_text("", encoding="utf-8")
        client.log_artifacts(owner, folder)


def _stream(owner: str) -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(b"hello")
        stream.seek(0)
        client.log_stream(owner, stream, "stream.bin")


def _download(path: str) -> Any:
    owner = run()
    _upload(owner)
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(owner, path, folder)).read_text(encoding="utf-8")


def _list(path: str | None) -> Any:
    owner = run()
    _upload_folder(owner)
    return sorted([item.path, item.is_dir] for item in client.list_artifacts(owner, path))


def _figure(owner: str) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])
    client.log_figure(owner, figure, "curve.png")


_TABLE = {"text": ["a", "b"], "score": [1, 2]}


def _load_table() -> Any:
    owner = run()
    client.log_table(owner, _TABLE, "table.json")
    client.log_table(owner, pd.DataFrame(_TABLE), "table.json")
    return client.load_table(client.get_run(owner).info.experiment_id, "table.json", [owner])


def _taken() -> Any:
    name = fresh()
    client.create_experiment(name)
    return client.create_experiment(name)


def _param_twice(owner: str) -> None:
    client.log_param(owner, "depth", 3)
    client.log_param(owner, "depth", 4)


def _parent() -> Any:
    owner = run()
    child = run(**{"mlflow.parentRunId": owner})
    parent = client.get_parent_run(child)
    return [parent is not None and parent.info.run_id == owner, client.get_parent_run(owner)]


def _restored_run(owner: str) -> None:
    client.delete_run(owner)
    client.restore_run(owner)


def _restored_experiment(owner: str) -> None:
    client.delete_experiment(owner)
    client.restore_experiment(owner)


def _tagged_experiment(owner: str) -> None:
    client.set_experiment_tag(owner, "gone", "1")
    client.set_experiment_tag(owner, "kept", 2)
    client.delete_experiment_tag(owner, "gone")


def _tagged_run(owner: str) -> None:
    client.set_tag(owner, "gone", "1")
    client.delete_tag(owner, "gone")


def _write_to_deleted() -> Any:
    owner = run()
    client.delete_run(owner)
    return client.log_param(owner, "a", 1)


PROBES: Mapping[str, tuple[Probe, ...]] = {
    "MlflowClient.create_experiment": (
        lambda: client.get_experiment(client.create_experiment(fresh(), tags={"a": "1"})),
        _taken,
        lambda: client.create_experiment(""),
    ),
    "MlflowClient.get_experiment": (
        lambda: client.get_experiment("0"),
        lambda: client.get_experiment("987654"),
    ),
    "MlflowClient.get_experiment_by_name": (
        lambda: client.get_experiment_by_name("Default"),
        lambda: client.get_experiment_by_name("nowhere"),
    ),
    "MlflowClient.search_experiments": (
        _search_experiments,
        lambda: client.search_experiments(filter_string="colour = 'red'"),
    ),
    "MlflowClient.rename_experiment": (
        lambda: _experiment_after(lambda owner: client.rename_experiment(owner, fresh())),
        lambda: client.rename_experiment("987654", "x"),
    ),
    "MlflowClient.delete_experiment": (
        lambda: _experiment_after(client.delete_experiment),
        lambda: client.delete_experiment("987654"),
    ),
    "MlflowClient.restore_experiment": (
        lambda: _experiment_after(_restored_experiment),
        lambda: client.restore_experiment("987654"),
    ),
    "MlflowClient.set_experiment_tag": (
        lambda: _experiment_after(lambda owner: client.set_experiment_tag(owner, "a", "1")),
    ),
    "MlflowClient.delete_experiment_tag": (
        lambda: _experiment_after(_tagged_experiment),
        lambda: client.delete_experiment_tag("0", "nothing"),
    ),
    "MlflowClient.create_run": (
        lambda: client.create_run(experiment(), 1000, {"a": "1"}, "a run"),
        lambda: client.create_run("987654"),
    ),
    "MlflowClient.get_run": (lambda: client.get_run(run()), lambda: client.get_run("0" * 32)),
    "MlflowClient.get_parent_run": (_parent,),
    "MlflowClient.update_run": (
        lambda: _run_after(lambda owner: client.update_run(owner, "FAILED", "renamed")),
    ),
    "MlflowClient.set_terminated": (
        lambda: _run_after(lambda owner: client.set_terminated(owner, "KILLED", 2000)),
    ),
    "MlflowClient.delete_run": (
        lambda: _run_after(client.delete_run),
        lambda: client.delete_run("0" * 32),
    ),
    "MlflowClient.restore_run": (lambda: _run_after(_restored_run),),
    "MlflowClient.search_runs": (
        _search_runs,
        lambda: client.search_runs(["0"], "colour = 'red'"),
        lambda: client.search_runs(["0"], max_results=50_001),
    ),
    "MlflowClient.log_metric": (
        lambda: _run_after(lambda owner: client.log_metric(owner, "loss", 0.5, 1000, 1)),
        lambda: client.log_metric(run(), "a=b", 0.5),
    ),
    "MlflowClient.log_param": (
        lambda: client.log_param(run(), "depth", 3),
        lambda: _run_after(_param_twice),
        _write_to_deleted,
    ),
    "MlflowClient.set_tag": (
        lambda: _run_after(lambda owner: client.set_tag(owner, "team", "red")),
    ),
    "MlflowClient.delete_tag": (
        lambda: _run_after(_tagged_run),
        lambda: client.delete_tag(run(), "nothing"),
    ),
    "MlflowClient.log_batch": (lambda: _run_after(_batch),),
    "MlflowClient.get_metric_history": (
        _history,
        lambda: client.get_metric_history(run(), "nothing"),
    ),
    "MlflowClient.log_inputs": (lambda: _run_after(_inputs),),
    "MlflowClient.log_outputs": (
        lambda: _run_after(lambda o: client.log_outputs(o, [LoggedModelOutput(_logged(), 1)])),
    ),
    "MlflowClient.log_artifact": (lambda: _files(_upload),),
    "MlflowClient.log_artifacts": (lambda: _files(_upload_folder),),
    "MlflowClient.log_text": (lambda: _files(lambda o: client.log_text(o, "hi", "a/b.txt")),),
    "MlflowClient.log_dict": (lambda: _files(lambda o: client.log_dict(o, {"a": 1}, "a.json")),),
    "MlflowClient.log_figure": (
        lambda: [name for _, names in [_files(_figure)] for name in names],
    ),
    "MlflowClient.log_image": (
        lambda: _files(lambda o: client.log_image(o, np.zeros((2, 2, 3), np.uint8), "a.png"))[1],
    ),
    "MlflowClient.log_stream": (lambda: _files(_stream),),
    "MlflowClient.log_table": (lambda: _files(lambda o: client.log_table(o, _TABLE, "t.json")),),
    "MlflowClient.load_table": (_load_table,),
    "MlflowClient.list_artifacts": (
        lambda: _list(None),
        lambda: _list("sub"),
        lambda: _list("nowhere"),
        lambda: client.list_artifacts("0" * 32),
    ),
    "MlflowClient.download_artifacts": (
        lambda: _download("folder/a.txt"),
        lambda: _download("nowhere.txt"),
    ),
    "MlflowClient.tracking_uri": (lambda: client.tracking_uri.startswith("http://"),),
}
