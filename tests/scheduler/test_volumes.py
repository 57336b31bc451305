"""Pods and their volumes: what is promised to one is not given to another, and what was missing wakes who waits."""

from __future__ import annotations

import random
from typing import Any

import pytest
from steersman.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from steersman.storage.v1 import StorageClass

from scheduler.bootstrap import make_schedule
from scheduler.outcomes import Placement, Refusal
from scheduler.queue import UNSCHEDULABLE
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.objects import node, pod
from tests.scheduler.storage_objects import attachment, claim, drivers, storage_class, using, volume


@pytest.fixture
def schedule() -> Schedule:
    made = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    for number in (1, 2):
        made.node_changed(None, node(f"n{number}"), 0)
    made.class_changed(None, storage_class("wait"), 0)
    made.class_changed(None, storage_class("make", provisioner="make.example.com"), 0)
    return made


def there(schedule: Schedule, *things: PersistentVolume | PersistentVolumeClaim | StorageClass) -> None:
    for thing in things:
        if isinstance(thing, PersistentVolume):
            schedule.volume_changed(None, thing, 0)
        elif isinstance(thing, StorageClass):
            schedule.class_changed(None, thing, 0)
        else:
            schedule.claim_changed(None, thing, 0)


def tried(schedule: Schedule, made: Pod, now: float = 0) -> Any:
    schedule.pod_changed(None, made, now)
    return schedule.attempt(now)


def placed(schedule: Schedule, made: Pod) -> Placement:
    attempt = tried(schedule, made)
    assert isinstance(attempt, Placement), attempt
    return attempt


def refused(schedule: Schedule, made: Pod) -> str:
    attempt = tried(schedule, made)
    assert isinstance(attempt, Refusal), attempt
    assert attempt.diagnosis is not None
    assert sum(attempt.diagnosis.counts.values()) == attempt.diagnosis.nodes
    return attempt.message


def given(placement: Placement) -> dict[str, str]:
    """Claim and volume."""
    assert placement.volumes is not None
    return {one.key[1]: other.name for one, other in placement.volumes.bindings}


def test_the_smallest_volume_that_suffices_is_promised(schedule: Schedule) -> None:
    there(schedule, volume("large", size="9Gi"), volume("small", size="1Gi"), volume("right", size="2Gi"))
    there(schedule, claim("data", size="2Gi"))
    assert given(placed(schedule, pod(volumes=using("data")))) == {"data": "right"}


def test_no_volume_is_promised_twice(schedule: Schedule) -> None:
    there(schedule, volume("only"), claim("a"), claim("b"))
    assert given(placed(schedule, pod(volumes=using("a")))) == {"a": "only"}
    assert "2 node(s) didn't find available persistent volumes to bind" in refused(schedule, pod(volumes=using("b")))


def test_claims_of_one_pod_get_different_volumes_and_large_ones_are_kept_for_large_claims(schedule: Schedule) -> None:
    there(schedule, volume("p", size="5Gi"), volume("q", size="2Gi"), volume("r", size="1Gi"))
    there(schedule, claim("big", size="4Gi"), claim("middle", size="1Gi"), claim("little", size="1Gi"))
    got = given(placed(schedule, pod(volumes=using("big", "middle", "little"))))
    assert got["big"] == "p"
    assert {got["middle"], got["little"]} == {"q", "r"}


def test_a_pod_goes_where_its_volumes_are(schedule: Schedule) -> None:
    there(schedule, volume("local", on=["n2"], of="data"), claim("data", volume="local"))
    assert placed(schedule, pod(volumes=using("data"))).node == "n2"
    there(schedule, volume("free", on=["n1"]), claim("other"))
    placement = placed(schedule, pod(volumes=using("other")))
    assert (placement.node, given(placement)) == ("n1", {"other": "free"})
    message = refused(schedule, pod(volumes=using("data"), nodeSelector={"kubernetes.io/hostname": "n1"}))
    assert "1 node(s) didn't match PersistentVolume's node affinity" in message


def test_what_was_promised_is_free_again_when_the_pod_is_not_bound(schedule: Schedule) -> None:
    there(schedule, volume("only"), claim("a"), claim("b"))
    first = placed(schedule, pod("first", volumes=using("a")))
    other = pod("other", volumes=using("b"))
    refused(schedule, other)
    schedule.bind_failed(first.pod.uid, 1.0, gone=True)
    attempt = schedule.attempt(2.0)
    assert isinstance(attempt, Placement), "the failure woke the pod that was refused"
    assert (attempt.pod.name, given(attempt)) == ("other", {"b": "only"})


def test_pods_that_share_a_claim_wait_for_its_volume_at_one_node(schedule: Schedule) -> None:
    there(schedule, claim("shared", storage="make", modes=["ReadWriteMany"]))
    first = placed(schedule, pod(volumes=using("shared")))
    assert first.volumes is not None
    assert [one.key for one in first.volumes.provisions] == [("default", "shared")]
    for _ in range(5):
        assert placed(schedule, pod(volumes=using("shared"))).node == first.node


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, 'persistentvolumeclaim "data" not found'),
        (claim("data", storage=""), "pod has unbound immediate PersistentVolumeClaims"),
        (claim("data", storage="nowhere"), 'storageclass.storage.k8s.io "nowhere" not found'),
        (
            claim("data", volume="gone", phase="Lost"),
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "gone"',
        ),
        (
            claim("data", volume="gone"),
            "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
        ),
        (claim("data", size="1000Ti"), "node(s) didn't find available persistent volumes to bind"),
        (claim("data", size="a lot"), "node(s) didn't find available persistent volumes to bind"),
    ],
)
def test_a_claim_that_cannot_be_met_says_why(
    schedule: Schedule, made: PersistentVolumeClaim | None, message: str
) -> None:
    there(schedule, volume("free"))
    if made is not None:
        there(schedule, made)
    assert refused(schedule, pod(volumes=using("data"))).startswith(f"0/2 nodes are available: 2 {message}.")


