"""Settings: frozen dataclasses, read once from `MODELYARD_*`.

A field `port` of a class with the prefix "GATEWAY" is read from `MODELYARD_GATEWAY_PORT`; without
a prefix from `MODELYARD_PORT`. A variable that no role and not the SDK knows is an error, since
it is a typing mistake that would otherwise go unnoticed.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from modelyard_kit.errors import InvalidArgument

PREFIX = "MODELYARD_"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}

Settings = TypeVar("Settings")


def variables(settings: type[Any], role: str = "") -> dict[str, str]:
    """Return the environment variable of each field, by field name."""
    start = PREFIX + (f"{role}_" if role else "")
    return {field.name: start + field.name.upper() for field in dataclasses.fields(settings)}


def load(settings: type[Settings], environ: Mapping[str, str], role: str = "") -> Settings:
    """Read a settings dataclass from the environment.

    Args:
        settings: A dataclass whose fields are str, int, float, bool or Path (or None beside one).
        environ: Usually `os.environ`.
        role: Goes between `MODELYARD_` and the field's name.

    Raises:
        InvalidArgument: A value is not of its field's type; names the variable.
    """
    hints = get_type_hints(settings)
    given = {
        name: _parse(variable, environ[variable], hints[name])
        for name, variable in variables(settings, role).items()
        if variable in environ
    }
    return settings(**given)


def refuse_unknown(environ: Mapping[str, str], known: Iterable[str]) -> None:
    """Check that every `MODELYARD_*` variable is one that somebody reads.

    Raises:
        InvalidArgument: Names the variable and the nearest known ones.
    """
    names = set(known)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in names:
            near = difflib.get_close_matches(variable, sorted(names))
            raise InvalidArgument(
                f"Unknown setting {variable}; nearest are {', '.join(near)}."
                if near
                else f"Unknown setting {variable}; docs/settings.md lists all.",
                variable=variable,
            )


def _parse(variable: str, text: str, kind: Any) -> Any:
    kinds = [part for part in getattr(kind, "__args__", (kind,)) if part is not type(None)]
    kind = kinds[0]
    try:
        if kind is bool:
            return _parse_bool(text)
        return Path(text) if kind is Path else kind(text)
    except ValueError:
        raise InvalidArgument(
            f"{variable} must be of type {kind.__name__}, got '{text}'.", variable=variable
        ) from None


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)
