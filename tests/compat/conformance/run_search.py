"""Cases of the search of runs: every operator, order, view and page."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compat.conformance.door import Ask, Case
from tests.compat.conformance.route import Route

_SEARCH = Route("POST", "mlflow/runs/search", {"experiment_ids": ["$runs"]})
_FILTERS = (
    "metrics.loss > 0.25",
    "metrics.loss >= 0.25",
    "metric.loss = 0.5",
    "metrics.loss == 0.5",
    "metrics.loss != 0.5",
    "metrics.loss < 0.5",
    "metrics.loss <= 0.25",
    "metrics.`val/loss.max` = 2",
    'metrics."val/loss.max" > 1',
    "metrics.loss > 'x'",
    "metrics.loss LIKE '0%'",
    "metrics.nope > 0",
    "params.rate = '0.1'",
    "param.rate != '0.1'",
    "parameters.rate LIKE '0.%'",
    "params.rate ILIKE '0.2'",
    "params.rate IS NULL",
    "params.rate IS NOT NULL",
    "params.rate = 0.1",
    "params.rate > '0.1'",
    "params.rate IN ('0.1', '0.2')",
    "tags.team = 'red'",
    "tag.team != 'red'",
    "tags.team LIKE 'r%'",
    "tags.team LIKE '%e%'",
    "tags.team ILIKE 'BLUE'",
    "tags.phase IS NULL",
    "tags.phase IS NOT NULL",
    "tags.`mlflow.runName` = 'first'",
    'tags."team" = "red"',
    "attributes.run_name = 'first'",
    "run_name LIKE 'f%'",
    "run_name ILIKE 'F%'",
    "run_name != 'first'",
    "`run name` = 'first'",
    "attributes.`Run Name` = 'first'",
    "run_name IN ('first', 'second')",
    "run_id IN ('0', '1')",
    "run_id NOT IN ('0', '1')",
    "run_id = '0'",
    "status = 'FINISHED'",
    "attributes.status != 'FINISHED'",
    "attr.status = 'RUNNING'",
    "run.status LIKE 'F%'",
    "status = 'NOPE'",
    "status = 'finished'",
    "user_id = 'ada'",
    "artifact_uri LIKE '%artifacts'",
    "start_time > 2000",
    "attributes.start_time <= 2000",
    "created > 2000",
    "end_time > 0",
    "end_time < 5500 AND start_time >= 1000",
    "start_time > '2000'",
    "start_time LIKE '2%'",
    "datasets.name = 'iris'",
    "dataset.digest LIKE 'a%'",
    "datasets.name IN ('iris', 'x')",
    "datasets.context = 'train'",
    "datasets.context = 'test'",
    "datasets.nope = 'x'",
    "metrics.loss < 1 AND params.rate = '0.1' AND tags.team = 'red'",
    "metrics.loss < 1 and params.rate = '0.1'",
    "metrics.loss = 0.5 OR metrics.loss = 0.25",
    "NOT metrics.loss = 0.5",
    "(metrics.loss = 0.5)",
    "experiment_id = '1'",
    "lifecycle_stage = 'active'",
    "duration > 1",
    "colour = 'red'",
    "metrics.loss",
    "metrics.loss >",
    "metrics.loss > 0 AND",
    "metrics.loss > 0 metrics.loss < 1",
    "'a' = 'a'",
    "tags.team = 'it''s'",
    'tags.team = "it\'s"',
    "tags.team = red",
    "   ",
    ";",
)
_ORDERS = (
    ["metrics.loss"],
    ["metrics.loss DESC"],
    ["metrics.loss ASC", "start_time DESC"],
    ["params.rate", "start_time"],
    ["tags.team DESC", "start_time"],
    ["attributes.start_time"],
    ["start_time DESC"],
    ["end_time"],
    ["status", "start_time"],
    ["run_name"],
    ["`Run Name` DESC"],
    ["metrics.`val/loss.max` DESC"],
    ["metrics.nope"],
    ["datasets.name"],
    ["colour"],
    ["metrics.loss SIDEWAYS"],
    ["metrics.loss", "metrics.loss DESC"],
    [""],
)


def cases() -> Iterator[Case]:
    yield from _SEARCH.basics()
    for text in _FILTERS:
        yield _SEARCH.case(f"filter {text}", filter=text)
    for orders in _ORDERS:
        yield _SEARCH.case(f"order by {', '.join(orders)}", order_by=orders)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 3, "NOPE", 0):
        yield _SEARCH.case(f"view {view}", run_view_type=view)
    for size in (50_000, 50_001, 0, -1, 2, "2", "x", 2.5):
        yield _SEARCH.case(f"max_results {size!r}", max_results=size)
    for given in (["987654"], [], ["$runs", "987654"], ["$runs", "$runs"], ["$deleted_experiment"]):
        yield _SEARCH.case(f"experiments {', '.join(given)}", experiment_ids=given)
    kept = {"token": "next_page_token"}
    first = {"experiment_ids": ["$runs"], "max_results": 3}
    page = Ask("POST", _SEARCH.path, first, keep=kept)
    yield _SEARCH.case("the second page", before=(page,), page_token="$token")
    yield _SEARCH.case("a broken token", page_token="nonsense")
    yield _SEARCH.raw("no JSON", b'{"experiment_ids": [')
