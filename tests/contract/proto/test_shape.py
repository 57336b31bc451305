"""What the apiserver builds on when it joins bytes: the same numbers in every kind."""

from __future__ import annotations

import pytest
from steersman import kinds
from steersman.kinds import Kind
from steersman.meta.v1 import DELETED, MODIFIED, ListMeta, ObjectMeta

from apiserver.watchcache import frames

EVERY = list(kinds.every())


@pytest.mark.parametrize("kind", EVERY, ids=str)
def test_every_kind_has_the_same_shape(kind: Kind) -> None:
    def numbers(message: type) -> dict[str, int]:
        return {field.name: field.number for field in message.DESCRIPTOR.fields}  # type: ignore[attr-defined]

    assert numbers(kind.message)["metadata"] == 1
    assert {"metadata": 1, "items": 2}.items() <= numbers(kind.list_message).items()
    assert numbers(kind.watch_event) == {"type": 1, "object": 2, "resource_version": 3, "initial_state_end": 4}
    assert numbers(kind.write_request) == {"object": 1, "options": 2}
    assert ObjectMeta.DESCRIPTOR.fields_by_name["resource_version"].number == 6
    assert ListMeta.DESCRIPTOR.fields_by_name["continue_token"].number == 3


@pytest.mark.parametrize("kind", EVERY, ids=str)
@pytest.mark.parametrize("revision", [1, 127, 128, 2**40])
def test_joined_bytes_decode_to_one_whole_message(kind: Kind, revision: int) -> None:
    obj = kind.message()
    obj.metadata.name, obj.metadata.uid = "n" * 200, "u"  # type: ignore[attr-defined]
    obj.metadata.labels["a"] = "b"  # type: ignore[attr-defined]
    stored = obj.SerializeToString()
    obj.metadata.resource_version = str(revision)  # type: ignore[attr-defined]
    assert kind.message.FromString(frames.versioned(stored, revision)) == obj
    for event_type in (MODIFIED, DELETED):
        event = kind.watch_event.FromString(frames.event(event_type, frames.versioned(stored, revision), revision))
        expected = kind.watch_event(type=event_type, object=obj, resource_version=str(revision))  # type: ignore[call-arg]
        assert event == expected
    mark = kind.watch_event.FromString(frames.bookmark(revision, initial_state_end=True))
    assert (mark.resource_version, mark.initial_state_end, mark.HasField("object")) == (str(revision), True, False)  # type: ignore[attr-defined]
