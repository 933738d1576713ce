from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from modelyard.api.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Endpoint(_message.Message):
    __slots__ = ("endpoint_id", "spec", "status", "create_time", "update_time", "etag", "revision")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    spec: EndpointSpec
    status: EndpointStatus
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    revision: int
    def __init__(self, endpoint_id: _Optional[str] = ..., spec: _Optional[_Union[EndpointSpec, _Mapping]] = ..., status: _Optional[_Union[EndpointStatus, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class EndpointSpec(_message.Message):
    __slots__ = ("targets", "batching", "limits", "schema_mode", "guardrails")
    class SchemaMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCHEMA_MODE_UNSPECIFIED: _ClassVar[EndpointSpec.SchemaMode]
        STRICT: _ClassVar[EndpointSpec.SchemaMode]
        COERCE: _ClassVar[EndpointSpec.SchemaMode]
        OFF: _ClassVar[EndpointSpec.SchemaMode]
    SCHEMA_MODE_UNSPECIFIED: EndpointSpec.SchemaMode
    STRICT: EndpointSpec.SchemaMode
    COERCE: EndpointSpec.SchemaMode
    OFF: EndpointSpec.SchemaMode
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    BATCHING_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_MODE_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    batching: Batching
    limits: Limits
    schema_mode: EndpointSpec.SchemaMode
    guardrails: Guardrails
    def __init__(self, targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., batching: _Optional[_Union[Batching, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., schema_mode: _Optional[_Union[EndpointSpec.SchemaMode, str]] = ..., guardrails: _Optional[_Union[Guardrails, _Mapping]] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("model_uri", "role", "weight", "sample")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[Target.Role]
        STABLE: _ClassVar[Target.Role]
        CANARY: _ClassVar[Target.Role]
        SHADOW: _ClassVar[Target.Role]
    ROLE_UNSPECIFIED: Target.Role
    STABLE: Target.Role
    CANARY: Target.Role
    SHADOW: Target.Role
    MODEL_URI_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    model_uri: str
    role: Target.Role
    weight: int
    sample: float
    def __init__(self, model_uri: _Optional[str] = ..., role: _Optional[_Union[Target.Role, str]] = ..., weight: _Optional[int] = ..., sample: _Optional[float] = ...) -> None: ...

class Batching(_message.Message):
    __slots__ = ("max_rows", "max_queued_requests")
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    max_rows: int
    max_queued_requests: int
    def __init__(self, max_rows: _Optional[int] = ..., max_queued_requests: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_body_bytes", "timeout_ms", "max_concurrent_requests", "max_requests_per_second")
    MAX_BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    max_body_bytes: int
    timeout_ms: int
    max_concurrent_requests: int
    max_requests_per_second: float
    def __init__(self, max_body_bytes: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ..., max_requests_per_second: _Optional[float] = ...) -> None: ...

class Guardrails(_message.Message):
    __slots__ = ("window_s", "min_requests", "max_error_rate", "max_p99_ms", "max_disagreement", "roll_back", "promote")
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    MIN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_P99_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    ROLL_BACK_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_FIELD_NUMBER: _ClassVar[int]
    window_s: int
    min_requests: int
    max_error_rate: float
    max_p99_ms: int
    max_disagreement: float
    roll_back: bool
    promote: bool
    def __init__(self, window_s: _Optional[int] = ..., min_requests: _Optional[int] = ..., max_error_rate: _Optional[float] = ..., max_p99_ms: _Optional[int] = ..., max_disagreement: _Optional[float] = ..., roll_back: bool = ..., promote: bool = ...) -> None: ...

class EndpointStatus(_message.Message):
    __slots__ = ("targets",)
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetStatus]
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetStatus, _Mapping]]] = ...) -> None: ...

class TargetStatus(_message.Message):
    __slots__ = ("model_uri", "state", "message", "model_version", "model_digest", "since_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TargetStatus.State]
        PENDING: _ClassVar[TargetStatus.State]
        LOADING: _ClassVar[TargetStatus.State]
        SERVING: _ClassVar[TargetStatus.State]
        DETACHED: _ClassVar[TargetStatus.State]
        FAILED: _ClassVar[TargetStatus.State]
    STATE_UNSPECIFIED: TargetStatus.State
    PENDING: TargetStatus.State
    LOADING: TargetStatus.State
    SERVING: TargetStatus.State
    DETACHED: TargetStatus.State
    FAILED: TargetStatus.State
    MODEL_URI_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    model_uri: str
    state: TargetStatus.State
    message: str
    model_version: str
    model_digest: str
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, model_uri: _Optional[str] = ..., state: _Optional[_Union[TargetStatus.State, str]] = ..., message: _Optional[str] = ..., model_version: _Optional[str] = ..., model_digest: _Optional[str] = ..., since_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EndpointEvent(_message.Message):
    __slots__ = ("endpoint_id", "revision", "clock", "create_time", "actor", "action", "before", "after", "comment", "request_id", "previous_hash", "hash")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[EndpointEvent.Action]
        ENDPOINT_CREATED: _ClassVar[EndpointEvent.Action]
        ENDPOINT_UPDATED: _ClassVar[EndpointEvent.Action]
        ENDPOINT_DELETED: _ClassVar[EndpointEvent.Action]
    ACTION_UNSPECIFIED: EndpointEvent.Action
    ENDPOINT_CREATED: EndpointEvent.Action
    ENDPOINT_UPDATED: EndpointEvent.Action
    ENDPOINT_DELETED: EndpointEvent.Action
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HASH_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    revision: int
    clock: int
    create_time: _timestamp_pb2.Timestamp
    actor: str
    action: EndpointEvent.Action
    before: str
    after: str
    comment: str
    request_id: str
    previous_hash: str
    hash: str
    def __init__(self, endpoint_id: _Optional[str] = ..., revision: _Optional[int] = ..., clock: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., action: _Optional[_Union[EndpointEvent.Action, str]] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., comment: _Optional[str] = ..., request_id: _Optional[str] = ..., previous_hash: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class CreateEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id", "endpoint", "comment")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    endpoint: Endpoint
    comment: str
    def __init__(self, endpoint_id: _Optional[str] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., comment: _Optional[str] = ...) -> None: ...

class CreateEndpointResponse(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class GetEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id",)
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    def __init__(self, endpoint_id: _Optional[str] = ...) -> None: ...

class GetEndpointResponse(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class ListEndpointsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEndpointsResponse(_message.Message):
    __slots__ = ("endpoints", "next_page_token")
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    next_page_token: str
    def __init__(self, endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id", "endpoint", "update_mask", "comment")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    endpoint: Endpoint
    update_mask: _field_mask_pb2.FieldMask
    comment: str
    def __init__(self, endpoint_id: _Optional[str] = ..., endpoint: _Optional[_Union[Endpoint, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., comment: _Optional[str] = ...) -> None: ...

class UpdateEndpointResponse(_message.Message):
    __slots__ = ("endpoint",)
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    endpoint: Endpoint
    def __init__(self, endpoint: _Optional[_Union[Endpoint, _Mapping]] = ...) -> None: ...

class DeleteEndpointRequest(_message.Message):
    __slots__ = ("endpoint_id", "etag", "comment")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    etag: str
    comment: str
    def __init__(self, endpoint_id: _Optional[str] = ..., etag: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class DeleteEndpointResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListEndpointEventsRequest(_message.Message):
    __slots__ = ("endpoint_id", "after_revision", "page_size", "page_token")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    after_revision: int
    page_size: int
    page_token: str
    def __init__(self, endpoint_id: _Optional[str] = ..., after_revision: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEndpointEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[EndpointEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[EndpointEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyEndpointHistoryRequest(_message.Message):
    __slots__ = ("endpoint_id",)
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    def __init__(self, endpoint_id: _Optional[str] = ...) -> None: ...

class VerifyEndpointHistoryResponse(_message.Message):
    __slots__ = ("revision", "hash")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    revision: int
    hash: str
    def __init__(self, revision: _Optional[int] = ..., hash: _Optional[str] = ...) -> None: ...

class WatchEndpointsRequest(_message.Message):
    __slots__ = ("endpoint_id", "after_revision", "after_clock")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    AFTER_CLOCK_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    after_revision: int
    after_clock: int
    def __init__(self, endpoint_id: _Optional[str] = ..., after_revision: _Optional[int] = ..., after_clock: _Optional[int] = ...) -> None: ...

class WatchEndpointsResponse(_message.Message):
    __slots__ = ("event", "position")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    event: EndpointEvent
    position: int
    def __init__(self, event: _Optional[_Union[EndpointEvent, _Mapping]] = ..., position: _Optional[int] = ...) -> None: ...

class ReportServingRequest(_message.Message):
    __slots__ = ("endpoint_id", "targets")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    targets: _containers.RepeatedCompositeFieldContainer[TargetStatus]
    def __init__(self, endpoint_id: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[TargetStatus, _Mapping]]] = ...) -> None: ...

class ReportServingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
