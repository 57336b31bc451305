"""Who decides, where several schedulers run: the one that holds a Lease and renews it in time.

Clocks of different machines are not compared: a holder is taken to be gone when its Lease has not changed for the
Lease's duration on this machine's clock. A holder that cannot renew stops deciding before others may take over.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from steersman import errors
from steersman.clock import Clock, to_timestamp
from steersman.coordination.v1.lease_pb2 import Lease
from steersman.log import get_logger
from steersman.resource import ResourceClient

log = get_logger(__name__)


@dataclass(frozen=True)
class Terms:
    """How long things take, in seconds.

    Attributes:
        lease_s: how long others wait after the last renewal before they take over.
        renew_s: how long the holder goes on without having renewed; less than `lease_s`.
        retry_s: time between attempts; less than `renew_s`.

    Raises:
        ValueError: with these two could lead at once, or nobody for long.
    """

    lease_s: float = 15.0
    renew_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_s < self.renew_s < self.lease_s:
            raise ValueError(f"retry_s < renew_s < lease_s must hold: {self.retry_s}, {self.renew_s}, {self.lease_s}")


class Election:
    """Takes part in an election. `run()` it; `leads()` says whether this process may decide just now."""

    def __init__(
        self,
        leases: ResourceClient[Lease],
        clock: Clock,
        *,
        name: str,
        namespace: str,
        identity: str,
        terms: Terms,
        on_change: Callable[[], None],
    ) -> None:
        """Makes it.

        Args:
            leases: the Leases.
            clock: the clock.
            name: name of the Lease.
            namespace: its namespace.
            identity: what tells this process from all others.
            terms: durations.
            on_change: called when this process begins to lead.
        """
        self._leases = leases
        self._clock = clock
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._terms = terms
        self._on_change = on_change
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)

    def leads(self) -> bool:
        """Whether this process holds the Lease and has renewed it lately."""
        return self._renewed is not None and self._clock.monotonic() - self._renewed < self._terms.renew_s

    async def run(self) -> None:
        """Tries to get and to keep the Lease, until cancelled."""
        while True:
            led = self.leads()
            started = self._clock.monotonic()
            try:
                held = await self._try()
            except errors.ApiError as error:
                log.debug("lease cannot be had just now", lease=self._name, error=error.message)
                held = False
            if held:
                # The Lease counts from before the call: the apiserver may have taken it at once.
                self._renewed = started
                if not led:
                    log.info("leading", lease=self._name, identity=self._identity)
                    self._on_change()
            elif led and not self.leads():
                log.warning("leading no more", lease=self._name, identity=self._identity)
            await self._clock.sleep(self._terms.retry_s)

    async def _try(self) -> bool:
        """Whether the Lease is ours after this."""
        try:
            lease = await self._leases.get(self._name, namespace=self._namespace)
        except errors.NotFound:
            fresh = Lease(metadata={"name": self._name, "namespace": self._namespace})
            self._claim(fresh, new_holder=True)
            try:
                await self._leases.create(fresh)
            except errors.AlreadyExists:
                return False
            return True
        holder = lease.spec.holder_identity
        now = self._clock.monotonic()
        if holder and holder != self._identity:
            if self._seen[0] != lease.metadata.resource_version:
                self._seen = (lease.metadata.resource_version, now)
            duration_s = lease.spec.lease_duration_seconds or self._terms.lease_s
            if now - self._seen[1] < duration_s:
                self._renewed = None
                return False
        self._claim(lease, new_holder=holder != self._identity)
        try:
            await self._leases.update(lease)
        except errors.Conflict:
            return False
        return True

    def _claim(self, lease: Lease, *, new_holder: bool) -> None:
        now = to_timestamp(self._clock.now())
        if new_holder:
            lease.spec.acquire_time.CopyFrom(now)
            if lease.spec.holder_identity:
                lease.spec.lease_transitions += 1
        lease.spec.holder_identity = self._identity
        # Never less than we count on ourselves.
        lease.spec.lease_duration_seconds = math.ceil(self._terms.lease_s)
        lease.spec.renew_time.CopyFrom(now)

    async def resign(self) -> None:
        """Gives the Lease back, so that another need not wait for it to run out; to be called after deciding ended.

        An apiserver that does not answer is not waited for longer than the Lease lasts.
        """
        if self._renewed is None or not self.leads():
            return
        left_s = self._renewed + self._terms.lease_s - self._clock.monotonic()
        self._renewed = None
        try:
            async with asyncio.timeout(left_s):
                lease = await self._leases.get(self._name, namespace=self._namespace)
                if lease.spec.holder_identity == self._identity:
                    lease.spec.holder_identity = ""
                    await self._leases.update(lease)
        except errors.ApiError as error:
            log.debug("lease not given back", lease=self._name, error=error.message)
        except TimeoutError:
            log.debug("lease not given back", lease=self._name, error="the apiserver does not answer")
