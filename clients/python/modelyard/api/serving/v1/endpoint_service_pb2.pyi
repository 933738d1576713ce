from google.api import annotations_pb2 as _annotations_pb2
from modelyard.api.options.v1 import options_pb2 as _options_pb2
from modelyard.api.serving.v1 import endpoint_pb2 as _endpoint_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
