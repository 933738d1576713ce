"""Base class of the client's parts, and paging."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from modelyard._client import background
from modelyard._client.arguments import naming_wrong_types
from modelyard._client.background import RunOperations
from modelyard._transport import connections, rpc
from modelyard.entities import PagedList, ViewType
from modelyard.exceptions import InvalidParameter
from modelyard.redaction import redacted

Reply = TypeVar("Reply", bound=Message)
T = TypeVar("T")


class Calls:
    """The servers that a client calls.

    Args:
        tracking_uri: `http(s)://host:port` or `grpc(s)://host:port`; by default the address that
            `modelyard.set_tracking_uri` or the environment sets at the time of each call.
        registry_uri: Address for registered models; by default the tracking server.

    Raises:
        InvalidParameter: An address has another form.
    """

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, naming_wrong_types(method))

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        for uri in (tracking_uri, registry_uri):
            if uri:
                connections.check(uri)
        self._tracking_uri = tracking_uri or None
        self._registry_uri = registry_uri or tracking_uri or None

    def __repr__(self) -> str:
        tracking, registry = self.tracking_uri, self._registry_address()
        other = "" if registry == tracking else f", registry_uri={_shown(registry)}"
        return f"{type(self).__name__}(tracking_uri={_shown(tracking)}{other})"

    @property
    def tracking_uri(self) -> str | None:
        """Address of the tracking server; None for the local home."""
        return self._tracking_uri or connections.tracking_uri()

    def _tracking(
        self, request: Message, reply: type[Reply], answer_s: float = rpc.DEADLINE_S
    ) -> Reply:
        answered = rpc.call(self.tracking_uri, request, reply, answer_s=answer_s)
        for warning in getattr(answered, "warnings", ()):
            warnings.warn(warning, stacklevel=4)
        return answered

    def _log(
        self,
        request: Message,
        reply: type[Message],
        synchronous: bool | None,  # noqa: FBT001 - MLflow's argument
    ) -> RunOperations | None:
        """Log now, or in the background; return what to wait for, if anything."""
        if background.is_synchronous(synchronous):
            self._tracking(request, reply)
            return None
        return background.submit(self.tracking_uri, [(request, reply)])

    def _registry(
        self, request: Message, reply: type[Reply], answer_s: float = rpc.DEADLINE_S
    ) -> Reply:
        return rpc.call(self._registry_address(), request, reply, answer_s=answer_s)

    def _registry_address(self) -> str | None:
        return self._registry_uri or connections.registry_uri()


def all_pages(
    search: Callable[[str | None, int], PagedList[T]], max_results: int | None, page_size: int
) -> list[T]:
    """Return the items of every page.

    Args:
        search: Takes a page token and the maximum number of items; returns a page.
        max_results: Maximum number of items in all; None for no maximum.
        page_size: Maximum number of items on a page.
    """
    found: list[T] = []
    token: str | None = None
    while True:
        left = page_size if max_results is None else max_results - len(found)
        page = search(token, min(left, page_size))
        found += page
        token = page.token
        if token is None or len(found) == max_results:
            return found


def view_name(view_type: int) -> str:
    """Return the contract's name of a `ViewType`.

    Raises:
        InvalidParameter: The value is not a `ViewType`.
    """
    try:
        return ViewType(view_type).name
    except ValueError:
        known = ", ".join(f"{view.name} ({view.value})" for view in ViewType)
        raise InvalidParameter(
            f"Invalid view type '{view_type}'; it must be one of {known}."
        ) from None


def _shown(uri: str | None) -> str:
    """Return an address for a repr, without the token that it may hold."""
    return repr(uri and redacted(uri))
