"""Settings of this process and its children, as MLflow's module of that name has them."""

from __future__ import annotations

import os


def enable_async_logging(enable: bool = True) -> None:  # noqa: FBT001, FBT002 - MLflow's signature
    """Log in the background wherever `synchronous` is left out, or no longer do so."""
    os.environ["MODELYARD_ENABLE_ASYNC_LOGGING"] = str(enable).lower()
