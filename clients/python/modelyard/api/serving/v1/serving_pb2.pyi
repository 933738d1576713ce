from google.api import httpbody_pb2 as _httpbody_pb2
from modelyard.api.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "contents")
    class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DATA_TYPE_UNSPECIFIED: _ClassVar[Tensor.DataType]
        BOOL: _ClassVar[Tensor.DataType]
        UINT8: _ClassVar[Tensor.DataType]
        UINT16: _ClassVar[Tensor.DataType]
        UINT32: _ClassVar[Tensor.DataType]
        UINT64: _ClassVar[Tensor.DataType]
        INT8: _ClassVar[Tensor.DataType]
        INT16: _ClassVar[Tensor.DataType]
        INT32: _ClassVar[Tensor.DataType]
        INT64: _ClassVar[Tensor.DataType]
        FP16: _ClassVar[Tensor.DataType]
        FP32: _ClassVar[Tensor.DataType]
        FP64: _ClassVar[Tensor.DataType]
        BYTES: _ClassVar[Tensor.DataType]
    DATA_TYPE_UNSPECIFIED: Tensor.DataType
    BOOL: Tensor.DataType
    UINT8: Tensor.DataType
    UINT16: Tensor.DataType
    UINT32: Tensor.DataType
    UINT64: Tensor.DataType
    INT8: Tensor.DataType
    INT16: Tensor.DataType
    INT32: Tensor.DataType
    INT64: Tensor.DataType
    FP16: Tensor.DataType
    FP32: Tensor.DataType
    FP64: Tensor.DataType
    BYTES: Tensor.DataType
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: Tensor.DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    contents: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[_Union[Tensor.DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., contents: _Optional[bytes] = ...) -> None: ...

class Tensors(_message.Message):
    __slots__ = ("tensors",)
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("endpoint_id", "body", "tensors")
    ENDPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    endpoint_id: str
    body: _httpbody_pb2.HttpBody
    tensors: Tensors
    def __init__(self, endpoint_id: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ..., tensors: _Optional[_Union[Tensors, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("body", "tensors", "model_version", "model_digest")
    BODY_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    body: _httpbody_pb2.HttpBody
    tensors: Tensors
    model_version: str
    model_digest: str
    def __init__(self, body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ..., tensors: _Optional[_Union[Tensors, _Mapping]] = ..., model_version: _Optional[str] = ..., model_digest: _Optional[str] = ...) -> None: ...
