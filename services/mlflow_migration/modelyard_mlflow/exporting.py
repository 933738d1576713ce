"""`modelyard export mlflow`: export to a running MLflow server.

Entities of the server that were not exported by Modelyard are never changed. The report lists
everything MLflow cannot represent. The command can be stopped and run again at any time. Exit
codes: 0 done, 1 refused or failed, 2 usage, 3 done but for what could not be written, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import sys

from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException
from modelyard.internal import connections
from modelyard_mlflow.export_registry import RegistryExport
from modelyard_mlflow.export_tracking import IdMap, TrackingExport
from modelyard_mlflow.mlflow_destination import MlflowDestination
from modelyard_mlflow.mlflow_http import MlflowRefusal
from modelyard_mlflow.modelyard_source import ModelyardSource
from modelyard_mlflow.options import add_choices
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report, written
from modelyard_mlflow.source import Unreachable

_NOT_KEPT = (
    "Experiments, runs and logged models get new ids; tags modelyard.origin.* hold the old ones.",
    "Experiments, models and versions get new creation and update times.",
    "History, approvals, deletion protection and the authors of changes are not kept.",
    "Bytes are not pinned; the tag modelyard.origin.digest of a version holds its digest.",
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
    return report.exit_code


def _export(options: argparse.Namespace) -> Report:
    destination = MlflowDestination(options.destination)
    if options.tracking_uri:
        connections.set_tracking_uri(options.tracking_uri)
    source = ModelyardSource(connections.tracking_uri())
    report = Report(source.shown, destination.server.uri)
    with written(report, options.report):
        _migrate(source, destination, report, options)
    return report


def _migrate(
    source: ModelyardSource,
    destination: MlflowDestination,
    report: Report,
    options: argparse.Namespace,
) -> None:
    ids = IdMap()
    chosen = bool(options.experiment or options.model)
    with ProgressBar() as progress:
        if options.experiment or not chosen:
            TrackingExport(source, destination, report, progress, ids).run(options.experiment)
        if options.model or not chosen:
            RegistryExport(source, destination, report, progress, ids).run(options.model)
    for sentence in _NOT_KEPT:
        report.note("not-kept", "MLflow", sentence)


def _fail(message: str) -> int:
    print(f"modelyard export: {message}", file=sys.stderr)
    return 1


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard export mlflow",
        description="Export experiments, runs, models and versions to an MLflow server.",
        examples=("--to http://localhost:5000",),
    )
    parser.add_argument(
        "--to",
        dest="destination",
        required=True,
        metavar="URI",
        help="address of a running server, http(s)://host:port",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="server to export from (default: the home's) [MODELYARD_TRACKING_URI]",
    )
    add_choices(parser)
    return parser
