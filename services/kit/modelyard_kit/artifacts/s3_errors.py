"""Translation of S3 failures into our errors.

The messages name no endpoint, bucket or key; the details are logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from modelyard_kit.errors import Error, ResourceExhausted, Unavailable

logger = logging.getLogger(__name__)

_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"}
_BUSY = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
_CLIENT_ERRORS = range(400, 500)
_TOO_MANY_REQUESTS = 429
_QUERY = re.compile(r"\?[^\s\"']*")


@contextmanager
def kit_errors() -> Iterator[None]:
    """Translate failures of boto3 inside the block into our errors.

    Raises:
        Unavailable: The store cannot be reached, is too busy or refuses this service.
        ResourceExhausted: The store is full.
    """
    try:
        yield
    except (BotoCoreError, ClientError, HTTPClientError) as error:
        raise _kit_error(error) from error


def code_of(error: ClientError) -> str:
    """Return the code of an S3 error; the HTTP status for a response without a body."""
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an S3 error; 0 if it has none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _kit_error(error: Exception) -> Error:
    # Without the queries of URLs: a signature grants access.
    logger.warning("The artifact store failed: %s", _QUERY.sub("?…", str(error)))
    if not isinstance(error, ClientError):
        return Unavailable("The artifact store cannot be reached; try again.")
    if code_of(error) in _FULL:
        return ResourceExhausted(
            "The artifact store is full; nothing was kept. Free some space, then try again."
        )
    status = status_of(error)
    if code_of(error) in _BUSY or status == _TOO_MANY_REQUESTS or status not in _CLIENT_ERRORS:
        return Unavailable("The artifact store is too busy or broken; try again.")
    return Unavailable(
        "The artifact store refuses this service; the cause is in the service's log."
    )
