"""`modelyard erase`: erase personal data for good, and report what cannot be reached.

Exit codes: 0 done, 1 refused or failed, 2 usage, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from modelyard.client import MlflowClient
from modelyard.command_line import Parser
from modelyard.entities import Erasure, RemainingObject
from modelyard.exceptions import InvalidParameter, ModelyardException

_EXPERIMENT = re.compile(r"[0-9]{1,19}")
_MODEL = re.compile(r"m-[0-9a-f]{32}")

_Erase = Callable[[MlflowClient, argparse.Namespace], Erasure]


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(argv)
    erase: _Erase = options.erase
    try:
        erasure = erase(MlflowClient(), options)
    except ModelyardException as error:
        print(f"modelyard erase: {error.message}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"dry_run": options.dry_run, **erasure.to_dictionary()}, indent=2))
    else:
        print("\n".join(map(_shown, _lines(erasure, dry_run=options.dry_run))))
    return 0


def _lines(erasure: Erasure, *, dry_run: bool) -> list[str]:
    if not erasure.entries and not erasure.files:
        return ["There is nothing to erase."]
    counts = (
        f"{'Would be erased' if dry_run else 'Erased'}: entries {erasure.entries:,}, files "
        f"{erasure.files:,} ({erasure.files_bytes:,} bytes), objects {len(erasure.removed):,}"
    )
    lines = [counts]
    lines += [f"Object {item.digest} remains: {_reason(item)}" for item in erasure.remaining]
    if erasure.unexamined_objects:
        lines.append(
            f"{erasure.unexamined_objects:,} more objects were not examined; `modelyard gc` "
            "removes those that nothing refers to."
        )
    lines.append(
        "Backups, copies that clients have downloaded, and the history of registered models are "
        "not reached."
    )
    return lines


def _reason(item: RemainingObject) -> str:
    if item.removable_time is not None:
        time = datetime.fromtimestamp(item.removable_time / 1000, UTC)
        return f"`modelyard gc` removes it from {time:%Y-%m-%d %H:%M:%S} UTC."
    reasons = []
    if item.versions:
        reasons.append(f"it is pinned by {', '.join(item.versions)}; delete the version first.")
    if item.files:
        reasons.append(f"{', '.join(item.files)} has the same bytes; erase that file, too.")
    return " ".join(reasons)


def _owner(owner_id: str, *valid: str) -> dict[str, str]:
    """Return the argument that an id stands for, by its form.

    Raises:
        InvalidParameter: What is erased is not part of such a resource.
    """
    kind = "run"
    if _MODEL.fullmatch(owner_id):
        kind = "model"
    elif _EXPERIMENT.fullmatch(owner_id):
        kind = "experiment"
    if kind not in valid:
        raise InvalidParameter(
            f"'{owner_id}' is the id of {_NOUNS[kind]}; give that of "
            f"{' or '.join(_NOUNS[noun] for noun in valid)}."
        )
    return {f"{kind}_id": owner_id}


def _shown(text: str) -> str:
    """Return text for a terminal: names of files may contain control characters."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _parser() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--dry-run", action="store_true", help="only report what would be erased")
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = Parser(
        prog="modelyard erase",
        description="Erase personal data for good, deleted or not, and report what keeps copies of "
        "it. The server is that of MODELYARD_TRACKING_URI; an admin's token is required if the "
        "server requires tokens.",
        examples=("run RUN_ID --dry-run", "param RUN_ID KEY", "artifact RUN_ID PATH"),
    )
    words = parser.add_subparsers(metavar="what", required=True)
    for word, (erased, arguments, erase) in _WORDS.items():
        added = words.add_parser(
            word, help=erased, description=f"Erase {erased}.", parents=[common]
        )
        for name, metavar, explanation in arguments:
            added.add_argument(name, metavar=metavar, help=explanation)
        added.set_defaults(erase=erase)
    return parser


_RUN = ("id", "RUN_ID", "id of a run")
_LOGGED_MODEL = ("id", "MODEL_ID", "id of a logged model, m-…")
_ANY = ("id", "ID", "id of the run, logged model or experiment")
_RUN_OR_MODEL = ("id", "ID", "id of the run or logged model")
_RUN_OR_EXPERIMENT = ("id", "ID", "id of the run or experiment")
_NOUNS = {"run": "a run", "model": "a logged model", "experiment": "an experiment"}
_WORDS: dict[str, tuple[str, list[tuple[str, str, str]], _Erase]] = {
    "run": (
        "a run with everything that was logged to it",
        [_RUN],
        lambda client, given: client.erase_run(given.id, dry_run=given.dry_run),
    ),
    "model": (
        "a logged model with its files",
        [_LOGGED_MODEL],
        lambda client, given: client.erase_logged_model(given.id, dry_run=given.dry_run),
    ),
    "experiment": (
        "an experiment with everything in it",
        [("id", "EXPERIMENT_ID", "id of an experiment")],
        lambda client, given: client.erase_experiment(given.id, dry_run=given.dry_run),
    ),
    "param": (
        "a param of a run or logged model",
        [_RUN_OR_MODEL, ("key", "KEY", "key of the param")],
        lambda client, given: client.erase_param(
            given.key, **_owner(given.id, "run", "model"), dry_run=given.dry_run
        ),
    ),
    "tag": (
        "a tag of a run, logged model or experiment",
        [_ANY, ("key", "KEY", "key of the tag")],
        lambda client, given: client.erase_tag(
            given.key, **_owner(given.id, "run", "model", "experiment"), dry_run=given.dry_run
        ),
    ),
    "artifact": (
        "a file or folder of a run or logged model",
        [_RUN_OR_MODEL, ("path", "PATH", "path of the file or folder")],
        lambda client, given: client.erase_artifacts(
            given.path, **_owner(given.id, "run", "model"), dry_run=given.dry_run
        ),
    ),
    "dataset": (
        "a dataset of an experiment, or an input of a run",
        [_RUN_OR_EXPERIMENT, ("name", "NAME", "name of the dataset")],
        lambda client, given: client.erase_dataset(
            given.name, **_owner(given.id, "run", "experiment"), dry_run=given.dry_run
        ),
    ),
}
