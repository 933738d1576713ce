from __future__ import annotations

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.rules.values import checked_model_id, checked_run_id


def owner_of(
    request: pb.CheckArtifactsWritableRequest
    | pb.DeclareArtifactsRequest
    | pb.CommitArtifactsRequest
    | pb.GetArtifactsRequest
    | pb.DeleteArtifactsRequest
    | pb.SealManifestRequest
    | pb.SetMissingArtifactsRequest
    | pb.CreatePresignedUploadUrlRequest,
) -> Owner:
    """Return the owner of the tree in a request.

    Raises:
        InvalidArgument: The request names no owner or two owners.
    """
    if bool(request.run_id) == bool(request.model_id):
        raise InvalidArgument(
            "Give exactly one of run_id and model_id; "
            f"got run_id='{request.run_id}' and model_id='{request.model_id}'."
        )
    if request.run_id:
        return Owner(OwnerKind.RUN, checked_run_id(request.run_id))
    return Owner(OwnerKind.MODEL, checked_model_id(request.model_id))
