import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory, dialect: Dialect) -> Iterator[Tracking]:
    """Four runs, a to d, the later the letter the later the start."""
    with tracking_at(tmp_path_factory.mktemp("search"), dialect) as service:
        for start, name in enumerate("abcd"):
            run_id = service.create_run(run_name=name, start_time=start, user_id="ada")
            service.rpc.LogBatch(
                pb.LogBatchRequest(
                    run_id=run_id,
                    metrics=[pb.Metric(key="loss", value=value) for value in LOSSES[name]],
                    params=[pb.Param(key="depth", value=value) for value in DEPTHS[name]],
                    tags=[pb.RunTag(key="te.am", value=f"T{name}")],
                )
            )
        service.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, status=pb.FAILED, end_time=9))
        service.rpc.LogInputs(
            pb.LogInputsRequest(
                run_id=run_id,
                datasets=[
                    pb.DatasetInput(
                        dataset=pb.Dataset(
                            name="iris", digest="d1", source_type="local", source="{}"
                        ),
                        tags=[pb.InputTag(key="mlflow.data.context", value="train")],
                    )
                ],
            )
        )
        deleted = service.create_run(run_name="deleted", start_time=9)
        service.rpc.DeleteRun(pb.DeleteRunRequest(run_id=deleted))
        yield service


LOSSES: dict[str, list[float]] = {"a": [0.5], "b": [math.nan], "c": [], "d": [0.25]}
DEPTHS: dict[str, list[str]] = {"a": ["3"], "b": ["10"], "c": ["3"], "d": []}


def names(tracking: Tracking, text: str = "", *order_by: str, **fields: object) -> str:
    request = pb.SearchRunsRequest(experiment_ids=["0"], filter=text, order_by=order_by)
    for field, value in fields.items():
        setattr(request, field, value)
    return "".join(run.info.run_name for run in tracking.rpc.SearchRuns(request).runs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "dcba"),
        ("metrics.loss < 0.5", "d"),
        ("metrics.loss <= 0.5 and params.depth = '3'", "a"),
        ("metrics.loss != 0.5", "db"),
        ("metrics.loss IS NULL", "c"),
        ("metrics.loss IS NOT NULL", "dba"),
        ("NOT metrics.loss = 0.5", "dcb"),
        ("params.depth = '3' OR metrics.loss > 0", "dca"),
        ("(params.depth = '3' OR metrics.loss > 0) AND NOT run_name = 'c'", "da"),
        ("params.depth IN ('3', '10')", "cba"),
        ("params.depth IS NULL", "d"),
        ("param.depth LIKE '1%'", "b"),
        ("tags.`te.am` = 'Ta'", "a"),
        ("tags.\"te.am\" ILIKE 'tA'", "a"),
        ("tags.`te.am` LIKE 'ta'", ""),
        ("attributes.status = 'FAILED'", "d"),
        ("attr.status != 'FAILED'", "cba"),
        ("run.user_id = 'ada' and start_time >= 2", "dc"),
        ("created < 1", "a"),
        ("`Run name` = 'b'", "b"),
        ("end_time > 0", "d"),
        ("end_time IS NULL", "cba"),
        ("artifact_uri LIKE 'mlflow-artifacts:/0/%'", "dcba"),
        ("datasets.name = 'iris' and dataset.digest = 'd1'", "d"),
        ("datasets.context = 'train'", "d"),
        ("datasets.name != 'iris'", ""),
    ],
)
def test_a_filter_finds(tracking: Tracking, text: str, expected: str) -> None:
    assert names(tracking, text) == expected


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (["start_time"], "abcd"),
        (["run_name DESC"], "dcba"),
        (["metrics.loss"], "dabc"),
        (["metrics.loss DESC"], "adbc"),
        (["params.depth", "start_time"], "bacd"),
        (["params.depth DESC"], "cabd"),
        (["metrics.loss", "metrics.loss DESC"], "dabc"),
        (["end_time", "tags.`te.am` DESC"], "dcba"),
        (["attributes.status", "start_time ASC"], "dabc"),
    ],
)
def test_runs_come_in_order(tracking: Tracking, order_by: list[str], expected: str) -> None:
    assert names(tracking, "", *order_by) == expected


@pytest.mark.parametrize("order", ["metrics.loss", "metrics.loss DESC", "params.depth", "end_time"])
@pytest.mark.parametrize("page_size", [1, 2, 3])
def test_pages_are_the_whole_in_pieces(tracking: Tracking, order: str, page_size: int) -> None:
    whole = names(tracking, "", order)
    request = pb.SearchRunsRequest(experiment_ids=["0"], order_by=[order], max_results=page_size)
    found = ""
    while True:
        reply = tracking.rpc.SearchRuns(request)
        found += "".join(run.info.run_name for run in reply.runs)
        request.page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    assert found == whole


