"""Makes the cases of a route from one valid request and changes to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.compat.conformance.door import Ask, Case

ABSENT: Any = object()
NULL: Any = None
_WRONG: Mapping[type, tuple[tuple[str, Any], ...]] = {
    str: (("a number", 7),),
    int: (("text", "x"), ("true", True)),
    float: (("text", "x"), ("true", True)),
    bool: (("text", "x"), ("a number", 1)),
    list: (("an object", {"a": 1}),),
}


@dataclass(frozen=True)
class Route:
    """A route, and a request that is answered with success.

    Attributes:
        path: Path after `/api/2.0/`, with names of things in it.
        right: Fields of the valid request.
        then: Requests that read the effect of each case.
        name: Name in the inventory, if that is not method and path.
    """

    method: str
    path: str
    right: Mapping[str, Any]
    then: tuple[Ask, ...] = ()
    name: str = ""

    def ask(self, **changes: Any) -> Ask:
        fields = {**self.right, **changes}
        return Ask(self.method, self.path, {k: v for k, v in fields.items() if v is not ABSENT})

    def case(
        self,
        title: str,
        /,
        *,
        before: tuple[Ask, ...] = (),
        then: tuple[Ask, ...] | None = None,
        **changes: Any,
    ) -> Case:
        read = self.then if then is None else then
        return Case(self._route, title, self.ask(**changes), before, read)

    def bare(
        self,
        title: str,
        ask: Ask,
        /,
        *,
        before: tuple[Ask, ...] = (),
        then: tuple[Ask, ...] | None = None,
    ) -> Case:
        """Return a case with another path, or with bytes instead of fields."""
        return Case(self._route, title, ask, before, self.then if then is None else then)

    def raw(self, title: str, raw: bytes, /, content_type: str = "application/json") -> Case:
        ask = Ask(self.method, self.path, raw=raw, content_type=content_type)
        return self.bare(title, ask)

    def basics(self, *fixed: str) -> Iterator[Case]:
        """Yield the valid request, then variants with a field missing or invalid, for each field.

        Args:
            fixed: Fields that are not varied.
        """
        yield self.case("as it should be")
        for key, value in self.right.items():
            if key in fixed:
                continue
            yield self.case(f"without {key}", **{key: ABSENT})
            if self.method == "GET":
                continue
            yield self.case(f"null as {key}", **{key: NULL})
            for title, wrong in _WRONG[type(value)]:
                yield self.case(f"{title} as {key}", **{key: wrong})

    @property
    def _route(self) -> str:
        return self.name or f"{self.method} /api/2.0/{self.path}"
