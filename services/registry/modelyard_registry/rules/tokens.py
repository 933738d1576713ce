"""Checks of API tokens beyond those of the contract: patterns and expiry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard_kit.errors import InvalidArgument

_MAX_PATTERN_CHARACTERS = 500  # as long as the longest name, which is an experiment's
_MAX_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class NewToken:
    """The fields of a new token. `expires_ms` is Unix time in milliseconds; None for never."""

    id: str
    sha256: str
    name: str
    role: str
    models: tuple[str, ...]
    experiments: tuple[str, ...]
    expires_ms: int | None


def check_scope(new: NewToken) -> None:
    """Check the patterns of a token to create.

    Raises:
        InvalidArgument: A pattern is not valid; the message has field, pattern and expectation.
    """
    _check_patterns("models", new.models)
    _check_patterns("experiments", new.experiments)


def check_expiry(expires_ms: int | None, now_ms: int) -> None:
    """Refuse an expiry that is not in the future.

    Raises:
        InvalidArgument: The time is not in the future.
    """
    if expires_ms is not None and expires_ms <= now_ms:
        raise InvalidArgument(
            "Invalid value for parameter 'expire_time': it is in the past; expected a future time, "
            "or none for a token that does not expire.",
            field="expire_time",
        )


def _check_patterns(field: str, patterns: Iterable[str]) -> None:
    for index, pattern in enumerate(patterns):
        if not pattern or len(pattern) > _MAX_PATTERN_CHARACTERS or not pattern.isprintable():
            shown = pattern[:_MAX_SHOWN_CHARACTERS]
            raise InvalidArgument(
                f"Invalid value '{shown}' for parameter '{field}[{index}]': expected 1 to "
                f"{_MAX_PATTERN_CHARACTERS} printable characters, * for any and ? for one.",
                field=f"{field}[{index}]",
            )
