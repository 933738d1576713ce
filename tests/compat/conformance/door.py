"""A connection to one server: sends the requests of a case and returns comparable answers."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.compat.conformance.normal import comparable

ANSWER_TIMEOUT_S = 60


@dataclass(frozen=True)
class Ask:
    """A request. `$name` in its texts stands for a thing that was created or kept before.

    Attributes:
        path: Path, with a query that is sent as it is.
        fields: Query of a GET, JSON body of other methods.
        raw: Bytes of the body, instead of `fields`.
        keep: Names for values of the answer, with the dotted paths to them.
    """

    method: str
    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"
    keep: Mapping[str, str] = field(default_factory=dict)


def get(path: str, /, **fields: Any) -> Ask:
    return Ask("GET", path, fields)


def post(path: str, /, **fields: Any) -> Ask:
    return Ask("POST", path, fields)


@dataclass(frozen=True)
class Case:
    """A request to a route, and the requests that read its effect.

    Attributes:
        route: Name of the route in the inventory.
        title: Title of the case, unique among those of its route.
    """

    route: str
    title: str
    ask: Ask
    before: tuple[Ask, ...] = ()
    then: tuple[Ask, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.route}: {self.title}"


class Door:
    """A connection to one server.

    Args:
        things: Requests that create the thing of a `$name`; the last one's `keep` has the name. A
            name may end in digits: `$run2` is another `$run`.
        shared: Names of the things that all cases share.
    """

    def __init__(
        self,
        address: tuple[str, int],
        things: Mapping[str, tuple[Ask, ...]],
        shared: Iterable[str],
    ) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=ANSWER_TIMEOUT_S)
        self._things = things
        self._shared = frozenset(shared)
        self._common: dict[str, str] = {}
        self._own: dict[str, str] = {}
        self._unique = ""

        self.refusals: list[bytes] = []
        """Bodies of the answers with a status of 400 or more."""

    def close(self) -> None:
        self._connection.close()

    def answers(self, case: Case, number: int) -> list[Any]:
        """Send the requests of a case and return the comparable answers.

        Args:
            number: Number of the case, the same on both servers, for names that are made of it.
        """
        self._own, self._unique = {}, f"new-{number}"
        for ask in case.before:
            self._must(ask)
        return [self._comparable(ask) for ask in (case.ask, *case.then)]

    def _comparable(self, ask: Ask) -> Any:
        status, kind, body = self._send(ask)
        if status >= http.client.BAD_REQUEST:
            self.refusals.append(body)
        bindings = self._common | self._own
        return comparable(status, kind, body, {value: name for name, value in bindings.items()})

    def _must(self, ask: Ask) -> None:
        status, _, body = self._send(ask)
        if status != http.client.OK:
            raise AssertionError(f"{ask} was answered {status}: {body[:500]!r}")

    def _send(self, ask: Ask) -> tuple[int, str, bytes]:
        path, fields = self._filled(ask.path), self._filled(ask.fields)
        raw = ask.raw
        if ask.method == "GET" and fields:
            path += "?" + urlencode(fields, doseq=True)
        elif raw is None and ask.method not in ("GET", "HEAD"):
            raw = json.dumps(fields).encode()
        elif raw is not None:
            raw = self._filled(raw.decode("latin-1")).encode("latin-1")
        if not path.startswith("/"):
            path = "/api/2.0/" + path
        headers = {"content-type": ask.content_type} if raw is not None else {}
        self._connection.request(ask.method, quote(path, safe="/%?=&+:@,;!*'()~"), raw, headers)
        reply = self._connection.getresponse()
        body = reply.read()
        self._keep(ask, body)
        return reply.status, reply.headers.get_content_type(), body

    def _keep(self, ask: Ask, body: bytes) -> None:
        for name, way in ask.keep.items():
            found: Any = json.loads(body)
            for step in way.split("."):
                found = found[int(step)] if isinstance(found, list) else found[step]
            self._own[name] = str(found)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$([a-z_]+\d*)", lambda found: self._thing(found[1]), value)
        if isinstance(value, Mapping):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._filled(item) for item in value]
        return value

    def _thing(self, name: str) -> str:
        """Return the value of a name; create the thing if this case has not used it."""
        found = self._own.get(name) or self._common.get(name)
        if found is not None:
            return found
        kind = name.rstrip("0123456789")
        if kind == "new":  # a name that nothing has
            self._own[name] = f"{self._unique}-{name}"
            return self._own[name]
        outer = self._own, self._unique
        self._own, self._unique = {}, f"{self._unique}-{name}"
        for ask in self._things[kind]:
            self._must(ask)
        made = self._own[kind]
        self._own, self._unique = outer
        into = self._common if kind in self._shared else self._own
        into[name] = made
        return made
