"""Messages of any content: rules refuse or accept them, and never fail at it.

The messages are made from the descriptors with seeds that stay the same; the long run makes more of them.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from steersman import kinds
from steersman.manifests import codec

from tests import manifests
from tests.apiserver.kinds.table import prepared, strategy_of, violations

DEPTH_MAX = 7
TEXTS = [
    "",
    "a",
    "A b",
    "web-1",
    "x" * 300,
    "-1",
    "10%",
    "\u0663%",
    "101%",
    "1Gi",
    "1e400",
    "NaN",
    "0,2-4",
    "9" * 30,
    "192.0.2.1",
    "192.0.2.0/24",
    "fe80::1%eth0",
    "2001:db8::/129",
    "example.org/x",
    "//",
    "*.example.org",
    "* * * * *",
    "@every 1h",
    "\u03c0\u0000\n",
    "In",
    "Always",
    "Never",
    "RollingUpdate",
    "Indexed",
    "Resource",
    "Utilization",
    "ReadWriteOnce",
    "storage",
    "Europe/Athens",
    "../../etc",
]
NUMBERS = [0, 1, -1, 2, 80, 65535, 65536, 2**31 - 1, -(2**31)]
MOMENTS = [0, 1_700_000_000, -62135596800, 253402300799]


def value_of(field: FieldDescriptor, source: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return source.choice([b"", b"{}", b"\xff\x00", b"[" * 50])
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return source.choice(TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return source.random() < 0.5
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return source.choice([0.0, -1.5, 1e300])
    number = source.choice(NUMBERS)
    unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    return abs(number) if unsigned else number


def scramble(message: Any, source: random.Random, share: float, depth: int = 0) -> None:
    """Sets some of a message's fields to anything."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        message.seconds = source.choice(MOMENTS)
        return
    for field in message.DESCRIPTOR.fields:
        if source.random() >= share:
            continue
        if codec.is_map(field):
            value, container = codec.value_of_map(field), getattr(message, field.name)
            for _ in range(source.randrange(3)):
                key = source.choice(TEXTS)
                if value.message_type is not None:
                    scramble(container[key], source, 1.0, depth + 1)
                else:
                    container[key] = value_of(value, source)
        elif field.message_type is not None:
            if depth >= DEPTH_MAX:
                continue
            inner = getattr(message, field.name)
            if field.is_repeated:
                for _ in range(source.randrange(3)):
                    scramble(inner.add(), source, share, depth + 1)
            else:
                inner.SetInParent()
                scramble(inner, source, share, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(value_of(field, source) for _ in range(source.randrange(3)))
        else:
            setattr(message, field.name, value_of(field, source))


def judge(kind: kinds.Kind, seed: int) -> None:
    """Runs every hook of a kind on an object that may be anything, and on a change of a good one into it."""
    source = random.Random(f"{kind} {seed}")
    strategy = strategy_of(kind)
    good: Any = prepared(codec.decode_object(manifests.of(kind.api_version, kind.kind)))
    wild: Any = kind.message()
    if source.random() < 0.5:
        wild.CopyFrom(good)
    scramble(wild, source, source.choice([0.05, 0.3, 0.7]))
    new: Message = type(wild)()
    new.CopyFrom(wild)
    violations(prepared(wild))
    strategy.warnings(wild)
    strategy.held(wild)
    strategy.claims(wild, None)
    strategy.grace_period_s(wild, None)
    for read in strategy.fields.values():
        assert isinstance(read(wild), str)
    for old in (good, wild):
        strategy.default(new)
        strategy.prepare_update(new, old)
        strategy.validate(new)
        strategy.validate_update(new, old)
        strategy.generation_counts(new, old)
        if kind.has_status:
            strategy.prepare_status_update(new, old)
            strategy.validate_status_update(new, old)
    assert kind.message.FromString(new.SerializeToString()) is not None


@pytest.mark.parametrize("kind", list(kinds.every()), ids=str)
def test_rules_never_fail(kind: kinds.Kind) -> None:
    for seed in range(40):
        judge(kind, seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", list(kinds.every()), ids=str)
def test_rules_never_fail_for_long(kind: kinds.Kind) -> None:
    for seed in range(40, 1000):
        judge(kind, seed)
