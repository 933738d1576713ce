from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

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
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor
