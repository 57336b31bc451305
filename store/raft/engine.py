"""PySyncObj, with what it lacks.

PySyncObj decides who leads and what is committed. Its own ways of storing, sending and decoding are replaced here,
since they lose data on a crash, unpickle what arrives, or fork. PySyncObj reaches them through names private to its
class (`_SyncObj__...`), so they are overridden under these names; `tests/store/raft` checks that the release in use
still has all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from etcd.log_pb2 import MembershipChange, SnapshotHead
from google.protobuf.message import DecodeError
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf
from pysyncobj import syncobj as pysyncobj_module
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from store.members import Members
from store.raft.journal import STAND_IN, DurableJournal
from store.raft.wal import Entry

REGULAR = 0
NO_OP = 1
MEMBERSHIP = 2

FOLLOWER = 0
CANDIDATE = 1
LEADER = 2

# One message brings about this much; a follower is sent this much before it has to say that it has some of it.
MESSAGE_BYTES = 1024 * 1024
WINDOW_ENTRIES = 20_000


class LogBroken(Exception):
    """Another member's messages contradict what this one knows to be agreed on. It must not go on."""


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


def node_of(member: int) -> Node:
    """PySyncObj's name for a member."""
    return Node(member)


def member_of(node: Node) -> int:
    """The member that PySyncObj calls `node`."""
    return int(node.id)


