"""Client of an MLflow server's REST API."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar

from modelyard.internal import http, read_json
from modelyard.redaction import redacted, redacted_text
from modelyard_mlflow.source import Unreachable

_TIMEOUT_S = 120.0
_PROBE_TIMEOUT_S = 20.0
_MAX_ANSWER_BYTES = 512 << 20
_MAX_VALUES = 20_000_000
_PROXY_SCHEME = "mlflow-artifacts:"
_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.5
_TOO_MANY_REQUESTS = 429
_PASSING = {502, 503, 504, _TOO_MANY_REQUESTS}
_UNAUTHORIZED = {401, 403}
_NOT_FOUND = 404
_MAX_MESSAGE_CHARACTERS = 300
# An invalid host name is reported as an encoding error.
_UNANSWERED = (OSError, HTTPException, UnicodeError)

T = TypeVar("T")


class MlflowRefusal(Exception):
    """The server answered with an error.

    Attributes:
        status: HTTP status code.
        code: MLflow's error code, e.g. `RESOURCE_DOES_NOT_EXIST`; empty if the reply was not JSON.
        message: Error message of the server.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status, self.code, self.message = status, code, message

    @property
    def is_missing(self) -> bool:
        return self.status == _NOT_FOUND


class MlflowServer:
    """A running MLflow server.

    Args:
        uri: `http(s)://host:port`, with a path if the server has a prefix. Credentials are taken
            from it, or else from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and
            MLFLOW_TRACKING_PASSWORD.

    Raises:
        Unreachable: No MLflow server answers at the address.
    """

    def __init__(self, uri: str) -> None:
        parts = _parts(uri)
        self.is_nearby = parts.hostname in http.LOOPBACK
        host = parts.netloc.rpartition("@")[2]
        self.uri = f"{parts.scheme}://{host}{parts.path}".rstrip("/")
        self._authorization = _authorization(parts)
        self.version = self._get_version()

    @property
    def has_logged_models(self) -> bool:
        """Whether the server is newer than MLflow 2; a Modelyard server answers as MLflow 3."""
        return int(self.version.partition(".")[0]) not in {1, 2}

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """GET a route below `/api/2.0/`; None values are left out of the query, lists repeated."""
        given = {key: value for key, value in (query or {}).items() if value is not None}
        text = urllib.parse.urlencode(given, doseq=True)
        return self._json("GET", f"/api/2.0/{path}" + (f"?{text}" if text else ""))

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST, PATCH or DELETE a route below `/api/2.0/`."""
        return self._json(method, f"/api/2.0/{path}", json.dumps(body).encode())

    def pages(self, method: str, route: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """GET or POST a search or listing, and yield its pages."""
        token = ""
        while True:
            given = {**query, "page_token": token} if token else query
            page = self.send(method, route, given) if method == "POST" else self.get(route, given)
            yield page
            before, token = token, str(page.get("next_page_token") or "")
            if not token:
                return
            if token == before:
                raise Unreachable(f"{self.uri} returns the same page of {route} repeatedly.")

    def download(self, path: str, query: Mapping[str, str], target: Path) -> None:
        """GET bytes into a file; `path` is quoted by this method."""
        url = urllib.parse.quote(path) + (f"?{urllib.parse.urlencode(query)}" if query else "")

        def receive() -> None:
            with self._open("GET", url) as reply, target.open("wb") as file:
                shutil.copyfileobj(reply, file)
                if (length := reply.headers.get("Content-Length")) and file.tell() != int(length):
                    raise ConnectionError(f"received {file.tell()} of {length} bytes")

        self._trying(receive)

    def upload(self, path: str, source: Path) -> None:
        """PUT a file's bytes; `path` is quoted by this method."""

        def send() -> None:
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
                with self._open("PUT", urllib.parse.quote(path), file, headers):
                    pass

        self._trying(send)

    def _json(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if body is not None else {}

        def ask() -> bytes:
            with self._open(method, path, body, headers) as reply:
                return reply.read(_MAX_ANSWER_BYTES)

        try:
            # A change is sent once: after a lost reply its outcome is unknown.
            answer = self._trying(ask) if method == "GET" else self._once(ask)
            found = read_json(answer, max_nodes=_MAX_VALUES)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreachable(f"{self.uri} did not return a JSON object for {path}.")
        return found

    def _get_version(self) -> str:
        def ask() -> str:
            with self._open("GET", "/version", timeout_s=_PROBE_TIMEOUT_S) as reply:
                return reply.read(_MAX_MESSAGE_CHARACTERS).decode("ascii", "replace").strip()

        try:
            version = self._trying(ask)
        except MlflowRefusal as refused:
            if refused.status in _UNAUTHORIZED:
                raise Unreachable(
                    f"{self.uri} requires credentials: set MLFLOW_TRACKING_USERNAME and "
                    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
                ) from None
            raise Unreachable(f"{self.uri} is not an MLflow server ({refused}).") from None
        if not version.partition(".")[0].isdigit():
            raise Unreachable(f"{self.uri} is not an MLflow server: its version is '{version}'.")
        return version

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Iterator[HTTPResponse]:
        request = urllib.request.Request(  # noqa: S310 - http.open_url checks the scheme
            self.uri + path, data=body, headers=dict(headers or {}), method=method
        )
        if self._authorization:
            # For this server only: a redirect may lead to a third party's store.
            request.add_unredirected_header("Authorization", self._authorization)
        with http.open_url(request, timeout_s) as reply:
            yield reply

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except urllib.error.HTTPError as error:
            raise _refused(error) from None
        except _UNANSWERED as error:
            raise self._unreachable(error) from None

    def _trying(self, call: Callable[[], T]) -> T:
        for attempt in range(_ATTEMPTS):
            time.sleep(_FIRST_BACKOFF_S * 2 ** (attempt - 1) if attempt else 0)
            try:
                return call()
            except urllib.error.HTTPError as error:
                refused = _refused(error)
                if error.code not in _PASSING:
                    raise refused from None
                failure: Exception = refused
            except _UNANSWERED as error:
                failure = self._unreachable(error)
        raise failure

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = redacted_text(str(getattr(error, "reason", error)))  # it may name a proxy
        return Unreachable(f"{self.uri} cannot be reached: {reason}.")


def items(page: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a page.

    Raises:
        Unreachable: The field is not a list of JSON objects.
    """
    found = page.get(field) or []
    if isinstance(found, list) and all(isinstance(item, dict) for item in found):
        return found
    raise Unreachable(f"The server returned '{field}' that is not a list of JSON objects.")


def is_proxied(artifact_uri: str) -> bool:
    """Whether files of an artifact URI are accessed through the server's proxy."""
    return artifact_uri.startswith(_PROXY_SCHEME)


def proxied_path(artifact_uri: str) -> str:
    """Return the proxy's path for an artifact URI; empty for URIs that are not proxied."""
    if not is_proxied(artifact_uri):
        return ""
    path = artifact_uri.removeprefix(_PROXY_SCHEME)
    if path.startswith("//"):
        path = path[2:].partition("/")[2]
    return path.strip("/")


def _parts(uri: str) -> urllib.parse.SplitResult:
    with contextlib.suppress(ValueError):  # an invalid port, an unclosed bracket
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return parts
    raise Unreachable(f"'{redacted(uri)}' is not a server's address: expected http(s)://host:port.")


def _authorization(parts: urllib.parse.SplitResult) -> str:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = urllib.parse.unquote(parts.username or "")
    password = urllib.parse.unquote(parts.password or "")
    if not user:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        if token and not (user and password):
            if not (token.isascii() and token.isprintable()):
                raise Unreachable(
                    "MLFLOW_TRACKING_TOKEN has characters that are not allowed in a header."
                )
            return f"Bearer {token}"
    if not (user and password):
        return ""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _refused(error: urllib.error.HTTPError) -> MlflowRefusal:
    with error:
        text = error.read(65_536).decode("utf-8", "replace")
    try:
        found = read_json(text)
        code, message = str(found["error_code"]), str(found.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = "", error.reason
    return MlflowRefusal(error.code, code, message[:_MAX_MESSAGE_CHARACTERS])
