"""Events of several components about one object, in one moment."""

from __future__ import annotations

import asyncio

from steersman import testing
from steersman.core.v1 import ConfigMap
from steersman.recorder import Recorder
from steersman.testing import run_virtual


def test_no_event_is_lost_to_another_of_the_same_moment() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            it = await plane.api.configmaps.create(ConfigMap(metadata={"name": "it", "namespace": "default"}))
            recorders = [Recorder(plane.api, component, clock=plane.clock) for component in ("one", "two")]
            sending = [asyncio.create_task(recorder.run()) for recorder in recorders]
            for recorder in recorders:
                for reason in ("First", "Second"):
                    recorder.event(it, "Normal", reason, "happened")
                    recorder.event(it, "Normal", reason, "happened")
            await asyncio.sleep(5)
            for task in sending:
                task.cancel()
            events = await plane.api.events.list(namespace="default")
            assert sorted((event.source.component, event.reason) for event in events) == [
                ("one", "First"),
                ("one", "Second"),
                ("two", "First"),
                ("two", "Second"),
            ]
            assert {event.count for event in events} == {2}

    run_virtual(main())
