"""Which models and experiments a token is good for, by patterns of their names.

What is outside does not exist for its bearer: every ORM statement of a transaction is restricted
when it begins, so that no query has to remember it. Statements of SQLAlchemy Core are not; those
that begin with an id check it first, where `is_restricted` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, event, or_
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql.base import ExecutableOption

from modelyard_kit.errors import PermissionDenied

_SESSION_KEY = "scope"


@dataclass(frozen=True)
class Scope:
    """What a token is good for; everything of a kind that has no patterns.

    Attributes:
        models: Patterns of names of registered models. `*` stands for any characters, `?` for
            one; case matters.
        experiments: Patterns of names of experiments.
        bearer: Name of the token, for messages.
    """

    models: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    bearer: str = ""

    def __bool__(self) -> bool:
        return bool(self.models or self.experiments)

    def __str__(self) -> str:
        """Say it in words, e.g. "models named fraud-*"."""
        kinds = (("models", self.models), ("experiments", self.experiments))
        return " and ".join(
            f"{kind} named {' or '.join(patterns)}" for kind, patterns in kinds if patterns
        )

    @cached_property
    def _model(self) -> re.Pattern[str] | None:
        return _compiled(self.models)

    @cached_property
    def _experiment(self) -> re.Pattern[str] | None:
        return _compiled(self.experiments)

    def has_model(self, name: str) -> bool:
        return self._model is None or self._model.fullmatch(name) is not None

    def has_experiment(self, name: str) -> bool:
        return self._experiment is None or self._experiment.fullmatch(name) is not None


EVERYTHING = Scope()


def restrict(session: Session, scope: Scope, options: Sequence[ExecutableOption]) -> None:
    """Let a transaction see only what a scope has.

    Args:
        session: Nothing was read in it yet.
        scope: Of the caller.
        options: `with_loader_criteria` for the tables that are seen in part.
    """
    session.info[_SESSION_KEY] = scope

    def restricted(state: ORMExecuteState) -> None:
        # What is loaded for a row that is visible takes the options of its own statement.
        if state.is_select and not (state.is_column_load or state.is_relationship_load):
            state.statement = state.statement.options(*options)

    event.listen(session, "do_orm_execute", restricted)


def is_restricted(session: Session) -> bool:
    """Whether its caller sees only some models or experiments."""
    return _SESSION_KEY in session.info


def check_new_model(session: Session, name: str) -> None:
    """Refuse to give a name to a model that its maker could not see.

    Raises:
        PermissionDenied: The name is outside the caller's scope; names the patterns.
    """
    check_model(_scope(session), name)


def check_model(scope: Scope, name: str) -> None:
    """Refuse a model that is outside a scope.

    Raises:
        PermissionDenied: Names the token and its patterns.
    """
    if not scope.has_model(name):
        raise _outside(scope, "models", scope.models, name)


def check_new_experiment(session: Session, name: str) -> None:
    """Refuse to give a name to an experiment, as `check_new_model`."""
    scope = _scope(session)
    if not scope.has_experiment(name):
        raise _outside(scope, "experiments", scope.experiments, name)


def check_any_experiment(session: Session) -> None:
    """Refuse to refer to what some experiment holds where it is not known which.

    Raises:
        PermissionDenied: The caller sees only some experiments; names the patterns.
    """
    scope = _scope(session)
    if scope.experiments:
        raise PermissionDenied(
            f"The token '{scope.bearer}' is good for experiments named "
            f"{' or '.join(scope.experiments)} only; it cannot be told here whether a run or a "
            "logged model is of one of them. Register the model, and name it instead.",
            patterns=" ".join(scope.experiments),
        )


def matches(column: ColumnElement[Any], patterns: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a name matches one of some patterns."""
    return or_(*(column.like(_like(pattern), escape="\\") for pattern in patterns))


Restriction = Callable[[Scope], Sequence[ExecutableOption]]
"""Returns `with_loader_criteria` for the tables of a service, given what a caller may see."""


def _scope(session: Session) -> Scope:
    scope: Scope = session.info.get(_SESSION_KEY, EVERYTHING)
    return scope


def _outside(scope: Scope, kind: str, patterns: Sequence[str], name: str) -> PermissionDenied:
    return PermissionDenied(
        f"The token '{scope.bearer}' is good for {kind} named {' or '.join(patterns)} only; "
        f"'{name}' is none of them.",
        name=name,
        patterns=" ".join(patterns),
    )


def _compiled(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    wild = {"*": ".*", "?": "."}
    texts = ("".join(wild.get(c) or re.escape(c) for c in pattern) for pattern in patterns)
    return re.compile("|".join(texts), re.DOTALL)


def _like(pattern: str) -> str:
    translated = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}
    return "".join(translated.get(character, character) for character in pattern)
