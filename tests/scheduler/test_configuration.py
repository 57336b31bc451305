"""Profiles from a file: what they change, what is refused and where."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman.service.run import StartError

from scheduler.bootstrap import make_schedule, read_profiles
from scheduler.configuration import ConfigurationError, profiles
from scheduler.framework import Profile
from scheduler.outcomes import Placement, Refusal
from scheduler.plugins.plugin import Plugin
from scheduler.reasons import Reasons
from tests.scheduler.objects import node, pod

REASONS = Reasons()
HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def read(text: str, **foreign: Any) -> tuple[tuple[Profile, ...], list[str]]:
    return profiles(yaml.safe_load(HEAD + text), REASONS, foreign)


def weights(profile: Profile) -> dict[str, int]:
    return {plugin.name: weight for plugin, weight in profile.plugins if plugin.scores}


def test_a_profile_without_more_is_the_default() -> None:
    (profile,), warnings = read("profiles: [{}]")
    assert profile.name == "default-scheduler"
    assert weights(profile) == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }
    assert warnings == []


def test_two_profiles_place_the_same_pod_differently() -> None:
    found, _ = read(
        """
profiles:
- schedulerName: spread
- schedulerName: packed
  plugins:
    score:
      disabled: [{name: NodeResourcesBalancedAllocation}]
      enabled: [{name: NodeResourcesFit, weight: 5}]
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
"""
    )
    schedule = make_schedule(found, REASONS, random.Random(1))
    for name in ("full", "empty"):
        schedule.node_changed(None, node(name), 0)
    schedule.pod_changed(None, pod(cpu="2", memory="1Gi", on="full"), 0)
    chosen = {}
    for name in ("spread", "packed"):
        schedule.pod_changed(None, pod(cpu="100m", memory="100Mi", schedulerName=name), 0)
        attempt = schedule.attempt(0)
        assert isinstance(attempt, Placement)
        chosen[name] = attempt.node
    assert chosen == {"spread": "empty", "packed": "full"}


def test_filters_and_preemption_can_be_taken_out() -> None:
    (profile,), _ = read(
        """
profiles:
- plugins:
    filter: {disabled: [{name: TaintToleration}]}
    multiPoint: {disabled: [{name: DefaultPreemption}]}
"""
    )
    schedule = make_schedule([profile], REASONS, random.Random(1))
    schedule.node_changed(None, node("n1", cpu="1", taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]), 0)
    schedule.pod_changed(None, pod(cpu="1"), 0)
    assert isinstance(schedule.attempt(0), Placement)
    schedule.pod_changed(None, pod(cpu="1", priority=10), 0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Refusal)
    assert attempt.preemption is None
    assert attempt.message == "0/1 nodes are available: 1 Insufficient cpu."


def test_arguments_reach_their_plugins() -> None:
    (profile,), _ = read(
        """
