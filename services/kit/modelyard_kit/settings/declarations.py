"""Settings: frozen dataclasses whose fields declare the settings, read once at start.

A field `port` is the variable `MODELYARD_PORT` and the flag `--port`. Its declaration holds the
default, the check and the text for `--help` and docs/settings.md. An empty variable or flag counts
as unset. An undeclared variable is an error, since it would otherwise be ignored silently.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from modelyard_kit.errors import InvalidArgument

PREFIX = "MODELYARD_"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_DECLARED = "setting"

T = TypeVar("T")
Check = Callable[[str, T], T]
"""Takes a variable and its value; returns the normalized value, or raises InvalidArgument."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """The declaration of one setting.

    Attributes:
        text: Description for users, with literals in backticks.
        default: Default for users, with literals in backticks; empty if there is none.
        check: Check of each value other than the default; None if every value of the type is
            valid.
        has_flag: Whether the setting has a command-line flag.
    """

    text: str
    default: str
    check: Check[Any] | None
    has_flag: bool


def setting(
    text: str,
    *,
    default: T,
    shown: str = "",
    check: Check[T] | None = None,
    has_flag: bool = True,
) -> T:
    """Declare a field of a settings dataclass.

    Args:
        text: Description for `--help` and the documentation, without a final period.
        default: Value if neither flag nor variable is given. It is not checked.
        shown: Text for the default, if its value is not meaningful to users.
        check: Refuses unusable values of the type, and normalizes the others; None accepts all.
        has_flag: Whether to add a command-line flag; False for secrets, which other users of the
            machine could read in the process list.
    """
    declared = Setting(text, shown or _shown(default), check, has_flag)
    return dataclasses.field(default=default, metadata={_DECLARED: declared})


def _shown(default: object) -> str:
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all settings dataclasses; the values of an instance have passed their checks.

    Raises:
        InvalidArgument: The check of a setting refuses its value.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check, value = declaration(field).check, getattr(self, field.name)
            if check is not None and value != field.default:
                object.__setattr__(self, field.name, check(variable(field), value))


S = TypeVar("S", bound=Settings)


def declaration(field: dataclasses.Field[Any]) -> Setting:
    """Return the declaration of a field of a settings dataclass."""
    declared: Setting = field.metadata[_DECLARED]
    return declared


def variable(field: dataclasses.Field[Any]) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.name.upper()


def variables(kind: type[Settings]) -> dict[str, str]:
    """Return the environment variable of each field, by field name."""
    return {field.name: variable(field) for field in dataclasses.fields(kind)}


def load(kind: type[S], environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> S:
    """Read settings. Flags take precedence over the environment, and both over defaults.

    Args:
        kind: Settings dataclass; its fields are str, int, float, bool or Path, optionally or None.
        environ: Environment variables, usually `os.environ`.
        flags: Parsed arguments of the flags that `add_flags` added, by variable.

    Raises:
        InvalidArgument: A value is not of its field's type, or its check refuses it; the message
            names the variable.
    """
    hints = get_type_hints(kind)
    given: dict[str, Any] = {
        name: _parse(read, environ[read], hints[name])
        for name, read in variables(kind).items()
        if environ.get(read)
    }
    for name, flag in variables(kind).items():
        value = (flags or {}).get(flag)
        if value not in (None, ""):
            given[name] = value
    return kind(**given)


def wrong(kinds: Iterable[type[Settings]], environ: Mapping[str, str]) -> dict[str, str]:
    """Return error messages for the invalid variables of an environment, by variable."""
    found = {}
    for kind in kinds:
        for read in variables(kind).values():
            try:
                load(kind, {read: environ.get(read, "")})
            except InvalidArgument as error:
                found[read] = error.message
    return found


def add_flags(
    parser: argparse.ArgumentParser,
    kind: type[Settings],
    role: str = "",
    only: Collection[str] | None = None,
) -> None:
    """Add a flag for each setting; `load` takes the parsed arguments.

    A field `tracking_listen` is `--listen` of the role "tracking".

    Args:
        parser: Parser of the command.
        kind: Settings of the command.
        role: Prefix of field names that is left out of the flags; empty for none.
        only: Names of the fields to add flags for; None for all fields.
    """
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if declaration(field).has_flag and (only is None or field.name in only):
            name = "--" + field.name.removeprefix(f"{role}_").replace("_", "-")
            parser.add_argument(name, **_flag(field, hints[field.name]))


def refuse_unknown(environ: Mapping[str, str], known: Iterable[str]) -> None:
    """Check that every `MODELYARD_*` variable is declared.

    Raises:
        InvalidArgument: A variable is unknown; names it and similar known ones.
    """
    for name, message in unknown(environ, known):
        raise InvalidArgument(message, variable=name)


def unknown(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each undeclared `MODELYARD_*` variable with an error message that names it."""
    names = set(known)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names:
            near = difflib.get_close_matches(name, sorted(names))
            hint = f"similar are {', '.join(near)}" if near else "docs/settings.md lists all"
            yield name, f"Unknown setting {name}; {hint}."


def _flag(field: dataclasses.Field[Any], kind: Any) -> dict[str, Any]:
    declared, name = declaration(field), variable(field)
    default = f" (default: {declared.default})" if declared.default else ""
    text = f"{declared.text}{default} [{name}]".replace("`", "").replace("%", "%%")
    if kind is bool:
        return {"dest": name, "help": text, "action": argparse.BooleanOptionalAction}

    def typed(given: str) -> Any:
        try:
            return given and _parse(name, given, kind)
        except InvalidArgument as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return {"dest": name, "help": text, "metavar": name.removeprefix(PREFIX), "type": typed}


def _parse(name: str, text: str, kind: Any) -> Any:
    kinds = [part for part in getattr(kind, "__args__", (kind,)) if part is not type(None)]
    kind = kinds[0]
    try:
        if kind is bool:
            return _parse_bool(text)
        return Path(text) if kind is Path else kind(text)
    except ValueError:
        raise InvalidArgument(
            f"{name} must be of type {kind.__name__}, got '{text}'.", variable=name
        ) from None


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)
