from __future__ import annotations

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.auth.grants import require_permission
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.names import version_number
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, writes
from modelyard_registry import wire
from modelyard_registry.operations import deletions


class Deletions:
    """RPCs that delete models and versions."""

    database: Database
    clock: Clock
    protects_staged: bool

    @writes
    def DeleteRegisteredModel(
        self, request: pb.DeleteRegisteredModelRequest, call: Call
    ) -> pb.DeleteRegisteredModelResponse:
        _check_force(request)
        deletion = deletions.delete_model(
            call,
            request.name,
            force=request.force,
            protects_staged=self.protects_staged,
            comment=request.comment,
        )
        return pb.DeleteRegisteredModelResponse(
            released=map(wire.released_version, deletion.released), endpoints=deletion.endpoints
        )

    @writes
    def DeleteModelVersion(
        self, request: pb.DeleteModelVersionRequest, call: Call
    ) -> pb.DeleteModelVersionResponse:
        _check_force(request)
        deletion = deletions.delete_version(
            call,
            request.name,
            version_number(request.version),
            force=request.force,
            protects_staged=self.protects_staged,
            comment=request.comment,
        )
        return pb.DeleteModelVersionResponse(
            released=map(wire.released_version, deletion.released), endpoints=deletion.endpoints
        )


def _check_force(request: pb.DeleteRegisteredModelRequest | pb.DeleteModelVersionRequest) -> None:
    if not request.force:
        return
    current = caller.get()
    require_permission(current.grant, f"{current.method.name} with force", Permission.ADMIN)
    if not request.comment.strip():
        raise InvalidArgument(
            "Missing value for parameter 'comment': a deletion with force needs its reason, which "
            "is kept in the history.",
            field="comment",
        )
