"""Why a quota refuses more."""

from __future__ import annotations

from steersman.cli.why.facts import Answer, Facts, Finding, deletion, finished
from steersman.quantity import parse


def of_quota(facts: Facts) -> Answer:
    """The answer for a quota: what is used up, and what is nearly."""
    obj = facts.obj
    name = f"quota/{obj.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    full = 0
    hard = obj.status.hard or obj.spec.hard
    for resource in sorted(hard):
        limit = parse(hard[resource].value)
        used = obj.status.used[resource].value if resource in obj.status.used else "0"
        amounts = f"{resource}: {used} of {hard[resource].value}"
        if parse(used) >= limit:
            full += 1
            findings.append(
                Finding(f"{amounts} are used up", (), ("delete something, ask for less, or raise spec.hard",))
            )
        else:
            findings.append(Finding(f"{amounts} are used", good=True))
    state = f"has nothing left of {full} of {len(hard)} resources" if full else "has something left of everything"
    return finished(facts, name, state, findings, good=True)