class Engine(SyncObj):  # type: ignore[misc]
    """One member's PySyncObj.

    It never acts by itself: `tick` and `receive` are called from outside, and outside makes the journal durable
    between what they add and what may rest on it.
    """

    def __init__(
        self,
        member: int,
        *,
        members: Callable[[], Members],
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
            members: the members as applied; changes that are in the log and not applied yet count on top of them.
            journal: the log, holding at least one entry; from `applied` - 1 on once there is a snapshot.
            applied: index up to which the state machine has seen the log; 1 is the entry every log begins with.
            transport: carries messages; what it is given may only leave after the journal is durable.
            timing: see there.
            random: draws from [0, 1).
            apply: gets the committed entries.
        """
        # PySyncObj looks at every attribute while it is made, so what they need has to be there.
        self._timing = timing
        self._random = random
        self._apply = apply
        self._members = members
        self._journal = journal
        self._transport = transport
        self.member = member
        self.is_voter = False
        self._keep_suffix = False
        self._config_changed = False
        self._configuration: Members = members()
        self.on_configuration: Callable[[Members], None] = lambda _members: None
        self.needs_snapshot: Callable[[int], None] = lambda _member: None
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
        )
        super().__init__(node_of(member), [], conf, transport=transport)
        # It warns of cuts that `_SyncObj__deleteEntriesFrom` prevents; a cut that is meant raises LogBroken.
        logging.getLogger("pysyncobj").setLevel(logging.CRITICAL + 1)
        self._poller = _NothingToPoll()
        self._adopt(journal, applied)
        self.reconfigure()

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
        self._take_configuration()

    def receive(self, sender: Node, message: dict[str, Any]) -> None:
        """Takes in a message of another member. Raises LogBroken."""
        if message["type"] == "append_entries":
            if "entries" in message:
                message = self._without_known(message)
            else:
                # A beat while a snapshot is on its way. PySyncObj would count as committed what it has not compared.
                message = {**message, "commit_index": min(message["commit_index"], self.raftCommitIndex)}
        if message["type"] == "next_node_idx" and sender not in self._SyncObj__raftMatchIndex:
            return
        self._SyncObj__onMessageReceived(sender, message)
        self._keep_suffix = False
        self._take_configuration()

    def _without_known(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message without the entries that are in the journal already.

        PySyncObj cuts its log behind the first entry of each message, and counts as committed what it has not
        compared. A message that comes late or twice would so remove entries that were acknowledged since.
        """
        journal = self._journal
        first = journal[0][1]
        previous, previous_term = message["prevLogIdx"], message["prevLogTerm"]
        entries = message["entries"]
        known = 0
        place = previous + 1 - first
        if place > 0 and previous <= journal[-1][1] and journal[place - 1][2] == previous_term:
            while (
                known < len(entries)
                and place + known < len(journal)
                and (journal[place + known][2] == entries[known][2])
            ):
                known += 1
        if known:
            _, previous, previous_term = entries[known - 1]
            entries = entries[known:]
        if not entries:
            self._keep_suffix = True
        compared = previous + len(entries)
        return {
            **message,
            "prevLogIdx": previous,
            "prevLogTerm": previous_term,
            "entries": entries,
            "commit_index": min(message["commit_index"], compared),
        }

    def submit(self, kind: int, body: bytes, failed: Callable[[Any, int], None]) -> None:
        """Queues a command; `failed(None, reason)` is called if PySyncObj gives it up, `reason` not being 0."""
        self._applyCommand(body, failed, kind)

    def send_entries(self) -> None:
        """Sends the other members what they lack."""
        self._SyncObj__sendAppendEntries()

    # -- elections ---------------------------------------------------------------------------------------------

    @property
    def election_due(self) -> bool:
        """Whether the leader has been silent for so long that the next tick would start an election."""
        deadline = self._SyncObj__raftElectionDeadline
        return self.state != LEADER and bool(deadline < pysyncobj_module.monotonicTime())

    @property
    def was_asked_to_lead(self) -> bool:
        """Whether the leader asked this member to take over, and it has not stood for election since."""
        return bool(self._SyncObj__transferInProgress)

    def stand_for_election(self) -> None:
        """Makes the next tick start an election."""
        self._SyncObj__raftElectionDeadline = 0

    def postpone_election(self) -> None:
        """Waits for the leader once more."""
        self._SyncObj__raftElectionDeadline = pysyncobj_module.monotonicTime() + self._SyncObj__generateRaftTimeout()

    def step_down(self, term: int) -> None:
        """Follows in `term`, which another member is in, if that is later than this one's."""
        if term > self.raftCurrentTerm:
            self._SyncObj__setCurrentTerm(term, None)
            self._SyncObj__setState(FOLLOWER)
            self._SyncObj__raftLeader = None
            self.postpone_election()

    def would_follow(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so holds at least what this one does."""
        return (last_term, last_index) >= (self._journal[-1][2], self.last_index)

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
    def last_term(self) -> int:
        """Term of the last entry in the log."""
        return int(self._journal[-1][2])

    @property
    def is_alone(self) -> bool:
        """Whether this member is the only voter."""
        return self.is_voter and not self._SyncObj__otherNodes

    @property
    def leads_with_certainty(self) -> bool:
        """Whether it leads and has committed an entry of its own term, so that its commit index is the newest."""
        if self.state != LEADER:
            return False
        noop = self._SyncObj__noopIDx
        return noop is not None and self.raftCommitIndex >= noop

    def has_majority(self, members: set[int]) -> bool:
        """Whether `members` together with this one are a majority of the voters."""
        voters = self._SyncObj__otherNodes
        count = sum(member_of(node) in members for node in voters) + self.is_voter
        return bool(count > (len(voters) + self.is_voter) / 2)

    def stored_by(self, member: int) -> int:
        """Index up to which `member` is known to have the log; 0 when that is not known. For the leader."""
        return int(self._SyncObj__raftMatchIndex.get(node_of(member), 0))

    # -- the log -----------------------------------------------------------------------------------------------

    def term_at(self, index: int) -> int:
        """Term of the entry at `index`, which must be in the log."""
        return int(self._journal[index - self._journal[0][1]][2])

    def forget_before(self, index: int) -> None:
        """Drops entries below `index` from memory; a snapshot holds what they did."""
        self._journal.deleteEntriesTo(max(0, index - self._journal[0][1]))

    def install(self, head: SnapshotHead) -> None:
        """Goes on from a snapshot of the leader that is newer than what was committed here.

        Entries behind it are kept if they follow on it, as they may have been acknowledged.
        """
        journal = self._journal
        place = head.index - journal[0][1]
        follows = 0 <= place < len(journal) and journal[place][2] == head.term
        rest = journal[place + 1 :] if follows else []
        journal.clear()
        journal.add(STAND_IN, head.index - 1, head.previous_term)
        journal.add(STAND_IN, head.index, head.term)
        for entry in rest:
            journal.add(*entry)
        self._SyncObj__raftLastApplied = head.index
        self._SyncObj__raftCommitIndex = max(self._SyncObj__raftCommitIndex, head.index)
        journal.setRaftCommitIndex(self._SyncObj__raftCommitIndex)
        self.reconfigure()

    def snapshot_installed(self, member: int, index: int) -> None:
        """The follower has everything up to `index`: go on from there. For the leader."""
        node = node_of(member)
        if node in self._SyncObj__raftMatchIndex:
            self._SyncObj__raftMatchIndex[node] = max(self._SyncObj__raftMatchIndex[node], index)
            self._SyncObj__raftNextIndex[node] = self._SyncObj__raftMatchIndex[node] + 1
            self._SyncObj__lastResponseTime[node] = pysyncobj_module.monotonicTime()

    # -- members -----------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Members:
        """The members as the log has them, also where that is not committed yet."""
        return self._configuration

    @property
    def changes_members(self) -> bool:
        """Whether a change of members is in the log and not applied."""
        return bool(self._pending_changes())

    def connected(self, member: int) -> None:
        """Messages can be sent to `member` from here on; what was sent before may be lost."""
        node = node_of(member)
        self._SyncObj__connectedNodes.add(node)
        matched = self._SyncObj__raftMatchIndex.get(node, 0)
        if matched:
            self._SyncObj__raftNextIndex[node] = matched + 1

    def disconnected(self, member: int) -> None:
        """Messages cannot be sent to `member` any more."""
        self._SyncObj__connectedNodes.discard(node_of(member))

    def _pending_changes(self) -> list[MembershipChange]:
        applied = self._SyncObj__raftLastApplied
        first = self._journal[0][1]
        changes = []
        for command, _, _ in self._journal[max(0, applied + 1 - first) :]:
            if command[0] == MEMBERSHIP:
                changes.append(MembershipChange.FromString(command[1:]))
        return changes

    def reconfigure(self) -> None:
        """Takes the members from what is applied and what is in the log behind that."""
        current = self._members()
        members = Members(current.all(), current.removed)
        for change in self._pending_changes():
            members.apply(change)
        # A removal that is not committed may never be: the one it names can still be the leader who undoes it.
        members.removed = set(current.removed)
        self._configuration = members
        voters = set(members.voters())
        self.is_voter = self.member in voters
        others = {node_of(voter) for voter in voters - {self.member}}
        learners = {node_of(member.ID) for member in members.all() if member.isLearner and self.member != member.ID}
        now = pysyncobj_module.monotonicTime()
        for node in others | learners:
            self._SyncObj__raftNextIndex.setdefault(node, self.last_index + 1)
            self._SyncObj__raftMatchIndex.setdefault(node, 0)
            self._SyncObj__lastResponseTime.setdefault(node, now)
        for gone in set(self._SyncObj__raftMatchIndex) - others - learners:
            for known in (
                self._SyncObj__raftNextIndex,
                self._SyncObj__raftMatchIndex,
                self._SyncObj__lastResponseTime,
            ):
                known.pop(gone, None)
        self._SyncObj__otherNodes = others
        self._SyncObj__readonlyNodes = learners
        self.on_configuration(members)

    def _take_configuration(self) -> None:
        if self._config_changed:
            self._config_changed = False
            self.reconfigure()

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
            self._config_changed |= command[0] == MEMBERSHIP
            for waiting_term, callback in waiting:
                if waiting_term != term:
                    callback(None, FAIL_REASON.DISCARDED)
        return False

    def _SyncObj__sendAppendEntries(self) -> None:
        self._SyncObj__newAppendEntriesTime = pysyncobj_module.monotonicTime() + self._timing.heartbeat
        for node in self._SyncObj__otherNodes | self._SyncObj__readonlyNodes:
            if node in self._SyncObj__connectedNodes:
                self._send_to(node)

    def _send_to(self, node: Node) -> None:
        journal = self._journal
        first, last = journal[0][1], self.last_index
        following: int = self._SyncObj__raftNextIndex[node]
        message: dict[str, Any] = {
            "type": "append_entries",
            "term": self._SyncObj__raftCurrentTerm,
            "commit_index": self._SyncObj__raftCommitIndex,
        }
        if following <= first or (following <= last and journal[following - first][0] == STAND_IN):
            self._transport.send(node, message)
            self.needs_snapshot(member_of(node))
            return
        window = self._SyncObj__raftMatchIndex[node] + WINDOW_ENTRIES
        while True:
            place = following - first
            entries: list[Entry] = []
            size = 0
            while place < len(journal) and size < MESSAGE_BYTES and following + len(entries) <= window:
                entries.append(journal[place])
                size += len(journal[place][0])
                place += 1
            self._transport.send(
                node,
                {
                    **message,
                    "prevLogIdx": following - 1,
                    "prevLogTerm": journal[following - 1 - first][2],
                    "entries": entries,
                },
            )
            following += len(entries)
            self._SyncObj__raftNextIndex[node] = following
            if not entries or following > last:
                return

    def _SyncObj__deleteEntriesFrom(self, fromIDx: int) -> None:
        if self._keep_suffix:
            return
        if fromIDx <= self._SyncObj__raftLastApplied:
            raise LogBroken(
                f"a leader wants entry {fromIDx} replaced, and entries up to {self._SyncObj__raftLastApplied} are "
                "applied here"
            )
        self._config_changed = True
        self._journal.deleteEntriesFrom(fromIDx - self._journal[0][1])

    def _SyncObj__tryLogCompaction(self) -> None:
        """Snapshots are the business of `store.raft.snapshots`."""

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> MembershipChange | None:
        if command[0] != MEMBERSHIP:
            return None
        try:
            return MembershipChange.FromString(command[1:])
        except DecodeError:
            return None

    def _SyncObj__changeCluster(self, request: MembershipChange) -> bool:
        # One change at a time, and none before this leader knows what was committed before it.
        if not self.leads_with_certainty or self.changes_members:
            return False
        self._config_changed = True
        return True

    def _SyncObj__doChangeCluster(self, request: MembershipChange, reverse: bool = False) -> bool:
        self._config_changed = True
        return True

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise LogBroken("PySyncObj's own dumps are not used")

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        raise LogBroken("PySyncObj's own commands are not used")
