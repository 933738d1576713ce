"""Servicers of tracking: each method opens the transaction of its RPC."""

from __future__ import annotations

from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_tracking.servicer.artifacts import ArtifactsServicer
from modelyard_tracking.servicer.experiments import Experiments
from modelyard_tracking.servicer.importing import Importing
from modelyard_tracking.servicer.logged_models import LoggedModels
from modelyard_tracking.servicer.metrics import Metrics
from modelyard_tracking.servicer.runs import Runs

__all__ = ["ArtifactsServicer", "TrackingServicer"]


class TrackingServicer(Experiments, Runs, Metrics, LoggedModels, Importing):
    """All RPCs of `TrackingService`.

    Args:
        database: Database of tracking.
        clock: Returns Unix time in milliseconds.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
