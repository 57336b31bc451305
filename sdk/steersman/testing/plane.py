"""A whole control plane in one `async with`."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from steersman.client import Api, connect_to
from steersman.clock import Clock
from steersman.service import logs
from steersman.testing.hollow import HollowNode
from steersman.testing.place import Place, service
from steersman.testing.virtual import VirtualClock

# In this order; the apiserver is always there.
SERVICES = ("controllers", "scheduler")


class ControlPlane:
    """A running control plane; see `control_plane`.

    Attributes:
        api: the administrator's client.
        clock: the time of everything in it.
        seed: of its randomness: names, uids, addresses, choices of the scheduler.
    """

    def __init__(self, place: Place, seed: int, stack: AsyncExitStack) -> None:
        self._place = place
        self._stack = stack
        # A network for measurements: nothing is there. No two pods have the same address, on whatever nodes they are.
        self._addresses = map(str, ip_network("198.18.0.0/15").hosts())
        self.seed = seed
        self.clock: Clock = place.clock
        self.api: Api

    async def connect(self, user: str, *groups: str) -> Api:
        """A client of another user; it is closed with the control plane."""
        return await self._stack.enter_async_context(connect_to(self._place.context(user, *groups)))

    def configuration(self, user: str = "admin", *groups: str) -> Path:
        """A client configuration file: for `steer --config`, or $STEERCONFIG of a program under test.

        Without groups the user "admin" may do everything. Programs elsewhere reach it in real time only.
        """
        return self._place.configuration(user, user, *(groups or _groups(user)))

    async def node(self, name: str, **properties: str) -> HollowNode:
        """Adds a hollow node and returns it when it is ready; it goes with the control plane.

        Args:
            name: its name.
            properties: capacity, as `cpu="4"`, `memory="8Gi"`, `pods="110"`; these are the defaults.

        Raises:
            AlreadyExists: there is a node of this name, even if it has fallen silent.
        """
        api = await self.connect(f"system:node:{name}", "system:nodes")
        node = HollowNode(api, self.api, name, self.clock, properties, self._addresses)
        return await self._stack.enter_async_context(node)


def _groups(user: str) -> Sequence[str]:
    return ("system:masters",) if user == "admin" else ()


@asynccontextmanager
async def control_plane(
    *services: str, seed: int | None = None, start: datetime | None = None
) -> AsyncIterator[ControlPlane]:
    """A control plane in this process and its event loop, gone without a trace afterwards.

    Args:
        services: what runs beside the apiserver: "controllers", "scheduler"; none named: both. "apiserver" alone
            means just that.
        seed: of its randomness; None: another one every time. It is `seed` of the control plane.
        start: the moment at which its time starts; None: the machine's present moment.

    Raises:
        MissingServiceError: a service is not installed.
    """
    logs.default()
    loop = asyncio.get_running_loop()
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    wanted = [name for name in services or SERVICES if name != "apiserver"]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="steersman-")))
        place = Place.create(folder, VirtualClock(loop, start), random.Random(seed))
        await stack.enter_async_context(service("apiserver")(place))
        plane = ControlPlane(place, seed, stack)
        plane.api = await plane.connect("admin", "system:masters")
        for name in wanted:
            await stack.enter_async_context(service(name)(place))
        yield plane
