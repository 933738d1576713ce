"""HTTP by the standard library, for discovery and for artifact bytes."""

from __future__ import annotations

import base64
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from types import TracebackType
from typing import Self, cast

from modelyard._transport import tls

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_READ_BYTES = 256 << 10
_MAX_REFUSAL_BYTES = 64 << 10
_SUCCESS = range(200, 300)

Body = Callable[[HTTPConnection], None]


def open_url(request: urllib.request.Request, timeout_s: float) -> HTTPResponse:
    """Send a request; the environment's proxies are used except for this machine.

    Raises:
        urllib.error.HTTPError: The response is not a success.
        OSError: The server did not respond.
        ValueError: The scheme of the URL is neither http nor https.
        InvalidParameter: A TLS file named by a setting cannot be used.
    """
    parts = _checked(request.full_url)
    handlers: list[urllib.request.BaseHandler] = []
    if parts.hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    if parts.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=tls.context(of_server=True)))
    opener = urllib.request.build_opener(*handlers)
    return cast(HTTPResponse, opener.open(request, timeout=timeout_s))


def _checked(url: str) -> urllib.parse.SplitResult:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"expected an http(s) URL, got one of scheme '{parts.scheme}'")
    return parts


class HttpRefusal(Exception):
    """The response was not a success.

    Args:
        status: HTTP status code.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connections:
    """Connection pool; connections stay open between requests until the end of the `with` block.

    Safe for use by any number of threads; each request has a connection to itself.

    Args:
        server: Host name of the server, which may ask for the client certificate.
        timeout_s: Maximum wait for the next byte, seconds.
    """

    def __init__(self, server: str | None, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._idle: dict[tuple[str, str], list[HTTPConnection]] = {}
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    @contextmanager
    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None
    ) -> Iterator[HTTPResponse]:
        """Send a request and yield the response, whose body is read in the `with` block.

        Args:
            method: HTTP method.
            url: An http or https URL.
            headers: Request headers; with Content-Length if there is a body.
            body: Sends the body over a connection; called again if a pooled connection turns out
                to have been closed.

        Raises:
            HttpRefusal: The response is not a success.
            OSError: The connection broke or could not be established.
            HTTPException: The response is not valid HTTP.
            ValueError: The scheme of the URL is neither http nor https.
        """
        parts = _checked(url)
        connection, response = self._exchange(method, parts, headers, body)
        try:
            if response.status not in _SUCCESS:
                response.read(_MAX_REFUSAL_BYTES)
                raise HttpRefusal(response.status)
            yield response
        finally:
            if response.isclosed() and not response.will_close:
                with self._lock:
                    self._idle.setdefault((parts.scheme, parts.netloc), []).append(connection)
            else:
                response.close()
                connection.close()

    def _exchange(
        self,
        method: str,
        parts: urllib.parse.SplitResult,
        headers: Mapping[str, str],
        body: Body | None,
    ) -> tuple[HTTPConnection, HTTPResponse]:
        with self._lock:
            idle = self._idle.get((parts.scheme, parts.netloc))
            kept = idle.pop() if idle else None
        if kept is not None:
            with suppress(ConnectionError, ssl.SSLError, HTTPException):
                # Otherwise the peer closed the connection while it was idle.
                return _exchanged(kept, method, parts, headers, body)
        return _exchanged(self._connection(parts), method, parts, headers, body)

    def _connection(self, parts: urllib.parse.SplitResult) -> HTTPConnection:
        proxy = _proxy(parts)
        host, port = (proxy.hostname, proxy.port or 80) if proxy else (parts.hostname, parts.port)
        if parts.scheme == "http":
            return HTTPConnection(str(host), port, self._timeout_s, blocksize=_READ_BYTES)
        secure = HTTPSConnection(
            str(host),
            port,
            timeout=self._timeout_s,
            context=self._context(of_server=parts.hostname == self._server),
            blocksize=_READ_BYTES,
        )
        if proxy:
            secure.set_tunnel(str(parts.hostname), parts.port, _authorization(proxy))
        return secure

    def _context(self, *, of_server: bool) -> ssl.SSLContext:
        with self._lock:
            if of_server not in self._contexts:
                self._contexts[of_server] = tls.context(of_server=of_server)
            return self._contexts[of_server]


def _proxy(parts: urllib.parse.SplitResult) -> urllib.parse.SplitResult | None:
    host = str(parts.hostname)
    named = urllib.request.getproxies().get(parts.scheme)
    if not named or host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(named if "://" in named else f"http://{named}")


def _authorization(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user, password = (urllib.parse.unquote(text or "") for text in (proxy.username, proxy.password))
    return {"Proxy-Authorization": basic(user, password)}


def basic(user: str, password: str) -> str:
    """Return the value of an `Authorization` header with a name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _exchanged(
    connection: HTTPConnection,
    method: str,
    parts: urllib.parse.SplitResult,
    headers: Mapping[str, str],
    body: Body | None,
) -> tuple[HTTPConnection, HTTPResponse]:
    try:
        return connection, _send(connection, method, parts, headers, body)
    except BaseException:
        connection.close()
        raise


def _send(
    connection: HTTPConnection,
    method: str,
    parts: urllib.parse.SplitResult,
    headers: Mapping[str, str],
    body: Body | None,
) -> HTTPResponse:
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    if parts.scheme == "http" and (proxy := _proxy(parts)):
        target = urllib.parse.urlunsplit((*parts[:4], ""))
        headers = {**headers, **_authorization(proxy)}
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    if body is not None:
        try:
            body(connection)
        except ConnectionError:
            # A refusal is sent before the body is read, and then the connection is closed.
            return _refusal(connection)
    return connection.getresponse()


def _refusal(connection: HTTPConnection) -> HTTPResponse:
    response = connection.getresponse()
    if response.status in _SUCCESS:
        response.close()
        raise ConnectionAbortedError("the server answered before it had read the body")
    return response
