"""Pod groups that are scheduled together or not at all.

A pod says by labels which group it belongs to, and how many of the group must have a node before any may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scheduler.pod import PodInfo, Template
from scheduler.queue import GATED, IN_FLIGHT, Entry, Queue
from scheduler.reasons import Reason

NAME = "GangScheduling"


class GangKey(NamedTuple):
    """What identifies a group: groups of different schedulers are different groups."""

    scheduler: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Crew:
    """Members of a group that were placed together, and are bound together.

    Attributes:
        key: the group.
        number: tells this placement of the group from others.
        members: uids of those who were placed.
        quorum: how many of them must be ready before any is bound.
        timeout_s: how long those who are ready wait for the others, seconds.
    """

    key: GangKey
    number: int
    members: frozenset[str]
    quorum: int
    timeout_s: float


def key_of(template: Template) -> GangKey | None:
    """The group that pods of a template belong to; None: none."""
    if template.gang is None:
        return None
    return GangKey(template.scheduler_name, template.namespace, template.gang.name)


class Gangs:
    """The members of all groups, with a node or without."""

    def __init__(self) -> None:
        self._members: dict[GangKey, dict[str, PodInfo]] = {}
        self._of: dict[str, GangKey] = {}

    def set(self, info: PodInfo) -> None:
        """Takes in a pod, new or changed."""
        if info.template.gang is None and not self._of:
            return
        key = key_of(info.template)
        before = self._of.get(info.uid)
        if before is not None and before != key:
            self.remove(info.uid)
        if key is not None:
            self._of[info.uid] = key
            self._members.setdefault(key, {})[info.uid] = info

    def remove(self, uid: str) -> None:
        """Forgets a pod."""
        key = self._of.pop(uid, None)
        if key is not None:
            members = self._members[key]
            del members[uid]
            if not members:
                del self._members[key]

    def members(self, key: GangKey) -> Mapping[str, PodInfo]:
        """The members of a group, by uid."""
        return self._members.get(key, {})

    def minimum(self, key: GangKey) -> int:
        """How many must have a node; where members disagree, the highest number."""
        return max((info.template.gang.minimum for info in self.members(key).values() if info.template.gang), default=0)

    def timeout_s(self, key: GangKey) -> float:
        """How long a member that is ready waits for others, seconds."""
        return max(
            (info.template.gang.timeout_s for info in self.members(key).values() if info.template.gang), default=0
        )

    def waiting(self, key: GangKey, queue: Queue) -> list[Entry]:
        """The members that may be tried, the most important first; those whose fate is being decided are not among
        them."""
        entries = (queue.entries.get(uid) for uid in self.members(key))
        found = [entry for entry in entries if entry is not None and entry.state not in (GATED, IN_FLIGHT)]
        return sorted(found, key=lambda entry: (-entry.pod.template.priority, entry.since))


def incomplete(key: GangKey, present: int, minimum: int) -> Reason:
    """There are too few members."""
    text = f'pod group "{key.name}" has {present} of the {minimum} pods that it needs'
    return Reason(NAME, "POD_GROUP_INCOMPLETE", text, resolvable=False)


def without_room(key: GangKey, found: int, needed: int) -> Reason:
    """There is room for too few members."""
    text = f'pod group "{key.name}" has room for {found} of {needed} pods'
    return Reason(NAME, "POD_GROUP_WITHOUT_ROOM", text, resolvable=False)
