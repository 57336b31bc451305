"""Fair under load: calls are classed, each class has its own seats, and within a class flows take turns.

A call that finds no free seat waits in the queue of its flow (its user, mostly). A seat that becomes free goes to the
next flow in turn, so that who floods waits behind himself. What would wait too long is refused, with a hint when to
come again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from apiserver import errors
from apiserver.authn import MASTERS, User
from apiserver.authz.attributes import Attributes

ACCOUNTS, SYSTEM_ACCOUNTS = "system:serviceaccounts", "system:serviceaccounts:kube-system"
CONTROL_PLANE = frozenset({"system:kube-controller-manager", "system:kube-scheduler"})
WAIT_MAX_S = 15.0
RETRY_S = 1.0


@dataclass(frozen=True)
class Level:
    """A class of calls.

    Attributes:
        name: as Kubernetes calls it.
        share: of all seats, in parts of the sum of shares.
        queue_max: how many calls of one flow may wait.
    """

    name: str
    share: int
    queue_max: int = 128


EXEMPT = "exempt"
LEVELS = (
    Level("node-high", 40, 256),
    Level("leader-election", 10, 32),
    Level("system", 30),
    Level("workload-high", 40, 512),
    Level("workload-low", 100),
    Level("global-default", 40),
)


def classed(user: User, wanted: Attributes) -> tuple[str, str]:
    """The class of a call, and its flow within the class."""
    if MASTERS in user.groups:
        return EXEMPT, ""
    if user.node is not None:
        heartbeat = wanted.resource in ("leases", "nodes")
        return ("node-high" if heartbeat else "system"), user.name
    own = user.name in CONTROL_PLANE or SYSTEM_ACCOUNTS in user.groups
    if own and wanted.resource == "leases":
        return "leader-election", user.name
    if own:
        return "workload-high", user.name
    if user.name == "system:kube-proxy":
        return "system", user.name
    if ACCOUNTS in user.groups:
        return "workload-low", user.name
    return "global-default", user.name


class Metrics:
    """What is counted of classes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ["priority_level"]
        self.seats = Gauge("apiserver_seats_in_use", "Seats that calls are in", names, registry=registry)
        self.waiting = Gauge("apiserver_calls_waiting", "Calls that wait for a seat", names, registry=registry)
        self.refused = Counter("apiserver_calls_refused", "Calls refused", [*names, "reason"], registry=registry)
        self.waited = Histogram("apiserver_wait_seconds", "How long calls waited for a seat", names, registry=registry)


@dataclass
class _Waiter:
    width: int
    turn: asyncio.Future[None]


class _Class:
    """Seats and queues of one class."""

    def __init__(self, level: Level, seats: int, metrics: Metrics) -> None:
        self._level = level
        self._seats = seats
        self._metrics = metrics
        self._used = 0
        # In the order of their turns; a flow that has got a seat goes to the end.
        self._flows: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    async def enter(self, flow: str, width: int, monotonic: Callable[[], float]) -> int:
        """Takes seats, after waiting for them if need be; returns how many.

        Raises:
            TooBusy: too many wait, or it took too long.
        """
        width = min(width, self._seats)
        if not self._flows and self._used + width <= self._seats:
            self._take(width)
            return width
        queue = self._flows.setdefault(flow, deque())
        if len(queue) >= self._level.queue_max:
            self._metrics.refused.labels(self._level.name, "queue-full").inc()
            raise errors.TooBusy(self._level.name, RETRY_S)
        waiter = _Waiter(width, asyncio.get_running_loop().create_future())
        queue.append(waiter)
        self._metrics.waiting.labels(self._level.name).inc()
        began = monotonic()
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await waiter.turn
        except TimeoutError as error:
            self._give_up(flow, waiter)
            self._metrics.refused.labels(self._level.name, "time-out").inc()
            raise errors.TooBusy(self._level.name, RETRY_S) from error
        except asyncio.CancelledError:
            self._give_up(flow, waiter)
            raise
        finally:
            self._metrics.waiting.labels(self._level.name).dec()
            self._metrics.waited.labels(self._level.name).observe(monotonic() - began)
        return width

    def _give_up(self, flow: str, waiter: _Waiter) -> None:
        if waiter.turn.done() and not waiter.turn.cancelled():
            # The seat came at the same moment: it is somebody else's now.
            self.leave(waiter.width)
            return
        queue = self._flows.get(flow)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._flows[flow]
        self._admit_next()

    def _take(self, width: int) -> None:
        self._used += width
        self._metrics.seats.labels(self._level.name).set(self._used)

    def leave(self, width: int) -> None:
        """Gives seats back; those next in turn get them."""
        self._used -= width
        self._metrics.seats.labels(self._level.name).set(self._used)
        self._admit_next()

    def _admit_next(self) -> None:
        while self._flows:
            flow, queue = next(iter(self._flows.items()))
            while queue and queue[0].turn.done():
                queue.popleft()
            if not queue:
                del self._flows[flow]
                continue
            if self._used + queue[0].width > self._seats:
                return
            waiter = queue.popleft()
            self._take(waiter.width)
            waiter.turn.set_result(None)
            del self._flows[flow]
            if queue:
                self._flows[flow] = queue


class Fairness:
    """All classes."""

    def __init__(self, seats: int, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        """Makes it; every class gets its share of the seats, and one at least.

        Args:
            seats: how many calls are served at once, over all classes but the exempt one.
            metrics: what is counted.
            monotonic: seconds from an arbitrary origin.
        """
        total = sum(level.share for level in LEVELS)
        self._classes = {level.name: _Class(level, max(1, seats * level.share // total), metrics) for level in LEVELS}
        self._monotonic = monotonic

    @asynccontextmanager
    async def seat(self, user: User, wanted: Attributes, width: int = 1) -> AsyncIterator[None]:
        """A seat for a call, for as long as the block lasts; `width` seats for one that costs as much as several.

        Raises:
            TooBusy: there is none, and too many wait already or it took too long.
        """
        name, flow = classed(user, wanted)
        if name == EXEMPT:
            yield
            return
        chosen = self._classes[name]
        taken = await chosen.enter(flow, max(1, width), self._monotonic)
        try:
            yield
        finally:
            chosen.leave(taken)
