"""Why no node suits a pod: the scheduler's reasons summed up, with the amounts that make them plain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from steersman.cli.why.facts import Facts, Finding, amount, listed
from steersman.quantity import parse
from steersman.quotas import pod_amounts

FINISHED = ("Succeeded", "Failed")
# So many nodes are told of one by one.
NODES_MAX = 12
_HEAD = re.compile(r"0/(\d+) nodes are available: (.*)", re.DOTALL)
_PART = re.compile(r"(\d+) (.+)", re.DOTALL)
_INSUFFICIENT = re.compile(r"Insufficient (\S+)")
_TAINT = re.compile(r"untolerated taint \{?([^}:]*):? ?([^}]*)\}?")


@dataclass(frozen=True)
class Room:
    """What a node has and what is left of it, by resource."""

    name: str
    has: Mapping[str, Decimal]
    free: Mapping[str, Decimal]


def reasons_of(message: str) -> tuple[int, list[tuple[int, str]], str]:
    """A condition's message taken apart: number of nodes, how many each reason refuses, and what is said after it."""
    match = _HEAD.match(message)
    if match is None:
        return 0, [], message
    body, _, note = match[2].partition(". ")
    parts = [_PART.fullmatch(part.strip().rstrip(".")) for part in re.split(r", (?=\d+ )", body)]
    return int(match[1]), [(int(part[1]), part[2]) for part in parts if part], note.strip()


def rooms(nodes: Sequence[Any], pods: Iterable[Any]) -> list[Room]:
    """What each node has left."""
    used: dict[str, dict[str, Decimal]] = {node.metadata.name: {} for node in nodes}
    for pod in pods:
        if pod.spec.node_name in used and pod.status.phase not in FINISHED:
            total = used[pod.spec.node_name]
            for name, value in {**pod_amounts(pod.spec, "requests"), "pods": Decimal(1)}.items():
                total[name] = total.get(name, Decimal(0)) + value
    found = []
    for node in nodes:
        name = node.metadata.name
        has = {resource: parse(value.value) for resource, value in node.status.allocatable.items()}
        free = {resource: value - used[name].get(resource, Decimal(0)) for resource, value in has.items()}
        found.append(Room(name, has, free))
    return found


def finding(facts: Facts, message: str) -> Finding:
    """Why no node suits.

    Args:
        facts: the pod, all nodes and all pods as far as they may be seen.
        message: of the pod's condition.
    """
    count, reasons, note = reasons_of(message)
    reasons = list(facts.reasons) or reasons
    count = count or len(facts.nodes)
    if not count and not reasons:
        if "no nodes" in message or not message:
            return Finding("there are no nodes", (), ("steer get nodes", "start a node, or look why none has joined"))
        return Finding(f"the scheduler says: {message}")
    needs = pod_amounts(facts.obj.spec, "requests")
    space = rooms(facts.nodes, facts.pods)
    words, advice = [], []
    for number, text in sorted(reasons, reverse=True):
        word, what = _in_words(number, text, facts, needs, space)
        words.append(word)
        advice += what
    summary = f"{count} node{'s' if count != 1 else ''}: " + ", ".join(words) if words else message
    details = tuple(_node_lines(facts, needs, space))
    if note and not note.startswith(("preemption: 0/", "Preemption is not helpful")):
        details = (f"preemption: {note.removeprefix('preemption: ')}", *details)
    return Finding(f"no node suits it. {summary}", details, tuple(dict.fromkeys(advice)))


