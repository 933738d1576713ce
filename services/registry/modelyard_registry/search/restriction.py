"""Restriction of queries to the models in the scope of the caller's token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, false, not_, or_
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from modelyard_kit.auth.scope import Restriction, Scope
from modelyard_kit.db.statements import Restrictions, matches
from modelyard_registry.models import (
    Endpoint,
    EndpointEvent,
    EndpointModel,
    EndpointName,
    Event,
    ModelAlias,
    ModelName,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
)

_NAMED = (
    ModelName,
    RegisteredModel,
    RegisteredModelTag,
    ModelVersion,
    ModelVersionTag,
    ModelAlias,
    Event,
)
"""Tables with the name of a model."""


def _hiding(scope: Scope) -> Sequence[ExecutableOption]:
    """Return loader options that hide models and endpoints outside the scope of a token."""
    return [*_hiding_models(scope), *_hiding_endpoints(scope)]


def _hiding_models(scope: Scope) -> Sequence[ExecutableOption]:
    if not scope.models:
        return ()
    return [
        with_loader_criteria(
            table, matches(table.name.expression, scope.models), include_aliases=True
        )
        for table in _NAMED
    ]


def _models(scope: Scope) -> Sequence[str]:
    return scope.models


RESTRICTION: Final = Restriction(_hiding, _models)
"""Restriction of transactions of the ORM."""


def _is_named(rows: Any) -> ColumnElement[bool]:
    return matches(rows.c.name)


RESTRICTIONS: Final[Restrictions] = {table.__table__: _is_named for table in _NAMED}
"""The same restriction for statements of the driver, which read no endpoints."""


def _hiding_endpoints(scope: Scope) -> Sequence[ExecutableOption]:
    """Hide endpoints that refer, or ever referred, to a model outside the scope.

    The whole history of such an endpoint would reveal the model, and a part of it would not verify.
    """
    referred = EndpointModel.__table__
    # Only tracking knows the experiment of a run or a logged model, so these count as outside.
    outside = referred.c.model == "" if scope.experiments else false()
    if scope.models:
        other = and_(referred.c.model != "", not_(matches(referred.c.model, scope.models)))
        outside = or_(outside, other)
    return [
        with_loader_criteria(
            table,
            ~exists().where(referred.c.name == table.name.expression, outside),
            include_aliases=True,
        )
        for table in (EndpointName, Endpoint, EndpointEvent)
    ]
