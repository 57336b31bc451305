"""Measures the node and its containers, every so often and when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from steersman.clock import Clock

from nodeagent.cri.runtime import ContainerUse, Runtime
from nodeagent.errors import RuntimeFailedError
from nodeagent.usage.machine import Machine
from nodeagent.usage.rates import History, Rate, Reading

log = structlog.get_logger(__name__)

PERIOD_S = 15.0
# What nobody has measured yet is measured twice, so far apart.
PAUSE_S = 1.0
NODE = ""


@dataclass(frozen=True)
class Measured:
    """What the node and its containers use.

    Attributes:
        node: the node; None when nobody can say.
        containers: each container that runs, and what it uses.
    """

    node: Rate | None
    containers: list[tuple[ContainerUse, Rate]]


class Meter:
    """Keeps the latest readings, from which rates are made."""

    def __init__(self, runtime: Runtime, machine: Machine, clock: Clock) -> None:
        self._runtime = runtime
        self._machine = machine
        self._clock = clock
        self._history = History()

    async def run(self) -> None:
        """Measures for ever, so that whoever asks gets an average over a while at once."""
        while True:
            try:
                self._history.keep(self._readings(await self._runtime.container_use()))
            except RuntimeFailedError as error:
                log.debug("containers cannot be measured", error=error.message)
            await self._clock.sleep(PERIOD_S)

    async def measure(self) -> Measured:
        """What is used now.

        Raises:
            RuntimeFailedError: the runtime does not answer.
        """
        uses = await self._runtime.container_use()
        now = self._readings(uses)
        rates = self._history.rates(now)
        if rates.keys() != now.keys():
            self._history.keep(now)
            await self._clock.sleep(PAUSE_S)
            uses = await self._runtime.container_use()
            now = self._readings(uses)
            rates = self._history.rates(now)
        containers = [(use, rates[use.container_id]) for use in uses if use.container_id in rates]
        return Measured(rates.get(NODE) or _sum([rate for _, rate in containers]), containers)

    def _readings(self, uses: list[ContainerUse]) -> dict[str, Reading]:
        found = {use.container_id: use.reading for use in uses}
        time_ns = int(self._clock.now().timestamp() * 1_000_000_000)
        node = self._machine.read(time_ns)
        return {**found, NODE: node} if node is not None else found


def _sum(rates: list[Rate]) -> Rate | None:
    """What containers use together, where the kernel does not say it of the node."""
    if not rates:
        return None
    return Rate(
        max(rate.time_ns for rate in rates),
        max(rate.window_ns for rate in rates),
        sum(rate.cpu_nanocores for rate in rates),
        sum(rate.memory_bytes for rate in rates),
    )
