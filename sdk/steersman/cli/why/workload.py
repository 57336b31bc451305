"""Why what keeps pods running, or runs them to an end, is the way it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from steersman import kinds
from steersman.cli.why.facts import (
    Answer,
    Facts,
    Finding,
    condition,
    deletion,
    finished,
    is_recent,
    listed,
    newest,
    one_line,
)
from steersman.cli.why.pod import of_pod


def of_workload(facts: Facts) -> Answer:
    """The answer for what keeps pods running."""
    obj = facts.obj
    kind = kinds.of(obj)
    name = f"{kind.singular}/{obj.metadata.name}"
    wanted, ready = _wanted(obj), _ready(obj)
    observed = getattr(obj.status, "observed_generation", 0)
    behind = bool(obj.metadata.generation and observed < obj.metadata.generation)
    if obj.metadata.HasField("deletion_timestamp"):
        state = "is being deleted"
    elif wanted == 0 and not facts.pods:
        state = "asks for no pods"
    else:
        state = f"has {ready} of {wanted} pods ready"
    findings: list[Finding | None] = [deletion(facts, name)]
    if behind:
        findings.append(
            Finding(
                "no controller has looked at its latest change yet",
                (),
                ("are the controllers running? steer get leases -n kube-system; on a lab: steer status",),
            )
        )
    if getattr(obj.spec, "paused", False):
        findings.append(Finding("it is paused: changes are not rolled out", (), (f"steer rollout resume {name}",)))
    if wanted == 0 and not facts.pods:
        findings.append(Finding("spec.replicas is 0", (), (f"steer scale {name} --replicas 1",), good=True))
    findings += _refused(facts)
    findings += list(_conditions_of_workload(obj))
    findings += _rollout(facts)
    findings += list(_pods(facts))
    if wanted > len(facts.pods) and not behind and not any(findings):
        findings.append(
            Finding(f"{wanted - len(facts.pods)} pods have not been made yet", (), (f"steer describe {name}",))
        )
    return finished(facts, name, state, findings, good=ready >= wanted and not behind)


def _wanted(obj: Any) -> int:
    if hasattr(obj.status, "desired_number_scheduled"):
        return int(obj.status.desired_number_scheduled)
    return int(obj.spec.replicas)


def _ready(obj: Any) -> int:
    return int(obj.status.number_ready if hasattr(obj.status, "number_ready") else obj.status.ready_replicas)


def _refused(facts: Facts) -> list[Finding | None]:
    """Pods that could not be made: quotas, rules, rights."""
    event = newest([*facts.events, *(e for es in facts.events_of_pods.values() for e in es)], "FailedCreate")
    messages = [one_line(event.message)] if event is not None and is_recent(event, facts.now) else []
    for owned in [facts.obj, *facts.owned]:
        failure = next((c for c in getattr(owned.status, "conditions", ()) if c.type == "ReplicaFailure"), None)
        if failure is not None and failure.status == "True":
            messages.append(one_line(failure.message))
    if not messages:
        return []
    message = messages[-1]
    lower = message.lower()
    if "quota" in lower:
        advice = "steer describe quota says what is used; ask for less, delete something, or raise the quota"
    elif "forbidden" in lower or "violates" in lower:
        advice = "the cluster's rules refuse such pods: correct the template, or the rule"
    else:
        advice = "correct the template as the message says"
    return [Finding(f"its pods are refused: {message}", (), (advice,))]


def _conditions_of_workload(obj: Any) -> Iterator[Finding]:
    for each in obj.status.conditions:
        if each.type == "Progressing" and each.status == "False":
            yield Finding(
                f"its rollout does not go on: {one_line(each.message) or each.reason}",
                (),
                (f"steer rollout undo deployment/{obj.metadata.name} goes back to what worked",),
            )


def _rollout(facts: Facts) -> list[Finding | None]:
    """How far a Deployment's change has come."""
    obj = facts.obj
    if not hasattr(obj.status, "updated_replicas") or not hasattr(obj.spec, "strategy"):
        return []
    old = [rs for rs in facts.owned if rs.spec.replicas and _revision(rs) < max(map(_revision, facts.owned))]
    if obj.status.updated_replicas < obj.spec.replicas and old:
        return [
            Finding(
                f"a change is being rolled out: {obj.status.updated_replicas} of {obj.spec.replicas} pods are new",
                tuple(f"{rs.metadata.name} still has {rs.status.replicas}" for rs in old),
                (f"steer rollout status deployment/{obj.metadata.name}",),
                good=True,
            )
        ]
    return []


def _revision(replica_set: Any) -> int:
    text = replica_set.metadata.annotations.get("deployment.kubernetes.io/revision", "0")
    return int(text) if text.isdigit() else 0


def _pods(facts: Facts) -> Iterator[Finding]:
    """What is wrong with the pods, those with the same trouble together."""
    troubles: dict[str, list[tuple[Any, Finding]]] = {}
    for pod in facts.pods:
        answer = of_pod(
            replace(facts, obj=pod, events=facts.events_of_pods.get(pod.metadata.name, ()), missing=(), claims={})
        )
        bad = next((finding for finding in answer.findings if not finding.good), None)
        if bad is not None:
            troubles.setdefault(_alike(bad.text, pod), []).append((pod, bad))
    for affected in sorted(troubles.values(), key=len, reverse=True):
        pod, bad = affected[0]
        names = listed([each.metadata.name for each, _ in affected], 3)
        count = f"{len(affected)} pods" if len(affected) > 1 else "1 pod"
        yield Finding(
            f"{count} ({names}): {bad.text}", bad.details, (*bad.advice, f"steer why pod/{pod.metadata.name}")
        )


def _alike(text: str, pod: Any) -> str:
    """A finding without what differs from pod to pod."""
    return re.sub(r"\d+", "#", text.replace(pod.metadata.name, "").replace(pod.spec.node_name or "-", ""))


def of_job(facts: Facts) -> Answer:
    """The answer for a job."""
    job = facts.obj
    name = f"job/{job.metadata.name}"
    done = condition(job, "Complete")
    failed = condition(job, "Failed")
    findings: list[Finding | None] = [deletion(facts, name)]
    wanted = job.spec.completions if job.spec.HasField("completions") else 1
    if done is not None and done.status == "True":
        return finished(facts, name, f"is complete: {job.status.succeeded} pods succeeded", findings, good=True)
    state = f"has {job.status.succeeded} of {wanted} done, {job.status.active} at work, {job.status.failed} failed"
    if failed is not None and failed.status == "True":
        state = "has failed"
        advice = {
            "BackoffLimitExceeded": "its pods failed too often (spec.backoffLimit); the log of one says why",
            "DeadlineExceeded": "it took longer than spec.activeDeadlineSeconds",
        }.get(failed.reason, "")
        findings.append(Finding(f"{failed.reason}: {one_line(failed.message)}", (), (advice,) if advice else ()))
    if job.spec.suspend:
        findings.append(Finding("it is suspended: spec.suspend is true", (), ()))
    findings += _refused(facts)
    findings += list(_pods(facts))
    if not facts.pods and not any(findings) and not job.status.succeeded:
        findings.append(
            Finding(
                "no pods have been made for it", (), ("are the controllers running? steer get leases -n kube-system",)
            )
        )
    return finished(facts, name, state, findings, good=not failed)
