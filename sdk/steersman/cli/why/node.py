"""Why a node is or is not ready."""

from __future__ import annotations

from collections import Counter

from steersman.cli.why.facts import Answer, Facts, Finding, ago, amount, condition, deletion, finished, one_line
from steersman.cli.why.scheduling import rooms

_PRESSURES = {
    "MemoryPressure": "it is short of memory",
    "DiskPressure": "it is short of disk space",
    "PIDPressure": "it is short of process ids",
    "NetworkUnavailable": "its network is not set up",
}


def of_node(facts: Facts) -> Answer:
    """The answer for a node."""
    node = facts.obj
    name = f"node/{node.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    ready = condition(node, "Ready")
    is_ready = ready is not None and ready.status == "True"
    if ready is None:
        findings.append(Finding("it has never said how it is", (), ("is its nodeagent running?",)))
    elif ready.status == "Unknown":
        since = ago(ready.last_transition_time, facts.now)
        findings.append(
            Finding(
                f"its nodeagent has said nothing for {since}",
                (one_line(ready.message),) if ready.message else (),
                ("is the machine on, its network up, its nodeagent running? on a lab: steer status",),
            )
        )
    elif not is_ready:
        findings.append(
            Finding(
                f"it says that it is not ready: {one_line(ready.message) or ready.reason}",
                (),
                ("look at its nodeagent's log",),
            )
        )
    for type, words in _PRESSURES.items():
        found = condition(node, type)
        if found is not None and found.status == "True":
            findings.append(Finding(f"{words}: {one_line(found.message) or found.reason}", (), ()))
    if node.spec.unschedulable:
        findings.append(
            Finding(
                "it is cordoned: no new pods come to it", (), (f"steer uncordon {node.metadata.name}",), good=is_ready
            )
        )
    for taint in node.spec.taints:
        if not taint.key.startswith("node.kubernetes.io/"):
            shown = f"{taint.key}={taint.value}".rstrip("=")
            findings.append(Finding(f"tainted {shown}:{taint.effect}: only pods that tolerate it come", good=True))
    findings += _crowded(facts)
    word = "ready" if is_ready else "not ready"
    phases = Counter(pod.status.phase for pod in facts.pods)
    count = phases["Running"]
    running = f", {count} pod{'s' if count != 1 else ''} running" if facts.pods else ""
    return finished(facts, name, f"is {word}{running}", findings, good=is_ready)


def _crowded(facts: Facts) -> list[Finding | None]:

    [room] = rooms([facts.obj], facts.pods)
    lines = []
    for resource in ("cpu", "memory", "pods"):
        if room.has.get(resource):
            used = room.has[resource] - room.free[resource]
            share = int(100 * used / room.has[resource])
            lines.append(f"{resource}: {amount(resource, used)} of {amount(resource, room.has[resource])} ({share}%)")
    return [Finding("asked for by its pods", tuple(lines), good=True)] if lines else []
