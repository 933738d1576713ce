from __future__ import annotations

import dataclasses

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.db import paging
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, write_step
from modelyard_tracking.operations import purging
from modelyard_tracking.operations.purging import Purge
from modelyard_tracking.servicer.sweeping import Sweeping

_STEPS_PER_CALL = 20
_QUERY = paging.fingerprint("purge")


class Purging(Sweeping):
    """Purging of what was deleted long enough ago, in small transactions, some per call.

    The page token holds the time up to which resources were deleted, so that a purge ends.
    """

    def PurgeDeleted(
        self, request: pb.PurgeDeletedRequest, context: grpc.ServicerContext
    ) -> pb.PurgeDeletedResponse:
        until_ms = _until_ms(request.page_token, self.clock() - request.older_than_ms)
        if request.dry_run:
            with self.database.read(caller.get().remaining_s()) as session:
                due = purging.count(session, purging.due(until_ms))
            return pb.PurgeDeletedResponse(**dataclasses.asdict(due))
        purge, is_left = self._purge(context, until_ms, _STEPS_PER_CALL)
        token = paging.encode((until_ms,), _QUERY) if is_left else ""
        return pb.PurgeDeletedResponse(**dataclasses.asdict(purge), next_page_token=token)

    def _purge(
        self, context: grpc.ServicerContext, until_ms: int, max_steps: int
    ) -> tuple[Purge, bool]:
        """Do steps of a purge; return what they claimed, and whether steps are left."""
        purge = Purge()
        for _ in range(max_steps):
            step, is_left = self._purge_some(context, until_ms)
            purge.add(step)
            if not is_left:
                self.database.empty_log()
                return purge, False
        return purge, True

    @write_step
    def _purge_some(self, call: Call, until_ms: int) -> tuple[Purge, bool]:
        self.database.overwrite(call.session)
        return purging.purge_some(call.session, until_ms, call.now_ms)


def _until_ms(page_token: str, first: int) -> int:
    cursor = paging.decode(page_token, _QUERY)
    match cursor:
        case None:
            return first
        case (int(until_ms),):
            return until_ms
    raise InvalidArgument(
        "Invalid page_token: expected the next_page_token of an earlier reply, or an empty "
        "one to start a purge."
    )
