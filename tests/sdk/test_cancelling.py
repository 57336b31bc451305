"""What is given up or closed at an awkward moment ends, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from steersman import errors, testing
from steersman.client import Api
from steersman.core.v1 import ConfigMap
from steersman.election import Terms
from steersman.runtime import Runtime
from steersman.streams.connection import Connection, Forward
from steersman.streams.duplex import Duplex
from steersman.testing import run_virtual

from tests.waiting import eventually


class SilentCall:
    """A watch on which nothing comes."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.afterwards: Callable[[], Any] = lambda: None

    async def read(self) -> Any:
        return await self.waiting

    def cancel(self) -> None:
        self.waiting.cancel()
        self.afterwards()


class SilentChannel:
    def __init__(self) -> None:
        self.call = SilentCall()

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        return lambda *_, **__: self.call

    async def close(self) -> None:
        self.call.cancel()


async def test_who_is_cancelled_while_a_watch_is_given_up_for_its_silence_is_cancelled() -> None:
    channel = SilentChannel()
    api = Api(channel)  # type: ignore[arg-type]
    watching = asyncio.ensure_future(anext(api.resource(ConfigMap).watch(silence_max_s=0.01)))
    channel.call.afterwards = watching.cancel
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_a_silent_watch_is_a_broken_one() -> None:
    api = Api(SilentChannel())  # type: ignore[arg-type]
    with pytest.raises(errors.Unavailable, match="silent"):
        await anext(api.resource(ConfigMap).watch(silence_max_s=0.01))


def test_a_leader_whose_apiserver_is_away_waits_for_it_no_longer_than_its_lease_lasts() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            terms = Terms(lease_s=15, renew_s=10, retry_s=2)
            api = await plane.connect("admin", "system:masters")
            runtime = Runtime(api, "leader", clock=plane.clock, election=terms)
            await runtime.start()
            await eventually(runtime.leads)
            await api.close()
            began = plane.clock.monotonic()
            await runtime.stop()
            assert plane.clock.monotonic() - began <= terms.lease_s

    run_virtual(main())


async def test_a_stop_that_is_cut_short_stops_all_the_same() -> None:
    async with testing.control_plane("apiserver") as plane:
        runtime = Runtime(plane.api, "talker")
        runtime.informer(ConfigMap)
        await runtime.start()
        made = await plane.api.configmaps.create(ConfigMap(metadata={"name": "one", "namespace": "default"}))
        runtime.recorder.event(made, "Normal", "Said", "something")
        stopping = asyncio.create_task(runtime.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert not {"informer of configmaps", "recorder"} & {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("steps", range(6))
async def test_a_forwarded_port_that_is_closed_dials_no_more(steps: int) -> None:
    class Dialled(Duplex):
        def __init__(self) -> None:
            pass

        async def open(self) -> None:
            assert is_open, "dialled after the port was closed"
            await asyncio.Event().wait()

        def close(self) -> None:
            return

    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    is_open = True
    with socket.socket() as client:
        async with Forward(lambda: Connection(Dialled()), address="127.0.0.1", port=0) as port:
            client.connect(("127.0.0.1", port))
            for _ in range(steps):
                await asyncio.sleep(0)
        is_open = False
        for _ in range(10):
            await asyncio.sleep(0)
    assert not failures
