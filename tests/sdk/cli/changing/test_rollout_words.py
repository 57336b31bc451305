"""How far a rollout is and which versions there were, without any cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from steersman.apps.v1 import ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet
from steersman.cli import rollouts
from steersman.cli.failures import CommandError


def deployment(updated: int, total: int, available: int, *, seen: bool = True) -> Deployment:
    made = Deployment()
    made.metadata.generation = 2
    made.spec.replicas = 3
    made.status.observed_generation = 2 if seen else 1
    made.status.updated_replicas, made.status.replicas, made.status.available_replicas = updated, total, available
    return made


def daemon_set(updated: int, available: int) -> DaemonSet:
    made = DaemonSet()
    made.status.desired_number_scheduled = 3
    made.status.updated_number_scheduled, made.status.number_available = updated, available
    return made


def stateful_set(ready: int, updated: int, *, partition: int = 0, same: bool = False) -> StatefulSet:
    made = StatefulSet()
    made.spec.replicas = 3
    if partition:
        made.spec.update_strategy.rolling_update.partition = partition
    made.status.ready_replicas, made.status.updated_replicas = ready, updated
    made.status.current_revision, made.status.update_revision = "a", "a" if same else "b"
    return made


@pytest.mark.parametrize(
    ("obj", "text", "done"),
    [
        (deployment(0, 0, 0, seen=False), "waiting until the change is seen", False),
        (deployment(1, 4, 3), "1 of 3 new replicas are made", False),
        (deployment(3, 4, 3), "1 old replicas are to go", False),
        (deployment(3, 3, 2), "2 of 3 new replicas are available", False),
        (deployment(3, 3, 3), "successfully rolled out", True),
        (daemon_set(1, 1), "1 of 3 new pods are made", False),
        (daemon_set(3, 1), "1 of 3 new pods are available", False),
        (daemon_set(3, 3), "successfully rolled out", True),
        (stateful_set(2, 3), "2 of 3 pods are ready", False),
        (stateful_set(3, 1), "1 of 3 new pods are made", False),
        (stateful_set(3, 3, same=True), "successfully rolled out", True),
        (stateful_set(3, 0, partition=2), "0 of 1 new pods are made", False),
        (stateful_set(3, 1, partition=2), "rolled out to 1 of 3 pods", True),
    ],
)
def test_how_far_a_rollout_is(obj: Any, text: str, done: bool) -> None:
    found = rollouts.progress(obj, "x")
    assert (text in found.text, found.done) == (True, done), found


def test_a_rollout_that_has_failed() -> None:
    stuck = deployment(1, 4, 3)
    stuck.spec.progress_deadline_seconds = 600
    stuck.status.conditions.add(type="Progressing", status="False", reason="ProgressDeadlineExceeded", message="slow")
    with pytest.raises(CommandError, match="x has not progressed for 600 s: slow"):
        rollouts.progress(stuck, "x")
    stuck.status.conditions.add(type="ReplicaFailure", status="True", message="no quota")
    with pytest.raises(CommandError, match="no quota"):
        rollouts.progress(stuck, "x")
    by_hand = stateful_set(3, 3)
    by_hand.spec.update_strategy.type = "OnDelete"
    with pytest.raises(CommandError, match="OnDelete"):
        rollouts.progress(by_hand, "x")


def replica_set(revision: str, owner: str = "u") -> ReplicaSet:
    made = ReplicaSet()
    made.metadata.owner_references.add(uid=owner, controller=True)
    made.metadata.annotations[rollouts.REVISION] = revision
    made.spec.template.metadata.labels.update({"app": "x", rollouts.HASH_LABEL: "abc"})
    return made


def test_the_versions_of_a_deployment() -> None:
    owner = Deployment()
    owner.metadata.uid = "u"
    found = rollouts.versions(owner, [replica_set("10"), replica_set("9"), replica_set("3", "other"), replica_set("")])
    assert [version.number for version in found] == [9, 10]
    assert found[0].template["metadata"] == {"labels": {"app": "x"}}
    assert rollouts.chosen(found, 0, "x").number == 9
    assert rollouts.chosen(found, 10, "x").number == 10
    with pytest.raises(CommandError, match="no version 4; there are 9, 10"):
        rollouts.chosen(found, 4, "x")
    with pytest.raises(CommandError, match="no version before"):
        rollouts.chosen(found[:1], 0, "x")
    with pytest.raises(CommandError, match="has no versions"):
        rollouts.chosen([], 0, "x")


def test_the_versions_of_a_stateful_set() -> None:
    owner = StatefulSet()
    owner.metadata.uid = "u"
    revision = ControllerRevision(revision=4)
    revision.metadata.owner_references.add(uid="u", controller=True)
    template = {"$patch": "replace", "metadata": {"labels": {"a": "b"}}}
    revision.data.raw = json.dumps({"spec": {"template": template}}).encode()
    [found] = rollouts.versions(owner, [revision])
    assert (found.number, found.template) == (4, {"metadata": {"labels": {"a": "b"}}})
