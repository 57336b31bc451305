"""Profiles from a configuration in the form of kube-scheduler's (KubeSchedulerConfiguration, YAML read into a mapping).

    apiVersion: kubescheduler.config.k8s.io/v1
    kind: KubeSchedulerConfiguration
    profiles:
    - schedulerName: packed
      plugins:
        score:
          disabled: [{name: ImageLocality}]
          enabled: [{name: NodeResourcesFit, weight: 5}]
      pluginConfig:
      - name: NodeResourcesFit
        args: {scoringStrategy: {type: MostAllocated}}
    extenders:                       # gRPC services, see extender.proto
    - {name: rack-planner, address: "planner:9000", weight: 2, ignorable: true, timeoutSeconds: 2}

What makes no sense is refused with its path; what has no effect here is answered with a warning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from steersman.core.v1 import NodeAffinity as NodeAffinityMessage
from steersman.manifests import codec

from scheduler.extender import ExtenderSpec
from scheduler.framework import Profile
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import LEAST, MOST, RATIO, NodeResourcesFit, Strategy
from scheduler.plugins.plugin import Plugin
from scheduler.plugins.pod_topology_spread import SYSTEM_DEFAULTS, Default, PodTopologySpread
from scheduler.plugins.registry import CLASSES, WEIGHTS
from scheduler.plugins.volume_binding import BIND_TIMEOUT_S, VolumeBinding
from scheduler.pod import DEFAULT_SCHEDULER
from scheduler.reasons import Reasons
from scheduler.terms import node_term

API_VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
PREEMPTION = "DefaultPreemption"
# Parts of kube-scheduler that are here, but are no plugins that could be taken out.
BUILT_IN = frozenset({"PrioritySort", "SchedulingGates", "DefaultBinder", PREEMPTION})
WITHOUT_EFFECT = {
    "parallelism": "all nodes are judged at once",
    "percentageOfNodesToScore": "all nodes are always scored",
    "clientConnection": "the connection is configured by --config",
    "leaderElection": "a single instance decides",
    "enableProfiling": "there is no profiling endpoint",
    "enableContentionProfiling": "there is no profiling endpoint",
}
POINTS_WITHOUT_EFFECT = frozenset(
    {
        "preEnqueue",
        "queueSort",
        "preFilter",
        "postFilter",
        "preScore",
        "reserve",
        "permit",
        "preBind",
        "bind",
        "postBind",
    }
)

Factory = Callable[[Reasons, Mapping[str, Any]], Plugin]


class ConfigurationError(ValueError):
    """A configuration makes no sense.

    Attributes:
        path: where, "profiles[0].plugins.score.enabled[1].name".
        reason: why.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


@dataclass
class Part:
    """A mapping of the configuration, read field by field; what nobody read is unknown."""

    data: Mapping[str, Any]
    path: str
    _read: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, data: Any, path: str) -> Part:
        """Checks that there is a mapping."""
        if not isinstance(data, Mapping):
            raise ConfigurationError(path, f"a mapping is expected, not {codec.describe(data)}")
        return cls(data, path)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str, kind: type, default: Any) -> Any:
        """A field's value; the default where it is absent."""
        self._read.add(name)
        value = self.data.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            words = {str: "a string", int: "a number", bool: "true or false", list: "a list", dict: "a mapping"}
            raise ConfigurationError(self.at(name), f"{words[kind]} is expected, not {codec.describe(value)}")
        return value

    def between(self, name: str, low: int, high: int, default: int) -> int:
        """A number within bounds."""
        value: int = self.take(name, int, default)
        if not low <= value <= high:
            raise ConfigurationError(self.at(name), f"{value} is not from {low} to {high}")
        return value

    def part(self, name: str) -> Part:
        """A mapping; an empty one where it is absent."""
        return Part.of(self.take(name, dict, {}), self.at(name))

    def parts(self, name: str) -> Iterator[Part]:
        """A list of mappings."""
        for position, entry in enumerate(self.take(name, list, [])):
            yield Part.of(entry, f"{self.at(name)}[{position}]")

    def finish(self) -> None:
        """Refuses fields that nobody read."""
        for name in self.data:
            if name not in self._read:
                known = ", ".join(sorted(self._read))
                raise ConfigurationError(self.at(name), f"unknown field; known here: {known}")


