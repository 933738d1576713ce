"""`modelyard export mlflow`: bring what Modelyard has to a running MLflow server.

It never changes what did not come from here, and says what MLflow cannot keep. It can be stopped
and run again at any time. Exit codes: 0 done, 1 refused or failed, 2 usage, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys

from modelyard.exceptions import ModelyardException
from modelyard.internal import connections
from modelyard_mlflow.export_registry import RegistryExport
from modelyard_mlflow.export_tracking import IdMap, TrackingExport
from modelyard_mlflow.mlflow_destination import MlflowTarget
from modelyard_mlflow.mlflow_http import MlflowRefusal
from modelyard_mlflow.modelyard_source import Modelyard
from modelyard_mlflow.options import add_choices
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report, written
from modelyard_mlflow.source import Unreachable

_NOT_KEPT = (
    "Experiments, runs and logged models get ids of its own; tags modelyard.origin.* name ours.",
    "Experiments, models and versions get creation and update times of its own.",
    "History, approvals, protection against deletion and who changed what are not kept.",
    "Bytes are not pinned; the tag modelyard.origin.digest of a version says what its digest was.",
)


def run(arguments: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        report = _export(options)
    except ModelyardException as error:
        return _fail(error.message)
    except (Unreachable, MlflowRefusal, OSError) as error:
        return _fail(str(error))
    print(report.summary())
    return 0


def _export(options: argparse.Namespace) -> Report:
    target = MlflowTarget(options.target)
    if options.tracking_uri:
        connections.set_tracking_uri(options.tracking_uri)
    source = Modelyard(connections.tracking_uri())
    report = Report(source.shown, target.server.uri)
    with written(report, options.report):
        _move(source, target, report, options)
    return report


def _move(
    source: Modelyard, target: MlflowTarget, report: Report, options: argparse.Namespace
) -> None:
    there = IdMap()
    chosen = bool(options.experiment or options.model)
    with ProgressBar() as steps:
        if options.experiment or not chosen:
            TrackingExport(source, target, report, steps, there).move(options.experiment)
        if options.model or not chosen:
            RegistryExport(source, target, report, steps, there).move(options.model)
    for sentence in _NOT_KEPT:
        report.note("not-kept", "MLflow", sentence)


def _fail(message: str) -> int:
    print(f"modelyard export: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard export mlflow",
        description="Bring experiments, runs, models and versions to an MLflow server.",
    )
    parser.add_argument(
        "--to",
        dest="target",
        required=True,
        metavar="URI",
        help="a running server, http(s)://host:port",
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="where from; as everywhere by default"
    )
    add_choices(parser)
    return parser
