"""`modelyard doctor`: diagnose an installation and suggest remedies.

Checks the settings and the home on this machine, and the server of MODELYARD_TRACKING_URI, or the
one that runs in the home. Prints no secrets. Exit codes: 0 no check failed; 1 one did; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping

from modelyard.command_line import Parser
from modelyard.internal import instances, setting
from modelyard_kit.settings.declarations import PREFIX, unknown, wrong
from modelyard_kit.settings.programs import KNOWN_VARIABLES, PROGRAMS
from modelyard_kit.settings.table import AdminSettings
from modelyard_server.admin import installation
from modelyard_server.admin.doctor import client, server, workers
from modelyard_server.admin.doctor.finding import Finding, State, fail, ok


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(argv)
    findings = []
    for finding in _findings(options, os.environ):
        findings.append(finding)
        if not options.json:
            _print(finding)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    return 1 if any(finding.state == State.FAIL for finding in findings) else 0


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard doctor",
        description="Diagnose an installation and suggest remedies. To test the store, a file is "
        "logged to a run, which is deleted afterwards.",
    )
    installation.add_arguments(parser)
    parser.add_argument(
        "--tracking-uri",
        default=setting("TRACKING_URI"),
        help="address of the server to check (default: the home's) [MODELYARD_TRACKING_URI]",
    )
    parser.add_argument(
        "--objects",
        action="store_true",
        help="also have the server read and hash every object of its store; takes as long as "
        "reading all of it, and needs an admin's token",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _findings(options: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Finding]:
    problems = wrong((*PROGRAMS.values(), AdminSettings), environ)
    problems |= dict(unknown(environ, KNOWN_VARIABLES))
    yield from _settings(problems, environ)
    # Valid settings only, so that the other checks can run.
    usable = {name: text for name, text in environ.items() if name not in problems}
    here = installation.chosen(options, usable)
    yield from server.check(here, usable)
    yield from workers.check()
    instance = instances.running(here.home)
    uri = options.tracking_uri or (instance and instance.http)
    if uri:
        yield from client.check(uri)
        if options.objects:
            yield from client.stored_objects(uri)
    else:
        yield ok("server", "not running in this home; started by the first call, or: modelyard up")
        if options.objects:
            yield fail("stored objects", "not read: the server does it", "Start it: modelyard up")


def _settings(problems: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[Finding]:
    for message in problems.values():
        yield fail("settings", message, _CORRECT)
    if not problems:
        count = sum(name.startswith(PREFIX) for name in environ)
        yield ok("settings", f"{count} set, all valid")


_CORRECT = "Correct the variable, or unset it; see docs/settings.md."


def _print(finding: Finding) -> None:
    print(f"{finding.state:<5}{finding.check}: {finding.summary}")
    if finding.remedy:
        print(f"{'':<5}→ {finding.remedy}")