def fit(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """NodeResourcesFitArgs."""
    part = Part.of(args, path)
    strategy = part.part("scoringStrategy")
    kind = strategy.take("type", str, LEAST)
    if kind not in (LEAST, MOST, RATIO):
        raise ConfigurationError(strategy.at("type"), f"{kind!r} is none of {LEAST}, {MOST}, {RATIO}")
    weights = resources(strategy) or Strategy().weights
    ratio = strategy.part("requestedToCapacityRatio")
    shape = tuple(
        (point.between("utilization", 0, 100, 0), point.between("score", 0, 10, 0)) for point in ratio.parts("shape")
    )
    if any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(shape)):
        raise ConfigurationError(ratio.at("shape"), "utilization must grow from point to point")
    if kind == RATIO and not shape:
        raise ConfigurationError(ratio.at("shape"), "at least one point is required")
    ignored = frozenset(map(str, part.take("ignoredResources", list, [])))
    groups = frozenset(map(str, part.take("ignoredResourceGroups", list, [])))
    strategy.finish()
    part.finish()
    return NodeResourcesFit(
        reasons,
        strategy=Strategy(kind, weights, shape or Strategy().shape),
        ignored=ignored,
        ignored_groups=groups,
    )


def resources(part: Part) -> tuple[tuple[str, int], ...]:
    """A list of resources with weights."""
    result = []
    for entry in part.parts("resources"):
        name = entry.take("name", str, "")
        if not name:
            raise ConfigurationError(entry.at("name"), "required")
        result.append((name, entry.between("weight", 1, 100, 1)))
        entry.finish()
    return tuple(result)


