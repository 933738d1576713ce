"""`modelyard gc`: remove unreferenced objects.

The server does the work, a page at a time; this command requests the pages and adds up the counts.
It can be stopped at any time: the next run continues. Exit codes: 0 done, 1 refused or failed,
2 usage, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException
from modelyard.internal import connections, rpc

_PAGE_TIMEOUT_S = 600.0


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        report = _report(_pages(dry_run=options.dry_run), dry_run=options.dry_run)
    except ModelyardException as error:
        print(f"modelyard gc: {error.message}", file=sys.stderr)
        return 1
    print(json.dumps(report, indent=2) if options.json else _sentence(report))
    return 0


def _pages(*, dry_run: bool) -> Iterator[pb.SweepObjectsResponse]:
    call = partial(rpc.call, connections.tracking_uri(), timeout_s=_PAGE_TIMEOUT_S)
    return rpc.pages(call, pb.SweepObjectsRequest(dry_run=dry_run), pb.SweepObjectsResponse)


def _report(pages: Iterator[pb.SweepObjectsResponse], *, dry_run: bool) -> dict[str, int | bool]:
    examined = objects = size_bytes = 0
    for page in pages:
        examined += page.examined
        objects += len(page.objects)
        size_bytes += sum(item.size_bytes for item in page.objects)
        if sys.stderr.isatty():
            print(f"\r{examined:,} examined, {objects:,} unused", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return {"dry_run": dry_run, "examined": examined, "objects": objects, "bytes": size_bytes}


def _sentence(report: dict[str, int | bool]) -> str:
    verb = "would be removed" if report["dry_run"] else "removed"
    return (
        f"{report['objects']:,} unused objects {verb}, {report['bytes']:,} bytes in all; "
        f"{report['examined']:,} examined."
    )


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard gc",
        description="Remove objects that no file of a run or logged model, no registered version "
        "and no upload of the last hours refers to. The server is that of MODELYARD_TRACKING_URI; "
        "an admin's token is required if the server requires tokens.",
        examples=("--dry-run",),
    )
    parser.add_argument("--dry-run", action="store_true", help="only report what would be removed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
