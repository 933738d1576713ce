"""`modelyard models rollback|protect|delete`: changes of registered models.

The server is that of `MODELYARD_TRACKING_URI`. Exit codes: 0 done, 1 refused or failed, 2 usage,
130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

from modelyard.client import MlflowClient
from modelyard.command_line import Parser
from modelyard.entities.model_registry import Deletion


def rollback(argv: list[str]) -> int:
    """Run `modelyard models rollback` with its arguments; return the exit code."""
    parser = _parser("rollback", "Reinstate an earlier holder of a stage or an alias.")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--stage", metavar="STAGE", help="Staging or Production")
    place.add_argument("--alias", metavar="NAME", help="an alias, which may have been deleted")
    parser.add_argument(
        "--to",
        metavar="N",
        help="number of the earlier holder (default: the newest that no rollback took out)",
    )
    _add_comment(parser)
    given = parser.parse_args(argv)
    version = MlflowClient().rollback(
        given.name, given.stage, given.comment, alias=given.alias, to=given.to
    )
    place_text = f"in {version.current_stage}" if given.alias is None else f"@{given.alias}"
    print(f"Version {version.version} of {given.name} is {place_text}.")
    return 0


def protect(argv: list[str]) -> int:
    """Run `modelyard models protect` with its arguments; return the exit code."""
    parser = _parser("protect", "Protect a model and its versions from deletion without --force.")
    parser.add_argument("--off", action="store_true", help="end the protection")
    given = parser.parse_args(argv)
    MlflowClient().update_registered_model(given.name, deletion_protection=not given.off)
    print(f"{given.name} is {'no longer ' if given.off else ''}protected from deletion.")
    return 0


def delete(argv: list[str]) -> int:
    """Run `modelyard models delete` with its arguments; return the exit code."""
    parser = _parser("delete", "Delete a model with all its versions, or one version, for good.")
    parser.add_argument("--version", metavar="N", help="delete only this version")
    parser.add_argument(
        "--force",
        action="store_true",
        help="delete also what is protected; needs an admin's token and --comment",
    )
    _add_comment(parser)
    given = parser.parse_args(argv)
    client, how = MlflowClient(), {"force": given.force, "comment": given.comment}
    if given.version is None:
        what, deletion = given.name, client.delete_registered_model(given.name, **how)
    else:
        what = f"Version {given.version} of {given.name}"
        deletion = client.delete_model_version(given.name, given.version, **how)
    print(f"{what} is deleted.")
    _print_given_up(deletion)
    return 0


def _print_given_up(deletion: Deletion) -> None:
    for released in deletion.released:
        places = [released.stage, *(f"@{alias}" for alias in released.aliases)]
        print(f"Version {released.version} was {', '.join(places)}.")
    if deletion.endpoints:
        print(f"Endpoints that refer to it: {', '.join(deletion.endpoints)}.")


def _parser(word: str, description: str) -> Parser:
    parser = Parser(prog=f"modelyard models {word}", description=description)
    parser.add_argument("name", metavar="NAME", help="name of the registered model")
    return parser


def _add_comment(parser: Parser) -> None:
    parser.add_argument("--comment", metavar="TEXT", help="reason, kept in the history")
