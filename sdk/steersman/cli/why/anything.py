"""Why anything else is the way it is: deletion, conditions, warnings."""

from __future__ import annotations

from steersman import kinds
from steersman.cli.why.facts import Answer, Facts, Finding, ago, deletion, finished, is_recent, newest, one_line, told

# Conditions that are good when they are False.
_GOOD_WHEN_FALSE = ("Pressure", "Failure", "Failed", "Unavailable", "Deleting", "Dangling", "Error", "Remaining")


def of_anything(facts: Facts) -> Answer:
    """The answer for any object: deletion, conditions, warnings."""
    obj = facts.obj
    kind = kinds.of(obj)
    name = f"{kind.singular}/{obj.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    status = getattr(obj, "status", None)
    for each in getattr(status, "conditions", ()):
        bad_when = "True" if each.type.endswith(_GOOD_WHEN_FALSE) or "Remaining" in each.type else "False"
        value = getattr(each, "status", "")
        if value == bad_when or value == "Unknown":
            reason = ": ".join(part for part in (each.reason, one_line(each.message)) if part)
            findings.append(Finding(f"{each.type} is {value}" + (f": {reason}" if reason else "")))
    for reason in sorted({e.reason for e in facts.events if e.type == "Warning"}):
        event = newest(facts.events, reason)
        if event is not None and is_recent(event, facts.now):
            findings.append(Finding(told(event, facts.now)))
    if obj.metadata.HasField("deletion_timestamp"):
        state = "is being deleted"
    else:
        phase = getattr(status, "phase", "")
        state = f"is {phase}" if phase else f"is there since {ago(obj.metadata.creation_timestamp, facts.now)}"
    good = not any(finding is not None and not finding.good for finding in findings)
    if good:
        state += "; nothing is wrong with it that could be seen"
    return finished(facts, name, state, findings, good=good)
