"""Prints, after the tests, what the contract promises and nobody has built yet."""

from __future__ import annotations

from pytest import TerminalReporter  # noqa: PT013 - named in a hook's signature


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "unbuilt":
                terminalreporter.section("in the contract, not built yet")
                terminalreporter.write_line(str(value))