def balanced(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """NodeResourcesBalancedAllocationArgs."""
    part = Part.of(args, path)
    names = tuple(name for name, _ in resources(part))
    part.finish()
    return (
        NodeResourcesBalancedAllocation(reasons, resources=names) if names else NodeResourcesBalancedAllocation(reasons)
    )


def node_affinity(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """NodeAffinityArgs."""
    part = Part.of(args, path)
    added = part.take("addedAffinity", dict, None)
    part.finish()
    if added is None:
        return NodeAffinity(reasons)
    try:
        message = codec.decode(NodeAffinityMessage, added)
    except ValueError as error:
        raise ConfigurationError(part.at("addedAffinity"), str(error)) from error
    preferred = tuple(
        (one.weight, term)
        for one in message.preferred_during_scheduling_ignored_during_execution
        if one.weight and (term := node_term(one.preference)) is not None
    )
    if not message.HasField("required_during_scheduling_ignored_during_execution"):
        return NodeAffinity(reasons, added_preferred=preferred)
    required = message.required_during_scheduling_ignored_during_execution.node_selector_terms
    terms = tuple(term for term in map(node_term, required) if term is not None)
    return NodeAffinity(reasons, added=terms, added_preferred=preferred)


def topology_spread(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """PodTopologySpreadArgs."""
    part = Part.of(args, path)
    kind = part.take("defaultingType", str, "System")
    defaults = []
    for entry in part.parts("defaultConstraints"):
        key = entry.take("topologyKey", str, "")
        if not key:
            raise ConfigurationError(entry.at("topologyKey"), "required")
        if entry.take("whenUnsatisfiable", str, "ScheduleAnyway") != "ScheduleAnyway":
            raise ConfigurationError(entry.at("whenUnsatisfiable"), "only ScheduleAnyway can be a default here")
        defaults.append(Default(key, entry.between("maxSkew", 1, 2**31 - 1, 1)))
        entry.finish()
    part.finish()
    if kind == "System" and defaults:
        raise ConfigurationError(part.at("defaultConstraints"), "defaultingType List is needed for a list")
    if kind not in ("System", "List"):
        raise ConfigurationError(part.at("defaultingType"), f"{kind!r} is neither System nor List")
    return PodTopologySpread(reasons, defaults=SYSTEM_DEFAULTS if kind == "System" else tuple(defaults))


def pod_affinity(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """InterPodAffinityArgs."""
    part = Part.of(args, path)
    plugin = InterPodAffinity(
        reasons,
        hard_weight=part.between("hardPodAffinityWeight", 0, 100, 1),
        ignore_preferred_of_existing=part.take("ignorePreferredTermsOfExistingPods", bool, False),
    )
    part.finish()
    return plugin


def volume_binding(reasons: Reasons, args: Mapping[str, Any], path: str) -> Plugin:
    """VolumeBindingArgs."""
    part = Part.of(args, path)
    plugin = VolumeBinding(reasons, timeout_s=part.between("bindTimeoutSeconds", 0, 2**31 - 1, BIND_TIMEOUT_S))
    part.finish()
    return plugin


WITH_ARGUMENTS: Mapping[str, Callable[[Reasons, Mapping[str, Any], str], Plugin]] = {
    NodeResourcesFit.name: fit,
    NodeResourcesBalancedAllocation.name: balanced,
    NodeAffinity.name: node_affinity,
    PodTopologySpread.name: topology_spread,
    InterPodAffinity.name: pod_affinity,
    VolumeBinding.name: volume_binding,
}


@dataclass
class Selection:
    """Which plugins a profile has, and what they do in it.

    Attributes:
        weights: plugin and weight of its score, in the order of the filters.
        filters: those whose filter is used.
        scores: those whose score is used.
        preemption: whether pods may push out others.
    """

    weights: dict[str, int]
    filters: set[str]
    scores: set[str]
    preemption: bool = True


def _extenders(top: Part) -> tuple[ExtenderSpec, ...]:
    found: dict[str, ExtenderSpec] = {}
    for part in top.parts("extenders"):
        address = part.take("address", str, "")
        if not address:
            hint = "; extenders are gRPC services here" if "urlPrefix" in part.data else ""
            raise ConfigurationError(part.at("address"), f"required{hint}")
        spec = ExtenderSpec(
            name=part.take("name", str, address),
            address=address,
            server_name=part.take("serverName", str, ""),
            weight=part.between("weight", 0, 100, 1),
            ignorable=part.take("ignorable", bool, False),
            timeout_s=part.between("timeoutSeconds", 1, 60, 5),
            resources=frozenset(map(str, part.take("managedResources", list, []))),
        )
        part.finish()
        if spec.name in found or spec.name in CLASSES:
            raise ConfigurationError(part.at("name"), f"{spec.name!r} is there already")
        found[spec.name] = spec
    return tuple(found.values())


def profiles(
    document: Any, reasons: Reasons, foreign: Mapping[str, Factory] | None = None
) -> tuple[tuple[Profile, ...], list[str]]:
    """The profiles of a configuration, and warnings about what has no effect.

    Args:
        document: the configuration, as read from YAML.
        reasons: where plugins' reasons get their numbers.
        foreign: plugins of others, by name.

    Raises:
        ConfigurationError: it makes no sense.
    """
    top = Part.of(document, "")
    for name, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        given = top.take(name, str, "")
        if given != expected:
            raise ConfigurationError(name, f"{given!r} is not {expected}")
    warnings = []
    for name, why in WITHOUT_EFFECT.items():
        if top.data.get(name) is not None:
            top.take(name, object, None)
            warnings.append(f"{name} has no effect: {why}")
    extenders = _extenders(top)
    made: dict[str, Profile] = {}
    for part in top.parts("profiles"):
        profile = _profile(part, reasons, foreign or {}, warnings)
        if profile.name in made:
            raise ConfigurationError(part.at("schedulerName"), f"{profile.name!r} is there already")
        made[profile.name] = replace(profile, extenders=extenders)
    top.finish()
    if not made:
        raise ConfigurationError("profiles", "at least one is required")
    return tuple(made.values()), warnings


def _profile(part: Part, reasons: Reasons, foreign: Mapping[str, Factory], warnings: list[str]) -> Profile:
    name = part.take("schedulerName", str, DEFAULT_SCHEDULER)
    if part.data.get("percentageOfNodesToScore") is not None:
        part.take("percentageOfNodesToScore", int, 0)
        warnings.append(f"{part.at('percentageOfNodesToScore')} has no effect: all nodes are always scored")
    selection = Selection(dict(WEIGHTS), set(WEIGHTS), set(WEIGHTS))
    points = part.part("plugins")
    for point in ("multiPoint", "filter", "score"):
        _select(points.part(point), point, selection, foreign)
    for point in POINTS_WITHOUT_EFFECT:
        if points.data.get(point) is not None:
            taken = points.part(point)
            warnings.append(f"{taken.path} has no effect: only multiPoint, filter and score can be chosen")
    points.finish()
    arguments: dict[str, tuple[Mapping[str, Any], str]] = {}
    for entry in part.parts("pluginConfig"):
        configured = _known(entry, foreign)
        arguments[configured] = entry.take("args", dict, {}), entry.at("args")
        entry.finish()
    part.finish()
    chosen = []
    for plugin_name, weight in selection.weights.items():
        args, path = arguments.get(plugin_name, ({}, f"{part.path}.pluginConfig"))
        args = {key: value for key, value in args.items() if key not in ("apiVersion", "kind")}
        plugin = _make(plugin_name, reasons, args, path, foreign)
        plugin.filters = plugin.filters and plugin_name in selection.filters
        plugin.scores = plugin.scores and plugin_name in selection.scores
        chosen.append((plugin, weight))
    return Profile(name, tuple(chosen), preemption=selection.preemption)


def _make(name: str, reasons: Reasons, args: Mapping[str, Any], path: str, foreign: Mapping[str, Factory]) -> Plugin:
    if name in foreign:
        return foreign[name](reasons, args)
    if name in WITH_ARGUMENTS:
        return WITH_ARGUMENTS[name](reasons, args, path)
    if args:
        raise ConfigurationError(path, f"{name} has no arguments")
    return CLASSES[name](reasons)


def _known(entry: Part, foreign: Mapping[str, Factory]) -> str:
    name: str = entry.take("name", str, "")
    if name not in CLASSES and name not in foreign and name not in BUILT_IN and name != "*":
        known = ", ".join(sorted({*CLASSES, *foreign, *BUILT_IN}))
        raise ConfigurationError(entry.at("name"), f"unknown plugin {name!r}; known are {known}")
    return name


def _select(part: Part, point: str, selection: Selection, foreign: Mapping[str, Factory]) -> None:
    used = {"filter": [selection.filters], "score": [selection.scores]}.get(
        point, [selection.filters, selection.scores]
    )
    for entry in part.parts("disabled"):
        name = _known(entry, foreign)
        entry.finish()
        if name in (PREEMPTION, "*") and point == "multiPoint":
            selection.preemption = False
        for some in used:
            some -= set(selection.weights) if name == "*" else {name}
    for entry in part.parts("enabled"):
        name = _known(entry, foreign)
        weight = entry.between("weight", 0, 100, 0)
        entry.finish()
        if name == PREEMPTION:
            selection.preemption = True
        elif name not in BUILT_IN:
            for some in used:
                some.add(name)
            selection.weights[name] = weight or selection.weights.get(name) or WEIGHTS.get(name) or 1
    part.finish()
