"""Who floods waits behind himself; heartbeats and controllers do not wait at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from steersman import errors
from steersman.pki import Authority
from steersman.service.tls import TLSFiles

from apiserver import errors as domain
from apiserver import fairness
from apiserver.authn import User
from apiserver.authz.attributes import Attributes
from apiserver.bootstrap import Apiserver, Settings, node_channels
from apiserver.fairness import EXEMPT, Fairness, Metrics, classed
from apiserver.storage.memory import MemoryStorage
from tests.apiserver import access
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map
from tests.apiserver.test_access import lease
from tests.apiserver.test_rbac import becomes_allowed
from tests.waiting import eventually

LIST_PODS = Attributes("list", "pods")
PEOPLE = "global-default"


def user(name: str, *groups: str) -> User:
    return User(name, groups)


@pytest.mark.parametrize(
    ("caller", "wanted", "level"),
    [
        (user("admin", "system:masters"), LIST_PODS, EXEMPT),
        (user("system:node:n1", "system:nodes"), Attributes("update", "leases"), "node-high"),
        (user("system:node:n1", "system:nodes"), Attributes("update", "nodes", subresource="status"), "node-high"),
        (user("system:node:n1", "system:nodes"), LIST_PODS, "system"),
        (user("system:kube-controller-manager"), LIST_PODS, "workload-high"),
        (user("system:kube-scheduler"), Attributes("update", "leases"), "leader-election"),
        (user("system:serviceaccount:kube-system:x", "system:serviceaccounts:kube-system"), LIST_PODS, "workload-high"),
        (user("system:serviceaccount:default:x", "system:serviceaccounts"), LIST_PODS, "workload-low"),
        (user("ann", "system:authenticated"), LIST_PODS, PEOPLE),
    ],
)
def test_calls_are_classed_by_who_makes_them_and_what_they_are_about(
    caller: User, wanted: Attributes, level: str
) -> None:
    assert classed(caller, wanted)[0] == level


def seats_of(fair: Fairness, registry: CollectorRegistry, level: str) -> float:
    value = registry.get_sample_value("apiserver_seats_in_use", {"priority_level": level})
    return value or 0.0


class Hall:
    """Callers that hold their seats until they are told to go."""

    def __init__(self, seats: int) -> None:
        self.registry = CollectorRegistry()
        self.fair = Fairness(seats, Metrics(self.registry), time.monotonic)
        self.inside: list[str] = []
        self.order: list[str] = []
        self._go: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, who: User, width: int = 1) -> asyncio.Task[None]:
        self._go[name] = asyncio.Event()

        async def stay() -> None:
            async with self.fair.seat(who, LIST_PODS, width):
                self.inside.append(name)
                self.order.append(name)
                await self._go[name].wait()
            self.inside.remove(name)

        task = asyncio.create_task(stay(), name=name)
        self.tasks.append(task)
        return task

    def go(self, name: str) -> None:
        self._go[name].set()

    def waiting(self) -> int:
        value = self.registry.get_sample_value("apiserver_calls_waiting", {"priority_level": PEOPLE})
        return int(value or 0)


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    # 13 seats are two for people: a share of 40 in 260.
    made = Hall(13)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    assert seats_of(made.fair, made.registry, PEOPLE) == 0


async def test_flows_take_turns(hall: Hall) -> None:
    for index in range(6):
        hall.come(f"flood{index}", user("flood"))
    await eventually(lambda: hall.waiting() == 4)
    hall.come("ann0", user("ann"))
    hall.come("bob0", user("bob"))
    await eventually(lambda: hall.waiting() == 6)
    for name in ("flood0", "flood1", "flood2"):
        hall.go(name)
    await eventually(lambda: len(hall.order) == 5)
    # The flood was first in the queue; then it is the others' turn.
    assert hall.order == ["flood0", "flood1", "flood2", "ann0", "bob0"]


async def test_one_class_does_not_keep_another_out(hall: Hall) -> None:
    for index in range(20):
        hall.come(f"p{index}", user("ann"))
    await eventually(lambda: hall.waiting() == 18)
    hall.come("node", user("system:node:n1", "system:nodes"))
    hall.come("manager", user("system:kube-controller-manager"))
    hall.come("admin", user("admin", "system:masters"))
    await eventually(lambda: {"node", "manager", "admin"} <= set(hall.inside))


async def test_who_goes_away_while_waiting_takes_no_seat(hall: Hall) -> None:
    for index in range(5):
        hall.come(f"p{index}", user("ann"))
    await eventually(lambda: hall.waiting() == 3)
    hall.tasks[2].cancel()
    hall.tasks[3].cancel()
    await eventually(lambda: hall.waiting() == 1)
    hall.go("p0")
    await eventually(lambda: "p4" in hall.inside)
    assert seats_of(hall.fair, hall.registry, PEOPLE) == 2


async def test_a_wide_call_waits_for_all_its_seats_and_is_passed_by_nobody(hall: Hall) -> None:
    hall.come("small", user("ann"))
    await eventually(lambda: hall.inside == ["small"])
    hall.come("wide", user("bob"), width=99)
    await eventually(lambda: hall.waiting() == 1)
    hall.come("late", user("carl"))
    await eventually(lambda: hall.waiting() == 2)
    hall.go("small")
    await eventually(lambda: hall.inside == ["wide"])
    hall.go("wide")
    await eventually(lambda: hall.inside == ["late"])


async def test_too_many_and_too_long_are_refused(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(130):
        hall.come(f"p{index}", user("flood"))
    await eventually(lambda: hall.waiting() == 128)
    with pytest.raises(domain.TooBusy, match="global-default") as caught:
        async with hall.fair.seat(user("flood"), LIST_PODS):
            pass
    assert caught.value.retry_s > 0
    monkeypatch.setattr(fairness, "WAIT_MAX_S", 0.05)
    with pytest.raises(domain.TooBusy):
        async with hall.fair.seat(user("ann"), LIST_PODS):
            pass
    refused = {
        reason: hall.registry.get_sample_value(
            "apiserver_calls_refused_total", {"priority_level": PEOPLE, "reason": reason}
        )
        for reason in ("queue-full", "time-out")
    }
    assert refused == {"queue-full": 1, "time-out": 1}


@pytest.fixture
async def narrow(identities: tuple[Path, Authority]) -> AsyncIterator[Served]:
    """An apiserver with one seat for each class, on a store that answers when it is told to."""
    folder, authority = identities
    tls = TLSFiles(folder / "apiserver.crt", folder / "apiserver.key", folder / "ca.crt")
    storage = MemoryStorage()
    settings = Settings(addresses=["localhost:0"], tls=tls, seats=6)
    apiserver = Apiserver(settings, storage, node_channel=node_channels(tls))
    await apiserver.start()
    await apiserver.ready()
    made = Served(apiserver, storage, folder, authority)
    try:
        yield made
    finally:
        for api in made.opened:
            await api.close()
        await apiserver.stop(grace_s=0)


async def test_a_flood_is_told_to_come_again_while_heartbeats_pass(narrow: Served) -> None:
    admin = narrow.as_user("admin", "system:masters")
    await admin.clusterroles.create(access.cluster_role("writer", "create get", "configmaps"))
    await admin.clusterrolebindings.create(access.cluster_binding("writer", "writer", user="flood"))
    flood, n1 = narrow.as_user("flood"), narrow.as_user("system:node:n1", "system:nodes")
    await becomes_allowed(flood, "create", "configmaps")
    storage: Any = narrow.storage
    create, open_ = storage.create, asyncio.Event()

    async def held(key: str, *arguments: Any, **more: Any) -> int:
        if "/configmaps/" in key:
            await open_.wait()
        return int(await create(key, *arguments, **more))

    storage.create = held
    try:
        calls = [asyncio.create_task(flood.configmaps.create(config_map(f"c{i}"))) for i in range(160)]
        refused = await eventually(lambda: [call for call in calls if call.done()])
        error = refused[0].exception()
        assert isinstance(error, errors.Exhausted)
        assert (error.reason, error.facts["priority_level"]) == ("TOO_BUSY", PEOPLE)
        assert error.retry_after_s == 1.0
        made = await n1.leases.create(lease("n1"))
        for _ in range(5):
            made = await n1.leases.update(made)
        open_.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        open_.set()
        storage.create = create
    stored = [each for each in results if not isinstance(each, BaseException)]
    assert len(stored) == 129
    assert all(isinstance(each, errors.Exhausted) for each in results if isinstance(each, BaseException))


async def test_open_watches_take_no_seats(narrow: Served) -> None:
    admin = narrow.as_user("admin", "system:masters")
    await admin.clusterroles.create(access.cluster_role("reader", "list watch get", "configmaps"))
    await admin.clusterrolebindings.create(access.cluster_binding("reader", "reader", user="ann"))
    ann = narrow.as_user("ann")
    await becomes_allowed(ann, "watch", "configmaps")
    made = await admin.configmaps.create(config_map())
    watches = [ann.configmaps.watch() for _ in range(10)]
    # Also those that have nothing to tell when they begin.
    watches += [ann.configmaps.watch(resource_version=made.metadata.resource_version) for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    assert len(await ann.configmaps.list()) == 1
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
