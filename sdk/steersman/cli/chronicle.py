"""What happened to an object, in order: out of its versions, of what it says of itself, and of events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from steersman.clock import from_timestamp
from steersman.manifests import codec

CREATED, CHANGED, DELETED, EVENT, WARNING = "created", "changed", "deleted", "event", "warning"
# Of one change so many fields are named.
FIELDS_MAX = 6
# What changes with everything, or says only when something else changed.
_BOOKKEEPING = frozenset(
    {"resourceVersion", "managedFields", "generation", "observedGeneration", "lastTransitionTime", "lastUpdateTime"}
) | {"lastProbeTime", "lastHeartbeatTime", "containerID", "hostIP", "hostIPs", "podIPs", "startTime"}
_KEYS = ("name", "type", "ip", "uid", "key", "containerPort", "port")


@dataclass(frozen=True)
class Entry:
    """One thing that happened.

    Attributes:
        when: the moment, as exactly as it is known.
        who: who did it; "" where nobody said so.
        what: in one line.
        sort: CREATED, CHANGED, DELETED, EVENT or WARNING.
        about: the object, where the timeline is of several.
        order: what comes first within one second.
    """

    when: datetime
    who: str
    what: str
    sort: str = CHANGED
    about: str = ""
    order: int = 0


def merged(entries: Iterable[Entry]) -> list[Entry]:
    """Entries in order, each once."""
    return sorted(dict.fromkeys(entries), key=lambda entry: (entry.when, entry.order))


# --- versions -------------------------------------------------------------------------------------------------------


def of_versions(versions: Sequence[tuple[str, Any]], about: str = "") -> list[Entry]:
    """Entries of an object's versions.

    Args:
        versions: what happened ("ADDED", "MODIFIED", "DELETED") and the object afterwards, the oldest first.
        about: the object's name, for a timeline of several.
    """
    found: list[Entry] = []
    before: Any = None
    when = datetime.min.replace(tzinfo=UTC)
    for index, (type, obj) in enumerate(versions):
        created = from_timestamp(obj.metadata.creation_timestamp)
        when = max(when, created, *_moments_since(obj, before))
        if type == "ADDED":
            found.append(Entry(when, _writer(obj, before), f"created{_generation(obj)}", CREATED, about, index))
        elif type == "DELETED":
            found.append(Entry(when, "", "gone", DELETED, about, index))
        elif before is not None:
            changes = differences(codec.encode(before), codec.encode(obj))
            if changes:
                found.append(Entry(when, _writer(obj, before, changes), _shown(changes), CHANGED, about, index))
        before = obj
    return found


def _generation(obj: Any) -> str:
    owner = next((each for each in obj.metadata.owner_references if each.controller), None)
    return f" for {owner.kind.lower()}/{owner.name}" if owner is not None else ""


def _moments_since(obj: Any, before: Any) -> Iterator[datetime]:
    """The moments that a version speaks of and the version before it does not."""
    known = set(_moments(before)) if before is not None else set()
    for moment in _moments(obj):
        if moment not in known:
            yield moment


def _moments(obj: Any) -> Iterator[datetime]:
    stamps = [each.time for each in obj.metadata.managed_fields]
    status = getattr(obj, "status", None)
    for condition in getattr(status, "conditions", ()):
        for name in ("last_transition_time", "last_update_time"):
            if name in condition.DESCRIPTOR.fields_by_name:
                stamps.append(getattr(condition, name))
    for each in getattr(status, "container_statuses", ()):
        stamps += [each.state.running.started_at, each.state.terminated.finished_at]
    for stamp in stamps:
        if stamp.seconds:
            yield from_timestamp(stamp)


def _writer(obj: Any, before: Any, changes: Sequence[str] = ()) -> str:
    """Who wrote a version: the manager that says so, or who alone writes such things."""
    known = {each.manager: each.time.seconds for each in before.metadata.managed_fields} if before is not None else {}
    for each in obj.metadata.managed_fields:
        if each.manager not in known or known[each.manager] < each.time.seconds:
            return str(each.manager)
    if any(change.startswith("spec.nodeName") for change in changes):
        return "scheduler"
    of_status = changes and all(change.startswith("status") for change in changes)
    if of_status and obj.DESCRIPTOR.full_name == "steersman.core.v1.Pod":
        return f"nodeagent on {obj.spec.node_name}" if obj.spec.node_name else "scheduler"
    return ""


def _shown(changes: Sequence[str]) -> str:
    changes = [change.removeprefix("status.conditions: ").removeprefix("status: ") for change in changes]
    more = f"; and {len(changes) - FIELDS_MAX} more" if len(changes) > FIELDS_MAX else ""
    return "; ".join(changes[:FIELDS_MAX]) + more


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What is different, a line for each field: "spec.replicas 2 → 3"."""
    if before == after:
        return []
    if before is None and isinstance(after, Mapping) and path.count(".") < 2:
        before = {}
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = []
        for key in dict.fromkeys([*before, *after]):
            if key not in _BOOKKEEPING:
                way = f"{path}.{key}" if path else str(key)
                found += differences(before.get(key), after.get(key), way)
        return found
    if path.endswith("conditions"):
        return _of_conditions(before or [], after or [], path)
    if path.endswith(("containerStatuses", "ontainerStatuses")):
        return _of_containers(before or [], after or [])
    if isinstance(before, list) and isinstance(after, list):
        key = _key_of([*before, *after])
        if key:
            left, right = ({str(each[key]): each for each in side} for side in (before, after))
            names = dict.fromkeys([*left, *right])
            return [line for name in names for line in differences(left.get(name), right.get(name), f"{path}[{name}]")]
    return [f"{path} {_value(before)} → {_value(after)}" if before is not None else f"{path} = {_value(after)}"]


