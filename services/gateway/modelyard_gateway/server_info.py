"""What MLflow's clients ask a server about itself."""

from __future__ import annotations

from modelyard_gateway.http import Request, Response, json_response

PATHS = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")

_INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": True,
    # They work, but told so a client asks for a URL before each file, however small.
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": True,
    "presigned_upload_model_id_supported": True,
    "features_enabled": {"gateway": False},
}


async def tell(_request: Request) -> Response:
    return json_response(_INFO)
