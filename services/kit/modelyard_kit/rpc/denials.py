"""Calls refused because of their callers: counted, and logged at a bounded rate."""

from __future__ import annotations

import logging

from modelyard_kit.auth.grants import token_id
from modelyard_kit.errors import PermissionDenied, Unauthenticated
from modelyard_kit.observability.bounded_log import BoundedLog
from modelyard_kit.observability.metrics import authz_denied

logger = logging.getLogger(__name__)


class Denials:
    """The refused calls of a server."""

    def __init__(self) -> None:
        self._logs = {
            kind: BoundedLog(logger, "denied") for kind in (Unauthenticated, PermissionDenied)
        }

    def note(self, error: Exception, method: str, request_id: str, authorization: str) -> None:
        """Note the failure of a call, if it is a refusal because of the caller.

        Args:
            error: The failure.
            method: Full name of the method.
            request_id: Id of the request.
            authorization: Value of the header `authorization`; only the id of its token is logged.
        """
        if not isinstance(error, Unauthenticated | PermissionDenied):
            return
        authz_denied.labels(method, error.reason).inc()
        self._logs[type(error)].note(
            method=method, reason=error.reason, request=request_id, token=token_id(authorization)
        )
