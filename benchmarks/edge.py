"""Time calls over the HTTP edge beside the same calls over gRPC, in one run.

The client of the edge is a persistent socket with prepared requests, so that mainly the server is
timed: HTTP, JSON and the RPC behind it. The client of gRPC is the generated stub. Calls alternate,
so that a drift of the machine affects both. Quote the ratios.

    python -m benchmarks.edge [rounds]
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from benchmarks.measuring import compare
from benchmarks.platforms import make_run, start_platform

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.api.tracking.v1 import tracking_service_pb2_grpc

RUNS = 1000
PAGES_PER_ROUND = 0.05


class Edge:
    """A persistent connection to the edge."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host = address.netloc
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def post(self, path: str, document: dict[str, Any]) -> bytes:
        body = json.dumps(document).encode()
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return self._ask("POST", path, kind, body)

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, "", b"")

    def _ask(self, method: str, path: str, headers: str, body: bytes) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n"
        self._socket.sendall(head.encode() + body)
        if b" 200 " not in self._file.readline():
            raise SystemExit("the edge refused")
        length = 0
        while (line := self._file.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return self._file.read(length)


def main(rounds: int = 500) -> None:
    with tempfile.TemporaryDirectory() as folder:
        platform, addresses = start_platform(Path(folder) / "home")
        channel = grpc.insecure_channel(
            addresses["grpc"], options=(("grpc.max_receive_message_length", -1),)
        )
        tracking: Any = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        steps = iter(range(10**9))

        try:
            run_id = [make_run(tracking) for _ in range(RUNS)][-1]
            edge = Edge(addresses["http"])  # a connection without a request for 30 s is closed
            point: dict[str, Any] = {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 1}
            search = pb.SearchRunsRequest(experiment_ids=["0"], max_results=RUNS)
            print(f"{'median of ' + str(rounds):<34}{'HTTP ms':>9}{'gRPC ms':>9}{'ratio':>8}")
            compare(
                "log_metric",
                lambda: edge.post(
                    "/api/2.0/mlflow/runs/log-metric", {**point, "step": next(steps)}
                ),
                lambda: tracking.LogMetric(pb.LogMetricRequest(**point, step=next(steps))),
                rounds,
            )
            compare(
                "get_run",
                lambda: edge.get(f"/api/2.0/mlflow/runs/get?run_id={run_id}"),
                lambda: tracking.GetRun(pb.GetRunRequest(run_id=run_id)),
                rounds,
            )
            compare(
                f"search_runs, page of {RUNS}",
                lambda: edge.post(
                    "/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"], "max_results": RUNS}
                ),
                lambda: tracking.SearchRuns(search),
                max(int(rounds * PAGES_PER_ROUND), 1),
                warm_up=1,
            )
        finally:
            platform.send_signal(signal.SIGTERM)
            platform.wait()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
