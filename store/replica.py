"""This member's copy of the state, and those who want to know when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from etcd.log_pb2 import MembershipChange, Proposal

from store.machine import Outcome, StateMachine
from store.mvcc.version import Change

ChangeListener = Callable[[int, Sequence[Change]], None]


class Replica:
    """Holds the state machine; what is agreed on goes into it here, and here only.

    Listeners run synchronously, in the order of the log: `changed(revision, changes)` for every revision,
    `replaced()` when a snapshot from another member took the place of the whole state.
    """

    def __init__(self, machine: StateMachine) -> None:
        self.machine = machine
        self._changed: list[ChangeListener] = []
        self._replaced: list[Callable[[], None]] = []
        self._applied: list[Callable[[Proposal, Outcome], None]] = []

    def on_change(self, changed: ChangeListener, replaced: Callable[[], None]) -> None:
        """Adds listeners to changes of keys."""
        self._changed.append(changed)
        self._replaced.append(replaced)

    def on_applied(self, applied: Callable[[Proposal, Outcome], None]) -> None:
        """Adds a listener to every proposal that was applied, with what became of it."""
        self._applied.append(applied)

    def apply(self, index: int, term: int, proposals: Iterable[Proposal]) -> list[Outcome]:
        """Applies log entry `index`."""
        proposals = list(proposals)
        outcomes = self.machine.apply(index, term, proposals)
        for proposal, outcome in zip(proposals, outcomes, strict=True):
            if outcome.changes:
                for changed in self._changed:
                    changed(outcome.revision, outcome.changes)
            for applied in self._applied:
                applied(proposal, outcome)
        return outcomes

    def apply_membership(self, index: int, change: MembershipChange) -> Outcome:
        """Applies a change of members that log entry `index` holds."""
        return self.machine.apply_membership(index, change)

    def skip(self, index: int) -> None:
        """Log entry `index` holds nothing for the state."""
        self.machine.skip(index)

    def replace(self, machine: StateMachine) -> None:
        """Puts the state of a snapshot in the place of this one."""
        self.machine = machine
        for replaced in self._replaced:
            replaced()
