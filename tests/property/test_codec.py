"""The edge's codecs compared with protobuf's own, for every message of the contract."""

from __future__ import annotations

import math
import string
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.soak import examples

from modelyard_gateway.backends import SERVICES
from modelyard_gateway.codec import raw
from modelyard_gateway.codec.decode import decode
from modelyard_gateway.codec.encode import encode

KINDS = [
    kind
    for services in SERVICES.values()
    for service in services
    for method in service.methods
    for kind in (method.input_type, method.output_type)
    if kind.fields and not raw.request_field(method)
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=5),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False) | st.just(math.nan),  # JSON has one NaN
    FieldDescriptor.TYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
}


KNOWN: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Timestamp": st.builds(
        Timestamp, seconds=st.integers(-62_135_596_800, 253_402_300_799), nanos=st.integers(0, 999)
    ),
    "google.protobuf.FieldMask": st.builds(
        FieldMask, paths=st.lists(st.text(string.ascii_lowercase, min_size=1), max_size=3)
    ),
}


def single(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        known = KNOWN.get(field.message_type.full_name)
        return messages(field.message_type) if known is None else known
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return SCALARS[field.type]


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.name == "next_page_token":
        return TEXT.filter(bool)  # an empty one is left out
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(TEXT, single(field.message_type.fields_by_name["value"]), max_size=3)
    return st.lists(single(field), max_size=3) if field.is_repeated else single(field)


def messages(kind: Descriptor) -> st.SearchStrategy[Message]:
    fields = {field.name: values(field) for field in kind.fields}
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda found: GetMessageClass(kind)(**found)
    )


def same(left: Message, right: Message) -> bool:
    """Equal, and NaN equals itself."""
    return left.SerializeToString(deterministic=True) == right.SerializeToString(deterministic=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.full_name)
def test_the_codecs_agree_with_protobufs_own(kind: Descriptor) -> None:
    @settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
    @given(message=messages(kind))
    def check(message: Message) -> None:
        text = encode(message)
        assert same(json_format.Parse(text, GetMessageClass(kind)()), message)
        assert same(decode(kind, orjson.loads(text)), message)
        theirs = json_format.MessageToJson(message)
        assert same(decode(kind, orjson.loads(theirs)), message)

    check()
