"""What named tokens may be: ids, digests, names, patterns and times."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelyard_kit.errors import InvalidArgument

_ID = re.compile(r"[0-9A-Za-z]{10}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_MAX_PATTERN_CHARACTERS = 500  # as long as the longest name, which is an experiment's
_MAX_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as its maker describes it. `expires_ms` is Unix time; None for never."""

    id: str
    sha256: str
    name: str
    role: str
    models: tuple[str, ...]
    experiments: tuple[str, ...]
    expires_ms: int | None


def check_new_token(new: NewToken) -> None:
    """Check a token that is to be made, except for its time.

    Raises:
        InvalidArgument: Names the field, the value and what would be right.
    """
    check_id(new.id)
    if not _SHA256.fullmatch(new.sha256):
        # Not shown: a token is as long, and may have been given in its place.
        raise InvalidArgument(
            "Invalid value for parameter 'sha256': expected the SHA-256 of the token as 64 "
            "lower-case hexadecimal digits.",
            field="sha256",
        )
    if not _NAME.fullmatch(new.name):
        expected = "letters, digits and . _ @ + -, at most 100, the first a letter or a digit"
        raise _invalid("name", new.name, expected)
    _check_patterns("models", new.models)
    _check_patterns("experiments", new.experiments)


def check_id(token_id: str) -> None:
    """Check the id of a token.

    Raises:
        InvalidArgument: It is none.
    """
    if not _ID.fullmatch(token_id):
        raise _invalid("id", token_id, "10 letters and digits, as in modelyard_<id>_<secret>")


def check_expiry(expires_ms: int | None, now_ms: int) -> None:
    """Refuse a token that would have expired already.

    Raises:
        InvalidArgument: The time is not in the future.
    """
    if expires_ms is not None and expires_ms <= now_ms:
        raise InvalidArgument(
            "Invalid value for parameter 'expire_time': it is in the past; give a time to come, or "
            "none for a token that does not expire.",
            field="expire_time",
        )


def _check_patterns(field: str, patterns: Iterable[str]) -> None:
    for index, pattern in enumerate(patterns):
        if not pattern or len(pattern) > _MAX_PATTERN_CHARACTERS or not pattern.isprintable():
            raise _invalid(
                f"{field}[{index}]",
                pattern,
                f"1 to {_MAX_PATTERN_CHARACTERS} printable characters, * for any and ? for one",
            )


def _invalid(field: str, value: str, expected: str) -> InvalidArgument:
    shown = value if len(value) <= _MAX_SHOWN_CHARACTERS else value[:_MAX_SHOWN_CHARACTERS] + "…"
    return InvalidArgument(
        f"Invalid value '{shown}' for parameter '{field}': expected {expected}.", field=field
    )
