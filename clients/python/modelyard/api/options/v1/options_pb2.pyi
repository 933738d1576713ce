from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_UNSPECIFIED: _ClassVar[Permission]
    TRACKING_READ: _ClassVar[Permission]
    TRACKING_WRITE: _ClassVar[Permission]
    TRACKING_DELETE: _ClassVar[Permission]
    REGISTRY_READ: _ClassVar[Permission]
    REGISTRY_WRITE: _ClassVar[Permission]
    REGISTRY_PROMOTE: _ClassVar[Permission]
    REGISTRY_DELETE: _ClassVar[Permission]
    SERVING_READ: _ClassVar[Permission]
    SERVING_WRITE: _ClassVar[Permission]
    PREDICT: _ClassVar[Permission]
    ADMIN: _ClassVar[Permission]
    INTERNAL: _ClassVar[Permission]
    REGISTRY_EDIT: _ClassVar[Permission]
PERMISSION_UNSPECIFIED: Permission
TRACKING_READ: Permission
TRACKING_WRITE: Permission
TRACKING_DELETE: Permission
REGISTRY_READ: Permission
REGISTRY_WRITE: Permission
REGISTRY_PROMOTE: Permission
REGISTRY_DELETE: Permission
SERVING_READ: Permission
SERVING_WRITE: Permission
PREDICT: Permission
ADMIN: Permission
INTERNAL: Permission
REGISTRY_EDIT: Permission
REQUIRED_FIELD_NUMBER: _ClassVar[int]
required: _descriptor.FieldDescriptor
MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
max_length: _descriptor.FieldDescriptor
RANGE_FIELD_NUMBER: _ClassVar[int]
range: _descriptor.FieldDescriptor
DOUBLE_RANGE_FIELD_NUMBER: _ClassVar[int]
double_range: _descriptor.FieldDescriptor
PATTERN_FIELD_NUMBER: _ClassVar[int]
pattern: _descriptor.FieldDescriptor
ONE_OF_FIELD_NUMBER: _ClassVar[int]
one_of: _descriptor.FieldDescriptor
TRUNCATED_FIELD_NUMBER: _ClassVar[int]
truncated: _descriptor.FieldDescriptor
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor

class Range(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ...) -> None: ...

class DoubleRange(_message.Message):
    __slots__ = ("min", "max")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    min: float
    max: float
    def __init__(self, min: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class Pattern(_message.Message):
    __slots__ = ("regex", "expected")
    REGEX_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    regex: str
    expected: str
    def __init__(self, regex: _Optional[str] = ..., expected: _Optional[str] = ...) -> None: ...
