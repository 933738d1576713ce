"""API tokens as every service checks them: by itself, from a snapshot that it keeps up to date.

A token is `modelyard_<id>_<secret>`. Services know its SHA-256 only. A snapshot is at most 2 s
old while the registry answers; while it does not, the last one goes on counting, and tokens end by
the service's own clock when their time has come.
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
_PATIENCE_S = 1.0  # after a failure, before a caller's token makes us ask again
_NOBODY = "0" * 64
"""Compared with where there is no such id, so that the time taken does not tell."""


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that is valid until it expires.

    Attributes:
        sha256: Of the whole token, hexadecimal.
        grant: What its bearer may do.
    """

    sha256: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tokens that were neither revoked nor expired at one revision, by id."""

    revision: int = 0
    tokens: Mapping[str, KnownToken] = field(default_factory=dict)


Fetch = Callable[[int], Snapshot | None]
"""Returns the present tokens, or None while their revision is the one given."""


class Tokens:
    """The API tokens, as one server checks them.

    Args:
        fetch: Asks for them; any exception means that they cannot be had now.
        clock: Tells when a token has expired.
    """

    def __init__(self, fetch: Fetch, clock: Clock = now_ms) -> None:
        self._fetch = fetch
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._asking = threading.Lock()
        self._asked_at = float("-inf")
        self._failed_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tokens", daemon=True)

    def start(self) -> None:
        """Keep the snapshot up to date from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop asking, and wait until nothing is being asked."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def identify(self, token: str) -> Grant:
        """Return what an API token grants.

        Raises:
            Unauthenticated: It is none, was revoked or has expired.
            Unavailable: The tokens were never known here, and cannot be had now.
        """
        named = API_TOKEN.fullmatch(token)
        known = self._find(named[1]) if named else None
        digest = hashlib.sha256(token.encode()).hexdigest()
        if not hmac.compare_digest(digest, known.sha256 if known else _NOBODY) or known is None:
            raise Unauthenticated(
                "The token is not valid: there is none like it, or it was revoked or has expired. "
                "Set MODELYARD_TOKEN or MODELYARD_TOKEN_FILE to one that is."
            )
        check_time(known.grant, self._clock())
        return known.grant

    def refresh(self) -> None:
        """Ask for the tokens now; if they cannot be had, the last snapshot goes on counting."""
        with self._asking:
            self._try()

    def _find(self, token_id: str) -> KnownToken | None:
        snapshot = self._snapshot
        if snapshot is None or token_id not in snapshot.tokens:
            # It may be newer than the snapshot.
            snapshot = self._catch_up(time.monotonic())
        return snapshot.tokens.get(token_id)

    def _catch_up(self, since: float) -> Snapshot:
        """Return a snapshot asked for after a time, or the last one if that fails."""
        with self._asking:
            if self._asked_at < since and self._failed_at < since - _PATIENCE_S:
                self._try()
            if self._snapshot is None:
                raise Unavailable(
                    "Tokens cannot be checked now: the registry does not answer. Try again."
                )
            return self._snapshot

    def _follow(self) -> None:
        while True:
            with self._asking:
                self._try()
            if self._stop.wait(_PERIOD_S):
                return

    def _try(self) -> None:
        was_failing = self._failed_at > self._asked_at
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, the last snapshot goes on counting
            if not was_failing:
                cause = error.message if isinstance(error, Error) else type(error).__name__
                rpc: Any = error.__cause__  # such as a certificate that is not trusted
                detail = str(rpc.details()) if isinstance(rpc, grpc.Call) else ""
                logger.warning(
                    "tokens cannot be refreshed", extra={"cause": cause, "detail": detail}
                )

    def _ask(self) -> None:
        asked_at = time.monotonic()
        known = self._snapshot
        try:
            snapshot = self._fetch(-1 if known is None else known.revision)
        except Exception:
            self._failed_at = time.monotonic()
            raise
        self._asked_at = asked_at
        self._snapshot = snapshot or known
