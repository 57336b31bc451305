"""What wakes a pod that was refused: the cases of queueing hints in the tests of kube-scheduler's plugins.

Upstream's hints are asked about objects before and after an event; here the event happens, and the pod is tried again
or it is not. A pod that would have found room before the event is no case.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from steersman.core.v1 import Node, Pod

from scheduler.bootstrap import make_schedule
from scheduler.outcomes import Placement, Refusal
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod

A, B = "example.com/aaa", "example.com/bbb"
LATER_S = 100.0


def refused(incoming: Pod, *nodes: Node, there: tuple[Pod, ...] = ()) -> Schedule:
    """A schedule that has refused the pod."""
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    for one in nodes:
        schedule.node_changed(None, one, 0)
    for other in there:
        schedule.pod_changed(None, other, 0)
    schedule.pod_changed(None, incoming, 0)
    assert isinstance(schedule.attempt(0), Refusal)
    assert schedule.attempt(LATER_S) is None
    return schedule


def room(*, cpu: str = "1", memory: str = "0", pods: str = "110", **extended: str) -> Node:
    return node("n1", cpu=cpu, memory=memory, pods=pods, **extended)


def tainted(*values: str) -> Node:
    return node("n1", taints=[{"key": "dedicated", "value": value, "effect": "NoSchedule"} for value in values])


def labelled(**labels: str) -> Node:
    return node("n1", labels=labels)


def wanting(memory: str = "", **extended: str) -> dict[str, Any]:
    return {"requests": {**({"memory": memory} if memory else {}), **extended}}


DEDICATED = {
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "user2", "effect": "NoSchedule"}],
}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
FOO = {
    "affinity": {
        "nodeAffinity": {
            REQUIRED: {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "foo", "operator": "In", "values": ["bar"]}]}]
            }
        }
    }
}
NOT_READY = [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]

# (what the pod asks for, what another pod takes of the node, the node before, the node after, whether it is woken)
NODES: list[tuple[str, dict[str, Any], dict[str, str], Node | None, Node, bool]] = [
    ("a node comes, too small", wanting("2"), {}, None, room(memory="1"), False),
    ("a node comes, without the resource", wanting(**{A: "1"}), {}, None, room(**{B: "1"}), False),
    ("a node comes, large enough", wanting("2", **{A: "1"}), {}, None, room(memory="4", **{A: "2"}), True),
    (
        "a node changes in what is not asked for",
        wanting("2", **{A: "1"}),
        {A: "2"},
        room(memory="2", **{A: "2"}),
        room(memory="2", **{A: "1", B: "2"}),
        False,
    ),
    (
        "a node has more of what is asked for",
        wanting("2", **{A: "1"}),
        {A: "1"},
        room(memory="2", **{A: "1"}),
        room(memory="2", **{A: "2"}),
        True,
    ),
    (
        "a node has less of what is asked for",
        wanting("2", **{A: "1"}),
        {A: "2"},
        room(memory="4", **{A: "2"}),
        room(memory="1", **{A: "2"}),
        False,
    ),
    (
        "a node becomes large enough",
        wanting("2", **{A: "1"}),
        {},
        room(memory="1", **{A: "2"}),
        room(memory="4", **{A: "2"}),
        True,
    ),
    ("a node may have more pods", {}, {"cpu": "0"}, room(pods="1"), room(pods="2"), True),
    (
        "a node that is full of pods has more of all else",
        {},
        {"cpu": "0"},
        room(pods="1", memory="1", **{A: "1"}),
        room(cpu="2", pods="1", memory="2", **{A: "2"}),
        False,
    ),
    (
        "a node has more of what is not asked for",
        wanting("2"),
        {},
        room(memory="1", **{"ephemeral-storage": "3", A: "4"}),
        room(memory="1", **{"ephemeral-storage": "5", A: "6"}),
        False,
    ),
    ("a node comes, with a taint that is not tolerated", DEDICATED, {}, None, tainted("user1"), False),
    ("a node comes, with a taint that is tolerated", DEDICATED, {}, None, tainted("user2"), True),
    ("a node gets one more taint", DEDICATED, {}, tainted("user1"), tainted("user1", "user3"), False),
    ("a node's taint is tolerated now", DEDICATED, {}, tainted("user1"), tainted("user2"), True),
    ("a node comes, cordoned", {}, {}, None, node("n1", unschedulable=True), False),
    ("a node comes, not cordoned", {}, {}, None, node("n1"), True),
    (
        "a cordoned node gets a taint",
        {},
        {},
        node("n1", unschedulable=True),
        node("n1", unschedulable=True, taints=NOT_READY),
        False,
    ),
    ("a node is cordoned no more", {}, {}, node("n1", unschedulable=True), node("n1"), True),
    ("a node comes, without the label", FOO, {}, None, labelled(), False),
    ("a node comes, with the label", FOO, {}, None, labelled(foo="bar"), True),
    ("a node changes, not in its labels", FOO, {}, labelled(), node("n1", cpu="5"), False),
    ("a node gets another label", FOO, {}, labelled(), labelled(k="v"), False),
    ("a node gets the label", FOO, {}, labelled(), labelled(foo="bar"), True),
]


@pytest.mark.parametrize(
    ("asked", "taken", "before", "after", "woken"), [row[1:] for row in NODES], ids=[row[0] for row in NODES]
)
def test_a_node_changes(
    asked: dict[str, Any], taken: dict[str, str], before: Node | None, after: Node, woken: bool
) -> None:
    there = (pod("other", requests=taken, on="n1"),) if taken else ()
    schedule = refused(pod("new", **asked), *([before] if before is not None else ()), there=there)
    schedule.node_changed(before, after, LATER_S)
    assert isinstance(schedule.attempt(LATER_S), Placement) if woken else schedule.attempt(LATER_S) is None


def using(*ports: int, name: str, on: str = "") -> Pod:
    listed = [{"containerPort": port, "hostPort": port} for port in ports]
    return pod(name, on=on, containers=[{"name": "c", "image": "pause", "ports": listed}])


@pytest.mark.parametrize(
    ("leaver", "woken"),
    [
        (using(8080, name="leaver"), False),
        (using(name="leaver", on="n1"), False),
        (using(8081, name="leaver", on="n1"), False),
        (using(8080, name="leaver", on="n1"), True),
    ],
    ids=["is on no node", "has no ports", "has another port", "has the port"],
)
def test_a_pod_leaves_while_another_waits_for_its_port(leaver: Pod, woken: bool) -> None:
    # Where it is not the leaver that has the port, a pod that stays has it.
    stays = () if woken else (using(8080, name="stays", on="n1"),)
    waiting = using(8080, name="new")
    assert isinstance(leaver, Pod)
    if not leaver.spec.node_name:
        schedule = refused(waiting, node("n1"), there=stays)
        schedule.pod_changed(None, leaver, 0)
        assert isinstance(schedule.attempt(0), Refusal)
    else:
        schedule = refused(waiting, node("n1"), there=(*stays, leaver))
    schedule.pod_changed(leaver, None, LATER_S)
    assert isinstance(schedule.attempt(LATER_S), Placement) if woken else schedule.attempt(LATER_S) is None


def resized(made: Pod, **requests: str) -> Pod:
    changed = Pod()
    changed.CopyFrom(made)
    asked = changed.spec.containers[0].resources.requests
    for resource, amount in requests.items():
        asked[resource].value = amount
    return changed


@pytest.mark.parametrize(
    ("other", "smaller", "woken"),
    [
        ({"cpu": "2"}, {"cpu": "1"}, True),
        ({"cpu": "2", "memory": "2"}, {"memory": "1"}, False),
    ],
    ids=["in what is asked for", "in something else"],
)
def test_a_pod_on_a_node_shrinks(other: dict[str, str], smaller: dict[str, str], woken: bool) -> None:
    there = pod("other", requests=other, on="n1")
    schedule = refused(pod("new", cpu="1"), room(cpu="2", memory="9"), there=(there,))
    schedule.pod_changed(there, resized(there, **smaller), LATER_S)
    assert isinstance(schedule.attempt(LATER_S), Placement) if woken else schedule.attempt(LATER_S) is None


def test_a_pod_that_shrinks_or_tolerates_more_is_tried_again() -> None:
    large = pod("new", cpu="2")
    schedule = refused(large, room(cpu="1"))
    schedule.pod_changed(large, resized(large, cpu="1"), LATER_S)
    assert isinstance(schedule.attempt(LATER_S), Placement)
    for host, toleration in (
        (node("n1", unschedulable=True), {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}),
        (tainted("user1"), {"key": "dedicated", "operator": "Exists"}),
    ):
        plain = pod("new")
        schedule = refused(plain, host)
        other = pod("other", tolerations=[toleration], on="elsewhere")
        schedule.pod_changed(None, other, LATER_S)
        assert schedule.attempt(LATER_S) is None, "what another pod tolerates helps nobody else"
        tolerant = pod("new", tolerations=[toleration])
        tolerant.metadata.uid = plain.metadata.uid
        schedule.pod_changed(plain, tolerant, LATER_S)
        assert isinstance(schedule.attempt(LATER_S), Placement)
