"""Which handler answers a path: exact paths first, then prefixes, then patterns."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from modelyard_gateway.http import Request, Response
from modelyard_kit.errors import InvalidArgument

Handler = Callable[[Request], Awaitable[Response]]

_VARIABLE = re.compile(r"(\{[a-z_]+\})")


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path.

    Attributes:
        label: Its name in metrics; many paths may share one.
        handlers: By HTTP method.
    """

    label: str
    handlers: dict[str, Handler] = field(default_factory=dict)


class Routes:
    """The table of routes; whatever is added first wins."""

    def __init__(self) -> None:
        self._exact: dict[str, Route] = {}
        self._prefixes: list[tuple[str, Route]] = []
        self._patterns: list[tuple[re.Pattern[str], Route]] = []

    def exact(self, path: str, handlers: Mapping[str, Handler]) -> None:
        """Answer one path."""
        self._exact[path] = Route(path, dict(handlers))

    def prefix(self, prefix: str, handlers: Mapping[str, Handler]) -> None:
        """Answer every path that begins with `prefix`, which ends with a slash."""
        self._prefixes.append((prefix, Route(prefix, dict(handlers))))

    def template(self, method: str, template: str, handler: Handler, label: str) -> None:
        """Answer a path of the contract, which may have `{name}` for one of its segments."""
        if "{" not in template:
            self._exact.setdefault(template, Route(label)).handlers[method] = handler
            return
        text = "".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
            for part in _VARIABLE.split(template)
        )
        known = next((route for pattern, route in self._patterns if pattern.pattern == text), None)
        if known is not None:
            known.handlers[method] = handler
            return
        # One that ends in a `:verb` is narrower than one that ends in a variable.
        at = len(self._patterns) if template.endswith("}") else 0
        self._patterns.insert(at, (re.compile(text), Route(label, {method: handler})))

    def find(self, request: Request) -> Route | None:
        """Return what answers a request, whose variables are set; None when nothing does."""
        route = self._exact.get(request.path)
        if route is not None:
            return route
        for prefix, route in self._prefixes:
            if request.path.startswith(prefix):
                return route
        for pattern, route in self._patterns:
            if found := pattern.fullmatch(request.raw_path):
                request.variables = {
                    name: _decoded(text) for name, text in found.groupdict().items()
                }
                return route
        return None


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("The path is not UTF-8") from None
