"""One observer process: reads who holds the stages, as fast as it can, and records each reply.

    python observer.py SOCKET RECORD

It stops when its standard input closes.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

import grpc
from faults.client import MOVED, PROMOTED

from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc


def observe(socket: str, record: Path) -> None:
    options = [("grpc.max_reconnect_backoff_ms", 100), ("grpc.initial_reconnect_backoff_ms", 50)]
    channel = grpc.insecure_channel(socket, options=options)
    stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
    with record.open("w") as lines:
        while not select.select([sys.stdin], [], [], 0)[0]:
            for model in (PROMOTED, MOVED):
                try:
                    stages = _holders(stub, model)
                except grpc.RpcError:
                    continue  # it is down for now; what counts is each reply it gives
                lines.write(json.dumps({"model": model, "stages": stages}) + "\n")


def _holders(
    stub: registry_service_pb2_grpc.RegistryServiceStub, model: str
) -> dict[str, list[int]]:
    filter_ = f"name='{model}' and current_stage IN ('Staging', 'Production')"
    request = registry_pb2.SearchModelVersionsRequest(filter=filter_, max_results=1000)
    stages: dict[str, list[int]] = {}
    for version in stub.SearchModelVersions(request, timeout=5).model_versions:
        stages.setdefault(version.current_stage, []).append(int(version.version))
    return stages


if __name__ == "__main__":
    observe(sys.argv[1], Path(sys.argv[2]))