def _in_words(
    number: int, text: str, facts: Facts, needs: Mapping[str, Decimal], space: Sequence[Room]
) -> tuple[str, list[str]]:
    """A reason that some nodes have in words, and what can be done about it."""
    lacking = _INSUFFICIENT.findall(text)
    if lacking:
        amounts = [_shortage(resource, needs, space) for resource in lacking]
        told = "; ".join(words for words, _ in amounts if words)
        word = f"{number} lack{'s' if number == 1 else ''} {' and '.join(lacking)}" + (f" ({told})" if told else "")
        return word, [line for _, lines in amounts for line in lines]
    if text == "Too many pods":
        return f"{number} full of pods", ["add a node, or let nodes take more pods (nodeagent --max-pods)"]
    taint = _TAINT.search(text)
    if taint:
        key, value = taint[1].strip(), taint[2].strip()
        name = f"{key}={value}" if value else key
        return f"{number} tainted {name}", _about_taint(key, name, number)
    if "were unschedulable" in text:
        cordoned = [n.metadata.name for n in facts.nodes if n.spec.unschedulable]
        return f"{number} cordoned", [f"steer uncordon {name}" for name in cordoned[:3]]
    if "node affinity/selector" in text:
        wanted = wishes(facts.obj.spec)
        said = f" ({'; '.join(wanted)})" if wanted else ""
        return f"{number} without the labels it wants{said}", _about_labels(facts)
    if "requested node name" in text:
        return f"{number} not the node of spec.nodeName", []
    if "free ports" in text:
        ports = sorted({p.host_port for c in facts.obj.spec.containers for p in c.ports if p.host_port})
        return (
            f"{number} with host port {listed([str(p) for p in ports])} taken",
            ["take hostPort out of the pod, or use a Service"],
        )
    rest = text.removeprefix("node(s) ")
    return f"{number} {rest}", _ABOUT.get(_topic(rest), [])


def _topic(text: str) -> str:
    topics = ("anti-affinity", "pod affinity", "topology spread", "persistentvolumeclaim", "persistent volumes", "pvc")
    return next((topic for topic in topics if topic in text), "")


_ABOUT = {
    "anti-affinity": ["pods that keep apart need as many nodes: add one, or make the anti-affinity 'preferred'"],
    "pod affinity": ["no node runs a pod that it wants to be near: look at spec.affinity.podAffinity"],
    "topology spread": ["add nodes where there are few pods, or allow whenUnsatisfiable: ScheduleAnyway"],
    "persistentvolumeclaim": ["steer get pvc"],
    "persistent volumes": ["steer get pv,pvc", "steer why pvc/NAME"],
    "pvc": ["steer get pvc"],
}


def _shortage(resource: str, needs: Mapping[str, Decimal], space: Sequence[Room]) -> tuple[str, list[str]]:
    """What a pod needs of a resource beside what there is."""
    need = needs.get(resource)
    if need is None:
        return "", []
    said = f"needs {amount(resource, need)}"
    best = max(space, key=lambda room: room.free.get(resource, Decimal(0)), default=None)
    if best is None:
        return said, [f"ask for less {resource}, or add a node"]
    free = best.free.get(resource, Decimal(0))
    largest = max(space, key=lambda room: room.has.get(resource, Decimal(0)))
    most = largest.has.get(resource, Decimal(0))
    if most == 0:
        return f"{said}, no node has any", [f"no node offers {resource}: take it out of the pod's requests, or add one"]
    if most < need:
        return (
            f"{said}, the largest node {largest.name} has {amount(resource, most)}",
            [f"no node is that large: ask for {amount(resource, most)} of {resource} or less, or add a larger node"],
        )
    return (
        f"{said}, most free {amount(resource, max(free, Decimal(0)))} on {best.name}",
        [f"ask for less {resource}, stop something, or add a node"],
    )


def _about_taint(key: str, name: str, number: int) -> list[str]:
    if key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        return ["steer get nodes; steer why node/NAME says why one is not ready"]
    if key == "node.kubernetes.io/unschedulable":
        return ["steer uncordon NODE"]
    if key.startswith("node.kubernetes.io/"):
        return [f"steer describe node NODE says why it is {key.partition('/')[2]}"]
    where = "the node" if number == 1 else "those nodes"
    return [f"if it may run on {where}: a toleration for {name} in spec.tolerations; or steer taint node NODE {key}-"]


def wishes(spec: Any) -> list[str]:
    """The labels of nodes that a pod asks for, in words."""
    found = [f"{key}={value}" for key, value in sorted(spec.node_selector.items())]
    terms = spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms
    alternatives = [" and ".join(_requirement(each) for each in term.match_expressions) for term in terms]
    if any(alternatives):
        found.append(" or ".join(one for one in alternatives if one))
    return found


def _requirement(requirement: Any) -> str:
    match requirement.operator:
        case "In":
            return f"{requirement.key} in ({', '.join(requirement.values)})"
        case "NotIn":
            return f"{requirement.key} not in ({', '.join(requirement.values)})"
        case "Exists":
            return str(requirement.key)
        case "DoesNotExist":
            return f"not {requirement.key}"
    sign = ">" if requirement.operator == "Gt" else "<"
    return f"{requirement.key} {sign} {''.join(requirement.values)}"


