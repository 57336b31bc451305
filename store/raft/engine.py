"""PySyncObj, with what it lacks.

PySyncObj decides who leads and what is committed. Its own ways of storing, sending and decoding are replaced here,
since they lose data on a crash, unpickle what arrives, or fork. PySyncObj reaches them through names private to its
class (`_SyncObj__...`), so they are overridden under these names; `tests/store/raft` checks that the release in use
still has all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from store.raft.journal import DurableJournal

REGULAR = 0
NO_OP = 1
MEMBERSHIP = 2

FOLLOWER = 0
CANDIDATE = 1
LEADER = 2


class Timing:
    """How patient a member is, in seconds: heartbeats, and the shortest silence that starts an election.

    The silence is drawn anew each time, between `election` and twice that.
    """

    __slots__ = ("election", "heartbeat")

    def __init__(self, heartbeat: float, election: float) -> None:
        self.heartbeat = heartbeat
        self.election = election


class LogApplier(Protocol):
    """Takes committed entries, in order, each exactly once."""

    def __call__(self, index: int, term: int, kind: int, body: bytes) -> None:
        """Applies one entry. `kind` is the command's first byte."""
        ...


class _NothingToPoll:
    """PySyncObj polls sockets at the end of a tick; it has none here."""

    def poll(self, _timeout: float) -> None:
        """Returns at once."""


class Engine(SyncObj):  # type: ignore[misc]
    """One member's PySyncObj.

    It never acts by itself: `tick` and `receive` are called from outside, and outside makes the journal durable
    between what they add and what may rest on it.
    """

    def __init__(
        self,
        member: Node,
        others: set[Node],
        *,
        journal: DurableJournal,
        applied: int,
        transport: Transport,
        timing: Timing,
        random: Callable[[], float],
        apply: LogApplier,
    ) -> None:
        """Begins where `journal` and a state machine at index `applied` are.

        Args:
            member: this member.
            others: the other voters.
            journal: the log, holding at least one entry; from `applied` - 1 on once there is a snapshot.
            applied: index up to which the state machine has seen the log; 1 is the entry every log begins with.
            transport: carries messages; what it is given may only leave after the journal is durable.
            timing: see there.
            random: draws from [0, 1).
            apply: gets the committed entries.
        """
        self._timing = timing
        self._random = random
        self._apply = apply
        # PySyncObj looks at every attribute while it is made, so what they need has to be there.
        self._journal = journal
        conf = SyncObjConf(
            autoTick=False,
            # With PySyncObj's own batching a write waits for a heartbeat. We batch, and tell it when to send.
            appendEntriesUseBatch=True,
            appendEntriesPeriod=timing.heartbeat,
            raftMinTimeout=timing.election,
            raftMaxTimeout=timing.election * 2,
            connectionTimeout=timing.election * 4,
            leaderFallbackTimeout=timing.election * 2,
            dynamicMembershipChange=True,
            useFork=False,
            commandsQueueSize=0,
            # An entry as large as this would be sent in pickled pieces; none can be.
            appendEntriesBatchSizeBytes=1 << 40,
        )
        super().__init__(member, others, conf, transport=transport)
        self._poller = _NothingToPoll()
        self._adopt(journal, applied)

    def _adopt(self, journal: DurableJournal, applied: int) -> None:
        """Puts our journal in the place of the one PySyncObj made for itself, with all it restored from that."""
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal[-1][2])
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        self._SyncObj__raftCommitIndex = max(journal.getRaftCommitIndex(), applied)
        self._SyncObj__raftLastApplied = applied

    # -- driving -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Commits what the majority has, applies it, takes in queued commands, and stands for election if it is time.

        Everything in the journal must be durable when this is called.
        """
        self._onTick(0.0)

    def receive(self, sender: Node, message: dict[str, Any]) -> None:
        """Takes in a message of another member."""
        self._SyncObj__onMessageReceived(sender, message)

    def submit(self, kind: int, body: bytes, failed: Callable[[Any, int], None]) -> None:
        """Queues a command; `failed(None, reason)` is called if PySyncObj gives it up, `reason` not being 0."""
        self._applyCommand(body, failed, kind)

    def stand_for_election(self) -> None:
        """Makes the next tick start an election."""
        self._SyncObj__raftElectionDeadline = 0

    def send_entries(self) -> None:
        """Sends the other members what they lack."""
        self._SyncObj__sendAppendEntries()

    @property
    def state(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        return int(self._SyncObj__raftState)

    @property
    def leader(self) -> Node | None:
        """The leader as far as this member knows."""
        node: Node | None = self._SyncObj__raftLeader
        return node

    @property
    def last_index(self) -> int:
        """Index of the last entry in the log."""
        return int(self._journal[-1][1])

    @property
    def is_alone(self) -> bool:
        """Whether this member is the only voter."""
        return not self._SyncObj__otherNodes

    @property
    def leads_with_certainty(self) -> bool:
        """Whether it leads and has committed an entry of its own term, so that its commit index is the newest."""
        if self.state != LEADER:
            return False
        noop = self._SyncObj__noopIDx
        return noop is not None and self.raftCommitIndex >= noop

    def term_at(self, index: int) -> int:
        """Term of the entry at `index`, which must be in the log."""
        return int(self._journal[index - self._journal[0][1]][2])

    def forget_before(self, index: int) -> None:
        """Drops entries below `index` from memory; a snapshot holds what they did."""
        self._journal.deleteEntriesTo(max(0, index - self._journal[0][1]))

    # -- what PySyncObj calls ----------------------------------------------------------------------------------

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self._timing.election * (1 + self._random())

    def _SyncObj__applyLogEntries(self) -> bool:
        journal = self._journal
        while self._SyncObj__raftLastApplied < self._SyncObj__raftCommitIndex:
            index = self._SyncObj__raftLastApplied + 1
            command, _, term = journal[index - journal[0][1]]
            waiting = self._SyncObj__commandsWaitingCommit.pop(index, ())
            self._apply(index, term, command[0], command[1:])
            self._SyncObj__raftLastApplied = index
            for waiting_term, callback in waiting:
                if waiting_term != term:
                    callback(None, 3)
        return False

    def _SyncObj__tryLogCompaction(self) -> None:
        """Snapshots are the business of `store.raft.snapshots`."""

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> Any:
        return None
