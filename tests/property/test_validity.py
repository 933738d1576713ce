"""The generated functions accept exactly the requests that no check explains as invalid."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from random import Random
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.platforms.access_platform import METHODS
from tests.support.soak import examples

from modelyard.api.options.v1 import options_pb2
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.validation import explain
from modelyard_kit.rpc.validity import validity

Field = descriptor_pb2.FieldDescriptorProto
IMPLICIT = descriptor_pb2.FeatureSet.IMPLICIT
TEXTS = ("a", "ab", "0123456789", "0" * 64, "x\n", "", "a\0b", "\u0660", "'")
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def add_every_rule(message: Any, prefix: str, *, repeated: bool, implicit: bool) -> None:
    """Add a field with each option that a type of field can have."""

    def add(name: str, kind: Any, **names: str) -> Any:
        number = len(message.field) + 1
        label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
        field = message.field.add(
            name=f"{prefix}_{name}", number=number, type=kind, label=label, **names
        )
        if implicit:
            field.options.features.field_presence = IMPLICIT
        return field.options.Extensions

    add("required_text", Field.TYPE_STRING)[options_pb2.required] = True
    add("required_number", Field.TYPE_DOUBLE)[options_pb2.required] = True
    add("required_bytes", Field.TYPE_BYTES)[options_pb2.required] = True
    named = ".everything.Everything.Kind"
    add("required_kind", Field.TYPE_ENUM, type_name=named)[options_pb2.required] = True
    add("text", Field.TYPE_STRING)[options_pb2.max_length] = 3
    add("bytes", Field.TYPE_BYTES)[options_pb2.max_length] = 3
    add("kind", Field.TYPE_ENUM, type_name=named)
    add("any", Field.TYPE_INT64)[options_pb2.range].SetInParent()
    add("least", Field.TYPE_INT64)[options_pb2.range].min = 1
    add("most", Field.TYPE_INT32)[options_pb2.range].max = -1
    both = add("both", Field.TYPE_UINT64)[options_pb2.range]
    both.min, both.max = 2, 3
    add("finite", Field.TYPE_DOUBLE)[options_pb2.double_range].SetInParent()
    add("above", Field.TYPE_DOUBLE)[options_pb2.double_range].min = 0.5
    add("lowest", Field.TYPE_DOUBLE)[options_pb2.double_range].min = -math.inf
    add("below", Field.TYPE_FLOAT)[options_pb2.double_range].max = math.inf
    add("form", Field.TYPE_STRING)[options_pb2.pattern].regex = r"a|ab?|\d"
    add("choice", Field.TYPE_STRING)[options_pb2.one_of].extend(["it's", "b"])


def everything() -> Descriptor:
    """Return a message type with each rule in each kind of field, which contains itself."""
    file = descriptor_pb2.FileDescriptorProto(
        name="everything.proto",
        package="everything",
        syntax="editions",
        edition=descriptor_pb2.EDITION_2023,
    )
    file.dependency.append("modelyard/api/options/v1/options.proto")
    message: Any = file.message_type.add(name="Everything")
    kind = message.enum_type.add(name="Kind")
    for number, name in enumerate(("UNSET", "A", "B")):
        kind.value.add(name=name, number=number)
    add_every_rule(message, "explicit", repeated=False, implicit=False)
    add_every_rule(message, "implicit", repeated=False, implicit=True)
    add_every_rule(message, "listed", repeated=True, implicit=False)
    number = len(message.field) + 1
    known = message.field.add(name="by_default", number=number, type=Field.TYPE_STRING, label=1)
    known.default_value = "too long"
    known.options.Extensions[options_pb2.max_length] = 3
    known.options.Extensions[options_pb2.required] = True
    message.field.add(name="from", number=number + 1, type=Field.TYPE_STRING, label=1)
    own = {"type": Field.TYPE_MESSAGE, "type_name": ".everything.Everything"}
    message.field.add(name="inside", number=number + 2, label=1, **own)
    entry = message.nested_type.add(name="ByNameEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=Field.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, label=1, **own)
    named = message.field.add(
        name="by_name",
        number=number + 3,
        type=Field.TYPE_MESSAGE,
        label=3,
        type_name=".everything.Everything.ByNameEntry",
    )
    named.options.Extensions[options_pb2.max_length] = 2
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindMessageTypeByName("everything.Everything")


def types_in(kind: Descriptor) -> dict[Descriptor, None]:
    """Return a message type and those of its fields, without the well-known ones."""
    found: dict[Descriptor, None] = {}
    waiting = [kind]
    while waiting:
        kind = waiting.pop()
        if kind not in found and not kind.file.package.startswith("google."):
            found[kind] = None
            fields: Any = kind.fields  # the stubs know no editions
            waiting += [field.message_type for field in fields if field.message_type]
    return found


EVERYTHING = everything()
REQUESTS: list[Any] = [EVERYTHING, *(method.input_type for method in METHODS.values())]
TYPES = list(dict.fromkeys(kind for request in REQUESTS for kind in types_in(request)))


def values(field: FieldDescriptor) -> list[Any]:
    """Return values beside and on each bound of a field; the first is valid."""
    options: Any = field.GetOptions()
    extensions = options.Extensions
    limit = extensions[options_pb2.max_length]
    if field.type == field.TYPE_STRING:
        regex = re.compile(extensions[options_pb2.pattern].regex or ".*")
        fitting = [*extensions[options_pb2.one_of], *filter(regex.fullmatch, TEXTS)]
        too_long = [] if field.is_repeated else ["x" * limit, "x" * (limit + 1)]
        return [*fitting, *TEXTS, *too_long]
    if field.type == field.TYPE_BYTES:
        return [b"x", b"", b"x" * limit, b"x" * (limit + 1)]
    if field.enum_type is not None:
        return [*sorted(field.enum_type.values_by_number, reverse=True), -1, 9999]
    if field.type == field.TYPE_BOOL:
        return [True, False]
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        limits = extensions[options_pb2.double_range]
        ends = sorted((limits.min or limits.max, limits.max), key=math.isinf)
        beside = [math.nextafter(end, way) for end in ends for way in (-math.inf, math.inf)]
        return [*ends, *beside, 0.0, -0.0, math.nan, math.inf, -math.inf]
    limits = extensions[options_pb2.range]
    bounds = [end for end in (limits.min, limits.max) if end]
    least, most = RANGES[field.cpp_type]
    ends = [*bounds, 1, 0, -1, *(end + way for end in bounds for way in (-1, 1)), least, most]
    return [end for end in ends if least <= end <= most]


def message_of(kind: Descriptor, chance: Random, *, unset: float, wrong: float) -> Any:
    """Return a message whose fields are unset, or have any of their values, by chance."""
    message: Any = GetMessageClass(kind)()
    for field in kind.fields:
        options: Any = field.GetOptions()
        is_needed = kind.GetOptions().map_entry or options.Extensions[options_pb2.required]
        if chance.random() < (wrong if is_needed else unset):
            continue
        count = chance.choice((1, 1, 2)) if field.is_repeated else 1
        put(message, field, [value_of(field, chance, unset, wrong) for _ in range(count)])
    return message


def value_of(field: FieldDescriptor, chance: Random, unset: float, wrong: float) -> Any:
    if field.message_type is not None:
        return message_of(field.message_type, chance, unset=(1 + unset) / 2, wrong=wrong)
    return chance.choice(values(field)) if chance.random() < wrong else values(field)[0]


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def put(message: Any, field: FieldDescriptor, found: list[Any]) -> None:
    """Set a field to a value, or a list to values, or a map to entries with keys of their own."""
    message.ClearField(field.name)
    if not field.is_repeated and field.message_type is None:
        setattr(message, field.name, found[0])
    elif not field.is_repeated:
        getattr(message, field.name).CopyFrom(found[0])
    elif is_map(field):
        for number, entry in enumerate(found):
            getattr(message, field.name)[entry.key + "x" * number].CopyFrom(entry.value)
    else:
        getattr(message, field.name).extend(found)


def is_explained(message: Message) -> bool:
    try:
        explain(message)
    except InvalidArgument:
        return True
    return False


def agrees(message: Any) -> bool:
    return validity(message.DESCRIPTOR)(message) is not is_explained(message)


def test_each_rule_of_each_field_is_kept() -> None:
    chance = Random(0)  # noqa: S311 - no secret
    for kind in TYPES:
        valid = message_of(kind, chance, unset=1, wrong=0)
        assert not is_explained(valid), valid
        fields: Any = kind.fields  # the stubs know no editions
        for field in fields:
            for changed in changes(valid, field, chance):
                assert agrees(changed), f"{kind.full_name}.{field.name}: {str(changed)[:500]}"


def changes(valid: Message, field: FieldDescriptor, chance: Random) -> Iterator[Message]:
    """Return a valid message without a field, and with each of its values and lengths."""
    if field.message_type is None:
        singles = values(field)
    else:
        kind: Any = field.message_type
        right = message_of(kind, chance, unset=1, wrong=0)
        assert not is_explained(right), right
        singles = [right, GetMessageClass(kind)()]
        if is_map(field):
            singles.append(GetMessageClass(kind)(key="a\0b", value=right.value))
    found = [[single] for single in singles]
    if field.is_repeated:
        options: Any = field.GetOptions()
        limit = options.Extensions[options_pb2.max_length]
        found += [[singles[0], single] for single in singles]
        found += [[singles[0]] * limit, [singles[0]] * (limit + 1)]
    changed = type(valid)()
    for each in found:
        changed.CopyFrom(valid)
        put(changed, field, each)
        yield changed
    changed.ClearField(field.name)
    yield changed


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(0, 2**32))
def test_a_random_request_is_accepted_unless_a_check_explains_why_not(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - no secret
    kind = chance.choice(REQUESTS)
    wrong = chance.choice((0, 0.02, 0.2))
    message = message_of(kind, chance, unset=chance.random(), wrong=wrong)
    assert agrees(message), message
