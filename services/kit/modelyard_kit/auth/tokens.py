"""API tokens, which each service checks locally against a snapshot that it keeps up to date.

A token is `modelyard_<id>_<secret>`; services know only its SHA-256. A snapshot is at most 2 s old
while the registry answers. While it does not, the last snapshot stays in use, and tokens expire by
the service's own clock.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from modelyard_kit.auth.grants import API_TOKEN, Grant, check_time
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.errors import Error, Unauthenticated, Unavailable

logger = logging.getLogger(__name__)

_PERIOD_S = 2.0
_RETRY_DELAY_S = 1.0  # minimum delay between a failure and a refresh for an unknown token
_NO_SHA256 = "0" * 64
"""Compared with if the id is unknown, so that the response time does not reveal known ids."""


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that is valid until it expires.

    Attributes:
        sha256: SHA-256 of the whole token, hexadecimal.
        grant: Grant of its bearer.
    """

    sha256: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tokens that were neither revoked nor expired at one revision.

    Attributes:
        revision: Number of the last change of the tokens.
        tokens: Tokens by id.
    """

    revision: int = 0
    tokens: Mapping[str, KnownToken] = field(default_factory=dict)


Fetch = Callable[[int], Snapshot | None]
"""Takes a known revision; returns the current tokens, or None if their revision is the same."""


class Tokens:
    """The API tokens that a server accepts.

    Args:
        fetch: Fetches the current tokens; any exception means that they are unavailable now.
        clock: Clock by which tokens expire.
    """

    def __init__(self, fetch: Fetch, clock: Clock = now_ms) -> None:
        self._fetch = fetch
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._fetching = threading.Lock()
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tokens", daemon=True)

    def start(self) -> None:
        """Keep the snapshot up to date from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop the updates, and wait for one that is running."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def identify(self, token: str, since: float | None = None) -> Grant:
        """Return the grant of an API token.

        Args:
            token: The token.
            since: Monotonic time in seconds; a token that is not in the snapshot is looked for in
                one fetched after this time. None for now.

        Raises:
            Unauthenticated: The token is unknown, revoked or expired.
            Unavailable: No snapshot was ever fetched, and none can be fetched now.
        """
        match = API_TOKEN.fullmatch(token)
        return self._granted(token, self._find(match[1], since) if match else None)

    def identify_known(self, token: str) -> Grant | None:
        """Return the grant of an API token by the present snapshot, without waiting.

        Returns:
            The grant; None if no token of the snapshot has the id.

        Raises:
            Unauthenticated: The token is no API token, has another secret, or is expired.
        """
        match = API_TOKEN.fullmatch(token)
        if match is None:
            return self._granted(token, None)
        known = None if self._snapshot is None else self._snapshot.tokens.get(match[1])
        return None if known is None else self._granted(token, known)

    def _granted(self, token: str, known: KnownToken | None) -> Grant:
        digest = hashlib.sha256(token.encode()).hexdigest()
        if not hmac.compare_digest(digest, known.sha256 if known else _NO_SHA256) or known is None:
            raise Unauthenticated(
                "The token is not valid: it is unknown, revoked or expired. Set MODELYARD_TOKEN or "
                "MODELYARD_TOKEN_FILE to a valid token."
            )
        check_time(known.grant, self._clock())
        return known.grant

    def refresh(self) -> None:
        """Fetch the tokens now; on failure the last snapshot stays in use."""
        with self._fetching:
            self._try()

    def _find(self, token_id: str, since: float | None) -> KnownToken | None:
        snapshot = self._snapshot
        if snapshot is None or token_id not in snapshot.tokens:
            # The token may be newer than the snapshot.
            snapshot = self._catch_up(time.monotonic() if since is None else since)
        return snapshot.tokens.get(token_id)

    def _catch_up(self, since: float) -> Snapshot:
        """Return a snapshot fetched after a time, or the last one if that fails."""
        with self._fetching:
            if self._fetched_at < since and self._failed_at < since - _RETRY_DELAY_S:
                self._try()
            if self._snapshot is None:
                raise Unavailable(
                    "Tokens cannot be checked now: the registry does not answer. Try again."
                )
            return self._snapshot

    def _follow(self) -> None:
        while True:
            with self._fetching:
                self._try()
            if self._stop.wait(_PERIOD_S):
                return

    def _try(self) -> None:
        was_failing = self._failed_at > self._fetched_at
        try:
            self._update()
        except Exception as error:  # noqa: BLE001 - on any failure the last snapshot stays in use
            if not was_failing:
                cause = error.message if isinstance(error, Error) else type(error).__name__
                rpc: Any = error.__cause__  # such as a certificate that is not trusted
                detail = str(rpc.details()) if isinstance(rpc, grpc.Call) else ""
                logger.warning(
                    "tokens cannot be refreshed", extra={"cause": cause, "detail": detail}
                )

    def _update(self) -> None:
        started_at = time.monotonic()
        known = self._snapshot
        try:
            snapshot = self._fetch(-1 if known is None else known.revision)
        except Exception:
            self._failed_at = time.monotonic()
            raise
        self._fetched_at = started_at
        self._snapshot = snapshot or known
