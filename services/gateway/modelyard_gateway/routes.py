"""The routes of RPCs: exact paths first, then patterns, which match the undecoded path."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.routing import Handler, Methods

_VARIABLE = re.compile(r"(\{[a-z_]+\})")


class Routes:
    """The table of routes.

    Starlette's router does not fit: it matches decoded paths, in which the `%2F` of a name is a
    slash, and tries one route after the other.
    """

    def __init__(self) -> None:
        self._exact: dict[str, Methods] = {}
        self._patterns: list[tuple[re.Pattern[str], Methods]] = []

    def template(self, method: str, template: str, handler: Handler, label: str) -> None:
        """Add a route for a path of the contract, in which `{name}` stands for a segment."""
        if "{" not in template:
            self._exact.setdefault(template, Methods(label, {})).handlers[method] = handler
            return
        text = "".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
            for part in _VARIABLE.split(template)
        )
        known = next((route for pattern, route in self._patterns if pattern.pattern == text), None)
        if known is not None:
            known.handlers[method] = handler
            return
        # A pattern that ends in a `:verb` is more specific than one that ends in a variable.
        at = len(self._patterns) if template.endswith("}") else 0
        self._patterns.insert(at, (re.compile(text), Methods(label, {method: handler})))

    def find(self, scope: Scope) -> Methods | None:
        """Return the handlers of a path and set its `path_params`; None if no route matches.

        Raises:
            InvalidArgument: The path is not UTF-8.
        """
        route = self._exact.get(scope["path"])
        if route is not None:
            return route
        raw_path = scope["raw_path"].decode("latin-1")
        for pattern, route in self._patterns:
            if found := pattern.fullmatch(raw_path):
                variables = found.groupdict().items()
                scope["path_params"] = {name: _decoded(text) for name, text in variables}
                return route
        return None


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("The path is not UTF-8.") from None
