"""Deletes expired idempotent replies from time to time, apart from the calls that store them."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Conflict, Database, OutcomeUnknown
from modelyard_kit.errors import Error
from modelyard_kit.rpc.idempotency import forget_expired
from modelyard_kit.rpc.server import RpcServer

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0


def expire_replies(server: RpcServer, database: Database, clock: Clock) -> None:
    """Delete the expired replies of a service while its server serves.

    Args:
        server: Server of the service; not started yet.
        database: Database of the service.
        clock: Returns Unix time in milliseconds.
    """

    def run() -> None:
        while not server.stopping.wait(INTERVAL_S):
            try:
                forget_expired(database, clock())
            # The next time will do; calls report what is wrong with the database.
            except (Error, Conflict, OutcomeUnknown, SQLAlchemyError) as error:
                logger.info("expired replies were not deleted", extra={"error": str(error)})

    def start() -> None:
        thread = threading.Thread(target=run, name="expiry", daemon=True)
        thread.start()
        server.on_close(thread.join)

    server.on_start(start)
