"""Things that cases need, and the requests that create them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.compat.conformance.door import Ask, get, post

SHARED = ("home", "runs", "experiments", "library", "logged")
SOURCE = "s3://bucket/model"  # never opened


def experiment(name: str, keep: str = "", **fields: object) -> Ask:
    kept = {keep: "experiment_id"} if keep else {}
    return Ask("POST", "mlflow/experiments/create", {"name": name, **fields}, keep=kept)


def run(experiment_id: str, keep: str = "run", **fields: object) -> Ask:
    given = {"experiment_id": experiment_id, "start_time": 1000, "run_name": "a run", **fields}
    return Ask("POST", "mlflow/runs/create", given, keep={keep: "run.info.run_id"})


def registered(name: str, keep: str = "", **fields: object) -> Ask:
    kept = {keep: "registered_model.name"} if keep else {}
    return Ask("POST", "mlflow/registered-models/create", {"name": name, **fields}, keep=kept)


def version(name: str, **fields: object) -> Ask:
    return post("mlflow/model-versions/create", **{"name": name, "source": SOURCE, **fields})


def logged(experiment_id: str, name: str, keep: str = "logged_model", **fields: object) -> Ask:
    given = {"experiment_id": experiment_id, "name": name, **fields}
    return Ask("POST", "mlflow/logged-models", given, keep={keep: "model.info.model_id"})


def tags(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def point(key: str, value: object, timestamp: int = 1000, step: int = 0) -> dict[str, object]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


def on_dataset(key: str, value: float, name: str, digest: str) -> Ask:
    dataset = {"dataset_name": name, "dataset_digest": digest}
    given = {"run_id": "$run", "model_id": "$logged_model", **point(key, value), **dataset}
    return post("mlflow/runs/log-metric", **given)


def _logged_run(name: str, start: int, loss: object, rate: str, **labels: str) -> tuple[Ask, ...]:
    batch = post(
        "mlflow/runs/log-batch",
        run_id="$run",
        metrics=[point("loss", loss), point("val/loss.max", start / 1000)],
        params=tags(rate=rate),
        tags=tags(**labels),
    )
    return (run("$runs", start_time=start, run_name=name), batch)


_RUNS = (
    experiment("$new", keep="runs"),
    *_logged_run("first", 1000, 0.5, "0.1", team="red", phase="one"),
    post("mlflow/runs/update", run_id="$run", status="FINISHED", end_time=5000),
    *_logged_run("second", 2000, 0.25, "0.2", team="Blue"),
    post("mlflow/runs/update", run_id="$run", status="FAILED", end_time=6000),
    *_logged_run("third", 3000, "NaN", "0.1", team="red", phase="two"),
    post(
        "mlflow/runs/log-inputs",
        run_id="$run",
        datasets=[
            {
                "tags": [{"key": "mlflow.data.context", "value": "train"}],
                "dataset": {
                    "name": "iris",
                    "digest": "abc",
                    "source_type": "local",
                    "source": "here",
                },
            }
        ],
    ),
    run("$runs", start_time=4000, run_name="fourth"),
    run("$runs", start_time=5000, run_name="gone"),
    post("mlflow/runs/delete", run_id="$run"),
)
_LIBRARY = (
    registered("library one", tags=tags(team="red", task="classify")),
    version("library one", run_id="$run", tags=tags(size="small")),
    version("library one", source="s3://bucket/other"),
    version("library one", tags=tags(size="large")),
    post(
        "mlflow/model-versions/transition-stage",
        name="library one",
        version="2",
        stage="Production",
        archive_existing_versions=False,
    ),
    registered("Library two", tags=tags(team="Blue"), description="the second"),
    version("Library two"),
    registered("library", keep="library"),
)
_EXPERIMENTS = (
    experiment("shelf one", tags=tags(team="red")),
    experiment("Shelf two", tags=tags(team="blue")),
    experiment("shelf gone", keep="gone"),
    post("mlflow/experiments/delete", experiment_id="$gone"),
    experiment("shelf", keep="experiments"),
)
_LOGGED = (
    experiment("$new", keep="logged"),
    logged("$logged", "one", model_type="forest", params=tags(depth="3"), tags=tags(team="red")),
    Ask(
        "PATCH",
        "mlflow/logged-models/$logged_model",
        {"model_id": "$logged_model", "status": "LOGGED_MODEL_READY"},
    ),
    run("$logged"),
    post(
        "mlflow/runs/log-metric",
        run_id="$run",
        model_id="$logged_model",
        key="loss",
        value=0.5,
        timestamp=1000,
    ),
    logged("$logged", "two", source_run_id="$run", tags=tags(team="blue")),
    on_dataset("f1", 0.5, "iris", "abc"),
    on_dataset("recall", 0.9, "wine", "abc"),
    logged("$logged", "three"),
    on_dataset("f1", 0.75, "iris", "def"),
)
THINGS: Mapping[str, tuple[Ask, ...]] = {
    "home": (experiment("home", keep="home"),),
    "experiment": (experiment("$new", keep="experiment"),),
    "deleted_experiment": (
        experiment("$new", keep="deleted_experiment"),
        post("mlflow/experiments/delete", experiment_id="$deleted_experiment"),
    ),
    "run": (run("$home"),),
    "deleted_run": (
        run("$home", keep="deleted_run"),
        post("mlflow/runs/delete", run_id="$deleted_run"),
    ),
    "model": (registered("$new", keep="model"),),
    "versioned": (registered("$new", keep="versioned"), version("$versioned")),
    "logged_model": (logged("$home", "a model"),),
    "deleted_logged_model": (
        logged("$home", "a model", keep="deleted_logged_model"),
        Ask("DELETE", "mlflow/logged-models/$deleted_logged_model"),
    ),
    "runs": _RUNS,
    "library": _LIBRARY,
    "experiments": _EXPERIMENTS,
    "logged": _LOGGED,
}
GET_RUN = get("mlflow/runs/get", run_id="$run")
GET_EXPERIMENT = get("mlflow/experiments/get", experiment_id="$experiment")
GET_MODEL = get("mlflow/registered-models/get", name="$model")
GET_LOGGED = get("mlflow/logged-models/$logged_model")
