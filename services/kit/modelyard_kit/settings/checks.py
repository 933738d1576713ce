"""Checks of settings: each takes a variable and its value, and returns the normalized value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, TypeVar

from modelyard.redaction import redacted
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.observability.logs import FORMATS, LEVELS

MAX_PORT = 65535
_PUBLIC_URL = re.compile(
    r"https?://(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/[^\s?#]*)?"
)

Number = TypeVar("Number", int, float)


class NumberCheck(Protocol):
    """A check of integers or of floating-point numbers."""

    def __call__(self, variable: str, value: Number) -> Number: ...


def between(low: float, high: float) -> NumberCheck:
    """Return a check that a number is from `low` to `high`, inclusive."""

    def check(variable: str, value: Number) -> Number:
        if not low <= value <= high:
            raise InvalidArgument(
                f"Invalid {variable} {value}: expected {low:.15g} to {high:.15g}.",
                variable=variable,
            )
        return value

    return check


def at_least_one(variable: str, value: int) -> int:
    """Check that an integer is positive."""
    if value < 1:
        raise InvalidArgument(f"Invalid {variable} {value}: expected at least 1.")
    return value


def one_of(*values: str) -> Callable[[str, str], str]:
    """Return a check that a text is one of `values`."""

    def check(variable: str, value: str) -> str:
        if value not in values:
            raise InvalidArgument(f"Invalid {variable} '{value}': expected {' or '.join(values)}.")
        return value

    return check


def log_level(variable: str, level: str) -> str:
    """Check that a log level is one of `logs.LEVELS`."""
    if level not in LEVELS:
        raise InvalidArgument(f"Invalid {variable} '{level}': expected {', '.join(LEVELS)}.")
    return level


def log_format(variable: str, name: str) -> str:
    """Check that a log format is one of `logs.FORMATS`, or empty."""
    if name and name not in FORMATS:
        raise InvalidArgument(f"Invalid {variable} '{name}': expected {', '.join(FORMATS)}.")
    return name


def public_url(variable: str, url: str) -> str:
    """Check the base of URLs sent to clients; return it without a slash at its end.

    It has a scheme, a host, and optionally a port and a path. Error messages omit user information.
    """
    found = _PUBLIC_URL.fullmatch(url)
    if not found or int(found["port"] or 0) > MAX_PORT:
        raise InvalidArgument(
            f"Invalid {variable} '{redacted(url)}': expected the URL that clients use, "
            "e.g. https://models.example.com."
        )
    return url.rstrip("/")


def address(variable: str, value: str) -> str:
    """Check that an address to listen on is `host:port`."""
    split_address(variable, value)
    return value


def target(variable: str, value: str) -> str:
    """Check that a gRPC target is neither empty nor an HTTP URL."""
    if not value:
        raise InvalidArgument(f"{variable} must not be empty.")
    if value.startswith(("http:", "https:")):
        raise InvalidArgument(
            f"Invalid {variable} '{redacted(value)}': expected a gRPC target, e.g. registry:50052 "
            "or dns:///registry:50052."
        )
    return value


def split_address(variable: str, value: str) -> tuple[str, int]:
    """Return the host and port of `host:port`, where an IPv6 address is in brackets.

    Raises:
        InvalidArgument: The address has another form; the message names the variable.
    """
    host, colon, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdigit() and int(port) <= MAX_PORT
    if not (colon and bare and is_number) or (":" in bare) != host.startswith("["):
        raise InvalidArgument(
            f"Invalid {variable} '{redacted(value)}': expected host:port, e.g. 127.0.0.1:50051."
        )
    return bare, int(port)