def _key_of(items: Sequence[Any]) -> str:
    """The field that tells a list's elements apart; "" where there is none."""
    if not items or not all(isinstance(each, Mapping) for each in items):
        return ""
    return next((key for key in _KEYS if all(key in each for each in items)), "")


def _value(value: Any, limit: int = 60) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {_value(each, 20)}" for key, each in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(_value(each, 20) for each in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _of_conditions(before: Sequence[Any], after: Sequence[Any], path: str) -> list[str]:
    old = {each.get("type"): each for each in before}
    found = []
    for each in after:
        was = old.get(each.get("type"), {})
        if was.get("status") != each.get("status") or (was and was.get("reason") != each.get("reason")):
            said = ": ".join(part for part in (each.get("reason", ""), each.get("message", "")) if part)
            found.append(f"{path}: {each.get('type')} is {each.get('status')}{_bracketed(said)}")
    return found


def _bracketed(text: str) -> str:
    return f" ({_value(text, 80)})" if text else ""


def _of_containers(before: Sequence[Any], after: Sequence[Any]) -> list[str]:
    old = {each["name"]: each for each in before}
    found = []
    for each in after:
        was = old.get(each["name"], {})
        now, then = _state(each.get("state", {})), _state(was.get("state", {}))
        if now != then and now:
            found.append(f"status: container {each['name']} {now}")
        if each.get("ready", False) != was.get("ready", False):
            found.append(f"status: container {each['name']} is {'ready' if each.get('ready') else 'not ready'}")
        if each.get("restartCount", 0) != was.get("restartCount", 0):
            found.append(f"status: container {each['name']} restarted, {each.get('restartCount', 0)} times by now")
    return found


def _state(state: Mapping[str, Any]) -> str:
    if "waiting" in state:
        return f"waits: {state['waiting'].get('reason', '?')}"
    if "terminated" in state:
        ended = state["terminated"]
        return f"ended with {ended.get('exitCode', 0)} ({ended.get('reason', '?')})"
    return "runs" if "running" in state else ""