def test_whole_runs_are_returned(tracking: Tracking) -> None:
    request = pb.SearchRunsRequest(experiment_ids=["0"], filter="run_name = 'd'")
    (run,) = tracking.rpc.SearchRuns(request).runs
    assert run == tracking.get_run(run.info.run_id)
    assert run.data.params == []
    assert run.inputs.dataset_inputs[0].dataset.name == "iris"


def test_the_view_chooses_active_or_deleted_runs(tracking: Tracking) -> None:
    assert names(tracking, run_view_type=pb.DELETED_ONLY) == "deleted"
    assert names(tracking, run_view_type=pb.ALL) == "deleteddcba"


def test_no_experiments_are_no_results(tracking: Tracking) -> None:
    assert not tracking.rpc.SearchRuns(pb.SearchRunsRequest()).runs


@BEFORE_SQL
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.loss = 'high'", "must be compared with a number"),
        ("params.depth = 3", "quoted string"),
        ("params.depth > '3'", "does not support >"),
        ("start_time LIKE '3'", "does not support LIKE"),
        ("duration > 3", "Valid keys are"),
        ("weights.x > 3", "Invalid entity type 'weights'"),
        ("datasets.size = '3'", "datasets.context"),
        ("metrics.loss >", "Invalid filter"),
        ("' OR 1=1 --", "Invalid filter"),
    ],
)
def test_an_invalid_filter_is_refused(tracking: Tracking, text: str, expected: str) -> None:
    with refused("INVALID_PARAMETER_VALUE", expected):
        names(tracking, text)


@BEFORE_SQL
@pytest.mark.parametrize("order", ["datasets.name", "nonsense", "metrics.loss UP", "x.y", ""])
def test_an_invalid_order_is_refused(tracking: Tracking, order: str) -> None:
    with refused("INVALID_PARAMETER_VALUE"):
        names(tracking, "", order)


@BEFORE_SQL
@pytest.mark.parametrize("max_results", [0, -1, 50_001])
def test_a_page_size_out_of_range_is_refused(tracking: Tracking, max_results: int) -> None:
    with refused("INVALID_PARAMETER_VALUE", str(max_results), "max_results"):
        names(tracking, max_results=max_results)


def test_a_token_of_another_search_is_refused(tracking: Tracking) -> None:
    request = pb.SearchRunsRequest(experiment_ids=["0"], max_results=1)
    request.page_token = tracking.rpc.SearchRuns(request).next_page_token
    request.filter = "run_name != 'x'"
    for token in (request.page_token, "forged"):
        request.page_token = token
        with refused("INVALID_PARAMETER_VALUE", "page_token"):
            tracking.rpc.SearchRuns(request)


def test_experiments_are_searched(tmp_path: Path, dialect: Dialect) -> None:
    with tracking_at(tmp_path, dialect) as tracking:
        for name in ("iris", "wine", "Iris-2"):
            tracking.rpc.CreateExperiment(
                pb.CreateExperimentRequest(
                    name=name, tags=[pb.ExperimentTag(key="kind", value=name)]
                )
            )
        tracking.rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id="2"))

        def found(text: str = "", *order_by: str, **fields: int) -> list[str]:
            request = pb.SearchExperimentsRequest(filter=text, order_by=order_by)
            for field, value in fields.items():
                setattr(request, field, value)
            reply = tracking.rpc.SearchExperiments(request)
            return [row.experiment_id for row in reply.experiments]

        everything = found("", "experiment_id")
        assert everything == ["0", "1", "3"]
        assert found("name ILIKE 'iris%'", "name") == ["3", "1"]
        assert found("tags.kind = 'iris'") == ["1"]
        assert found("experiment_id IN ('1', '2')") == ["1"]
        assert found("experiment_id != '0'", "creation_time ASC") == ["1", "3"]
        assert found("", view_type=pb.DELETED_ONLY) == ["2"]
        assert found("creation_time > 0 AND NOT tags.kind IS NULL", "name") == ["3", "1"]
        for text in ("tags.kind > 'a'", "color = 'red'", "experiment_id = 'x'", "x.name = 'a'"):
            with refused("INVALID_PARAMETER_VALUE"):
                found(text)
        with refused("INVALID_PARAMETER_VALUE", "50001"):
            found(max_results=50_001)


@pytest.mark.parametrize(
    ("datasets", "text", "names"),
    [
        ([("iris", "1")], "", "ba"),
        ([("iris", "2")], "", "c"),
        ([("iris", "")], "", "cba"),
        ([("iris", "2"), ("wine", "1")], "", "cb"),
        ([("iris", "3")], "", ""),
        ([("iris", "1")], "name != 'a'", "b"),
        ([("iris", "1")], "metrics.loss < 0.5", "b"),
        ([("iris", "1")], "metrics.loss < 0.5 OR name = 'd'", "b"),
        ([("iris", "1")], "metrics.recall > 0", ""),
        ([("wine", "1")], "metrics.recall > 0", "b"),
        ([("iris", "1")], "metrics.recall IS NULL", "ba"),
    ],
)
def test_a_search_by_datasets_finds_only_models_with_a_metric_on_one(
    models_on_datasets: Tracking, datasets: list[tuple[str, str]], text: str, names: str
) -> None:
    request = pb.SearchLoggedModelsRequest(experiment_ids=["0"], filter=text, max_results=1)
    for name, digest in datasets:
        request.datasets.add(dataset_name=name, dataset_digest=digest)
    found = ""
    while True:
        reply = models_on_datasets.rpc.SearchLoggedModels(request)
        found += "".join(model.info.name for model in reply.models)
        request.page_token = reply.next_page_token
        if not reply.next_page_token:
            break

    assert found == names


