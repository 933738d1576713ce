"""The scope of a token: patterns for names of models and experiments.

Anything outside appears not to exist to the bearer: every ORM statement of a transaction is
restricted from its beginning, so that no query has to do it, and statements for the driver have a
restricted form (`modelyard_kit.db.statements`). Other statements of SQLAlchemy Core are not
restricted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql.base import ExecutableOption

from modelyard_kit.errors import PermissionDenied

_SESSION_KEY = "scope"


@dataclass(frozen=True)
class Scope:
    """The models and experiments that a token is restricted to; no patterns means no restriction.

    Attributes:
        models: Patterns for names of registered models. `*` stands for any characters, `?` for
            one; case matters.
        experiments: Patterns for names of experiments.
        bearer: Name of the token, for messages.
    """

    models: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    bearer: str = ""

    def __bool__(self) -> bool:
        return bool(self.models or self.experiments)

    def __str__(self) -> str:
        """Describe the restriction, e.g. "models named fraud-*"."""
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
        """Whether a registered model of this name is inside."""
        return self._model is None or self._model.fullmatch(name) is not None

    def has_experiment(self, name: str) -> bool:
        """Whether an experiment of this name is inside."""
        return self._experiment is None or self._experiment.fullmatch(name) is not None


EVERYTHING = Scope()


def restrict(session: Session, scope: Scope, options: Sequence[ExecutableOption]) -> None:
    """Restrict the rows that a transaction sees to a scope.

    Args:
        session: Session of the transaction, before its first statement.
        scope: Scope of the caller.
        options: `with_loader_criteria` for the restricted tables.
    """
    session.info[_SESSION_KEY] = scope

    def restricted(state: ORMExecuteState) -> None:
        # Lazy loads for a visible row inherit the options of the statement that found it.
        if state.is_select and not (state.is_column_load or state.is_relationship_load):
            state.statement = state.statement.options(*options)

    event.listen(session, "do_orm_execute", restricted)


def scope_of(session: Session) -> Scope:
    """Return the scope that a transaction is restricted to."""
    scope: Scope = session.info.get(_SESSION_KEY, EVERYTHING)
    return scope


def check_model(scope: Scope, name: str) -> None:
    """Refuse a model that is outside a scope.

    Raises:
        PermissionDenied: The model is outside; names the token and its patterns.
    """
    if not scope.has_model(name):
        raise _outside(scope, "models", scope.models, name)


def check_experiment(scope: Scope, name: str) -> None:
    """Refuse an experiment that is outside a scope.

    Raises:
        PermissionDenied: The experiment is outside; names the token and its patterns.
    """
    if not scope.has_experiment(name):
        raise _outside(scope, "experiments", scope.experiments, name)


def check_any_experiment(scope: Scope) -> None:
    """Refuse a reference to a run or logged model whose experiment this service does not know.

    Raises:
        PermissionDenied: The caller is restricted to some experiments; names the patterns.
    """
    if scope.experiments:
        raise PermissionDenied(
            f"The token '{scope.bearer}' is restricted to experiments named "
            f"{' or '.join(scope.experiments)}; the experiment of a run or logged model is not "
            "known here. Register the model, and refer to it by its name.",
            patterns=" ".join(scope.experiments),
        )


def like_patterns(patterns: Sequence[str]) -> list[str]:
    r"""Return patterns of a scope as patterns of LIKE, with the escape `\`."""
    return list(map(_like, patterns))


@dataclass(frozen=True)
class Restriction:
    """How a service restricts transactions to a scope.

    Attributes:
        options: Returns `with_loader_criteria` for the tables that a scope restricts.
        patterns: Returns the patterns of a scope that concern the service.
    """

    options: Callable[[Scope], Sequence[ExecutableOption]]
    patterns: Callable[[Scope], Sequence[str]]


def _outside(scope: Scope, kind: str, patterns: Sequence[str], name: str) -> PermissionDenied:
    return PermissionDenied(
        f"The token '{scope.bearer}' is restricted to {kind} named {' or '.join(patterns)}; "
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
