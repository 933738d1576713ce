"""Options of both commands: the choice of experiments and models, and the report."""

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
            help=f"migrate only this {noun}; may be repeated",
        )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the report to this file, as JSON"
    )
