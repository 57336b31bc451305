"""What is known of an object, and what an answer is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from steersman.cli import cells
from steersman.clock import from_timestamp

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Finding:
    """One thing that was found out.

    Attributes:
        text: what, in one line.
        details: more of it, a line each.
        advice: what to do about it: a line each, commands among them.
        good: whether it is as it should be.
    """

    text: str
    details: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    good: bool = False


@dataclass(frozen=True)
class Answer:
    """Why an object is the way it is.

    Attributes:
        headline: how it is, in one line.
        findings: why, the most important first.
        good: whether it is as it should be.
    """

    headline: str
    findings: tuple[Finding, ...] = ()
    good: bool = False

    def as_data(self) -> dict[str, Any]:
        """As plain data, for programs."""
        return {
            "headline": self.headline,
            "good": self.good,
            "findings": [
                {"text": f.text, "details": list(f.details), "advice": list(f.advice), "good": f.good}
                for f in self.findings
            ],
        }


@dataclass(frozen=True)
class Facts:
    """What is known of an object and of what is around it; what the caller may not see is empty.

    Attributes:
        obj: the object.
        now: the present moment.
        events: events about it.
        pods: pods that it concerns: its own, those that it selects, those on it; for a pod, all of the cluster's.
        nodes: all nodes.
        owned: objects that it owns, other than pods.
        missing: what it refers to and what is not there: "configmap 'settings'", "key 'a' of secret 'b'".
        claims: persistent volume claims that it uses, by name.
        classes: storage classes.
        endpoints: endpoint slices of a service.
        events_of_pods: events about its pods, by the pods' names.
        verdicts: what the scheduler says of each node, where it could be asked.
        reasons: how many nodes the scheduler refuses for each reason, where it could be asked.
        unseen: what could not be looked at, and why.
    """

    obj: Any
    now: datetime
    events: Sequence[Any] = ()
    pods: Sequence[Any] = ()
    nodes: Sequence[Any] = ()
    owned: Sequence[Any] = ()
    missing: Sequence[str] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    classes: Sequence[Any] = ()
    endpoints: Sequence[Any] = ()
    events_of_pods: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    verdicts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reasons: Sequence[tuple[int, str]] = ()
    unseen: Sequence[str] = ()


def ago(moment: Any, now: datetime) -> str:
    """How long ago a timestamp is."""
    return cells.age(moment, now)


def moment_of(event: Any) -> datetime:
    """When an event happened last."""
    for stamp in (event.last_timestamp, event.series.last_observed_time, event.event_time):
        if stamp.seconds:
            return from_timestamp(stamp)
    return from_timestamp(event.metadata.creation_timestamp) if event.metadata.creation_timestamp.seconds else EPOCH


def newest(events: Iterable[Any], *reasons: str, containing: str = "") -> Any:
    """The newest event with one of some reasons; None when there is none."""
    found = [e for e in events if e.reason in reasons and containing.lower() in e.message.lower()]
    return max(found, key=moment_of, default=None)


def told(event: Any, now: datetime) -> str:
    """An event in one line: "Unhealthy 3s ago (x12): readiness probe failed"."""
    since = cells.duration(max(0, int((now - moment_of(event)).total_seconds())))
    times = f" (x{event.count})" if event.count > 1 else ""
    return f"{event.reason} {since} ago{times}: {one_line(event.message)}"


def one_line(text: str, limit: int = 300) -> str:
    """A text in one line, and not too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 3]}..."


def condition(obj: Any, type: str) -> Any:
    """A condition of an object; None when it has none of this type."""
    return next((each for each in obj.status.conditions if each.type == type), None)


def amount(resource: str, value: Decimal) -> str:
    """An amount of a resource for people: "2.1Gi", "250m", "3"."""
    if resource.endswith(("memory", "storage")) or resource.startswith("hugepages-"):
        for unit, size in (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
            if abs(value) >= size:
                return f"{_short(value / size)}{unit}"
        return _short(value)
    if resource == "cpu" and value != value.to_integral_value() and abs(value) < 10:
        return f"{_short(value * 1000)}m"
    return _short(value)


def _short(value: Decimal) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Names with commas; many of them are cut short."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def deletion(facts: Facts, what: str) -> Finding | None:
    """Why an object that is to be deleted is still there; None when it is not to be deleted."""
    metadata = facts.obj.metadata
    if not metadata.HasField("deletion_timestamp"):
        return None
    finalizers = list(metadata.finalizers)
    if not finalizers:
        return Finding(f"deletion was asked for {ago(metadata.deletion_timestamp, facts.now)} ago")
    details = tuple(f"finalizer {name}{_WHOSE.get(name, '')}" for name in finalizers)
    return Finding(
        f"it was to be deleted {ago(metadata.deletion_timestamp, facts.now)} ago, and "
        f"{len(finalizers)} finalizer{'s' if len(finalizers) > 1 else ''} hold it",
        details,
        (
            "whoever put a finalizer there takes it away when its work is done: look at that program's log",
            f"when that program is gone for good: steer patch {what} --type=merge "
            '-p \'{"metadata":{"finalizers":null}}\' (what it was to tidy up stays)',
        ),
    )


_WHOSE = {
    "foregroundDeletion": ": what it owns is deleted first (steer tree shows it)",
    "orphan": ": the garbage collector lets go of what it owns",
    "kubernetes.io/pvc-protection": ": a pod still uses it",
    "kubernetes.io/pv-protection": ": a claim still uses it",
    "kubernetes": ": everything in the namespace is deleted first",
}


RECENT_S = 3600


def is_recent(event: Any, now: datetime) -> bool:
    """Whether an event happened within the last hour."""
    return (now - moment_of(event)).total_seconds() < RECENT_S


def finished(facts: Facts, name: str, state: str, findings: Sequence[Finding | None], *, good: bool) -> Answer:
    """An answer out of findings, what is wrong first, and what could not be looked at last."""
    found = [finding for finding in findings if finding is not None]
    found += [Finding(f"could not look at {what}", good=True) for what in facts.unseen]
    bad = [finding for finding in found if not finding.good]
    return Answer(f"{name} {state}", tuple(sorted(found, key=lambda finding: finding.good)), good and not bad)
