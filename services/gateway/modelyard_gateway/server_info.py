"""The server information that MLflow's clients request."""

from __future__ import annotations

from starlette.responses import Response

from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse

PATHS = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")

_INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": True,
    # Supported, but clients that know would request a URL before each file, however small.
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": True,
    "presigned_upload_model_id_supported": True,
    "features_enabled": {"gateway": False},
}


async def respond(_request: Request) -> Response:
    return JsonResponse(_INFO)