# --- what an object says of itself ----------------------------------------------------------------------------------


def of_object(obj: Any, about: str = "") -> list[Entry]:
    """Entries of what an object says of its own past: for the time that no versions are known of."""
    metadata = obj.metadata
    entries = []
    if metadata.creation_timestamp.seconds:
        entries.append(
            Entry(from_timestamp(metadata.creation_timestamp), "", f"created{_generation(obj)}", CREATED, about, -9)
        )
    for each in metadata.managed_fields:
        if each.time.seconds:
            part = f" of the {each.subresource}" if each.subresource else ""
            verb = "applied" if each.operation == "Apply" else "wrote"
            entries.append(Entry(from_timestamp(each.time), each.manager, f"{verb} fields{part}", CHANGED, about, -8))
    status = getattr(obj, "status", None)
    for condition in getattr(status, "conditions", ()):
        stamp = getattr(condition, "last_transition_time", None)
        if stamp is None or not stamp.seconds:
            continue
        said = ": ".join(part for part in (condition.reason, condition.message) if part)
        text = f"status.conditions: {condition.type} is {condition.status}" + (
            f" ({_value(said, 120)})" if said else ""
        )
        entries.append(Entry(from_timestamp(stamp), "", text, CHANGED, about))
    for each in [*getattr(status, "init_container_statuses", ()), *getattr(status, "container_statuses", ())]:
        entries += _runs(each, about)
    if metadata.HasField("deletion_timestamp"):
        asked = metadata.deletion_timestamp.seconds - metadata.deletion_grace_period_seconds
        grace = (
            f", with {metadata.deletion_grace_period_seconds} s to end"
            if metadata.deletion_grace_period_seconds
            else ""
        )
        entries.append(Entry(datetime.fromtimestamp(asked, UTC), "", f"deletion was asked for{grace}", DELETED, about))
    return entries


def _runs(status: Any, about: str) -> Iterator[Entry]:
    for state in (status.last_state, status.state):
        if state.HasField("running") and state.running.started_at.seconds:
            yield Entry(
                from_timestamp(state.running.started_at), "", f"container {status.name} started", CHANGED, about
            )
        if state.HasField("terminated"):
            ended = state.terminated
            if ended.started_at.seconds:
                yield Entry(from_timestamp(ended.started_at), "", f"container {status.name} started", CHANGED, about)
            if ended.finished_at.seconds:
                text = f"container {status.name} ended with {ended.exit_code}" + (
                    f" ({ended.reason})" if ended.reason else ""
                )
                yield Entry(from_timestamp(ended.finished_at), "", text, CHANGED, about, 1)


# --- events ---------------------------------------------------------------------------------------------------------


def of_events(events: Iterable[Any], about: str = "") -> list[Entry]:
    """Entries of events; one that was repeated stands where it was first and where it was last."""
    entries = []
    for event in events:
        who = event.source.component or event.reporting_component
        if event.source.host:
            who = f"{who} on {event.source.host}"
        sort = WARNING if event.type == "Warning" else EVENT
        text = f"{event.reason}: {' '.join(event.message.split())}"
        first = next(
            (s for s in (event.first_timestamp, event.event_time, event.metadata.creation_timestamp) if s.seconds), None
        )
        last = next((s for s in (event.last_timestamp, event.series.last_observed_time) if s.seconds), None)
        moments = [from_timestamp(stamp) for stamp in (first, last) if stamp is not None]
        if not moments:
            continue
        count = max(event.count, event.series.count)
        if count > 1 and len(moments) == 2 and moments[0] != moments[1]:
            entries.append(Entry(moments[0], who, text, sort, about, 1))
            entries.append(Entry(moments[1], who, f"{text} (for the {_ordinal(count)} time)", sort, about, 1))
        else:
            entries.append(Entry(moments[-1], who, text, sort, about, 1))
    return entries


def _ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"
