"""The plugins once more, as plainly as can be: one node at a time, straight from the messages, nothing remembered.

Written for the tests only, from Kubernetes' documented behaviour; slow, and meant to be obviously right.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from steersman import quantity
from steersman.core.v1 import Node, Pod, PodAffinityTerm, Toleration

HOSTNAME = "kubernetes.io/hostname"


@dataclass
class World:
    """Everything there is."""

    nodes: list[Node]
    pods: list[Pod]
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    selectors: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """(namespace, selector) of Services."""

    def on(self, node: Node) -> list[Pod]:
        return [pod for pod in self.pods if pod.spec.node_name == node.metadata.name]

    def node_of(self, pod: Pod) -> Node | None:
        return next((node for node in self.nodes if node.metadata.name == pod.spec.node_name), None)


# Selectors.


def requirement_holds(labels: dict[str, str], key: str, operator: str, values: list[str]) -> bool:
    value = labels.get(key)
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        number, bound = int(value or ""), int(values[0])
    except ValueError:
        return False
    return number > bound if operator == "Gt" else number < bound


def selected(selector: object, labels: dict[str, str]) -> bool:
    return all(labels.get(k) == v for k, v in selector.match_labels.items()) and all(  # type: ignore[attr-defined]
        requirement_holds(labels, e.key, e.operator, list(e.values))
        for e in selector.match_expressions  # type: ignore[attr-defined]
    )


def labels_of(obj: Pod | Node) -> dict[str, str]:
    return dict(obj.metadata.labels)


# Resources.


def requests(pod: Pod, resource: str, *, assumed: bool = False) -> int:
    read = quantity.milli if resource == "cpu" else quantity.whole
    default = {"cpu": 100, "memory": 200 * 1024 * 1024}.get(resource, 0) if assumed else 0

    def of(container: object) -> int:
        asked = container.resources.requests  # type: ignore[attr-defined]
        return read(asked[resource].value) if resource in asked else default

    running = sum(of(container) for container in pod.spec.containers)
    sidecars = highest = 0
    for container in pod.spec.init_containers:
        if container.restart_policy == "Always":
            sidecars += of(container)
            highest = max(highest, sidecars)
        else:
            highest = max(highest, sidecars + of(container))
    total = max(running + sidecars, highest)
    return total + (read(pod.spec.overhead[resource].value) if resource in pod.spec.overhead else 0)


def allocatable(node: Node, resource: str) -> int:
    read = quantity.milli if resource == "cpu" else quantity.whole
    return read(node.status.allocatable[resource].value) if resource in node.status.allocatable else 0


def asked_resources(pod: Pod) -> list[str]:
    names = {r for c in (*pod.spec.containers, *pod.spec.init_containers) for r in c.resources.requests}
    names |= set(pod.spec.overhead)
    first = [r for r in ("cpu", "memory", "ephemeral-storage") if r in names]
    return first + sorted(names - {"cpu", "memory", "ephemeral-storage"})


def fit(pod: Pod, node: Node, world: World) -> str:
    here = world.on(node)
    lacking = []
    if len(here) + 1 > allocatable(node, "pods"):
        lacking.append("Too many pods")
    for resource in asked_resources(pod):
        asked = requests(pod, resource)
        used = sum(requests(other, resource) for other in here)
        if asked and asked > allocatable(node, resource) - used:
            lacking.append(f"Insufficient {resource}")
    return " and ".join(lacking)


def least_allocated(pod: Pod, node: Node, world: World) -> int:
    total = weights = 0
    for resource in ("cpu", "memory"):
        has = allocatable(node, resource)
        if not has:
            continue
        used = sum(requests(other, resource, assumed=True) for other in (*world.on(node), pod))
        total += (has - used) * 100 // has if used <= has else 0
        weights += 1
    return total // weights if weights else 0


def balanced(pod: Pod, node: Node, world: World) -> int:
    if not any(requests(pod, resource) for resource in ("cpu", "memory")):
        return 0

    def balance(*pods: Pod) -> int:
        shares = []
        for resource in ("cpu", "memory"):
            has = allocatable(node, resource)
            if has:
                shares.append(min(1.0, sum(requests(other, resource) for other in pods) / has))
        deviation = abs((shares[0] - shares[1]) / 2) if len(shares) == 2 else 0.0
        return int((1 - deviation) * 100)

    return 50 + (50 + balance(*world.on(node), pod) - balance(*world.on(node))) // 2


# Nodes.


def tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.key and toleration.key != key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == value


def unschedulable(pod: Pod, node: Node, world: World) -> str:
    key = "node.kubernetes.io/unschedulable"
    if node.spec.unschedulable and not any(tolerates(t, key, "", "NoSchedule") for t in pod.spec.tolerations):
        return "node(s) were unschedulable"
    return ""


def taints(pod: Pod, node: Node, world: World) -> str:
    for taint in node.spec.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not any(
            tolerates(t, taint.key, taint.value, taint.effect) for t in pod.spec.tolerations
        ):
            return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
    return ""


def disliked_taints(pod: Pod, node: Node) -> int:
    tolerations = [t for t in pod.spec.tolerations if t.effect in ("", "PreferNoSchedule")]
    return sum(
        taint.effect == "PreferNoSchedule"
        and not any(tolerates(t, taint.key, taint.value, taint.effect) for t in tolerations)
        for taint in node.spec.taints
    )


def node_term(term: object, node: Node) -> bool:
    if not term.match_expressions and not term.match_fields:  # type: ignore[attr-defined]
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(
        requirement_holds(labels_of(node), e.key, e.operator, list(e.values))
        for e in term.match_expressions  # type: ignore[attr-defined]
    ) and all(
        requirement_holds(fields, e.key, e.operator, list(e.values))
        for e in term.match_fields  # type: ignore[attr-defined]
    )


def suits(pod: Pod, node: Node) -> bool:
    if any(labels_of(node).get(k) != v for k, v in pod.spec.node_selector.items()):
        return False
    wish = pod.spec.affinity.node_affinity
    if wish.HasField("required_during_scheduling_ignored_during_execution"):
        terms = wish.required_during_scheduling_ignored_during_execution.node_selector_terms
        return any(node_term(term, node) for term in terms)
    return True


def node_affinity(pod: Pod, node: Node, world: World) -> str:
    return "" if suits(pod, node) else "node(s) didn't match Pod's node affinity/selector"


def preferred_nodes(pod: Pod, node: Node) -> int:
    preferences = pod.spec.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution
    return sum(preference.weight for preference in preferences if node_term(preference.preference, node))


def host_ports(pod: Pod) -> list[tuple[str, str, int]]:
    return [
        (port.protocol or "TCP", port.host_ip or "0.0.0.0", port.host_port)
        for container in pod.spec.containers
        for port in container.ports
        if port.host_port
    ]


def ports(pod: Pod, node: Node, world: World) -> str:
    for protocol, address, port in host_ports(pod):
        for other in world.on(node):
            for other_protocol, other_address, other_port in host_ports(other):
                overlap = "0.0.0.0" in (address, other_address) or address == other_address
                if (protocol, port) == (other_protocol, other_port) and overlap:
                    return "node(s) didn't have free ports for the requested pod ports"
    return ""


def image_locality(pod: Pod, node: Node, world: World) -> int:
    total = 0
    containers = [*pod.spec.containers, *pod.spec.init_containers]
    for container in containers:
        name = container.image if ":" in container.image.rpartition("/")[2] else f"{container.image}:latest"
        sizes = {n: image.size_bytes for image in node.status.images for n in image.names}
        having = sum(any(name in image.names for image in other.status.images) for other in world.nodes)
        if name in sizes:
            total += int(sizes[name] * (having / len(world.nodes)))
    lowest, highest = 23 * 1024**2, 1000 * 1024**2 * len(containers)
    return 100 * (min(max(total, lowest), highest) - lowest) // (highest - lowest)


# Other pods.


def meant(term: PodAffinityTerm, owner: Pod, other: Pod, world: World) -> bool:
    """Whether a term of `owner` means `other`."""
    namespace = other.metadata.namespace
    if term.HasField("namespace_selector"):
        chosen = namespace in term.namespaces or selected(term.namespace_selector, world.namespaces.get(namespace, {}))
    elif term.namespaces:
        chosen = namespace in term.namespaces
    else:
        chosen = namespace == owner.metadata.namespace
    if not chosen or not term.HasField("label_selector") or not selected(term.label_selector, labels_of(other)):
        return False
    own = labels_of(owner)
    return all(own.get(key) == labels_of(other).get(key) for key in term.match_label_keys if key in own)


def near(term: PodAffinityTerm, node: Node, other: Pod, world: World) -> bool:
    place = world.node_of(other)
    value = labels_of(node).get(term.topology_key)
    return place is not None and value is not None and labels_of(place).get(term.topology_key) == value


def inter_pod_affinity(pod: Pod, node: Node, world: World) -> str:
    wanted = list(pod.spec.affinity.pod_affinity.required_during_scheduling_ignored_during_execution)
    if wanted:
        meeting_all = [other for other in world.pods if all(meant(term, pod, other, world) for term in wanted)]
        labelled = all(term.topology_key in node.metadata.labels for term in wanted)
        satisfied = all(any(near(term, node, other, world) for other in meeting_all) for term in wanted)
        somewhere = any(
            (place := world.node_of(other)) is not None and term.topology_key in place.metadata.labels
            for term in wanted
            for other in meeting_all
        )
        first = not somewhere and all(meant(term, pod, pod, world) for term in wanted)
        if not (labelled and (satisfied or first)):
            return "node(s) didn't match pod affinity rules"
    for term in pod.spec.affinity.pod_anti_affinity.required_during_scheduling_ignored_during_execution:
        if any(meant(term, pod, other, world) and near(term, node, other, world) for other in world.pods):
            return "node(s) didn't match pod anti-affinity rules"
    for other in world.pods:
        for term in other.spec.affinity.pod_anti_affinity.required_during_scheduling_ignored_during_execution:
            if meant(term, other, pod, world) and near(term, node, other, world):
                return "node(s) didn't satisfy existing pods anti-affinity rules"
    return ""


def attraction(pod: Pod, node: Node, world: World) -> int:
    def preferences(one: Pod) -> list[tuple[int, PodAffinityTerm]]:
        affinity = one.spec.affinity
        towards = affinity.pod_affinity.preferred_during_scheduling_ignored_during_execution
        away = affinity.pod_anti_affinity.preferred_during_scheduling_ignored_during_execution
        return [(w.weight, w.pod_affinity_term) for w in towards] + [(-w.weight, w.pod_affinity_term) for w in away]

    total = 0
    for other in world.pods:
        for weight, term in preferences(pod):
            total += weight * (meant(term, pod, other, world) and near(term, node, other, world))
        for weight, term in preferences(other):
            total += weight * (meant(term, other, pod, world) and near(term, node, other, world))
        for term in other.spec.affinity.pod_affinity.required_during_scheduling_ignored_during_execution:
            total += meant(term, other, pod, world) and near(term, node, other, world)
    return total


def counted(constraint: object, pod: Pod, other: Pod) -> bool:
    """Whether a spread constraint of `pod` counts `other`."""
    if other.metadata.namespace != pod.metadata.namespace or other.metadata.HasField("deletion_timestamp"):
        return False
    if not constraint.HasField("label_selector"):  # type: ignore[attr-defined]
        return False
    own, labels = labels_of(pod), labels_of(other)
    return selected(constraint.label_selector, labels) and all(  # type: ignore[attr-defined]
        own[key] == labels.get(key)
        for key in constraint.match_label_keys  # type: ignore[attr-defined]
        if key in own
    )


def included(constraint: object, pod: Pod, node: Node, world: World) -> bool:
    if constraint.node_affinity_policy != "Ignore" and not suits(pod, node):  # type: ignore[attr-defined]
        return False
    return not (constraint.node_taints_policy == "Honor" and taints(pod, node, world))  # type: ignore[attr-defined]


def topology_spread(pod: Pod, node: Node, world: World) -> str:
    hard = [c for c in pod.spec.topology_spread_constraints if c.when_unsatisfiable == "DoNotSchedule"]
    complete = [n for n in world.nodes if all(c.topology_key in n.metadata.labels for c in hard)]
    for constraint in hard:
        key = constraint.topology_key
        if key not in node.metadata.labels:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        numbers: Counter[str] = Counter()
        for other in complete:
            if included(constraint, pod, other, world):
                numbers[labels_of(other)[key]] += sum(counted(constraint, pod, one) for one in world.on(other))
        fewest = min(numbers.values(), default=2**31)
        if len(numbers) < (constraint.min_domains if constraint.HasField("min_domains") else 1):
            fewest = 0
        itself = counted(constraint, pod, pod)
        if numbers[labels_of(node)[key]] + itself - fewest > constraint.max_skew:
            return "node(s) didn't match pod topology spread constraints"
    return ""


def spread_scores(pod: Pod, feasible: list[Node], world: World) -> list[int] | None:
    """Scores of the feasible nodes, normalised; None without constraints."""
    if pod.spec.topology_spread_constraints:
        soft = [
            (c.topology_key, c.max_skew, c, None)
            for c in pod.spec.topology_spread_constraints
            if c.when_unsatisfiable == "ScheduleAnyway"
        ]
        strict = True
    else:
        chosen: dict[str, str] = {}
        for namespace, selector in world.selectors:
            if namespace == pod.metadata.namespace and selector.items() <= labels_of(pod).items():
                chosen |= selector
        soft = [(HOSTNAME, 3, None, chosen), ("topology.kubernetes.io/zone", 5, None, chosen)] if chosen else []
        strict = False
    if not soft:
        return None

    def takes_part(node: Node) -> bool:
        return not strict or all(key in node.metadata.labels for key, *_ in soft)

    def number(constraint: object, selector: dict[str, str] | None, node: Node) -> int:
        if constraint is not None:
            return sum(counted(constraint, pod, other) for other in world.on(node))
        assert selector is not None
        return sum(
            other.metadata.namespace == pod.metadata.namespace
            and not other.metadata.HasField("deletion_timestamp")
            and selector.items() <= labels_of(other).items()
            for other in world.on(node)
        )

    raw: list[float] = [0.0] * len(feasible)
    for key, skew, constraint, selector in soft:
        candidates = [node for node in feasible if takes_part(node)]
        domains = {labels_of(node).get(key, "") for node in candidates}
        size = len(candidates) if key == HOSTNAME else len(domains)
        for position, node in enumerate(feasible):
            if key not in node.metadata.labels or not takes_part(node):
                continue
            if key == HOSTNAME:
                pods = number(constraint, selector, node)
            else:
                pods = sum(
                    number(constraint, selector, other)
                    for other in world.nodes
                    if takes_part(other)
                    and labels_of(other).get(key) == labels_of(node)[key]
                    and (included(constraint, pod, other, world) if constraint is not None else suits(pod, other))
                )
            raw[position] += pods * math.log(size + 2) + (skew - 1)
    scores = [math.floor(value + 0.5) if takes_part(node) else -1 for value, node in zip(raw, feasible, strict=True)]
    taking = [score for score in scores if score >= 0]
    if not taking:
        return [0] * len(scores)
    lowest, highest = min(taking), max(taking)
    if highest == 0:
        return [100 if score >= 0 else 0 for score in scores]
    return [100 * (highest + lowest - score) // highest if score >= 0 else 0 for score in scores]


def in_proportion(values: list[int], *, reverse: bool) -> list[int]:
    highest = max(values, default=0)
    if highest == 0:
        return [100 if reverse else value for value in values]
    scaled = [value * 100 // highest for value in values]
    return [100 - value for value in scaled] if reverse else scaled


def between(values: list[int]) -> list[int]:
    lowest, highest = min(values, default=0), max(values, default=0)
    if lowest == highest:
        return [0] * len(values)
    return [int(100 * Fraction(value - lowest, highest - lowest)) for value in values]


FILTERS = {
    "NodeUnschedulable": unschedulable,
    "TaintToleration": taints,
    "NodeAffinity": node_affinity,
    "NodePorts": ports,
    "NodeResourcesFit": fit,
    "PodTopologySpread": topology_spread,
    "InterPodAffinity": inter_pod_affinity,
}


def scores(pod: Pod, feasible: list[Node], world: World) -> dict[str, list[int]]:
    """Normalised scores of the feasible nodes, by plugin, without weights."""
    return {
        "TaintToleration": in_proportion([disliked_taints(pod, node) for node in feasible], reverse=True),
        "NodeAffinity": in_proportion([preferred_nodes(pod, node) for node in feasible], reverse=False),
        "NodeResourcesFit": [least_allocated(pod, node, world) for node in feasible],
        "NodeResourcesBalancedAllocation": [balanced(pod, node, world) for node in feasible],
        "ImageLocality": [image_locality(pod, node, world) for node in feasible],
        "PodTopologySpread": spread_scores(pod, feasible, world) or [0] * len(feasible),
        "InterPodAffinity": between([attraction(pod, node, world) for node in feasible]),
    }
