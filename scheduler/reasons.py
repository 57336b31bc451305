"""Why a node does not suit a pod, as small numbers in columns and as words for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
"""A reason's number per row; 0: the node suits."""

PASS = 0
FREE_ROW = -1
"""The row is no node."""


class Reason(NamedTuple):
    """A reason.

    Attributes:
        plugin: who refuses.
        code: stable name for programs, UPPER_SNAKE_CASE.
        text: for people, in kube-scheduler's words.
        resolvable: whether it could help to push out pods with lower priority.
    """

    plugin: str
    code: str
    text: str
    resolvable: bool = True


class Reasons:
    """Numbers for reasons."""

    def __init__(self) -> None:
        self._reasons: list[Reason | None] = [None]
        self._number: dict[Reason, int] = {}

    def number(self, reason: Reason) -> int:
        """The number of a reason, from 1 on."""
        number = self._number.get(reason)
        if number is None:
            number = self._number[reason] = len(self._reasons)
            self._reasons.append(reason)
        return number

    @property
    def highest(self) -> int:
        """The highest number there is."""
        return len(self._reasons) - 1

    def __getitem__(self, number: int) -> Reason:
        """The reason of a number."""
        reason = self._reasons[number]
        if reason is None:
            raise IndexError(number)
        return reason


@dataclass(frozen=True)
class Diagnosis:
    """Why no node suits a pod.

    Attributes:
        nodes: how many nodes there are.
        counts: how many nodes each reason refused; they add up to `nodes`.
        nearest: (node, reason) of the node that came furthest through the filters; None without nodes.
        note: what preemption found out; empty: it was not tried.
    """

    nodes: int
    counts: Mapping[Reason, int]
    nearest: tuple[str, Reason] | None = None
    note: str = ""

    @property
    def plugins(self) -> frozenset[str]:
        """The plugins that refused."""
        return frozenset(reason.plugin for reason in self.counts)

    def __str__(self) -> str:
        if not self.nodes:
            return "no nodes available to schedule pods"
        by_text: Counter[str] = Counter()
        for reason, count in self.counts.items():
            by_text[reason.text] += count
        parts = sorted(f"{count} {text}" for text, count in by_text.items())
        message = f"0/{self.nodes} nodes are available: {', '.join(parts)}."
        return f"{message} {self.note}" if self.note else message
