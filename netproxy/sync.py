"""The loop: when anything changed, compile everything and make the kernel so.

Level-triggered: a change only says that it is time to look; what is done follows from the present objects alone. Two
periodic checks guard against others who change the rules: a cheap one of the canary chain, and a full one that compares
every chain and jump. A failure is retried with growing delays, and the rules that were in force stay so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import structlog
from google.protobuf.message import Message
from steersman.clock import Clock
from steersman.core.v1 import Node, Service
from steersman.discovery.v1 import EndpointSlice
from steersman.retry import Backoff

from netproxy import conntrack, names, routes, transaction
from netproxy.commands import CommandError
from netproxy.compiler import Compiled, Compiler, Health, internal_addresses
from netproxy.endpoints import ZONE_LABEL
from netproxy.metrics import Metrics
from netproxy.routes import Route
from netproxy.transaction import Found

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=Message)


class Source(Protocol[M]):
    """The current objects of a kind; `steersman.informer.Informer` is one."""

    resource_version: str

    def list(self) -> list[M]:
        """All objects."""
        ...

    def on_change(self, handler: Callable[[M | None, M | None], None]) -> None:
        """Calls the handler on every change."""
        ...

    async def synced(self) -> None:
        """Returns when the first full state is there."""
        ...


class Kernel(Protocol):
    """The rules of this node; `netproxy.iptables.Iptables` has them."""

    async def restore(self, text: str) -> None:
        """Runs one input atomically per table."""
        ...

    async def found(self) -> dict[str, Found]:
        """What is there."""
        ...

    async def has_rules_in(self, chain: str) -> bool:
        """Whether a chain has rules in every table."""
        ...


@dataclass(frozen=True)
class Network:
    """What else of the node follows from the objects; functions, so that a simulation can pass its own.

    Attributes:
        apply_routes: makes the routes these and returns those that were refused.
        forget: deletes tracked flows.
        udp_flows: lists tracked UDP flows.
        serve_health: answers load balancers at these ports, and at no others.
    """

    apply_routes: Callable[[frozenset[Route]], Awaitable[frozenset[Route]]]
    forget: Callable[[list[conntrack.Flows]], Awaitable[int]]
    udp_flows: Callable[[], Awaitable[str]]
    serve_health: Callable[[Mapping[int, Health]], Awaitable[None]]


@dataclass(frozen=True)
class Periods:
    """When things happen, in seconds.

    Attributes:
        sync_min_s: least time between the end of one sync and the beginning of the next.
        sync_s: how often everything is compared and, where needed, written again.
        canary_s: how often the canary chain is looked for.
    """

    sync_min_s: float = 0.1
    sync_s: float = 30.0
    canary_s: float = 5.0


@dataclass
class Status:
    """What the last sync did; see rules.proto."""

    generation: int = 0
    service_revision: str = ""
    endpoint_slice_revision: str = ""
    last_sync: datetime | None = None
    duration_s: float = 0.0
    services: int = 0
    endpoints: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    routes: int = 0
    error: str = ""


class Proxy:
    """Keeps one node's rules and routes as the cluster's objects ask."""

    def __init__(
        self,
        compiler: Compiler,
        kernel: Kernel,
        network: Network,
        *,
        services: Source[Service],
        slices: Source[EndpointSlice],
        nodes: Source[Node],
        clock: Clock,
        metrics: Metrics,
        periods: Periods | None = None,
        on_first_sync: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = Status()
        self.compiled: Compiled | None = None
        """What was compiled last."""
        self._compiler = compiler
        self._kernel = kernel
        self._network = network
        self._services = services
        self._slices = slices
        self._nodes = nodes
        self._clock = clock
        self._metrics = metrics
        self._periods = periods or Periods()
        self._on_first_sync = on_first_sync
        self._installed: Compiled | None = None
        self._settled = False
        self._changed = asyncio.Event()
        self._advanced = asyncio.Condition()
        services.on_change(lambda _old, _new: self._changed.set())
        slices.on_change(lambda _old, _new: self._changed.set())
        nodes.on_change(self._node_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        # Heartbeats change a node all the time and the rules never.
        if old is None or new is None or _relevant(old) != _relevant(new):
            self._changed.set()

    async def run(self) -> None:
        """Syncs until cancelled; the rules stay when it ends."""
        await asyncio.gather(self._services.synced(), self._slices.synced(), self._nodes.synced())
        backoff = Backoff(base_s=0.2, limit_s=10.0)
        checked = self._clock.monotonic()
        while True:
            self._changed.clear()
            self._settled = False
            try:
                await self.sync()
                self._settled = True
                await self._announce()
                backoff.reset()
                pause_s = max(self._periods.sync_min_s, self.status.duration_s)
            except CommandError as error:
                self._installed = None
                self.status.error = str(error)
                self._changed.set()
                pause_s = backoff.next_s()
                log.error("sync failed, rules in force are unchanged", error=str(error), retry_in_s=round(pause_s, 2))
            await self._clock.sleep(pause_s)
            while not await self._wait_changed(self._periods.canary_s):
                try:
                    thorough = self._clock.monotonic() - checked >= self._periods.sync_s
                    if thorough:
                        checked = self._clock.monotonic()
                    if not await self._holds(thorough=thorough):
                        log.warning("rules were changed by somebody else, making them anew")
                        self._metrics.repairs.inc()
                        self._installed = None
                        break
                    if thorough:
                        await self._sync_routes()
                    # Revisions may have passed that did not concern the rules.
                    await self._announce()
                except CommandError as error:
                    log.warning("rules cannot be checked", error=str(error))

    async def sync(self) -> None:
        """Compiles the present objects and makes the kernel so.

        Raises:
            CommandError: the kernel has the former rules still, or of one table the new ones.
        """
        start = self._clock.monotonic()
        service_revision, slice_revision = self._services.resource_version, self._slices.resource_version
        compiled = self._compiler.compile(self._services.list(), self._slices.list(), self._nodes.list())
        self.compiled = compiled
        installed = self._installed
        if installed is None:
            text = transaction.complete(compiled.rules, await self._kernel.found())
        else:
            text = transaction.difference(compiled.rules, installed.rules)
        if text:
            try:
                await self._kernel.restore(text)
            except CommandError:
                self._metrics.failures.inc()
                raise
            self._metrics.written.inc()
        self._installed = compiled
        if installed is not None:
            flows = conntrack.stale(installed.ports, installed.endpoints, compiled.ports, compiled.endpoints)
            await self._network.forget(flows)
        elif self.status.generation == 0:
            listing = await self._network.udp_flows()
            await self._network.forget(conntrack.stale_in(listing, compiled.ports, compiled.endpoints))
        await self._network.serve_health(compiled.health)
        await self._sync_routes()
        await self._succeeded(compiled, start, service_revision, slice_revision, bytes_written=len(text))

    async def _sync_routes(self) -> None:
        desired = routes.wanted(self._nodes.list(), self._compiler.options.node_name)
        refused = await self._network.apply_routes(desired)
        self.status.routes = len(desired) - len(refused)
        self._metrics.routes.set(self.status.routes)
        self._metrics.routes_refused.set(len(refused))
        if refused:
            log.warning("no way to these nodes' pods", routes=sorted(refused))

    async def _succeeded(
        self, compiled: Compiled, start: float, service_revision: str, slice_revision: str, *, bytes_written: int
    ) -> None:
        status, metrics = self.status, self._metrics
        status.generation += 1
        status.service_revision, status.endpoint_slice_revision = service_revision, slice_revision
        status.last_sync = self._clock.now()
        status.duration_s = self._clock.monotonic() - start
        status.services = len(compiled.ports)
        status.endpoints = sum(len(some) for some in compiled.endpoints.values())
        status.rules = {table: compiled.rules.count(table) for table in ("filter", "nat")}
        status.error = ""
        metrics.duration.observe(status.duration_s)
        metrics.last.set(status.last_sync.timestamp())
        metrics.services.set(status.services)
        metrics.endpoints.set(status.endpoints)
        for table, count in status.rules.items():
            metrics.rules.labels(table=table).set(count)
        if bytes_written:
            log.info(
                "rules in force",
                generation=status.generation,
                services=status.services,
                endpoints=status.endpoints,
                bytes_written=bytes_written,
                duration_ms=round(status.duration_s * 1000, 1),
            )
        if status.generation == 1 and self._on_first_sync is not None:
            await self._on_first_sync()

    async def _announce(self) -> None:
        async with self._advanced:
            self._advanced.notify_all()

    async def wait_until(self, satisfied: Callable[[Status], bool]) -> None:
        """Returns when a successful sync satisfies the condition, or at once when the last one did."""
        async with self._advanced:
            while not (self.status.generation and satisfied(self.current())):
                await self._advanced.wait()

    def current(self) -> Status:
        """The status, with revisions that have passed since without a change that concerns the rules."""
        status = self.status
        if self._settled and not self._changed.is_set():
            status.service_revision = self._services.resource_version
            status.endpoint_slice_revision = self._slices.resource_version
        return status

    async def _holds(self, *, thorough: bool) -> bool:
        if self._installed is None:
            return True
        if thorough:
            return transaction.intact(self._installed.rules, await self._kernel.found())
        return await self._kernel.has_rules_in(names.CANARY)

    async def _wait_changed(self, seconds: float) -> bool:
        """Whether something changed within so many seconds; returns as soon as it did."""
        if self._changed.is_set():
            return True
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((timer, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            change.cancel()
        return self._changed.is_set()


def _relevant(node: Node) -> tuple[object, ...]:
    """The parts of a node that rules and routes are made from."""
    return (
        node.spec.pod_cidr,
        tuple(node.spec.pod_cidrs),
        internal_addresses(node),
        node.metadata.labels.get(ZONE_LABEL, ""),
    )
