"""ReplicaSets, EndpointSlices, nodes and garbage: what is decided from what is observed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from steersman.apps.v1 import ReplicaSet
from steersman.clock import to_timestamp
from steersman.core.v1 import Node, Pod, Service, Taint
from steersman.discovery.v1 import EndpointSlice

from controllers.endpointslice import plan as slices
from controllers.endpointslice.plan import CreateSlice, DeleteSlice, UpdateSlice
from controllers.garbage import plan as garbage
from controllers.garbage.plan import Fate, OwnerState
from controllers.node import health, ranges
from controllers.pods import owned_by
from controllers.replicaset import plan as replicas
from controllers.replicaset.plan import Adopt, CreatePods, DeletePod, Release

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def replica_set(count: int) -> ReplicaSet:
    made = ReplicaSet()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = "rs", "ns", "uid-rs"
    made.spec.replicas = count
    made.spec.selector.match_labels["app"] = "web"
    made.spec.template.metadata.labels["app"] = "web"
    return made


def pod(
    name: str, *, owner: ReplicaSet | None = None, ready: bool = True, node: str = "n1", age_s: int = 60, **more: Any
) -> Pod:
    made = Pod()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = name, "ns", f"uid-{name}"
    made.metadata.labels["app"] = more.get("app", "web")
    made.metadata.creation_timestamp.CopyFrom(to_timestamp(NOW - timedelta(seconds=age_s)))
    made.spec.node_name = node
    made.status.phase = more.get("phase", "Running")
    made.status.pod_ip = more.get("ip", "10.0.0.1")
    condition = made.status.conditions.add(type="Ready", status="True" if ready else "False")
    condition.last_transition_time.CopyFrom(to_timestamp(NOW - timedelta(seconds=more.get("ready_s", age_s))))
    if owner is not None:
        made.metadata.owner_references.append(owned_by(owner, "ReplicaSet", "apps/v1"))
    if more.get("going"):
        made.metadata.deletion_timestamp.CopyFrom(to_timestamp(NOW))
    return made


def decided(rs: ReplicaSet, pods: list[Pod], pending: int = 0) -> list[Any]:
    shown: list[Any] = []
    for action in replicas.plan(rs, pods, pending, NOW).actions:
        match action:
            case CreatePods(count):
                shown.append(count)
            case DeletePod(one):
                shown.append(f"-{one.metadata.name}")
            case Adopt(one):
                shown.append(f"adopt {one.metadata.name}")
            case Release(one):
                shown.append(f"release {one.metadata.name}")
    return shown


def test_missing_pods_are_created_and_those_on_their_way_are_counted() -> None:
    rs = replica_set(3)
    assert decided(rs, []) == [3]
    assert decided(rs, [pod("a", owner=rs)], pending=1) == [1]
    assert decided(rs, [pod("a", owner=rs)], pending=2) == []
    assert decided(rs, [pod("a", owner=rs), pod("b", owner=rs, going=True), pod("c", owner=rs, phase="Failed")]) == [2]


def test_too_many_pods_go_in_the_order_that_hurts_least() -> None:
    rs = replica_set(0)
    pods = [
        pod("ready-old", owner=rs, age_s=900),
        pod("ready-young", owner=rs, age_s=30),
        pod("unready", owner=rs, ready=False),
        pod("pending", owner=rs, phase="Pending", ready=False),
        pod("nowhere", owner=rs, node="", phase="Pending", ready=False),
        pod("crowded", owner=rs, node="n2", age_s=900),
        pod("crowded-too", owner=rs, node="n2", age_s=901),
        pod("crowded-three", owner=rs, node="n2", age_s=902),
    ]
    order = [one.metadata.name for one in replicas.doomed_first(pods)]
    assert order[:3] == ["nowhere", "pending", "unready"]
    assert order.index("ready-young") < order.index("ready-old")
    rs.spec.replicas = 7
    assert decided(rs, pods) == ["-nowhere"]
    assert decided(rs, pods, pending=1) == [], "first see what is on its way"


def test_matching_orphans_are_adopted_and_others_released() -> None:
    rs, other = replica_set(2), replica_set(1)
    other.metadata.uid = "uid-other"
    pods = [pod("mine", owner=rs), pod("orphan"), pod("changed", owner=rs, app="other"), pod("theirs", owner=other)]
    assert decided(rs, pods) == ["adopt orphan", "release changed"]


def test_availability_needs_time_and_time_is_watched() -> None:
    rs = replica_set(1)
    rs.spec.min_ready_seconds = 10
    young = pod("a", owner=rs, ready_s=4)
    assert replicas.status(rs, [young], "", NOW).available_replicas == 0
    assert replicas.plan(rs, [young], 0, NOW).look_again_s == pytest.approx(6, abs=0.1)
    assert replicas.status(rs, [young], "", NOW + timedelta(seconds=7)).available_replicas == 1
    failed = replicas.status(rs, [], "quota", NOW)
    assert [(c.type, c.message) for c in failed.conditions] == [("ReplicaFailure", "quota")]


# --- endpoint slices ------------------------------------------------------------------------------------------------


def service(*ports: Any) -> Service:
    made = Service()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = "svc", "ns", "uid-svc"
    made.spec.selector["app"] = "web"
    for number, target in ports or ((80, 8080),):
        port = made.spec.ports.add(name=f"p{number}", port=number, protocol="TCP")
        if isinstance(target, str):
            port.target_port.type, port.target_port.str_val = 1, target
        else:
            port.target_port.int_val = target
    return made


def named(made: EndpointSlice, name: str) -> EndpointSlice:
    made.metadata.name = name
    return made


def test_ready_pods_become_endpoints_with_their_conditions() -> None:
    pods = [
        pod("a", ip="10.0.0.1"),
        pod("b", ip="10.0.0.2", ready=False),
        pod("c", ip="10.0.0.3", going=True),
        pod("d", ip=""),
        pod("e", phase="Succeeded"),
    ]
    [action] = slices.plan(service(), pods, [], {"n1": "z1"})
    assert isinstance(action, CreateSlice)
    found = {
        e.addresses[0]: (e.conditions.ready, e.conditions.serving, e.conditions.terminating, e.zone)
        for e in action.slice.endpoints
    }
    assert found == {
        "10.0.0.1": (True, True, False, "z1"),
        "10.0.0.2": (False, False, False, "z1"),
        "10.0.0.3": (False, True, True, "z1"),
    }
    assert [(p.name, p.port) for p in action.slice.ports] == [("p80", 8080)]


def test_a_named_port_may_differ_from_pod_to_pod() -> None:
    one, other, none = pod("a", ip="10.0.0.1"), pod("b", ip="10.0.0.2"), pod("c", ip="10.0.0.3")
    for made, number in ((one, 8080), (other, 9090)):
        made.spec.containers.add(name="c").ports.add(name="http", container_port=number, protocol="TCP")
    actions = slices.plan(service((80, "http")), [one, other, none], [], {})
    assert sorted((a.slice.ports[0].port, a.slice.endpoints[0].addresses[0]) for a in actions) == [
        (8080, "10.0.0.1"),
        (9090, "10.0.0.2"),
    ]


def test_only_what_changed_is_written() -> None:
    pods = [pod(f"p{i:03}", ip=f"10.0.{i // 250}.{i % 250 + 1}") for i in range(250)]
    made = [named(a.slice, f"s{i}") for i, a in enumerate(slices.plan(service(), pods, [], {}))]
    assert [len(one.endpoints) for one in made] == [100, 100, 50]
    assert slices.plan(service(), pods, made, {}) == []
    [action] = slices.plan(service(), pods[1:], made, {})
    assert isinstance(action, UpdateSlice)
    assert len(action.slice.endpoints) == 99
    more = [*pods, pod("new", ip="10.0.9.9")]
    [action] = slices.plan(service(), more, made, {})
    assert (action.slice.metadata.name, len(action.slice.endpoints)) == ("s2", 51)


def test_slices_go_with_their_service_and_empty_ones_say_so() -> None:
    [made] = slices.plan(service(), [], [], {})
    assert isinstance(made, CreateSlice)
    existing = named(made.slice, "s0")
    assert slices.plan(service(), [], [existing], {}) == []
    [update] = slices.plan(service(), [pod("a")], [existing], {})
    assert isinstance(update, UpdateSlice | CreateSlice)
    assert slices.plan(None, [], [existing], {}) == [DeleteSlice(existing)]


def test_a_service_that_is_being_deleted_gets_no_new_slices() -> None:
    going = service()
    going.metadata.deletion_timestamp.seconds = 5
    assert slices.plan(going, [pod("a")], [], {}) == []
    [made] = slices.plan(service(), [], [], {})
    [update] = slices.plan(going, [pod("a")], [named(made.slice, "s0")], {})
    assert isinstance(update, UpdateSlice)


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_ranges_are_given_out_once() -> None:
    assert ranges.next_free("10.244.0.0/16", 24, []) == "10.244.0.0/24"
    assert ranges.next_free("10.244.0.0/16", 24, ["10.244.0.0/24", "10.244.1.0/25"]) == "10.244.2.0/24"
    with pytest.raises(ranges.RangesExhausted):
        ranges.next_free("10.244.0.0/23", 24, ["10.244.0.0/24", "10.244.1.0/24"])


def node(ready: str, *taints: Taint, unschedulable: bool = False) -> Node:
    made = Node()
    made.metadata.name = "n1"
    made.status.conditions.add(type="Ready", status=ready)
    made.spec.taints.extend(taints)
    made.spec.unschedulable = unschedulable
    return made


def test_taints_follow_conditions_and_leave_others_alone() -> None:
    own = Taint(key="example.org/gpu", effect="NoSchedule")

    def keys(made: Node) -> list[tuple[str, str]]:
        return [(t.key.rpartition("/")[2], t.effect) for t in health.taints(made, NOW)]

    assert keys(node("True", own)) == [("gpu", "NoSchedule")]
    assert keys(node("False")) == [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]
    assert keys(node("Unknown")) == [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]
    assert keys(node("True", unschedulable=True)) == [("unschedulable", "NoSchedule")]
    before = health.taints(node("Unknown"), NOW)
    later = health.taints(node("Unknown", *before), NOW + timedelta(seconds=60))
    assert later == before, "the time of the taint is the time it began"


def test_pods_leave_when_their_patience_ends() -> None:
    taint = Taint(key=health.UNREACHABLE, effect="NoExecute", time_added=to_timestamp(NOW))
    stays, leaves, patient = pod("a"), pod("b"), pod("c")
    stays.spec.tolerations.add(operator="Exists")
    patient.spec.tolerations.add(key=taint.key, operator="Exists", effect="NoExecute", toleration_seconds=30)
    assert health.evict_at(stays, [taint]) is None
    assert health.evict_at(leaves, [taint]) == NOW
    assert health.evict_at(patient, [taint]) == NOW + timedelta(seconds=30)
    assert health.evict_at(leaves, []) is None


def test_a_silent_node_is_unknown_once() -> None:
    made = node("True")
    status = health.unknown_status(made, NOW)
    assert status is not None
    assert {c.status for c in status.conditions} == {"Unknown"}
    made.status.CopyFrom(status)
    assert health.unknown_status(made, NOW) is None


# --- garbage --------------------------------------------------------------------------------------------------------

P, W, A = OwnerState.PRESENT, OwnerState.WAITING, OwnerState.ABSENT


@pytest.mark.parametrize(
    ("states", "fate"),
    [
        ([], Fate.KEEP),
        ([P], Fate.KEEP),
        ([A], Fate.DELETE),
        ([W], Fate.DELETE_FOREGROUND),
        ([P, A], Fate.DROP_REFERENCES),
        ([P, W], Fate.DROP_REFERENCES),
        ([A, W], Fate.DELETE_FOREGROUND),
        ([A, A], Fate.DELETE),
    ],
)
def test_one_real_owner_keeps_an_object(states: list[OwnerState], fate: Fate) -> None:
    made = Pod()
    for index in range(len(states)):
        made.metadata.owner_references.add(uid=str(index))
    assert garbage.fate(made, lambda reference: states[int(reference.uid)]) is fate
