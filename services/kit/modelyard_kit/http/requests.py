"""Requests for handlers: Starlette's, with strict parsing of the query and the exchange."""

from __future__ import annotations

from urllib.parse import parse_qsl

import starlette.requests
from starlette.types import Receive, Scope

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.exchange import of

_MAX_QUERY_PARAMETERS = 64


class Request(starlette.requests.Request):
    """One request.

    Attributes:
        exchange: Body, id and span of the request.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.exchange = of(scope)

    def pairs(self, max_parameters: int) -> list[tuple[str, str]]:
        """Return the query parameters of the URL in their order, decoded once.

        Raises:
            InvalidArgument: There are more than `max_parameters`, or one is not UTF-8.
        """
        text = self.scope["query_string"].decode("latin-1")
        if text.count("&") >= max_parameters:
            raise InvalidArgument(
                f"Too many parameters in the URL, expected at most {max_parameters}"
            )
        try:
            return parse_qsl(text, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgument("A parameter of the URL is not UTF-8") from None

    def query(self) -> dict[str, str]:
        """Return the query parameters of the URL by name.

        Raises:
            InvalidArgument: There are more than 64, or one is given twice.
        """
        pairs = self.pairs(_MAX_QUERY_PARAMETERS)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise InvalidArgument("A parameter of the URL is given twice, expected once")
        return query
