"""Carries PySyncObj's messages in envelopes, and lets in only those that are still meant.

PySyncObj believes every message. An acknowledgement carries no term, a vote no voter; a message that comes late,
twice, or from a cluster that lived at the same address is as good as any. The envelope says who, to whom, in which
term; what does not fit is dropped here. Three things PySyncObj does not have are added: asking for votes before an
election disturbs anyone, staying with a leader that is heard of, and asking a majority whether one still leads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from etcd.peer_pb2 import Envelope, StaleTerm, Vote, VoteRequest
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from store.raft import engine as raft
from store.raft.engine import Engine, member_of, node_of
from store.raft.envelopes import Message, decode, encode


class Link(Protocol):
    """The way to other members. Envelopes to one member arrive in order and once, or the link breaks."""

    def transmit(self, member: int, envelopes: list[Envelope]) -> None:
        """Sends as soon as possible; may lose them when the link breaks."""
        ...


class Courier(Transport):  # type: ignore[misc]
    """The transport of one member."""

    def __init__(
        self,
        *,
        cluster: int,
        member: int,
        link: Link,
        clock: Callable[[], float],
        patience: float,
        wake: Callable[[], None],
    ) -> None:
        """A courier that becomes useful when it is given its `engine`.

        Args:
            cluster: envelopes of other clusters are dropped.
            member: this member.
            link: the way to the others.
            clock: monotonic seconds.
            patience: the shortest silence of a leader, in seconds, after which this member helps to elect another.
            wake: called when something arrived.
        """
        super().__init__(None, None, [])
        self.engine: Engine
        self._cluster = cluster
        self._member = member
        self._link = link
        self._clock = clock
        self._patience = patience
        self.wake = wake
        self._entries: dict[int, list[Envelope]] = {}
        self._others: dict[int, list[Envelope]] = {}
        self._inbox: list[Envelope] = []
        self._leader_heard = float("-inf")
        self._voted: tuple[int, set[int]] = (0, set())
        self._would: tuple[int, set[int]] = (0, set())
        self._stands_by_request = False
        self._round = 0
        self._answering = 0
        self._rounds_seen: dict[int, int] = {}
        self.dropped: Counter[str] = Counter()

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, node: Node, message: Message) -> bool:
        """Keeps one of PySyncObj's messages until it may leave."""
        envelope = self._envelope(member_of(node))
        if not encode(message, envelope, transfer=self._stands_by_request):
            return False
        self._keep(envelope)
        return True

    def _envelope(self, member: int) -> Envelope:
        return Envelope(
            cluster_id=self._cluster, sender=self._member, destination=member, term=self.engine.raftCurrentTerm
        )

    def _keep(self, envelope: Envelope) -> None:
        if envelope.HasField("entries"):
            envelope.round = self._round
            self._entries.setdefault(envelope.destination, []).append(envelope)
            return
        if envelope.HasField("stored"):
            envelope.round = self._answering
        self._others.setdefault(envelope.destination, []).append(envelope)

    def flush_entries(self) -> None:
        """Lets a leader's entries leave: others may store them while this member does."""
        waiting, self._entries = self._entries, {}
        for member, envelopes in waiting.items():
            self._link.transmit(member, envelopes)

    def flush(self) -> None:
        """Lets everything leave; the journal is durable."""
        self.flush_entries()
        waiting, self._others = self._others, {}
        for member, envelopes in waiting.items():
            self._link.transmit(member, envelopes)

    # -- receiving ---------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> None:
        """An envelope arrived. It is looked at in the next `take`."""
        self._inbox.append(envelope)
        self.wake()

    def receive_all(self) -> None:
        """Hands the engine what has arrived and is still meant."""
        arrived, self._inbox = self._inbox, []
        for envelope in arrived:
            reason = self._reason_against(envelope)
            if reason is not None:
                self.dropped[reason] += 1
                continue
            self._hand_over(envelope)

    def _reason_against(self, envelope: Envelope) -> str | None:
        """Why an envelope must not reach the engine, or None."""
        engine = self.engine
        kind = envelope.WhichOneof("message")
        sender = envelope.sender
        if envelope.cluster_id != self._cluster:
            return "another cluster"
        if envelope.destination != self._member:
            return "another destination"
        if sender in engine.configuration.removed or sender == self._member:
            return "a sender that is no member"
        voters = engine.configuration.voters()
        if kind in ("vote", "would_vote") and sender not in voters:
            return "a vote of no voter"
        if kind in ("entries", "vote_request") and envelope.term < engine.raftCurrentTerm:
            stale = self._envelope(sender)
            stale.stale_term.CopyFrom(StaleTerm())
            self._keep(stale)
            return "a term that has passed"
        if kind == "stored" and (engine.state != raft.LEADER or envelope.term != engine.raftCurrentTerm):
            return "an acknowledgement of another term"
        if kind == "vote":
            if self._voted[0] != engine.raftCurrentTerm:
                self._voted = (engine.raftCurrentTerm, set())
            if sender in self._voted[1]:
                return "a vote that is counted already"
            if envelope.vote.term == engine.raftCurrentTerm:
                self._voted[1].add(sender)
        if kind == "vote_request" and not envelope.vote_request.transfer and self._has_leader:
            return "an election while the leader is heard of"
        return None

    @property
    def _has_leader(self) -> bool:
        if self.engine.state == raft.LEADER:
            return True
        return self._clock() - self._leader_heard < self._patience

    def _hand_over(self, envelope: Envelope) -> None:
        engine = self.engine
        kind = envelope.WhichOneof("message")
        sender = envelope.sender
        if kind == "stale_term":
            engine.step_down(envelope.term)
        elif kind == "would_you_vote":
            self._consider(sender, envelope.would_you_vote)
        elif kind == "would_vote":
            self._count(sender, envelope.would_vote.term)
        else:
            if kind == "entries":
                self._leader_heard = self._clock()
                self._answering = envelope.round
            elif kind == "stored":
                self._rounds_seen[sender] = max(self._rounds_seen.get(sender, 0), envelope.round)
            message = decode(envelope)
            if message is not None:
                engine.receive(node_of(sender), message)
            if kind == "entries" and envelope.entries.snapshot_follows:
                # PySyncObj says nothing to this, and a leader needs to hear from those it waits for.
                self.send(
                    node_of(sender),
                    {
                        "type": "next_node_idx",
                        "next_node_idx": engine.last_index + 1,
                        "reset": False,
                        "success": False,
                    },
                )

    # -- elections ---------------------------------------------------------------------------------------------

    def before_tick(self) -> None:
        """Holds back an election until a majority has said that it would vote for this member.

        A member that was cut off and comes back so disturbs nobody: it is told no, and its term stays as it is.
        """
        engine = self.engine
        self._stands_by_request = engine.was_asked_to_lead
        if not engine.election_due or engine.is_alone or self._stands_by_request:
            return
        term = engine.raftCurrentTerm + 1
        if self._would[0] == term and engine.has_majority(self._would[1]):
            self._would = (0, set())
            return
        engine.postpone_election()
        if not engine.is_voter:
            return
        self._would = (term, set())
        for member in engine.configuration.voters():
            if member != self._member:
                envelope = self._envelope(member)
                envelope.would_you_vote.CopyFrom(
                    VoteRequest(term=term, last_index=engine.last_index, last_term=engine.last_term)
                )
                self._keep(envelope)

    def _consider(self, sender: int, request: VoteRequest) -> None:
        engine = self.engine
        if (
            request.term > engine.raftCurrentTerm
            and not self._has_leader
            and engine.would_follow(request.last_index, request.last_term)
        ):
            envelope = self._envelope(sender)
            envelope.would_vote.CopyFrom(Vote(term=request.term))
            self._keep(envelope)

    def _count(self, sender: int, term: int) -> None:
        engine = self.engine
        if term != engine.raftCurrentTerm + 1 or term != self._would[0] or self._has_leader:
            return
        self._would[1].add(sender)
        if engine.has_majority(self._would[1]):
            engine.stand_for_election()

    # -- whether this member still leads -----------------------------------------------------------------------

    def next_round(self) -> int:
        """Begins to ask the others whether this member still leads; the next entries sent carry the question."""
        self._round += 1
        return self._round

    def confirmed(self, number: int) -> bool:
        """Whether a majority has answered round `number` or a later one, in this term."""
        return self.engine.has_majority({member for member, seen in self._rounds_seen.items() if seen >= number})