def test_an_ephemeral_volumes_claim_must_be_the_pods_own(schedule: Schedule) -> None:
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    made = pod("job", volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}])
    assert "waiting for ephemeral volume controller" in refused(schedule, made)
    there(schedule, volume("free"), claim("job-scratch"))
    assert "was not created for the pod" in str(schedule.attempt(100.0))
    schedule.claim_changed(None, claim("job-scratch", owner=made.metadata.uid), 200.0)
    assert isinstance(schedule.attempt(200.0), Placement)


def waiting(schedule: Schedule, made: Pod) -> bool:
    return schedule.state(made.metadata.uid) == UNSCHEDULABLE


def test_only_what_concerns_its_volumes_wakes_a_pod(schedule: Schedule) -> None:
    made = pod(volumes=using("data"))
    refused(schedule, made)
    there(schedule, claim("another"), volume("free"))
    schedule.pod_changed(None, pod(on="n1"), 100.0)
    other = pod(on="n2")
    schedule.pod_changed(None, other, 100.0)
    schedule.pod_changed(other, None, 100.0)
    assert waiting(schedule, made)
    schedule.claim_changed(None, claim("data", size="5Gi"), 100.0)
    assert not waiting(schedule, made)
    assert isinstance(schedule.attempt(100.0), Refusal)
    schedule.volume_changed(None, volume("else", storage="make", size="9Gi"), 200.0)
    assert waiting(schedule, made)
    schedule.volume_changed(None, volume("right", size="9Gi"), 200.0)
    assert isinstance(schedule.attempt(200.0), Placement)


def test_volumes_that_a_driver_cannot_take_wait_for_others_to_leave(schedule: Schedule) -> None:
    for name in ("n1", "n2"):
        schedule.drivers_changed(None, drivers(name, {"disk.example.com": 1}), 0)
    first = []
    for number in (1, 2):
        there(schedule, volume(f"v{number}", of=f"c{number}", driver="disk.example.com"))
        there(schedule, claim(f"c{number}", volume=f"v{number}"))
        first.append(placed(schedule, pod(volumes=using(f"c{number}"))))
    assert {one.node for one in first} == {"n1", "n2"}
    # The same volume once more costs nothing.
    assert placed(schedule, pod(volumes=using("c1"))).node == first[0].node
    there(schedule, volume("v3", of="c3", driver="disk.example.com"), claim("c3", volume="v3"))
    third = pod(volumes=using("c3"))
    assert "2 node(s) exceed max volume count" in refused(schedule, third)
    schedule.pod_changed(first[1].pod.message, None, 100.0)
    attempt = schedule.attempt(100.0)
    assert isinstance(attempt, Placement)
    assert attempt.node == first[1].node


def test_a_volume_that_is_still_attached_counts(schedule: Schedule) -> None:
    schedule.drivers_changed(None, drivers("n1", {"disk.example.com": 1}), 0)
    schedule.drivers_changed(None, drivers("n2", {"disk.example.com": 0}), 0)
    there(schedule, volume("old", driver="disk.example.com"), claim("c", volume="new"))
    there(schedule, volume("new", of="c", driver="disk.example.com"))
    schedule.attachment_changed(None, attachment("a", "n1", "old"), 0)
    made = pod(volumes=using("c"))
    assert "2 node(s) exceed max volume count" in refused(schedule, made)
    schedule.attachment_changed(attachment("a", "n1", "old"), None, 100.0)
    attempt = schedule.attempt(100.0)
    assert isinstance(attempt, Placement)
    assert attempt.node == "n1"


def test_a_claim_for_one_pod_only_is_given_to_the_more_important_one(schedule: Schedule) -> None:
    there(schedule, volume("v", of="mine", modes=["ReadWriteOncePod"]))
    there(schedule, claim("mine", volume="v", modes=["ReadWriteOncePod"]))
    placed(schedule, pod("first", volumes=using("mine"), priority=1))
    schedule.bound(schedule.cluster.pods.placed[next(iter(schedule.assumed))].info.uid)
    attempt = tried(schedule, pod("second", volumes=using("mine"), priority=1))
    assert "2 node has pod using PersistentVolumeClaim" in attempt.message
    attempt = tried(schedule, pod("third", volumes=using("mine"), priority=9), 500.0)
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is not None
    assert [victim.name for victim in attempt.preemption.victims] == ["first"]


def test_nothing_is_left_of_pods_and_volumes_that_are_gone(schedule: Schedule) -> None:
    schedule.drivers_changed(None, drivers("n1", {"disk.example.com": 5}), 0)
    there(schedule, volume("v", driver="disk.example.com"), claim("c"))
    made = pod(volumes=[*using("c"), {"name": "d", "gcePersistentDisk": {"pdName": "x"}}])
    placement = placed(schedule, made)
    schedule.volume_changed(None, volume("v", driver="disk.example.com", of="c"), 1)
    schedule.claim_changed(None, claim("c", volume="v"), 1)
    made.spec.node_name = placement.node
    schedule.pod_changed(None, made, 1)
    schedule.pod_changed(made, None, 2)
    storage = schedule.cluster.storage
    attached = storage.attached(("disk.example.com", ""))
    assert attached is not None
    assert not attached.users
    assert not attached.number.any()
    assert storage.users(("default", "c")) == 0
    assert not storage.in_conflict(
        schedule.read(made).template.volumes.disks  # type: ignore[union-attr]
    )
