"""Names, aliases and version numbers, with MLflow's limits."""

from __future__ import annotations

import re

from modelyard_kit.errors import InvalidArgument

MAX_ALIAS_CHARACTERS = 255

LATEST = "latest"
"""The built-in alias of every model, which refers to its highest version."""

MAX_NUMBER = 2**63 - 1

_ALIAS = re.compile(r"[\w\-]+")
_VERSION_ALIAS = re.compile(r"[vV]?\d+")
_NUMBER = re.compile(r"[0-9]+")
_MAX_SHOWN_CHARACTERS = 80


def check_model_name(name: str) -> None:
    """Check the name of a registered model; the contract limits its length.

    Raises:
        InvalidArgument: The name is blank, `.` or `..`, or contains `/`, `:` or a control
            character.
    """
    if not name.strip():
        raise InvalidArgument("Registered model name cannot be empty.", name=name)
    wrong = next((letter for letter in name if letter in "/:" or ord(letter) < ord(" ")), None)
    if wrong is not None or name in {".", ".."}:
        raise InvalidArgument(
            f"Invalid model name: {shown(name)}. Names cannot contain '/', ':' or control "
            "characters, and cannot be '.' or '..'.",
            name=name,
        )


def check_alias(alias: str) -> None:
    """Check a new alias.

    Raises:
        InvalidArgument: The alias is too long, has characters other than letters, digits, `_` and
            `-`, or is reserved: a number would be read as a version, `latest` as the highest one.
    """
    if len(alias) > MAX_ALIAS_CHARACTERS:
        raise InvalidArgument(
            f"Invalid alias name: it has {len(alias):,} characters, at most "
            f"{MAX_ALIAS_CHARACTERS} are allowed."
        )
    if not _ALIAS.fullmatch(alias):
        raise InvalidArgument(
            f"Invalid alias name: {shown(alias)}. Aliases consist of letters, digits, "
            "underscores (_) and dashes (-).",
            alias=alias,
        )
    if alias.lower() == LATEST or _VERSION_ALIAS.fullmatch(alias):
        raise InvalidArgument(
            f"The alias name {shown(alias)} is reserved: numbers, with or without a 'v', and "
            f"'{LATEST}' have a meaning of their own.",
            alias=alias,
        )


def is_number(text: str) -> bool:
    """Whether a reference to a version is a version number."""
    return _NUMBER.fullmatch(text) is not None


def version_number(text: str) -> int:
    """Return the number of a version.

    Raises:
        InvalidArgument: The text is not a decimal number, or exceeds 64 bits.
    """
    if not is_number(text) or int(text) > MAX_NUMBER:
        raise InvalidArgument(
            f"Model version must be an integer such as 3, got {shown(text)}.", version=text
        )
    return int(text)


def shown(text: str) -> str:
    """Return a text in quotes, cut to 80 characters, for a message."""
    cut = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"
    return f"'{cut}'"