profiles:
- pluginConfig:
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [blue]}]}]
  - {name: InterPodAffinity, args: {hardPodAffinityWeight: 50}}
  - name: PodTopologySpread
    args:
      defaultingType: List
      defaultConstraints: [{topologyKey: rack, maxSkew: 2, whenUnsatisfiable: ScheduleAnyway}]
  - name: NodeResourcesFit
    args:
      ignoredResources: [example.com/foo]
      scoringStrategy:
        type: RequestedToCapacityRatio
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
"""
    )
    schedule = make_schedule([profile], REASONS, random.Random(1))
    schedule.node_changed(None, node("n1"), 0)
    schedule.pod_changed(None, pod(requests={"example.com/foo": "1"}), 0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Refusal)
    assert "scheduler-enforced node affinity" in attempt.message
    schedule.node_changed(None, node("n2", labels={"pool": "blue"}), 2)
    assert isinstance(schedule.attempt(2), Placement)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("profiles: []", "profiles", "at least one"),
        ("profiles: {}", "profiles", "a list is expected"),
        ("profiles: [{schedulerNam: x}]", "profiles[0].schedulerNam", "unknown field"),
        ("profiles: [{}, {}]", "profiles[1].schedulerName", "is there already"),
        (
            "profiles: [{plugins: {score: {enabled: [{name: Nice}]}}}]",
            "profiles[0].plugins.score.enabled[0].name",
            "Nice",
        ),
        (
            "profiles: [{plugins: {score: {enabled: [{name: ImageLocality, weight: -1}]}}}]",
            "profiles[0].plugins.score.enabled[0].weight",
            "from 0 to 100",
        ),
        (
            "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
            "profiles[0].pluginConfig[0].args.hardPodAffinityWeight",
            "from 0 to 100",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]",
            "profiles[0].pluginConfig[0].args.scoringStrategy.type",
            "Best",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, "
            "args: {scoringStrategy: {type: RequestedToCapacityRatio}}}]}]",
            "profiles[0].pluginConfig[0].args.scoringStrategy.requestedToCapacityRatio.shape",
            "at least one point",
        ),
        *(
            (
                "profiles: [{pluginConfig: [{name: NodeResourcesFit, "
                f"args: {{scoringStrategy: {{type: {kind}, resources: [{{name: cpu, weight: {weight}}}]}}}}}}]}}]",
                "profiles[0].pluginConfig[0].args.scoringStrategy.resources[0].weight",
                "from 1 to 100",
            )
            for kind in ("LeastAllocated", "MostAllocated")
            for weight in (-1, 0, 101)
        ),
        (
            "profiles: [{pluginConfig: [{name: ImageLocality, args: {a: 1}}]}]",
            "profiles[0].pluginConfig[0].args",
            "no arguments",
        ),
        ("profiles: [{}]\npercentage: 5", "percentage", "unknown field"),
        ("profiles: [{}]\nextenders: [{urlPrefix: http://x}]", "extenders[0].address", "gRPC services"),
        ("profiles: [{}]\nextenders: [{address: a}, {address: a}]", "extenders[1].name", "is there already"),
        (
            "profiles: [{}]\nextenders: [{address: a, timeoutSeconds: 0}]",
            "extenders[0].timeoutSeconds",
            "from 1 to 60",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path(text: str, path: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read(text)
    assert refusal.value.path == path
    assert words in refusal.value.reason


def test_what_has_no_effect_is_told() -> None:
    _, warnings = read("profiles: [{plugins: {bind: {}}}]\npercentageOfNodesToScore: 50\nparallelism: 16")
    assert sorted(warning.split(" has")[0] for warning in warnings) == [
        "parallelism",
        "percentageOfNodesToScore",
        "profiles[0].plugins.bind",
    ]


class Picky(Plugin):
    """Likes nodes by the length of their names."""

    name = "Picky"
    scores = True

    def __init__(self, reasons: Reasons, args: Mapping[str, Any]) -> None:
        super().__init__(reasons)
        self.factor = args.get("factor", 1)

    def score(self, pod: Any, cluster: Any, rows: Any) -> Any:
        import numpy as np

        return np.array([len(name) * self.factor for name in cluster.rows.names], np.int64)[rows]


def test_a_plugin_of_somebody_else_takes_part() -> None:
    (profile,), _ = read(
        """
profiles:
- plugins: {multiPoint: {enabled: [{name: Picky, weight: 100}]}}
  pluginConfig: [{name: Picky, args: {factor: 10}}]
""",
        Picky=Picky,
    )
    schedule = make_schedule([profile], REASONS, random.Random(1))
    for name in ("n", "long-name"):
        schedule.node_changed(None, node(name), 0)
    schedule.pod_changed(None, pod(), 0)
    attempt = schedule.attempt(0)
    assert isinstance(attempt, Placement)
    assert attempt.node == "long-name"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        ("a: [", "is not YAML"),
        ("kind: Pod", "is not kubescheduler"),
        ("[]", "a mapping is expected"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "profiles.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StartError, match=words) as refusal:
        read_profiles(path, Reasons())
    assert str(path) in str(refusal.value)
