"""Client of the registry, which is located and called as in the SDK.

All calls block; `following` makes them in threads.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from modelyard.api.access.v1 import access_pb2
from modelyard.api.access.v1.access_service_pb2_grpc import AccessServiceStub
from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from modelyard.internal import connections
from modelyard_kit.artifacts import MODEL_FILE, Manifest
from modelyard_kit.auth import grants
from modelyard_kit.auth.scope import Scope
from modelyard_kit.errors import DataLoss, FailedPrecondition, Unauthenticated, Unavailable
from modelyard_kit.rpc.channel import translated
from modelyard_serving.endpoint import Identity

_DEADLINE_S = 10.0
_DOWNLOADS_DEADLINE_S = 60.0  # the registry signs a URL for each object
_CALLER_DEADLINE_S = 2.0


class NoModel(FailedPrecondition):
    """The files of a version are no model, and never will be."""


@dataclass(frozen=True)
class Resolution:
    """The version that a reference resolves to now.

    Attributes:
        identity: Identity of the version.
        revision: Revision of the registered model at that time; 0 for a URI without one.
        uri: URI that always resolves to the same bytes.
        source: Location of the files, as registered, of a version that is not verified.
        downloads: Reply with download URLs; None if they were not requested.
    """

    identity: Identity
    revision: int
    uri: str
    source: str = ""
    downloads: registry_pb2.ResolveModelResponse | None = None


@dataclass(frozen=True)
class ModelChange:
    """A message of a watch.

    Attributes:
        revision: Newest revision that the registry has seen.
        is_heartbeat: Whether the message only shows that the stream is alive.
    """

    revision: int
    is_heartbeat: bool


class Registry:
    """The registry of the tracking URI, or of the local home.

    Args:
        token: Token to send with each call; None to send none.
        allow_unverified: Whether the source folder of an unverified version may be opened.
    """

    def __init__(self, token: str | None, *, allow_unverified: bool) -> None:
        self._token = token
        self._allow_unverified = allow_unverified
        self._lock = threading.Lock()
        self._connection: connections.Connection | None = None
        self._watching: Any = None

    def resolve(self, uri: str, *, include_downloads: bool) -> Resolution:
        """Resolve a reference.

        Args:
            uri: The reference.
            include_downloads: Whether to request the download URLs that `fetch` needs; the
                registry has to sign one for each object.

        Raises:
            Error: The reference does not resolve, or the registry is unreachable.
        """
        request = registry_pb2.ResolveModelRequest(uri=uri, include_downloads=include_downloads)
        timeout_s = _DOWNLOADS_DEADLINE_S if include_downloads else _DEADLINE_S
        with translated("The registry"):
            reply = self._stub().ResolveModel(request, timeout=timeout_s, metadata=self._metadata())
        version = reply.model_version
        identity = Identity(version.name, version.version, reply.digest)
        pinned = f"models:/{version.name}/{version.version}" if version.name else uri
        downloads = reply if include_downloads else None
        return Resolution(identity, reply.revision, pinned, version.source, downloads)

    def fetch(self, resolution: Resolution, scratch: Path) -> Path:
        """Return a folder with the model's verified files.

        Args:
            resolution: The version to fetch.
            scratch: Empty folder to write to.

        Raises:
            NoModel: The files are no model.
            Error: The version is not verified and may not be opened, or its source is no folder.
            ModelyardException: The download failed, or files differ from their digests.
        """
        if not resolution.identity.digest:
            return self._unverified(resolution)
        from modelyard.internal import fetch_model

        known = resolution
        if known.downloads is None:
            known = self.resolve(resolution.uri, include_downloads=True)
        if known.identity.digest != resolution.identity.digest:
            raise DataLoss(f"The digest of {resolution.uri} changed since it was resolved.")
        if known.downloads is not None:
            _require_model(
                resolution.uri, has_model=Manifest.from_bytes(known.downloads.manifest).has_model
            )
        fetched = fetch_model(resolution.uri, str(scratch), resolved=known.downloads)
        return Path(fetched.path)

    def _unverified(self, resolution: Resolution) -> Path:
        if not self._allow_unverified:
            raise FailedPrecondition(
                f"{resolution.uri} is not verified: the registry does not hold its files. "
                "If you trust its source, serve it from there with --allow-unverified."
            )
        parts = urlsplit(resolution.source)
        folder = Path(unquote(parts.path) if parts.scheme == "file" else resolution.source)
        if not folder.is_dir():
            raise FailedPrecondition(
                f"{resolution.uri} is not verified, and its source is not a folder on this machine."
            )
        _require_model(resolution.uri, has_model=(folder / MODEL_FILE).is_file())
        return folder

    def watch(self, name: str, after_revision: int) -> Iterator[ModelChange]:
        """Yield the changes of a registered model without end, the first message at once.

        Raises:
            Error: The stream ended or could not be opened.
        """
        request = registry_pb2.WatchModelsRequest(name=name, after_revision=after_revision)
        try:
            with translated("The registry"):
                self._watching = self._stub().WatchModels(request, metadata=self._metadata())
                for message in self._watching:
                    event = message.HasField("event")
                    revision = message.event.revision if event else message.position
                    yield ModelChange(revision, is_heartbeat=not event)
        except Unavailable:
            self._look_again(_DEADLINE_S)
            raise

    def grant(self, token: str) -> grants.Grant:
        """Return the grant of a caller's token, from the registry.

        Raises:
            Unauthenticated: The token is not valid, or the registry uses no tokens.
            Error: The registry cannot check the token now, or is unreachable.
        """
        stub: Any = AccessServiceStub(self._channel())
        metadata = (("x-request-id", uuid.uuid4().hex), ("authorization", f"Bearer {token}"))
        try:
            with translated("The registry"):
                reply: access_pb2.GetCallerResponse = stub.GetCaller(
                    access_pb2.GetCallerRequest(), timeout=_CALLER_DEADLINE_S, metadata=metadata
                )
        except Unavailable:
            self._look_again(_CALLER_DEADLINE_S)
            raise
        if not reply.name:  # a registry without tokens grants everything to any token
            raise Unauthenticated(
                "The token is not valid: the registry uses no tokens, so only the token that this "
                "endpoint was started with is accepted."
            )
        ends = reply.HasField("expire_time")
        return grants.Grant(
            principal=reply.name,
            name=reply.name,
            role=reply.role if reply.HasField("role") else None,
            scope=Scope(tuple(reply.models), tuple(reply.experiments), reply.name),
            expires_ms=reply.expire_time.ToMilliseconds() if ends else None,
            permissions=frozenset(reply.permissions),
        )

    def close(self) -> None:
        """End the watch."""
        if self._watching is not None:
            self._watching.cancel()

    def _stub(self) -> Any:
        return registry_service_pb2_grpc.RegistryServiceStub(self._channel())

    def _channel(self) -> Any:
        with self._lock:
            if self._connection is None:
                self._connection = connections.connect(connections.registry_uri())
            return self._connection.channel("registry")

    def _look_again(self, timeout_s: float) -> None:
        # Locating a local instance would start one that was stopped on purpose.
        if self._connection is not None and not self._connection.is_local:
            connections.look_again(self._connection, timeout_s)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        user = ("x-modelyard-user", f"serving-{os.getpid()}")
        identity = (("x-request-id", uuid.uuid4().hex), user)
        return (*identity, ("authorization", f"Bearer {self._token}")) if self._token else identity


def _require_model(uri: str, *, has_model: bool) -> None:
    if not has_model:
        raise NoModel(
            f"{uri} is no model: its files have no {MODEL_FILE} at their root. Register the folder "
            "of a model."
        )
