"""A service that is not of our contract, mounted with separately given permissions."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from tests.support.platforms.notebook import SERVICE, TOKEN, Notebook, Stub, failure

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.api.access.v1.access_pb2 import Role
from modelyard.api.options.v1.options_pb2 import Permission
from modelyard.api.registry.v1 import registry_pb2 as registry
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.rpc.token_checks import snapshot_of

PERMISSIONS = {"Ready": Permission.SERVING_READ, "Infer": Permission.PREDICT}
NAME = "inference.GRPCInferenceService"


def inference() -> ServiceDescriptor:
    """Return a service like that of the Open Inference Protocol: proto3, without our options."""
    file = descriptor_pb2.FileDescriptorProto(
        name="inference.proto", package="inference", syntax="proto3"
    )
    field = descriptor_pb2.FieldDescriptorProto
    file.message_type.add(name="ReadyRequest")
    file.message_type.add(name="ReadyResponse").field.add(
        name="by", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
    )
    infer = file.message_type.add(name="InferRequest")
    infer.field.add(name="model", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    infer.field.add(
        name="parameters",
        number=2,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".inference.InferRequest.ParametersEntry",
    )
    entry = infer.nested_type.add(name="ParametersEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_OPTIONAL,
        type_name=".inference.Parameter",
    )
    file.message_type.add(name="Parameter").field.add(
        name="text", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
    )
    service = file.service.add(name="GRPCInferenceService")
    for method in ("Ready", "Infer"):
        service.method.add(
            name=method,
            input_type=f".inference.{method}Request",
            output_type=".inference.ReadyResponse",
        )
    pool = DescriptorPool()
    pool.Add(file)
    found: ServiceDescriptor = pool.FindServiceByName(NAME)
    return found


FOREIGN = inference()
READY, INFER = (FOREIGN.methods_by_name[name] for name in ("Ready", "Infer"))


class Inference:
    """Returns the name of the caller."""

    def Ready(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return GetMessageClass(READY.output_type)(by=caller.get().actor)

    Infer = Ready


@contextmanager
def served(server: RpcServer, **how: Any) -> Iterator[grpc.Channel]:
    server.add(FOREIGN, Inference(), permissions=PERMISSIONS, area="serving", **how)
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.drain(5)


def call(channel: grpc.Channel, method: Any, token: str = "", **fields: Any) -> str:
    rpc: Any = channel.unary_unary(
        f"/{NAME}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = [("authorization", f"Bearer {token}")] if token else []
    request = GetMessageClass(method.input_type)(**fields)
    return str(rpc(request, timeout=30, metadata=metadata).by)


@pytest.fixture
def named() -> tuple[Tokens, str, str]:
    """A viewer and a contributor, who may predict."""
    checks = pb.ListTokenChecksResponse(revision=1)
    bearers = {Role.VIEWER: f"modelyard_viewer0000_{'s' * 43}"}
    bearers[Role.CONTRIBUTOR] = f"modelyard_contrib000_{'s' * 43}"
    for role, token in bearers.items():
        checks.tokens.add(
            id=token.split("_")[1],
            sha256=hashlib.sha256(token.encode()).hexdigest(),
            name=Role.Name(role),
            role=role,
        )
    tokens = Tokens(lambda revision: snapshot_of(checks, revision))
    return tokens, bearers[Role.VIEWER], bearers[Role.CONTRIBUTOR]


def test_a_foreign_service_answers_those_who_have_the_permissions_given_for_it(
    named: tuple[Tokens, str, str],
) -> None:
    tokens, viewer, contributor = named
    with served(RpcServer(TOKEN, tokens=tokens)) as channel:
        assert call(channel, READY, viewer) == "VIEWER"
        assert call(channel, INFER, contributor, model="m") == "CONTRIBUTOR"
        assert call(channel, INFER, TOKEN, model="m") == "token"
        for token, code in (("", "UNAUTHENTICATED"), (viewer, "PERMISSION_DENIED")):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, INFER, token, model="m")
            assert failure(caught.value)[0].name == code
        assert "Infer needs the permission PREDICT" in failure(caught.value)[2]


def test_its_fields_are_checked_those_in_maps_too() -> None:
    text = GetMessageClass(FOREIGN.file.message_types_by_name["Parameter"])
    with served(RpcServer()) as channel:
        assert call(channel, INFER, model="m", parameters={"a": text(text="b")}) == "anonymous"
        for fields, place in (
            ({"model": "a\0"}, "model"),
            ({"parameters": {"a": text(text="b\0")}}, r"parameters['a'].value.text"),
            ({"parameters": {"a\0": text()}}, r"parameters['a\x00'].key"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, INFER, **fields)
            assert failure(caught.value)[1:] == (
                "INVALID_PARAMETER_VALUE",
                f"Invalid value for parameter '{place}': it contains a NUL character.",
            )


def test_it_has_health_metrics_and_a_log_line_for_each_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = {"service": "GRPCInferenceService", "method": "Ready", "code": "OK"}
    before = REGISTRY.get_sample_value("modelyard_rpc_duration_seconds_count", labels) or 0
    server = RpcServer()
    with (
        caplog.at_level(logging.INFO),
        served(server, problem=lambda: "No model is loaded.") as channel,
    ):
        call(channel, READY)
        health = health_pb2_grpc.HealthStub(channel)
        reply = health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=30)
        assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.readiness.problems() == ["serving: No model is loaded."]
    assert REGISTRY.get_sample_value("modelyard_rpc_duration_seconds_count", labels) == before + 1
    (line,) = [vars(record) for record in caplog.records if record.message == "rpc"]
    assert (line["service"], line["method"]) == ("GRPCInferenceService", "Ready")


def test_a_method_that_its_servicer_inherits_from_a_stub_is_not_built() -> None:
    def infer(_self: object, _request: Any, _context: grpc.ServicerContext) -> Any:
        raise NotImplementedError

    infer.__module__ = "inference_pb2_grpc"
    stub = type("GRPCInferenceServiceServicer", (), {"Infer": infer})
    server = RpcServer()
    server.add(FOREIGN, stub(), permissions=PERMISSIONS, area="serving")
    assert server.unbuilt == [f"{NAME}.Ready", f"{NAME}.Infer"]
    server.drain(5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"area": "serving"}, "Ready has no permission"),
        (
            {"permissions": {"Ready": Permission.SERVING_READ}, "area": "serving"},
            "Infer has no permission",
        ),
        (
            {"permissions": PERMISSIONS | {"Inferr": Permission.PREDICT}, "area": "serving"},
            "permission for Inferr, which",
        ),
        ({"permissions": PERMISSIONS}, "its area must be given"),
    ],
)
def test_a_service_whose_calls_could_not_be_decided_or_reported_is_not_mounted(
    how: dict[str, Any], message: str
) -> None:
    server = RpcServer()
    with pytest.raises(ValueError, match=message):
        server.add(FOREIGN, Inference(), **how)
    server.drain(5)


def test_what_is_given_for_a_service_of_ours_goes_before_its_contract(
    notebook: Notebook, named: tuple[Tokens, str, str]
) -> None:
    tokens, viewer, _ = named
    server = RpcServer(TOKEN, tokens=tokens)
    given = {"GetRegisteredModel": Permission.ADMIN}
    server.add(SERVICE, notebook, permissions=given, area="serving", problem=lambda: "Not now.")
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            Stub(channel).GetRegisteredModel(
                registry.GetRegisteredModelRequest(name="x"),
                metadata=[("authorization", f"Bearer {viewer}")],
            )
        assert failure(caught.value)[0] is grpc.StatusCode.PERMISSION_DENIED
    assert server.readiness.problems() == ["serving: Not now."]
    server.drain(5)
