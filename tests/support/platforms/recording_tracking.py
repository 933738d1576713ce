"""A tracking service with programmed failures that records the metadata of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc
from modelyard_kit import errors
from modelyard_kit.rpc.grpc_errors import abort


class Recorder(tracking_service_pb2_grpc.TrackingServiceServicer):
    """A tracking service with programmed failures that records the metadata of calls.

    Attributes:
        seen: Metadata of each call.
        failures: Codes of the next calls, sent without details; later calls succeed.
        refusals: Errors of the next calls, sent with details.
        error: Error of every call; None for no error.
        on_call: Called at the beginning of each call.
        server: Server that the service is mounted on, while it runs.
    """

    server: grpc.Server

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.failures: list[grpc.StatusCode] = []
        self.refusals: list[errors.Error] = []
        self.error: errors.Error | None = None
        self.on_call: Callable[[], object] = lambda: None

    @property
    def keys(self) -> set[str]:
        return {str(call["idempotency-key"]) for call in self.seen}

    def GetExperiment(
        self, request: tracking_pb2.GetExperimentRequest, context: grpc.ServicerContext
    ) -> tracking_pb2.GetExperimentResponse:
        self._record(context)
        experiment = tracking_pb2.Experiment(experiment_id=request.experiment_id)
        return tracking_pb2.GetExperimentResponse(experiment=experiment)

    def CreateExperiment(
        self, request: tracking_pb2.CreateExperimentRequest, context: grpc.ServicerContext
    ) -> tracking_pb2.CreateExperimentResponse:
        self._record(context)
        return tracking_pb2.CreateExperimentResponse(experiment_id=f"id-of-{request.name}")

    def _record(self, context: grpc.ServicerContext) -> None:
        self.seen.append(dict(context.invocation_metadata()))
        self.on_call()
        if self.failures:
            context.abort(self.failures.pop(0), "programmed failure")
        error = self.refusals.pop(0) if self.refusals else self.error
        if error:
            abort(context, error, "0" * 32)


@contextmanager
def serving(
    recorder: Recorder,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    limit: int | None = None,
) -> Iterator[int]:
    """Run the service on loopback and yield its port."""
    options = (("grpc.so_reuseport", 0),)
    server = grpc.server(ThreadPoolExecutor(4), options=options, maximum_concurrent_rpcs=limit)
    tracking_service_pb2_grpc.add_TrackingServiceServicer_to_server(recorder, server)
    address = f"127.0.0.1:{port}"
    if credentials:
        bound = server.add_secure_port(address, credentials)
    else:
        bound = server.add_insecure_port(address)
    server.start()
    recorder.server = server
    try:
        yield bound
    finally:
        server.stop(None).wait()
