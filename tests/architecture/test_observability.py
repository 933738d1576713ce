"""docs/observability.md lists the metrics that the code defines."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Info
from prometheus_client.metrics import MetricWrapperBase

import modelyard_gateway.metrics
import modelyard_kit.observability.metrics
import modelyard_registry.metrics
import modelyard_serving.metrics
import modelyard_tracking.metrics

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| `(modelyard_\w+)` \| (\w+) \|([^|]*)\|")
MODULES = (
    modelyard_kit.observability.metrics,
    modelyard_tracking.metrics,
    modelyard_registry.metrics,
    modelyard_gateway.metrics,
    modelyard_serving.metrics,
)


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    text = (ROOT / "docs/observability.md").read_text()
    listed = {name: (kind, labels(given)) for name, kind, given in ROW.findall(text)}
    assert listed == {
        name: described
        for module in MODULES
        for metric in vars(module).values()
        if isinstance(metric, MetricWrapperBase)
        for name, described in [description(metric)]
    }


def test_metrics_are_defined_in_one_module_per_package() -> None:
    files = {Path(str(module.__file__)) for module in MODULES}
    makes = re.compile(r"\b(Counter|Gauge|Histogram|Summary|Info)\($", re.MULTILINE)
    assert {
        path for path in ROOT.glob("services/*/*/**/*.py") if makes.search(path.read_text())
    } == files


def labels(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(\w+)`", text))


def description(metric: MetricWrapperBase) -> tuple[str, tuple[str, tuple[str, ...]]]:
    (family,) = metric.describe()
    if isinstance(metric, Info):
        return f"{family.name}_info", ("gauge", ("version",))
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, (family.type, tuple(vars(metric)["_labelnames"]))
