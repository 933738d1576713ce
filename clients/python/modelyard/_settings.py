"""Checks variables of the environment that would otherwise be ignored silently."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping

from modelyard.exceptions import InvalidParameter

_OURS = "MODELYARD_"
_KNOWN = """
    ARTIFACTS CACHE DELETION_PROTECTION DRAIN_DELAY_S ENABLE_ASYNC_LOGGING EXPERIMENT_ID
    EXPERIMENT_NAME GATEWAY_LISTEN GATEWAY_MONITORING GRPC_PORT HOME HOST LOG_FORMAT LOG_LEVEL
    MAX_UPLOAD_BYTES PORT PROGRESS PUBLIC_URL QUIET REFLECTION REGISTRY_DATABASE_URL
    REGISTRY_LISTEN REGISTRY_MONITORING REGISTRY_PUBLIC_TARGET REGISTRY_TARGET REGISTRY_URI
    RUN_ID S3_ENDPOINT S3_PUBLIC_ENDPOINT S3_REGION SERVING_LISTEN SERVING_MAX_BODY_BYTES
    SERVING_MEMORY_BYTES SERVING_MONITORING SERVING_PUBLIC_TARGET SERVING_TARGET
    SERVING_TIMEOUT_S TIMEOUT_S TLS_CA_FILE TLS_CERT_FILE TLS_CLIENT_CA_FILE TLS_KEY_FILE TOKEN
    TOKEN_FILE TRACKING_DATABASE_URL TRACKING_LISTEN TRACKING_MONITORING
    TRACKING_PUBLIC_TARGET TRACKING_TARGET TRACKING_URI
"""
"""Variables of all programs, without the prefix: an environment may be shared with services. A test
compares them with the declarations of the services."""
_WITHOUT_EFFECT = """
    ACTIVE_MODEL_ID ENABLE_SYSTEM_METRICS_LOGGING ENABLE_WORKSPACES
    HTTP_REQUEST_BACKOFF_FACTOR HTTP_REQUEST_MAX_RETRIES HTTP_REQUEST_TIMEOUT
    LOCK_MODEL_DEPENDENCIES RUN_CONTEXT S3_ENDPOINT_URL SYSTEM_METRICS_NODE_ID
    SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING SYSTEM_METRICS_SAMPLING_INTERVAL TRACKING_AUTH
    TRACKING_AWS_SIGV4 WORKSPACE
"""
"""Variables that change what MLflow's client does and not what the SDK does, without the prefix."""
_OFF = {"", "0", "false"}


def known() -> frozenset[str]:
    """Return the `MODELYARD_*` variables of all programs."""
    return frozenset(_OURS + name for name in _KNOWN.split())


def check(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse unknown `MODELYARD_*` variables; warn of `MLFLOW_*` variables without effect.

    Raises:
        InvalidParameter: A variable is unknown; names it and similar known ones.
    """
    for name in sorted(environ):
        if name.startswith(_OURS) and name not in known():
            raise InvalidParameter(f"Unknown setting {name}; {_hint(name)}.")
    ignored = [
        name
        for name in (f"MLFLOW_{rest}" for rest in _WITHOUT_EFFECT.split())
        if environ.get(name, "").lower() not in _OFF
    ]
    if ignored:
        warnings.warn(
            f"Modelyard's SDK ignores {', '.join(ignored)}; docs/sdk.md lists what it reads.",
            stacklevel=2,
        )


def _hint(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known()))
    return f"similar are {', '.join(near)}" if near else "docs/settings.md lists all"
