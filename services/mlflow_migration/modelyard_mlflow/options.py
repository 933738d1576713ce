"""The options of both commands: what is moved, and where the report goes."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add `--experiment`, `--model` and `--report`."""
    for option, noun in (("--experiment", "experiment"), ("--model", "registered model")):
        parser.add_argument(
            option,
            action="append",
            default=[],
            metavar="NAME",
            help=f"only this {noun}; may be given several times",
        )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the whole report, JSON")