def _about_labels(facts: Facts) -> list[str]:
    advice = []
    for key, value in sorted(facts.obj.spec.node_selector.items()):
        values = sorted({node.metadata.labels[key] for node in facts.nodes if key in node.metadata.labels})
        if value in values:
            continue
        if values:
            advice.append(f"no node has {key}={value}; there are {key}={listed(values)}")
        elif facts.nodes:
            advice.append(f"no node has a label {key}: steer label node NODE {key}={value}")
    return advice or ["steer get nodes --show-labels"]


# --- node by node ---------------------------------------------------------------------------------------------------


def _node_lines(facts: Facts, needs: Mapping[str, Decimal], space: Sequence[Room]) -> list[str]:
    """What each node lacks, as the scheduler said, or as far as it can be seen from here; the nearest first."""
    by_name = {room.name: room for room in space}
    if facts.verdicts:
        judged = [
            (name, [_plainly(text, by_name.get(name)) for text in texts]) for name, texts in facts.verdicts.items()
        ]
    else:
        judged = [(n.metadata.name, refusals(facts.obj, n, needs, by_name[n.metadata.name])) for n in facts.nodes]
        judged = [(name, texts) for name, texts in judged if texts]
    judged.sort(key=lambda entry: (len(entry[1]), entry[0]))
    lines = [f"{name}: {'; '.join(texts)}" for name, texts in judged[:NODES_MAX]]
    if len(judged) > NODES_MAX:
        lines.append(f"and {len(judged) - NODES_MAX} nodes more")
    return lines


def _plainly(text: str, room: Room | None) -> str:
    """A verdict of the scheduler; what it lacks of a resource with the amounts."""
    lacking = _INSUFFICIENT.fullmatch(text)
    return _left(lacking[1], room) if lacking and room is not None else text


def _left(resource: str, room: Room) -> str:
    has = room.has.get(resource, Decimal(0))
    left = amount(resource, max(room.free.get(resource, Decimal(0)), Decimal(0)))
    return f"{left} {resource} free of {amount(resource, has)}" if has else f"no {resource}"


def refusals(pod: Any, node: Any, needs: Mapping[str, Decimal], room: Room) -> list[str]:
    """What speaks against a node, of what can be seen without the scheduler: labels, taints, resources."""
    found = []
    if node.spec.unschedulable:
        found.append("cordoned")
    for taint in node.spec.taints:
        is_cordon = taint.key == "node.kubernetes.io/unschedulable"
        if taint.effect in ("NoSchedule", "NoExecute") and not is_cordon and not _tolerated(pod, taint):
            found.append(f"tainted {taint.key}={taint.value}".rstrip("="))
    for key, value in sorted(pod.spec.node_selector.items()):
        if node.metadata.labels.get(key) != value:
            has = node.metadata.labels.get(key)
            found.append(f"{key} is {has}, not {value}" if has is not None else f"no label {key}={value}")
    terms = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms
    if terms and not any(_matches(term, node) for term in terms):
        found.append("does not match the node affinity")
    for resource, need in sorted(needs.items()):
        if need > room.free.get(resource, Decimal(0)):
            found.append(_left(resource, room))
    if room.has.get("pods", Decimal(1)) and room.free.get("pods", Decimal(1)) < 1:
        found.append(f"full: {amount('pods', room.has.get('pods', Decimal(0)))} pods")
    return found


def _tolerated(pod: Any, taint: Any) -> bool:
    return any(
        (not each.key or each.key == taint.key)
        and (not each.effect or each.effect == taint.effect)
        and (each.operator == "Exists" or (bool(each.key) and each.value == taint.value))
        for each in pod.spec.tolerations
    )


def _matches(term: Any, node: Any) -> bool:
    return (
        bool(term.match_expressions or term.match_fields)
        and all(_holds(each, node.metadata.labels) for each in term.match_expressions)
        and all(_holds(each, {"metadata.name": node.metadata.name}) for each in term.match_fields)
    )


def _holds(requirement: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    try:
        number, bound = int(value or ""), int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if requirement.operator == "Gt" else number < bound
