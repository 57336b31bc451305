"""What can befall a cluster. A trouble begins, lasts, and ends; which members it meets is drawn when it begins."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass, field

from tests.faults.store.wires import MEMBERS

KINDS = (
    "kill one",
    "kill the leader",
    "kill all",
    "freeze one",
    "freeze the leader",
    "freeze all",
    "cut off one",
    "cut off the leader",
    "cut one wire",
    "one is deaf",
    "one is mute",
    "the leader is deaf",
    "the leader is mute",
    "one wire carries one way",
    "messages get lost",
    "clocks jump",
    "one falls behind",
    "all take snapshots",
)
DAY_S = 86_400
# Certificates are valid for this long in both directions of time.
CLOCKS_WITHIN_S = 9 * DAY_S


@dataclass
class Trouble:
    """What one trouble does.

    Attributes:
        kind: one of KINDS.
        signal: what the victims get; 0 for nothing.
        victims: who gets it.
        lost: the ways, sender and receiver, that carry nothing.
        share: of all other messages, the share that is lost.
        clocks: what members' wall clocks show, in seconds off the true time.
        snapshots: who takes a snapshot before all is repaired; whoever misses more than a few entries needs it then.
    """

    kind: str
    signal: int = 0
    victims: str = ""
    lost: set[tuple[str, str]] = field(default_factory=set)
    share: float = 0.0
    clocks: dict[str, int] = field(default_factory=dict)
    snapshots: str = ""

    def __str__(self) -> str:
        details = [self.victims or self.snapshots]
        details += [f"{sender}>{receiver}" for sender, receiver in sorted(self.lost)]
        details += [f"{name}{seconds:+d}s" for name, seconds in sorted(self.clocks.items())]
        return " ".join([self.kind, *filter(None, details)])


def draw(chance: random.Random, kind: str, leader: str) -> Trouble:
    """A trouble of this kind."""
    one = leader if "leader" in kind else chance.choice(MEMBERS)
    others = [name for name in MEMBERS if name != one]
    outward = {(one, other) for other in others}
    inward = {(other, one) for other in others}
    trouble = Trouble(kind)
    if kind.startswith(("kill", "freeze")):
        trouble.signal = signal.SIGKILL if kind.startswith("kill") else signal.SIGSTOP
        trouble.victims = MEMBERS if kind.endswith("all") else one
    elif kind.startswith("cut off"):
        trouble.lost = outward | inward
    elif kind.endswith("deaf"):
        trouble.lost = inward
    elif kind.endswith("mute"):
        trouble.lost = outward
    elif kind == "cut one wire":
        other = chance.choice(others)
        trouble.lost = {(one, other), (other, one)}
    elif kind == "one wire carries one way":
        trouble.lost = {(one, chance.choice(others))}
    elif kind == "messages get lost":
        trouble.share = chance.choice([0.02, 0.1, 0.3])
    elif kind == "clocks jump":
        jumpers = chance.sample(MEMBERS, chance.randint(1, len(MEMBERS)))
        trouble.clocks = {name: chance.randint(-CLOCKS_WITHIN_S, CLOCKS_WITHIN_S) for name in jumpers}
    elif kind == "one falls behind":
        trouble.lost = outward | inward
        trouble.snapshots = "".join(others)
    elif kind == "all take snapshots":
        trouble.snapshots = MEMBERS
    else:
        raise ValueError(kind)
    return trouble
