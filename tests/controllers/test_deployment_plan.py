"""Deployments: what is decided from what is observed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from steersman.apps.v1 import Deployment, ReplicaSet
from steersman.clock import to_timestamp
from steersman.defaulting import workload

from controllers.deployment import plan as planning
from controllers.deployment.plan import CreateReplicaSet, DeleteReplicaSet, UpdateReplicaSet
from controllers.deployment.template import hash_of, same

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def deployment(replicas: int = 3, image: str = "a:1", **strategy: int) -> Deployment:
    made = Deployment()
    made.metadata.name, made.metadata.namespace, made.metadata.uid = "web", "ns", "uid-web"
    made.metadata.generation = 1
    made.spec.replicas = replicas
    made.spec.selector.match_labels["app"] = "web"
    made.spec.template.metadata.labels["app"] = "web"
    made.spec.template.spec.containers.add(name="c", image=image)
    for name, value in strategy.items():
        getattr(made.spec.strategy.rolling_update, name).int_val = value
        getattr(made.spec.strategy.rolling_update, name).SetInParent()
    workload.deployment(made)
    return made


def replica_set(
    of: Deployment, image: str, replicas: int, available: int | None = None, *, revision: int = 1, age_s: int = 0
) -> ReplicaSet:
    owner = Deployment()
    owner.CopyFrom(of)
    owner.spec.template.spec.containers[0].image = image
    made = planning._make(owner, replicas, revision)
    made.metadata.uid = f"uid-{image}"
    made.metadata.creation_timestamp.CopyFrom(to_timestamp(NOW - timedelta(seconds=age_s)))
    made.status.replicas = replicas
    made.status.available_replicas = made.status.ready_replicas = replicas if available is None else available
    return made


def decided(actions: list[planning.Action]) -> list[tuple[str, str, int]]:
    names = {CreateReplicaSet: "create", UpdateReplicaSet: "scale", DeleteReplicaSet: "delete"}
    return [
        (names[type(a)], a.replica_set.spec.template.spec.containers[0].image, a.replica_set.spec.replicas)
        for a in actions
    ]


def test_the_first_replica_set_is_made_whole() -> None:
    assert decided(planning.plan(deployment(3), [])) == [("create", "a:1", 3)]


def test_nothing_is_done_where_all_is_well() -> None:
    wanted = deployment(3)
    assert planning.plan(wanted, [replica_set(wanted, "a:1", 3)]) == []


# (replicas, surge, unavailable), old (replicas, available), new (replicas, available) -> what happens next
ROLLING = [
    ((10, 3, 2), (10, 10), None, [("create", "b:1", 3)]),
    ((10, 3, 2), (10, 10), (3, 0), [("scale", "a:1", 8)]),
    ((10, 3, 2), (8, 8), (3, 0), [("scale", "b:1", 5)]),
    ((10, 3, 2), (8, 8), (5, 0), []),
    ((10, 3, 2), (8, 8), (5, 5), [("scale", "a:1", 3)]),
    ((10, 3, 2), (3, 3), (10, 10), [("scale", "a:1", 0)]),
    ((3, 1, 0), (3, 3), (1, 0), []),
    ((3, 1, 0), (3, 3), (1, 1), [("scale", "a:1", 2)]),
    ((3, 0, 1), (3, 3), None, [("create", "b:1", 0)]),
    ((3, 0, 1), (3, 3), (0, 0), [("scale", "a:1", 2)]),
    ((3, 0, 1), (2, 2), (0, 0), [("scale", "b:1", 1)]),
    # Broken pods of the old version go first, whatever is available.
    ((4, 0, 2), (4, 1), (0, 0), [("scale", "a:1", 2)]),
    ((0, 1, 0), (0, 0), (0, 0), []),
]


@pytest.mark.parametrize(("limits", "old", "new", "expected"), ROLLING)
def test_a_rolling_update_goes_step_by_step(
    limits: tuple[int, int, int],
    old: tuple[int, int],
    new: tuple[int, int] | None,
    expected: list[tuple[str, str, int]],
) -> None:
    wanted = deployment(limits[0], "b:1", max_surge=limits[1], max_unavailable=limits[2])
    sets = [replica_set(wanted, "a:1", *old, age_s=60)]
    if new is not None:
        sets.append(replica_set(wanted, "b:1", *new, revision=2))
    assert decided(planning.plan(wanted, sets)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_a_rolling_update_ends_and_keeps_its_bounds_whatever_becomes_available_when(seed: int) -> None:
    import random

    source = random.Random(seed)
    replicas = source.randrange(1, 12)
    surge, unavailable = source.randrange(0, 4), source.randrange(0, 4)
    if surge == unavailable == 0:
        surge = 1
    wanted = deployment(replicas, "b:1", max_surge=surge, max_unavailable=unavailable)
    limits = planning.bounds(wanted)
    sets = [replica_set(wanted, "a:1", replicas, age_s=60)]
    for _ in range(500):
        for action in planning.plan(wanted, sets):
            if isinstance(action, CreateReplicaSet):
                sets.append(replica_set(wanted, "b:1", action.replica_set.spec.replicas, 0, revision=2))
            elif isinstance(action, UpdateReplicaSet):
                target = next(rs for rs in sets if rs.metadata.name == action.replica_set.metadata.name)
                target.spec.CopyFrom(action.replica_set.spec)
                target.metadata.annotations.update(action.replica_set.metadata.annotations)
        for rs in sets:
            rs.status.available_replicas = min(rs.status.available_replicas, rs.spec.replicas)
            rs.status.replicas = rs.spec.replicas
        assert sum(rs.spec.replicas for rs in sets) <= limits.most
        assert sum(rs.status.available_replicas for rs in sets) >= limits.least
        for rs in sets:
            if rs.status.available_replicas < rs.spec.replicas and source.random() < 0.5:
                rs.status.available_replicas += 1
    counts = {rs.spec.template.spec.containers[0].image: rs.spec.replicas for rs in sets}
    assert counts == {"a:1": 0, "b:1": replicas}


def test_recreate_waits_until_nothing_of_the_old_version_runs() -> None:
    wanted = deployment(2, "b:1")
    wanted.spec.strategy.type = "Recreate"
    wanted.spec.strategy.ClearField("rolling_update")
    old = replica_set(wanted, "a:1", 2, age_s=60)
    assert decided(planning.plan(wanted, [old])) == [("scale", "a:1", 0)]
    old.spec.replicas = 0
    assert planning.plan(wanted, [old]) == []
    old.status.replicas, old.status.terminating_replicas = 0, 1
    assert planning.plan(wanted, [old]) == []
    old.status.terminating_replicas = 0
    assert decided(planning.plan(wanted, [old])) == [("create", "b:1", 2)]


def test_scaling_in_the_middle_of_a_rollout_is_shared_in_proportion() -> None:
    before = deployment(10, "b:1", max_surge=3, max_unavailable=2)
    sets = [replica_set(before, "a:1", 8, age_s=60), replica_set(before, "b:1", 5, 2, revision=2)]
    wanted = deployment(20, "b:1", max_surge=3, max_unavailable=2)
    after = {image: count for _, image, count in decided(planning.plan(wanted, sets))}
    assert sum(after.values()) == 23
    assert after["a:1"] > after["b:1"] > 5


def test_a_paused_deployment_only_scales() -> None:
    wanted = deployment(3, "b:1")
    wanted.spec.paused = True
    assert planning.plan(wanted, [replica_set(wanted, "a:1", 3)]) == []
    wanted.spec.replicas = 5
    assert decided(planning.plan(wanted, [replica_set(wanted, "a:1", 3)])) == [("scale", "a:1", 5)]


def test_old_versions_over_the_limit_are_given_up_oldest_first() -> None:
    wanted = deployment(1, "d:1")
    wanted.spec.revision_history_limit = 1
    sets = [replica_set(wanted, f"{v}:1", 0, revision=i + 1, age_s=90 - i) for i, v in enumerate("abc")]
    sets.append(replica_set(wanted, "d:1", 1, revision=4))
    assert decided(planning.plan(wanted, sets)) == [("delete", "a:1", 0), ("delete", "b:1", 0)]


def test_going_back_gives_the_old_version_the_newest_number() -> None:
    wanted = deployment(1, "a:1", max_surge=1, max_unavailable=0)
    sets = [replica_set(wanted, "a:1", 0, revision=1, age_s=60), replica_set(wanted, "b:1", 1, revision=2)]
    [action] = planning.plan(wanted, sets)
    assert isinstance(action, UpdateReplicaSet)
    assert planning.revision_of(action.replica_set) == 3


def test_a_version_remembers_its_earlier_numbers_and_what_was_said_of_it() -> None:
    cause = "kubernetes.io/change-cause"
    wanted = deployment(1, "a:1", max_surge=1, max_unavailable=0)
    wanted.metadata.annotations[cause] = "back to a"
    sets = [replica_set(wanted, "a:1", 0, revision=1, age_s=60), replica_set(wanted, "b:1", 1, revision=2)]
    sets[0].metadata.annotations[cause], sets[1].metadata.annotations[cause] = "first", "try b"
    [action] = planning.plan(wanted, sets)
    assert isinstance(action, UpdateReplicaSet)
    back = action.replica_set
    assert (back.metadata.annotations[planning.HISTORY], back.metadata.annotations[cause]) == ("1", "back to a")
    back.status.replicas = back.status.available_replicas = 1
    [action] = planning.plan(wanted, [back, sets[1]])
    assert isinstance(action, UpdateReplicaSet)
    left = action.replica_set
    assert (left.spec.replicas, left.metadata.annotations[cause]) == (0, "try b")
    again = deployment(1, "b:1", max_surge=1, max_unavailable=0)
    [action] = planning.plan(again, [back, left])
    assert isinstance(action, UpdateReplicaSet)
    third = deployment(1, "a:1", max_surge=1, max_unavailable=0)
    [action] = planning.plan(third, [back, action.replica_set])
    assert isinstance(action, UpdateReplicaSet)
    assert action.replica_set.metadata.annotations[planning.HISTORY] == "1,3"


def test_templates_are_told_apart_by_what_they_say() -> None:
    one, other = deployment(image="a:1").spec.template, deployment(image="b:1").spec.template
    assert hash_of(one, 0) == hash_of(deployment().spec.template, 0) != hash_of(other, 0)
    assert hash_of(one, 0) != hash_of(one, 1)
    assert same(planning._make(deployment(), 1, 1).spec.template, one)


def test_conditions_tell_of_progress_and_of_its_end() -> None:
    wanted = deployment(3, "b:1")
    old, new = replica_set(wanted, "a:1", 2, age_s=60), replica_set(wanted, "b:1", 2, 1, revision=2)

    def reasons() -> dict[str, str]:
        return {c.type: c.reason for c in wanted.status.conditions}

    status, again_s = planning.status(wanted, [old, new], NOW)
    wanted.status.CopyFrom(status)
    assert reasons() == {"Available": "MinimumReplicasAvailable", "Progressing": "ReplicaSetUpdated"}
    assert again_s == 600
    status, again_s = planning.status(wanted, [old, new], NOW + timedelta(seconds=100))
    assert again_s == pytest.approx(500, abs=1)
    wanted.status.CopyFrom(status)
    status, _ = planning.status(wanted, [old, new], NOW + timedelta(seconds=601))
    wanted.status.CopyFrom(status)
    assert reasons()["Progressing"] == "ProgressDeadlineExceeded"
    done = replica_set(wanted, "b:1", 3, revision=2)
    old.status.replicas = old.status.available_replicas = 0
    status, again_s = planning.status(wanted, [old, done], NOW + timedelta(seconds=700))
    wanted.status.CopyFrom(status)
    assert reasons()["Progressing"] == "NewReplicaSetAvailable"
    assert again_s is None
