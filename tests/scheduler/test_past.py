"""A decision can be explained as it was made, as long as what happened since is known; and nothing is left behind."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Namespace, Node, Pod, Service

from scheduler.bootstrap import make_schedule
from scheduler.columns.journal import Journal
from scheduler.extender import ExtenderSpec, Judgement
from scheduler.framework import Framework, NodeVerdict, Profile
from scheduler.outcomes import Inquiry, Placement, Refusal
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod
from tests.scheduler.storage_objects import claim, drivers, storage_class, using, volume

ZONE = "topology.kubernetes.io/zone"


def away_from(app: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": ZONE}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def spread_over(key: str) -> list[dict[str, Any]]:
    selector = {"matchLabels": {"app": "a"}}
    return [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}]


@st.composite
def wishes(draw: Any) -> Pod:
    more: dict[str, Any] = {}
    kind = draw(st.sampled_from(["plain", "spread", "away", "claim", "open"]))
    if kind == "spread":
        more["topologySpreadConstraints"] = spread_over(draw(st.sampled_from([ZONE, "kubernetes.io/hostname"])))
    elif kind == "away":
        more["affinity"] = away_from(draw(st.sampled_from(["a", "b"])))
    elif kind == "claim":
        more["volumes"] = using("bound")
    elif kind == "open":
        more["volumes"] = using(draw(st.sampled_from(["c0", "c1"])))
    labels = {"app": draw(st.sampled_from(["a", "b"]))}
    priority = draw(st.sampled_from([0, 0, 10]))
    return pod(cpu=draw(st.sampled_from(["500m", "1"])), labels=labels, priority=priority, **more)


def nodes(number: int, order: random.Random) -> Node:
    labels = {ZONE: order.choice(["z1", "z2"])} if order.random() < 0.8 else {}
    return node(f"n{number}", cpu=order.choice(["1", "2", "4"]), labels=labels, unschedulable=order.random() < 0.1)


def happen(schedule: Schedule, order: random.Random, bound: dict[str, Pod], now: float) -> None:
    """Something happens."""
    event = order.choice(
        ["node", "node gone", "pod gone", "pod bound", "namespace", "service", "claim", "volume", "class", "drivers"]
    )
    number = order.randrange(4)
    if event == "node":
        schedule.node_changed(None, nodes(number, order), now)
    elif event == "node gone":
        schedule.node_changed(node(f"n{number}"), None, now)
    elif event == "pod gone" and bound:
        schedule.pod_changed(bound.pop(order.choice(sorted(bound))), None, now)
    elif event == "pod bound":
        made = pod(cpu="500m", labels={"app": order.choice(["a", "b"])}, on=f"n{number}", affinity=away_from("b"))
        bound[made.metadata.uid] = made
        schedule.pod_changed(None, made, now)
    elif event == "namespace":
        schedule.namespace_changed(
            None, Namespace(metadata={"name": "default", "labels": {"team": order.choice("xy")}}), now
        )
    elif event == "service":
        made_service = Service(
            metadata={"name": "s", "namespace": "default"}, spec={"selector": {"app": order.choice("ab")}}
        )
        schedule.service_changed(None, made_service if order.random() < 0.5 else None)
        if order.random() < 0.3:
            schedule.service_changed(made_service, None)
    elif event == "claim":
        some = claim(f"c{number % 2}", size=order.choice(["1Gi", "3Gi"]))
        schedule.claim_changed(None, some, now)
        if order.random() < 0.3:
            schedule.claim_changed(some, None, now)
    elif event == "volume":
        some_volume = volume(f"v{number}", size=order.choice(["1Gi", "2Gi"]), on=[f"n{order.randrange(4)}"])
        schedule.volume_changed(None, some_volume, now)
        if order.random() < 0.3:
            schedule.volume_changed(some_volume, None, now)
    elif event == "class":
        schedule.class_changed(None, storage_class("wait", delayed=order.random() < 0.8), now)
    elif event == "drivers":
        schedule.drivers_changed(None, drivers(f"n{number}", {"disk.example.com": order.randrange(2)}), now)


def as_it_is(schedule: Schedule, incoming: Pod) -> list[NodeVerdict]:
    template = schedule.read(incoming).template
    return schedule.frameworks["default-scheduler"].explain(template)


PATIENT = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(st.lists(wishes(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_decision_is_explained_as_it_was(incoming: list[Pod], order: random.Random) -> None:
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    bound: dict[str, Pod] = {}
    for number in range(3):
        schedule.node_changed(None, nodes(number, order), 0)
    schedule.claim_changed(None, claim("bound", volume="there"), 0)
    schedule.volume_changed(None, volume("there", of="bound", driver="disk.example.com"), 0)
    now = 0.0
    seen: list[tuple[str, float, list[NodeVerdict]]] = []
    for one in incoming:
        for _ in range(order.randrange(6)):
            happen(schedule, order, bound, now)
        now += 1000
        schedule.pod_changed(None, one, now)
        # What is nominated is looked past for those of higher priority, and those alone.
        before = as_it_is(schedule, one) if not schedule.nominated else None
        while (attempt := schedule.attempt(now)) is not None:
            uid = attempt.pod.uid if isinstance(attempt, Placement) else attempt.pod.metadata.uid
            if uid == one.metadata.uid:
                break
            before = None
        if before is not None and attempt is not None:
            seen.append((one.metadata.uid, now, before))
        if isinstance(attempt, Placement):
            bound[one.metadata.uid] = one
    for _ in range(order.randrange(20)):
        happen(schedule, order, bound, now)
    present = as_it_is(schedule, incoming[0])
    requested = schedule.cluster.resources.requested.copy()
    for uid, at, verdicts in seen:
        memory = schedule.remembered.get(uid)
        assert memory is not None
        if memory.at == at:
            # Otherwise it was tried once more, and that is what is remembered.
            assert schedule.explain_past(memory) == verdicts
    assert as_it_is(schedule, incoming[0]) == present, "looking back changes nothing"
    height = schedule.cluster.height
    assert (schedule.cluster.resources.requested[:, :height] == requested[:, :height]).all()


@pytest.fixture
def schedule() -> Schedule:
    made = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    for number in range(3):
        made.node_changed(None, node(f"n{number}", cpu="2"), 0)
    return made


def test_every_plugins_part_in_a_past_decision_is_told(schedule: Schedule) -> None:
    schedule.node_changed(None, node("small", cpu="500m", unschedulable=True), 0)
    one = pod("one", cpu="1", memory="1Gi")
    schedule.pod_changed(None, one, 0)
    placed = schedule.attempt(0)
    assert isinstance(placed, Placement)
    schedule.node_changed(node("small"), None, 1)
    memory = schedule.remembered[one.metadata.uid]
    verdicts = {verdict.node: verdict for verdict in schedule.explain_past(memory) or []}
    assert [reason.code for _, reason in verdicts["small"].refusals] == ["NODE_UNSCHEDULABLE", "INSUFFICIENT_RESOURCES"]
    assert verdicts[placed.node].scores["NodeResourcesFit"] > 0
    assert verdicts[placed.node].total == max(verdict.total for verdict in verdicts.values())
    assert sum(verdicts[placed.node].scores.values()) == verdicts[placed.node].total


def test_what_extenders_said_is_part_of_it(schedule: Schedule) -> None:
    reasons, spec = Reasons(), ExtenderSpec("planner", "localhost:1", weight=3)
    profile = Profile("default-scheduler", defaults(reasons), extenders=(spec,))
    framework = Framework(profile, schedule.cluster, reasons, random.Random(1))
    asked = Schedule(schedule.cluster, {"default-scheduler": framework})
    one = pod("one", cpu="1")
    asked.pod_changed(None, one, 0)
    inquiry = asked.attempt(0)
    assert isinstance(inquiry, Inquiry)
    asked.settle(inquiry, [Judgement(spec, {"n0": "full of dust"}, {"n1": 50, "n2": 10})], 1)
    verdicts = {verdict.node: verdict for verdict in asked.explain_past(asked.remembered[one.metadata.uid]) or []}
    assert verdicts["n0"].refusals[0][1].text == "full of dust"
    assert verdicts["n1"].scores["planner"] == 150


def test_counts_of_a_past_refusal_add_up(schedule: Schedule) -> None:
    one = pod("one", cpu="8")
    schedule.pod_changed(None, one, 0)
    refusal = schedule.attempt(0)
    assert isinstance(refusal, Refusal)
    memory = schedule.remembered[one.metadata.uid]
    assert memory.diagnosis is not None
    assert sum(memory.diagnosis.counts.values()) == 3
    assert memory.diagnosis.nearest is not None
    schedule.node_changed(None, node("big", cpu="16"), 1)
    past = schedule.explain_past(memory)
    assert past is not None
    assert len(past) == 3
    assert all(verdict.refusals for verdict in past)


def test_memory_is_bounded(schedule: Schedule) -> None:
    schedule.cluster.journal = Journal(limit=4)
    one = pod("one", cpu="1")
    schedule.pod_changed(None, one, 0)
    schedule.attempt(0)
    memory = schedule.remembered[one.metadata.uid]
    assert schedule.explain_past(memory) is not None
    for number in range(4):
        schedule.pod_changed(None, pod(f"more-{number}", on="n0"), 1)
    assert schedule.explain_past(memory) is None


def test_a_node_that_came_back_changed_is_seen_as_it_was(schedule: Schedule) -> None:
    there = [pod(f"there-{number}", cpu="1", on="n0") for number in range(2)]
    for one in there:
        schedule.pod_changed(None, one, 0)
    position = schedule.cluster.journal.position
    schedule.node_changed(node("n0"), None, 1)
    schedule.pod_changed(there[0], None, 2)
    schedule.node_changed(None, node("n9", cpu="7"), 3)
    schedule.node_changed(None, node("n0", cpu="9"), 4)
    with schedule.cluster.as_of(position):
        row = schedule.cluster.rows.get("n0")
        assert row is not None
        assert schedule.cluster.resources.requested[0, row] == 2000
        assert schedule.cluster.resources.allocatable[0, row] == 2000
        assert schedule.cluster.rows.get("n9") is None
    row = schedule.cluster.rows.get("n0")
    assert row is not None
    assert schedule.cluster.resources.requested[0, row] == 1000
    assert schedule.cluster.resources.allocatable[0, row] == 9000
    assert np.count_nonzero(schedule.cluster.rows.valid) == 4
