"""`modelyard import mlflow`: import from an MLflow installation.

Reads a running server or a database without writing to it, and reports every difference. The
command can be stopped and run again at any time: a later run writes what is missing or changed.
Exit codes: 0 done, 1 refused or failed, 2 usage, 3 done but for what could not be read or written,
130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import contextlib
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException
from modelyard.internal import connections
from modelyard.redaction import redacted, redacted_text
from modelyard_mlflow.destination import Destination, DryRun, ServerDestination
from modelyard_mlflow.import_registry import RegistryImport
from modelyard_mlflow.import_tracking import IdMap, TrackingImport
from modelyard_mlflow.local_files import LocalFiles
from modelyard_mlflow.mlflow_http import MlflowRefusal, MlflowServer
from modelyard_mlflow.options import add_choices
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report, written
from modelyard_mlflow.server_reader import ServerReader
from modelyard_mlflow.source import Reader, Unreachable

_MAX_ORIGIN_CHARACTERS = 256


def run(arguments: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with _reader(options.source, options.artifact_root) as reader:
            report = _import(reader, options)
    except ModelyardException as error:
        return _fail(error.message)
    except (Unreachable, MlflowRefusal, OSError) as error:
        return _fail(str(error))
    print(report.summary())
    return report.exit_code


def _import(reader: Reader, options: argparse.Namespace) -> Report:
    origin = options.origin or reader.name
    if len(origin) > _MAX_ORIGIN_CHARACTERS:
        raise Unreachable(
            f"The origin's name is longer than {_MAX_ORIGIN_CHARACTERS} characters; give a shorter "
            f"one with --origin: '{origin}'."
        )
    uri = options.tracking_uri or connections.tracking_uri()
    destination: Destination = DryRun()
    shown = uri or "the local home"
    if not options.dry_run:
        server = ServerDestination(uri, origin)
        destination, shown = server, server.shown
    report = Report(reader.name, shown, dry_run=options.dry_run)
    with written(report, options.report):
        _migrate(reader, destination, report, options, origin)
    return report


def _migrate(
    reader: Reader,
    destination: Destination,
    report: Report,
    options: argparse.Namespace,
    origin: str,
) -> None:
    ids = IdMap()
    chosen = bool(options.experiment or options.model)
    with ProgressBar() as progress:
        tracking = TrackingImport(reader, destination, report, progress, ids)
        registry = RegistryImport(
            reader, destination, report, progress, ids, tracking, origin=origin, host=_host(reader)
        )
        if options.model or not chosen:
            registry.import_names(options.model)
        if options.experiment or not chosen:
            tracking.run(options.experiment)
        registry.import_versions()
    for sentence in reader.left_out():
        report.note("not-moved", "the source", sentence)


@contextmanager
def _reader(source: str, artifact_root: Path | None) -> Iterator[Reader]:
    if artifact_root is not None and not artifact_root.is_dir():
        raise Unreachable(f"The artifact root {artifact_root} is not a folder.")
    if source.startswith(("http://", "https://")):
        server = MlflowServer(source)
        yield ServerReader(server, LocalFiles(artifact_root, trusts_paths=server.is_nearby))
        return
    if "://" not in source:
        raise Unreachable(
            f"'{redacted(source)}' is not a valid source: expected the address of a "
            "running server, such as http://localhost:5000, or a database URL, such as "
            "sqlite:////data/mlflow.db."
        )
    from sqlalchemy.exc import SQLAlchemyError

    from modelyard_mlflow.database_reader import DatabaseReader

    local = LocalFiles(artifact_root, trusts_paths=True)
    with contextlib.closing(DatabaseReader(source, local)) as reader:
        try:
            yield reader
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise Unreachable(f"{reader.name} cannot be read: {redacted_text(cause)}.") from None


def _host(reader: Reader) -> str:
    return urllib.parse.urlsplit(reader.name).netloc or "origin"


def _fail(message: str) -> int:
    print(f"modelyard import: {message}", file=sys.stderr)
    return 1


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard import mlflow",
        description="Import experiments, runs, models and versions of an MLflow installation. The "
        "source is only read; a later import writes what is missing or changed.",
        examples=("--from http://localhost:5000 --dry-run", "--from sqlite:////data/mlflow.db"),
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URI",
        help="address of a running server, http(s)://host:port, or its database, "
        "sqlite:////path or postgresql://…",
    )
    parser.add_argument(
        "--artifact-root",
        type=Path,
        metavar="DIR",
        help="artifact root of the source, or a copy of it, on this machine",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="server to import into (default: the home's) [MODELYARD_TRACKING_URI]",
    )
    parser.add_argument(
        "--origin",
        metavar="NAME",
        help="name of the origin, the same in later imports (default: its address)",
    )
    add_choices(parser)
    parser.add_argument("--dry-run", action="store_true", help="read everything, write nothing")
    return parser
