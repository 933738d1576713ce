"""Settings: frozen dataclasses whose fields declare what each setting is, read once at start.

A field `port` is the variable `MODELYARD_PORT` and the flag `--port`. Its declaration holds the
default, the check and the text for `--help` and docs/settings.md. An empty variable or flag counts
as unset. A variable that is not declared is an error, since it would otherwise be ignored silently.
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
"""Takes a variable and its value; returns the value in its one form, or raises InvalidArgument."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """The declaration of one setting.

    Attributes:
        text: What it is, for people, with literals in backticks.
        default: The default, likewise; empty if there is none.
        check: Applied to each value but the default; None if every value of the type is valid.
        has_flag: Whether it can be given on the command line.
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
        text: What the setting is, for `--help` and the documentation, without a full stop.
        default: The value if neither flag nor variable is given. It is not checked.
        shown: The default for people, if the value itself does not tell it.
        check: Refuses values of the right type that cannot be used, and normalizes the others.
        has_flag: False for secrets, which other users could read on the command line.
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
    """Base of all settings dataclasses: a value that exists has passed its check.

    Raises:
        InvalidArgument: A value is refused by the check of its setting.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check, value = declaration(field).check, getattr(self, field.name)
            if check is not None and value != field.default:
                object.__setattr__(self, field.name, check(variable(field), value))


S = TypeVar("S", bound=Settings)


def declaration(field: dataclasses.Field[Any]) -> Setting:
    """Return what a field of a settings dataclass declares."""
    declared: Setting = field.metadata[_DECLARED]
    return declared


def variable(field: dataclasses.Field[Any]) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.name.upper()


def variables(kind: type[Settings]) -> dict[str, str]:
    """Return the environment variable of each field, by field name."""
    return {field.name: variable(field) for field in dataclasses.fields(kind)}


def load(kind: type[S], environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> S:
    """Read settings: from the flags, or else from the environment, or else the defaults.

    Args:
        kind: A dataclass whose fields are str, int, float, bool or Path (or None beside one).
        environ: Usually `os.environ`.
        flags: The parsed arguments that `add_flags` added, by variable.

    Raises:
        InvalidArgument: A value is not of its field's type, or is refused by its check; names the
            variable.
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
    """Return why variables of the environment cannot be used, by variable."""
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
        parser: Of the command.
        kind: Its settings.
        role: Left out of the names of its flags.
        only: The fields that get a flag; None for all of them.
    """
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if declaration(field).has_flag and (only is None or field.name in only):
            name = "--" + field.name.removeprefix(f"{role}_").replace("_", "-")
            parser.add_argument(name, **_flag(field, hints[field.name]))


def refuse_unknown(environ: Mapping[str, str], known: Iterable[str]) -> None:
    """Check that every `MODELYARD_*` variable is a declared one.

    Raises:
        InvalidArgument: Names the variable and the nearest known ones.
    """
    for name, message in unknown(environ, known):
        raise InvalidArgument(message, variable=name)


def unknown(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each `MODELYARD_*` variable that is not declared, with a message that names it."""
    names = set(known)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names:
            near = difflib.get_close_matches(name, sorted(names))
            hint = f"nearest are {', '.join(near)}" if near else "docs/settings.md lists all"
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
