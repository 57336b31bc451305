"""The same events in two groups."""

from __future__ import annotations

from typing import Any

import pytest
from steersman import errors
from steersman.client import ADDED, Api
from steersman.core.v1 import Event as CoreEvent
from steersman.events.v1 import Event
from steersman.manifests import codec

from apiserver.strategies.event_v1 import shown_of, stored_of
from tests import manifests


def new_event() -> Any:
    obj: Any = codec.decode_object(manifests.of("events.k8s.io/v1", "Event"))
    obj.metadata.namespace = "default"
    return obj


def core_event() -> Any:
    obj: Any = codec.decode_object(manifests.of("v1", "Event"))
    obj.metadata.namespace = "default"
    return obj


@pytest.mark.parametrize("make", [new_event, core_event])
def test_nothing_is_lost_between_the_groups(make: Any) -> None:
    event = make()
    data = event.SerializeToString(deterministic=True)
    there, back = (shown_of, stored_of) if isinstance(event, CoreEvent) else (stored_of, shown_of)
    assert type(event).FromString(back(there(data))) == event


async def test_an_event_is_seen_in_both_groups(api: Api) -> None:
    made = await api.resource(Event).create(new_event())
    seen = await api.events.get(made.metadata.name)
    assert (seen.message, seen.reporting_component) == (made.note, made.reporting_controller)
    assert (seen.involved_object, seen.metadata) == (made.regarding, made.metadata)
    old = await api.events.create(core_event())
    shown = await api.resource(Event).get(old.metadata.name)
    assert (shown.note, shown.deprecated_count, shown.metadata) == (old.message, old.count, old.metadata)
    both = {event.metadata.name for event in await api.resource(Event).list()}
    assert both == {event.metadata.name for event in await api.events.list()} == {"web.1", "web.2"}
    chosen = await api.resource(Event).list(field_selector="reason=Scheduled,regarding.name=web")
    assert [event.metadata.name for event in chosen] == ["web.2"]


async def test_a_watch_of_one_group_sees_writes_of_the_other(api: Api) -> None:
    await api.events.create(core_event())
    seen = []
    async for event in api.resource(Event).watch(namespace="default"):
        if event.type == ADDED and event.object is not None:
            seen.append(event.object.note)
        elif event.initial_state_end:
            made = new_event()
            made.note = "second"
            await api.resource(Event).create(made)
        if len(seen) == 2:
            break
    assert seen == ["The image was there.", "second"]


async def test_a_new_event_says_who_and_what(api: Api) -> None:
    bare = Event()
    bare.metadata.name, bare.metadata.namespace = "bare", "default"
    bare.deprecated_count = 1
    with pytest.raises(errors.Invalid) as caught:
        await api.resource(Event).create(bare)
    assert {violation.field for violation in caught.value.violations} == {
        "eventTime",
        "reportingController",
        "reportingInstance",
        "action",
        "reason",
        "type",
        "deprecatedCount",
    }


async def test_of_an_event_only_its_repetitions_change(api: Api) -> None:
    made = await api.resource(Event).create(new_event())
    made.series.count = 9
    made = await api.resource(Event).update(made)
    assert (await api.events.get(made.metadata.name)).series.count == 9
    made.note = "something else"
    with pytest.raises(errors.Invalid, match="note: may not change"):
        await api.resource(Event).update(made)
    elsewhere = new_event()
    elsewhere.metadata.name, elsewhere.regarding.namespace = "elsewhere", "other"
    with pytest.raises(errors.Invalid, match=r"regarding.namespace"):
        await api.resource(Event).create(elsewhere)


async def test_a_write_for_another_version_is_refused_in_both_groups(api: Api) -> None:
    made = await api.resource(Event).create(new_event())
    seen = await api.events.get(made.metadata.name)
    seen.count = 5
    await api.events.update(seen)
    made.series.count = 3
    with pytest.raises(errors.Conflict):
        await api.resource(Event).update(made)
    await api.resource(Event).delete(made.metadata.name)
    with pytest.raises(errors.NotFound):
        await api.events.get(made.metadata.name)
