"""Rules of the kinds that keep pods running."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.kinds.table import GONE, Changes, created, edited, refused, refused_status, refused_update

CONTAINER = "spec/template/spec/containers/0"
TEMPLATE = "spec.template.spec"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/selector": GONE}, ["spec.selector"]),
        ({"spec/template/metadata/labels": {"app": "other"}}, ["spec.template.metadata.labels"]),
        ({"spec/template/spec/restartPolicy": "Never"}, [f"{TEMPLATE}.restartPolicy"]),
        ({"spec/template/spec/activeDeadlineSeconds": 5}, [f"{TEMPLATE}.activeDeadlineSeconds"]),
        ({"spec/minReadySeconds": -1}, ["spec.minReadySeconds"]),
        ({"spec/revisionHistoryLimit": -1}, ["spec.revisionHistoryLimit"]),
        ({"spec/updateStrategy": {"type": "Sometimes"}}, ["spec.updateStrategy.type"]),
        ({"spec/updateStrategy": {"type": "OnDelete"}}, []),
        (
            {"spec/updateStrategy/rollingUpdate": {"maxUnavailable": 0}},
            ["spec.updateStrategy.rollingUpdate.maxUnavailable"],
        ),
        (
            {"spec/updateStrategy/rollingUpdate": {"maxUnavailable": 1, "maxSurge": "10%"}},
            ["spec.updateStrategy.rollingUpdate.maxSurge"],
        ),
        ({"spec/updateStrategy/rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}, []),
        (
            {"spec/updateStrategy/rollingUpdate": {"maxUnavailable": "some"}},
            ["spec.updateStrategy.rollingUpdate.maxUnavailable"],
        ),
        (
            {
                "spec/updateStrategy/rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                f"{CONTAINER}/ports": [{"containerPort": 80, "hostPort": 80}],
            },
            [f"{TEMPLATE}.containers[0].ports[0].hostPort"],
        ),
    ],
)
def test_daemon_sets(changes: Changes, fields: list[str]) -> None:
    assert refused(created("apps/v1", "DaemonSet", changes)) == fields


def test_what_a_daemon_set_says_nothing_about() -> None:
    made = created("apps/v1", "DaemonSet", {"spec/updateStrategy": GONE, "spec/revisionHistoryLimit": GONE})
    rolling = made.spec.update_strategy.rolling_update
    assert made.spec.update_strategy.type == "RollingUpdate"
    assert (rolling.max_unavailable.int_val, rolling.max_surge.int_val) == (1, 0)
    assert made.spec.revision_history_limit == 10
    assert made.spec.template.spec.containers[0].image_pull_policy == "IfNotPresent"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"metadata/name": "a.b"}, ["metadata.name"]),
        ({"spec/replicas": -1}, ["spec.replicas"]),
        ({"spec/selector": {}}, ["spec.selector"]),
        ({"spec/template/metadata/labels/app": "other"}, ["spec.template.metadata.labels"]),
        ({"spec/podManagementPolicy": "Random"}, ["spec.podManagementPolicy"]),
        ({"spec/ordinals/start": -1}, ["spec.ordinals.start"]),
        ({"spec/updateStrategy": {"type": "OnDelete"}}, []),
        ({"spec/updateStrategy/type": "OnDelete"}, ["spec.updateStrategy.rollingUpdate"]),
        ({"spec/updateStrategy/type": "Recreate"}, ["spec.updateStrategy.type"]),
        ({"spec/updateStrategy/rollingUpdate/partition": -1}, ["spec.updateStrategy.rollingUpdate.partition"]),
        (
            {"spec/updateStrategy/rollingUpdate/maxUnavailable": 0},
            ["spec.updateStrategy.rollingUpdate.maxUnavailable"],
        ),
        (
            {"spec/persistentVolumeClaimRetentionPolicy/whenScaled": "Keep"},
            ["spec.persistentVolumeClaimRetentionPolicy.whenScaled"],
        ),
        # A volume of a template of claims may be mounted; one that is nowhere may not.
        (
            {f"{CONTAINER}/volumeMounts/1/name": "elsewhere"},
            [f"{TEMPLATE}.containers[0].volumeMounts[1].name"],
        ),
        (
            {"spec/volumeClaimTemplates/0/metadata/name": "Data"},
            [f"{TEMPLATE}.containers[0].volumeMounts[0].name", "spec.volumeClaimTemplates[0].metadata.name"],
        ),
        (
            {"spec/volumeClaimTemplates/0/spec/resources": {}},
            ["spec.volumeClaimTemplates[0].spec.resources.requests[storage]"],
        ),
        ({"spec/volumeClaimTemplates/0/spec/accessModes": []}, ["spec.volumeClaimTemplates[0].spec.accessModes"]),
        ({"spec/template/spec/restartPolicy": "OnFailure"}, [f"{TEMPLATE}.restartPolicy"]),
    ],
)
def test_stateful_sets(changes: Changes, fields: list[str]) -> None:
    assert refused(created("apps/v1", "StatefulSet", changes)) == fields


def test_two_templates_of_claims_have_two_names() -> None:
    made = created("apps/v1", "StatefulSet")
    made.spec.volume_claim_templates.append(made.spec.volume_claim_templates[0])
    assert refused(made) == ["spec.volumeClaimTemplates[1].metadata.name"]


def test_what_a_stateful_set_says_nothing_about() -> None:
    names = ("replicas", "podManagementPolicy", "updateStrategy", "persistentVolumeClaimRetentionPolicy")
    made = created("apps/v1", "StatefulSet", {f"spec/{name}": GONE for name in names})
    spec = made.spec
    assert (spec.replicas, spec.pod_management_policy) == (1, "OrderedReady")
    assert (spec.update_strategy.type, spec.update_strategy.rolling_update.partition) == ("RollingUpdate", 0)
    retention = spec.persistent_volume_claim_retention_policy
    assert (retention.when_deleted, retention.when_scaled) == ("Retain", "Retain")
    assert spec.volume_claim_templates[0].spec.volume_mode == "Filesystem"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"spec/replicas": 7, "spec/minReadySeconds": 3, "spec/revisionHistoryLimit": 1}, []),
        ({f"{CONTAINER}/image": "other:1", "spec/updateStrategy": {"type": "OnDelete"}}, []),
        ({"spec/ordinals/start": 5, "spec/persistentVolumeClaimRetentionPolicy/whenScaled": "Delete"}, []),
        ({"spec/serviceName": "other"}, ["spec.serviceName"]),
        ({"spec/podManagementPolicy": "OrderedReady"}, ["spec.podManagementPolicy"]),
        (
            {"spec/volumeClaimTemplates/0/spec/resources/requests/storage": "1Gi"},
            ["spec.volumeClaimTemplates"],
        ),
        (
            {"spec/selector": {"matchLabels": {"app": "ledger"}}},
            ["spec.selector"],
        ),
    ],
)
def test_what_of_a_stateful_set_may_change(changes: Changes, fields: list[str]) -> None:
    assert refused_update(created("apps/v1", "StatefulSet"), changes) == fields


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/selector": GONE}, []),
        ({"spec/selector/app": "other"}, ["spec.template.metadata.labels"]),
        ({"spec/template": GONE}, ["spec.template"]),
        ({"spec/template": GONE, "spec/selector": GONE}, ["spec.selector", "spec.template"]),
        ({"spec/replicas": -2, "spec/minReadySeconds": -2}, ["spec.replicas", "spec.minReadySeconds"]),
        ({"spec/template/spec/containers": []}, [f"{TEMPLATE}.containers"]),
        ({"spec/template/spec/restartPolicy": "Never"}, [f"{TEMPLATE}.restartPolicy"]),
    ],
)
def test_replication_controllers(changes: Changes, fields: list[str]) -> None:
    assert refused(created("v1", "ReplicationController", changes)) == fields


def test_a_replication_controller_takes_selector_and_labels_from_its_template() -> None:
    made = created("v1", "ReplicationController", {"spec/selector": GONE, "spec/replicas": GONE})
    assert (dict(made.spec.selector), dict(made.metadata.labels)) == ({"app": "old"}, {"app": "old"})
    assert made.spec.replicas == 1


def test_a_revision_is_what_it_was() -> None:
    made = created("apps/v1", "ControllerRevision")
    assert refused(made) == []
    assert refused_update(made, {"revision": 9}) == []
    assert refused_update(made, {"data/spec": {}}) == ["data"]
    assert refused(created("apps/v1", "ControllerRevision", {"data": GONE, "revision": -1})) == ["data", "revision"]


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"])
def test_a_selector_is_never_guessed(kind: str) -> None:
    assert refused(created("apps/v1", kind, {"spec/selector": GONE})) == ["spec.selector"]


@pytest.mark.parametrize("kind", ["DaemonSet", "Deployment", "ReplicaSet"])
def test_a_selector_stays(kind: str) -> None:
    changes: dict[str, Any] = {"spec/selector/matchLabels/more": "x", "spec/template/metadata/labels/more": "x"}
    assert refused_update(created("apps/v1", kind), changes) == ["spec.selector"]


def test_a_template_of_pods_has_a_generation_and_rules() -> None:
    made = created("v1", "PodTemplate")
    assert (refused(made), made.metadata.generation) == ([], 1)
    assert refused(created("v1", "PodTemplate", {"template/spec/containers/0/image": ""})) == [
        "template.spec.containers[0].image"
    ]


def test_paths_of_the_table() -> None:
    assert edited({"a": [{"b": 1}]}, {"a/0/b": GONE, "a/1": 2, "c/d": 3}) == {"a": [{}, 2], "c": {"d": 3}}


@pytest.mark.parametrize(
    ("api_version", "kind", "status", "fields"),
    [
        ("apps/v1", "StatefulSet", {"replicas": 3, "readyReplicas": 3, "availableReplicas": 2}, []),
        ("apps/v1", "StatefulSet", {"currentReplicas": -1}, ["status.currentReplicas"]),
        ("apps/v1", "StatefulSet", {"replicas": 1, "updatedReplicas": 2}, ["status.updatedReplicas"]),
        (
            "apps/v1",
            "StatefulSet",
            {"replicas": 3, "readyReplicas": 1, "availableReplicas": 2},
            ["status.availableReplicas"],
        ),
        ("apps/v1", "DaemonSet", {"numberReady": 2, "desiredNumberScheduled": 1}, []),
        ("apps/v1", "DaemonSet", {"numberMisscheduled": -1}, ["status.numberMisscheduled"]),
        ("v1", "ReplicationController", {"replicas": 2, "fullyLabeledReplicas": 3}, ["status.fullyLabeledReplicas"]),
        ("v1", "ReplicationController", {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}, []),
    ],
)
def test_numbers_of_a_status_fit_together(
    api_version: str, kind: str, status: dict[str, int], fields: list[str]
) -> None:
    assert (
        refused_status(created(api_version, kind), {f"status/{name}": value for name, value in status.items()})
        == fields
    )


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_collisions_are_counted_up(kind: str) -> None:
    made = created("apps/v1", kind)
    made.status.collision_count = 2
    assert refused_status(made, {"status/collisionCount": 3}) == []
    assert refused_status(made, {"status/collisionCount": 1}) == ["status.collisionCount"]
