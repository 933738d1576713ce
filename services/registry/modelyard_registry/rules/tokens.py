"""Checks of API tokens beyond those of the contract: patterns and expiry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard_kit.errors import InvalidArgument

_MAX_PATTERN_CHARACTERS = 500  # as long as the longest name, which is an experiment's
_MAX_SHOWN_CHARACTERS = 80
RESERVED_NAMES = (
    *("anonymous", "token"),  # callers without a token, and with the service token
    *("gateway", "gc", "mlflow", "modelyard", "registry", "services", "system", "tracking"),
)
"""Names that the history uses for others, or that read like the platform or a part of it."""
_LOOK_ALIKES = str.maketrans("01", "ol", "._@+-")
"""Digits read as letters, and the signs that a name may contain."""


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


def is_reserved(name: str) -> bool:
    """Return whether a token's name reads like one of `RESERVED_NAMES`.

    Case and signs do not matter, and neither do the digits 0 and 1 in place of letters. Names have
    ASCII letters only, so that there are no other look-alikes.
    """
    return name.lower().translate(_LOOK_ALIKES).replace("i", "l") in _RESERVED


def check_name(name: str) -> None:
    """Check the name of a token to create.

    Raises:
        InvalidArgument: The name is reserved; the message has all reserved names.
    """
    if is_reserved(name):
        raise InvalidArgument(
            f"Invalid value '{name}' for parameter 'name': it is, or reads like, a name that the "
            f"history uses for others: {', '.join(RESERVED_NAMES)}. Choose another name.",
            field="name",
        )


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


_RESERVED = {name.replace("i", "l") for name in RESERVED_NAMES}
