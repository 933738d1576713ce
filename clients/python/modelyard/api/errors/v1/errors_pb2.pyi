from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    INVALID_PARAMETER_VALUE: _ClassVar[Reason]
    RESOURCE_DOES_NOT_EXIST: _ClassVar[Reason]
    RESOURCE_ALREADY_EXISTS: _ClassVar[Reason]
    INVALID_STATE: _ClassVar[Reason]
    ABORTED: _ClassVar[Reason]
    UNAUTHENTICATED: _ClassVar[Reason]
    PERMISSION_DENIED: _ClassVar[Reason]
    RESOURCE_EXHAUSTED: _ClassVar[Reason]
    TEMPORARILY_UNAVAILABLE: _ClassVar[Reason]
    DEADLINE_EXCEEDED: _ClassVar[Reason]
    NOT_IMPLEMENTED: _ClassVar[Reason]
    DATA_LOSS: _ClassVar[Reason]
    OUT_OF_RANGE: _ClassVar[Reason]
    CANCELLED: _ClassVar[Reason]
    INTERNAL_ERROR: _ClassVar[Reason]
    FEATURE_DISABLED: _ClassVar[Reason]
REASON_UNSPECIFIED: Reason
INVALID_PARAMETER_VALUE: Reason
RESOURCE_DOES_NOT_EXIST: Reason
RESOURCE_ALREADY_EXISTS: Reason
INVALID_STATE: Reason
ABORTED: Reason
UNAUTHENTICATED: Reason
PERMISSION_DENIED: Reason
RESOURCE_EXHAUSTED: Reason
TEMPORARILY_UNAVAILABLE: Reason
DEADLINE_EXCEEDED: Reason
NOT_IMPLEMENTED: Reason
DATA_LOSS: Reason
OUT_OF_RANGE: Reason
CANCELLED: Reason
INTERNAL_ERROR: Reason
FEATURE_DISABLED: Reason

class Status(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("reason", "domain", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    reason: str
    domain: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., domain: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RetryInfo(_message.Message):
    __slots__ = ("retry_delay",)
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    retry_delay: _duration_pb2.Duration
    def __init__(self, retry_delay: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...
