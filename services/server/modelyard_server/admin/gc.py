"""`modelyard gc`: remove unreferenced objects; if asked to, purge what was deleted, and verify.

The server does the work, a page at a time; this command requests the pages and adds up the counts.
It can be stopped at any time: the next run continues. Exit codes: 0 done, 1 refused or failed,
2 usage, 130 Ctrl-C. With --verify, 1 also if objects are damaged or missing.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.protobuf.json_format import MessageToDict

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException
from modelyard.internal import connections, rpc
from modelyard_server.admin import verifying

_PAGE_TIMEOUT_S = 600.0
_DEFAULT_AGE = "30d"
_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
_AGE = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MAX_AGE_MS = 100 * 365 * _MS["d"]  # the contract's limit


@dataclass
class _Progress:
    """Counts of the pages so far, shown on a terminal."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, **counts: int) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if sys.stderr.isatty():
            shown = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
            print(f"\r{shown}".replace("_", " "), end="", file=sys.stderr)

    def end(self) -> dict[str, int]:
        if sys.stderr.isatty():
            print(file=sys.stderr)
        return self.counts


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(argv)
    if options.older_than is not None and not options.deleted:
        _parser().error("--older-than needs --deleted")
    report: dict[str, Any] = {"dry_run": options.dry_run}
    try:
        if options.deleted:
            older_than_ms = options.older_than
            if older_than_ms is None:
                older_than_ms = _age_ms(_DEFAULT_AGE)
            report["purged"] = _purge(older_than_ms, dry_run=options.dry_run)
            if not options.json:
                print(_purged(report))
        report |= _sweep(dry_run=options.dry_run, force=options.force)
        if not options.json:
            print(_swept(report))
        if options.verify:
            report["verified"] = _verify(quiet=options.json)
    except ModelyardException as error:
        print(f"modelyard gc: {error.message}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(report, indent=2))
    return 1 if options.verify and report["verified"]["damaged"] else 0


def _purge(older_than_ms: int, *, dry_run: bool) -> dict[str, int]:
    progress = _Progress()
    request = pb.PurgeDeletedRequest(older_than_ms=older_than_ms, dry_run=dry_run)
    for page in rpc.pages(_call(), request, pb.PurgeDeletedResponse):
        progress.add(
            experiments=page.experiments,
            runs=page.runs,
            logged_models=page.logged_models,
            files=page.files,
            files_bytes=page.files_bytes,
        )
    return progress.end()


def _sweep(*, dry_run: bool, force: bool) -> dict[str, int]:
    progress = _Progress()
    request = pb.SweepObjectsRequest(dry_run=dry_run, force=force)
    pages: Iterable[pb.SweepObjectsResponse] = rpc.pages(_call(), request, pb.SweepObjectsResponse)
    for page in pages:
        size_bytes = sum(item.size_bytes for item in page.objects)
        progress.add(examined=page.examined, objects=len(page.objects), bytes=size_bytes)
    return progress.end()


def _verify(*, quiet: bool) -> dict[str, Any]:
    progress = _Progress()
    damaged: list[pb.DamagedObject] = []
    for page in verifying.pages(connections.tracking_uri()):
        damaged += page.objects
        progress.add(verified=page.examined, bytes=page.examined_bytes)
    counts = progress.end()
    if not quiet:
        for found in damaged:
            print(verifying.described(found))
        print(
            f"{counts['verified']:,} objects verified, {counts['bytes']:,} bytes in all; "
            f"{len(damaged):,} damaged or missing."
        )
    return {**counts, "damaged": [MessageToDict(found) for found in damaged]}


def _call() -> Any:
    return partial(rpc.call, connections.tracking_uri(), timeout_s=_PAGE_TIMEOUT_S)


def _purged(report: dict[str, Any]) -> str:
    verb = "would be purged" if report["dry_run"] else "purged"
    counts = report["purged"]
    return (
        f"{counts['experiments']:,} experiments, {counts['runs']:,} runs and "
        f"{counts['logged_models']:,} logged models {verb}, with {counts['files']:,} files of "
        f"{counts['files_bytes']:,} bytes."
    )


def _swept(report: dict[str, Any]) -> str:
    verb = "would be removed" if report["dry_run"] else "removed"
    return (
        f"{report['objects']:,} unused objects {verb}, {report['bytes']:,} bytes in all; "
        f"{report['examined']:,} examined."
    )


def _age_ms(text: str) -> int:
    found = _AGE.fullmatch(text)
    if not text or found is None:
        raise argparse.ArgumentTypeError(
            f"invalid age '{text}'; expected days, hours, minutes and seconds such as 30d or 1d12h"
        )
    age_ms = sum(
        int(number or 0) * unit for number, unit in zip(found.groups(), _MS.values(), strict=True)
    )
    if age_ms > _MAX_AGE_MS:
        raise argparse.ArgumentTypeError(f"invalid age '{text}'; at most 100 years are allowed")
    return age_ms


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard gc",
        description="Remove objects that no file of a run or logged model, no registered version "
        "and no upload of the last hours refers to; with --deleted, first purge what was deleted. "
        "The server is that of MODELYARD_TRACKING_URI; an admin's token is required if the server "
        "requires tokens.",
        examples=("--dry-run", "--deleted --older-than 30d --dry-run", "--verify"),
    )
    parser.add_argument("--dry-run", action="store_true", help="only report what would be removed")
    parser.add_argument(
        "--deleted",
        action="store_true",
        help="purge experiments, runs and logged models that are deleted: they cannot be restored",
    )
    parser.add_argument(
        "--older-than",
        type=_age_ms,
        metavar="AGE",
        help="purge only what was deleted at least this long ago, such as 30d, 1d12h or 0d "
        f"[{_DEFAULT_AGE}]",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="remove objects even if they are more than a quarter of all, and more than 100",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="then read and hash every object, and report damaged and missing ones with the "
        "versions and files that need them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