@pytest.fixture(scope="module")
def models_on_datasets(tracking: Tracking) -> Tracking:
    """Make models a to c with metrics on datasets, and d with a metric on none."""
    run_id = tracking.create_run()
    models: dict[str, str] = {}
    for name, key, value, dataset, digest in (
        ("a", "loss", 0.5, "iris", "1"),
        ("b", "loss", 0.25, "iris", "1"),
        ("b", "recall", 0.9, "wine", "1"),
        ("c", "loss", 0.5, "iris", "2"),
        ("d", "loss", 0.1, "", ""),
    ):
        if name not in models:
            models[name] = tracking.create_model(run_id, name)
        metric = pb.Metric(key=key, value=value, model_id=models[name])
        metric.dataset_name, metric.dataset_digest = dataset, digest
        tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=[metric]))
    tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
    return tracking


def test_logged_models_are_searched(tmp_path: Path, dialect: Dialect) -> None:
    with tracking_at(tmp_path, dialect) as tracking:
        run_id = tracking.create_run()
        models = {}
        for name, loss in (("a", 0.5), ("b", 0.25), ("c", math.nan)):
            models[name] = tracking.create_model(run_id, name)
            metrics = [
                pb.Metric(
                    key="loss",
                    value=value,
                    model_id=models[name],
                    dataset_name=dataset,
                    dataset_digest="1",
                )
                for dataset, value in (("train", loss), ("test", 1 - loss))
            ]
            tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics))
            tracking.rpc.SetLoggedModelTags(
                pb.SetLoggedModelTagsRequest(
                    model_id=models[name], tags=[pb.LoggedModelTag(key="k", value=name)]
                )
            )
        tracking.create_model(run_id, "d", ready=False)

        def found(text: str = "", **fields: object) -> str:
            request = pb.SearchLoggedModelsRequest(
                experiment_ids=["0"],
                filter=text,
                **fields,  # type: ignore[arg-type]
            )
            models = tracking.rpc.SearchLoggedModels(request).models
            return "".join(model.info.name for model in models)

        order = pb.SearchLoggedModelsRequest.OrderBy
        train = pb.SearchLoggedModelsRequest.Dataset(dataset_name="train", dataset_digest="1")
        assert found() == "dcba"
        assert found(f"source_run_id = '{run_id}' AND status = 'READY'") == "cba"
        assert found("metrics.loss > 0.6") == "b"
        assert found("metrics.loss > 0.6", datasets=[train]) == ""
        assert found("metrics.loss < 0.6", datasets=[train]) == "ba"
        assert found("tags.k IN ('a', 'c')") == "ca"
        by_train = order(field_name="metrics.loss", dataset_name="train", ascending=False)
        assert found(order_by=[by_train]) == "abcd"
        other = "f" * 32
        assert found(f"source_run_id != '{other}'") == "dcba"
        assert found(order_by=[order(field_name="metrics.loss", dataset_digest="2")]) == "dcba"
        assert found(order_by=[order(field_name="name")]) == "abcd"
        assert found(max_results=2) == "dc"
        for text in ("metric.loss > 1", "color = 'red'", "name > 'a'"):
            with refused("INVALID_PARAMETER_VALUE"):
                found(text)
        with refused("INVALID_PARAMETER_VALUE", "Valid keys"):
            found(order_by=[order(field_name="color")])


def test_a_reply_that_grows_too_large_ends_its_page_early(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard_tracking.servicer.runs._ENOUGH_BYTES", 1)
    monkeypatch.setattr("modelyard_tracking.servicer.runs._RUNS_AT_ONCE", 3)
    request = pb.SearchRunsRequest(experiment_ids=["0"], order_by=["metrics.loss"])
    first = tracking.rpc.SearchRuns(request)
    request.page_token = first.next_page_token
    second = tracking.rpc.SearchRuns(request)
    pages = [[run.info.run_name for run in reply.runs] for reply in (first, second)]
    assert pages == [["d", "a", "b"], ["c"]]
    assert second.next_page_token == ""


def test_twenty_orders_are_paged(tracking: Tracking) -> None:
    order_by = [f"metrics.m{n} DESC" for n in range(19)] + ["metrics.loss"]
    assert names(tracking, "", *order_by) == "dabc"
    request = pb.SearchRunsRequest(experiment_ids=["0"], order_by=order_by, max_results=3)
    request.page_token = tracking.rpc.SearchRuns(request).next_page_token
    assert [run.info.run_name for run in tracking.rpc.SearchRuns(request).runs] == ["c"]
