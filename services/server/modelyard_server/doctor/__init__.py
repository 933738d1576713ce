"""`modelyard doctor`: say what is wrong with an installation, and what to do about it.

It looks at the settings and the home here, and at the server of MODELYARD_TRACKING_URI, or the one
that runs in the home. It shows no secret. Exit codes: 0 nothing failed; 1 something did; 2 usage.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from modelyard import _instance
from modelyard_kit.errors import Error
from modelyard_kit.settings import PREFIX, load, variables
from modelyard_server import installation
from modelyard_server.doctor import client, server
from modelyard_server.doctor.finding import Finding, State, fail, ok
from modelyard_server.role_settings import ROLES
from modelyard_server.settings import Settings, from_environment


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    settings, first = _settings(os.environ)
    options = _parser(settings).parse_args(argv)
    findings = [first]
    if not options.json:
        _print(first)
    for finding in _findings(settings, options):
        findings.append(finding)
        if not options.json:
            _print(finding)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    return 1 if any(finding.state == State.FAIL for finding in findings) else 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modelyard doctor",
        description="Say what is wrong with an installation, and what to do about it. To see "
        "whether files go to the store and come back it logs one in a run, and deletes that.",
    )
    installation.add_arguments(parser, settings)
    parser.add_argument(
        "--tracking-uri",
        default=os.environ.get("MODELYARD_TRACKING_URI"),
        help="address of a server to look at [MODELYARD_TRACKING_URI]",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def _settings(environ: Mapping[str, str]) -> tuple[Settings, Finding]:
    """Return the settings as far as they can be used, and what is wrong with them."""
    given = {name: text for name, text in environ.items() if text}  # empty is as good as unset
    try:
        settings = from_environment(environ)
        for kind in ROLES.values():
            load(kind, given)
    except Error as error:
        return _usable(given), fail("settings", error.message, _CORRECT)
    count = sum(name.startswith(PREFIX) for name in environ)
    return settings, ok("settings", f"{count} set, all known")


def _usable(given: Mapping[str, str]) -> Settings:
    """Return what can be read, so that the rest is looked at where it is."""
    usable: dict[str, str] = {}
    for name in sorted(variables(Settings).values() & given.keys()):
        with suppress(Error):
            from_environment({**usable, name: given[name]})
            usable[name] = given[name]
    return from_environment(usable)


_CORRECT = "Correct that variable, or unset it; docs/settings.md lists all."


def _findings(settings: Settings, options: argparse.Namespace) -> Iterator[Finding]:
    here = installation.chosen(settings, options)
    yield from server.check(here, os.environ)
    instance = _instance.running(here.home)
    uri = options.tracking_uri or (instance and instance.http)
    if uri:
        yield from client.check(uri)
    else:
        yield ok(
            "server", "none runs in this home; it starts with the first call, or: modelyard up"
        )


def _print(finding: Finding) -> None:
    print(f"{finding.state:<5}{finding.check}: {finding.said}")
    if finding.remedy:
        print(f"{'':<5}→ {finding.remedy}")
