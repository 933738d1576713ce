"""Parts of the SDK for Modelyard's own services and commands.

Not for users; changes without notice. Services import nothing else that is private to the SDK,
which an import contract enforces.
"""

from __future__ import annotations

from modelyard._artifacts import cache
from modelyard._artifacts.operations import Owner, download, fetch_model, upload_content
from modelyard._documents import read_json
from modelyard._environment import setting
from modelyard._transport import connections, http, instances, rpc, tls

__all__ = [
    "Owner",
    "cache",
    "connections",
    "download",
    "fetch_model",
    "http",
    "instances",
    "read_json",
    "rpc",
    "setting",
    "tls",
    "upload_content",
]
