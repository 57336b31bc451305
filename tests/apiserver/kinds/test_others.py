"""Rules of budgets for disruption, autoscalers, runtime classes and events."""

from __future__ import annotations

import pytest

from tests.apiserver.kinds.table import GONE, Changes, created, refused, refused_update


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/maxUnavailable": 1}, ["spec"]),
        ({"spec/minAvailable": -1}, ["spec.minAvailable"]),
        ({"spec/minAvailable": "120%"}, ["spec.minAvailable"]),
        ({"spec/minAvailable": "many"}, ["spec.minAvailable"]),
        ({"spec/minAvailable": "\u0663%"}, ["spec.minAvailable"]),
        ({"spec/minAvailable": GONE, "spec/maxUnavailable": "0%"}, []),
        ({"spec/selector/matchLabels": {"a b": "c"}}, ["spec.selector.matchLabels"]),
        ({"spec/unhealthyPodEvictionPolicy": "Never"}, ["spec.unhealthyPodEvictionPolicy"]),
    ],
)
def test_budgets(changes: Changes, fields: list[str]) -> None:
    assert refused(created("policy/v1", "PodDisruptionBudget", changes)) == fields


METRIC = "spec/metrics/{}"
UP = "spec/behavior/scaleUp"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/maxReplicas": 1}, ["spec.maxReplicas"]),
        ({"spec/maxReplicas": 0}, ["spec.maxReplicas"]),
        ({"spec/minReplicas": 0}, []),
        ({"spec/minReplicas": 0, "spec/metrics": []}, ["spec.minReplicas"]),
        ({"spec/minReplicas": -1}, ["spec.minReplicas"]),
        ({"spec/scaleTargetRef": GONE}, ["spec.scaleTargetRef.kind", "spec.scaleTargetRef.name"]),
        ({"spec/scaleTargetRef/name": "a/b"}, ["spec.scaleTargetRef.name"]),
        ({"spec/metrics/0/type": "Guess"}, ["spec.metrics[0].type"]),
        ({"spec/metrics/0/type": "Pods"}, ["spec.metrics[0].resource", "spec.metrics[0].pods"]),
        ({"spec/metrics/0/resource/name": ""}, ["spec.metrics[0].resource.name"]),
        (
            {"spec/metrics/0/resource/target/averageUtilization": 0},
            ["spec.metrics[0].resource.target.averageUtilization"],
        ),
        (
            {"spec/metrics/0/resource/target/type": "Value"},
            ["spec.metrics[0].resource.target.type", "spec.metrics[0].resource.target.value"],
        ),
        (
            {"spec/metrics/0/resource/target/averageValue": "1"},
            ["spec.metrics[0].resource.target"],
        ),
        ({"spec/metrics/1/containerResource/container": ""}, ["spec.metrics[1].containerResource.container"]),
        (
            {"spec/metrics/2/pods/target": {"type": "AverageValue"}},
            ["spec.metrics[2].pods.target.averageValue"],
        ),
        ({"spec/metrics/2/pods/target/averageValue": "0"}, ["spec.metrics[2].pods.target.averageValue"]),
        ({"spec/metrics/2/pods/target/averageValue": "x"}, ["spec.metrics[2].pods.target.averageValue"]),
        ({"spec/metrics/2/pods/metric/name": ""}, ["spec.metrics[2].pods.metric.name"]),
        (
            {"spec/metrics/3/object/describedObject": GONE},
            [
                "spec.metrics[3].object.describedObject.kind",
                "spec.metrics[3].object.describedObject.name",
            ],
        ),
        (
            {"spec/metrics/4/external/metric/selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            ["spec.metrics[4].external.metric.selector.matchExpressions"],
        ),
        ({f"{UP}/policies/0/type": "Nodes"}, ["spec.behavior.scaleUp.policies[0].type"]),
        ({f"{UP}/policies/0/value": 0}, ["spec.behavior.scaleUp.policies[0].value"]),
        ({f"{UP}/policies/0/periodSeconds": 1801}, ["spec.behavior.scaleUp.policies[0].periodSeconds"]),
        ({f"{UP}/stabilizationWindowSeconds": 3601}, ["spec.behavior.scaleUp.stabilizationWindowSeconds"]),
        ({f"{UP}/selectPolicy": "Some"}, ["spec.behavior.scaleUp.selectPolicy"]),
        ({f"{UP}/tolerance": "-1"}, ["spec.behavior.scaleUp.tolerance"]),
    ],
)
def test_autoscalers(changes: Changes, fields: list[str]) -> None:
    assert refused(created("autoscaling/v2", "HorizontalPodAutoscaler", changes)) == fields


def test_what_an_autoscaler_says_nothing_about() -> None:
    changes: Changes = {"spec/minReplicas": GONE, "spec/metrics": GONE, "spec/behavior": {}}
    spec = created("autoscaling/v2", "HorizontalPodAutoscaler", changes).spec
    assert spec.min_replicas == 1
    [metric] = spec.metrics
    target = metric.resource.target
    assert (metric.resource.name, target.type, target.average_utilization) == ("cpu", "Utilization", 80)
    up, down = spec.behavior.scale_up, spec.behavior.scale_down
    assert [(each.type, each.value, each.period_seconds) for each in up.policies] == [
        ("Pods", 4, 15),
        ("Percent", 100, 15),
    ]
    assert [(each.type, each.value, each.period_seconds) for each in down.policies] == [("Percent", 100, 15)]
    assert (up.stabilization_window_seconds, down.HasField("stabilization_window_seconds")) == (0, False)
    plain = created("autoscaling/v2", "HorizontalPodAutoscaler", {"spec/behavior": GONE})
    assert not plain.spec.HasField("behavior")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"handler": ""}, ["handler"]),
        ({"handler": "Run C"}, ["handler"]),
        ({"overhead/podFixed/cpu": "much"}, ["overhead.podFixed[cpu]"]),
        ({"overhead/podFixed/cpu": "-1"}, ["overhead.podFixed[cpu]"]),
        ({"scheduling/nodeSelector": {"a b": "c"}}, ["scheduling.nodeSelector"]),
        ({"scheduling/tolerations/0": {"operator": "Equal"}}, ["scheduling.tolerations[0].operator"]),
    ],
)
def test_runtime_classes(changes: Changes, fields: list[str]) -> None:
    assert refused(created("node.k8s.io/v1", "RuntimeClass", changes)) == fields


def test_the_handler_of_a_runtime_class_stays() -> None:
    made = created("node.k8s.io/v1", "RuntimeClass")
    assert refused_update(made, {"overhead/podFixed/cpu": "1"}) == []
    assert refused_update(made, {"handler": "other"}) == ["handler"]
