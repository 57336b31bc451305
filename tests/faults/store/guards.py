"""What keeps the store safe from PySyncObj's hazards, and how each guard can be taken away.

A guard is a place in the store's code. Without it, the tests named must fail; `test_guards.py` takes away one after
the other, in a copy, and sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass

HAZARDS = "tests/store/raft/test_hazards.py"
TURNS = "tests/store/raft/test_turns.py"
WAL = "tests/store/raft/test_wal.py"
SNAPSHOT = "tests/store/raft/test_snapshot.py"
BAD_INPUT = "tests/store/test_bad_input.py"
CLUSTER = "tests/store/test_cluster.py"


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes:
        hazard: its number in the table of store/README.md.
        name: what is guarded.
        file: where, below store/.
        code: what stands there, exactly once.
        without: what stands there when the guard is taken away.
        tests: which then fail, all of them.
    """

    hazard: str
    name: str
    file: str
    code: str
    without: str
    tests: tuple[str, ...]


GUARDS = [
    Guard(
        "1",
        "term and vote are written down",
        "raft/journal.py",
        """if votedForNodeId is not None else ""
        self._state_changed = True""",
        '''if votedForNodeId is not None else ""''',
        (f"{HAZARDS}::test_1_a_restarted_member_does_not_vote_twice",),
    ),
    Guard(
        "1",
        "the vote is read again at start",
        "raft/engine.py",
        "self._SyncObj__votedForNodeId = journal.getVotedForNodeId()",
        "self._SyncObj__votedForNodeId = None",
        (f"{HAZARDS}::test_1_a_restarted_member_does_not_vote_twice",),
    ),
    Guard(
        "2",
        "what is appended is synced",
        "raft/wal.py",
        "            self._sync(self._descriptor)\n",
        "",
        (
            f"{WAL}::test_everything_is_durable_before_anything_rests_on_it",
            f"{WAL}::test_after_a_failed_sync_the_log_is_not_used_again",
        ),
    ),
    Guard(
        "2",
        "the name of a new log file is synced",
        "raft/wal.py",
        """            unfinished.rename(path)
            sync_directory(self._folder)""",
        "            unfinished.rename(path)",
        (f"{WAL}::test_everything_is_durable_before_anything_rests_on_it",),
    ),
    Guard(
        "2",
        "a log whose sync failed is not used again",
        "raft/wal.py",
        "        if self._broken:\n",
        "        if False:\n",
        (f"{WAL}::test_after_a_failed_sync_the_log_is_not_used_again",),
    ),
    Guard(
        "2",
        "each frame has a checksum",
        "raft/frame.py",
        "if zlib.crc32(payload) != checksum:",
        "if False:",
        (
            f"{WAL}::test_every_flipped_bit_is_noticed",
            f"{SNAPSHOT}::test_every_bit_and_every_byte_of_a_snapshot_counts",
        ),
    ),
    Guard(
        "2",
        "only a torn end is cut",
        "raft/wal.py",
        "if not (is_last and piece.torn):",
        "if not is_last:",
        (f"{WAL}::test_every_flipped_bit_is_noticed",),
    ),
    Guard(
        "2",
        "a log file without its first frame is damage",
        "raft/wal.py",
        "if not end:",
        "if False:",
        (f"{WAL}::test_a_file_without_its_first_frame_is_damage",),
    ),
    Guard(
        "2",
        "term and vote outlive the files they were written to",
        "raft/wal.py",
        "self._write(Frame(identity=self.identity, state=self.state))",
        "self._write(Frame(identity=self.identity))",
        (f"{WAL}::test_old_segments_go_and_term_and_vote_stay",),
    ),
    Guard(
        "2",
        "a snapshot is synced before it takes the place of another",
        "raft/snapshot.py",
        "        os.fsync(descriptor)\n",
        "",
        (f"{WAL}::test_everything_is_durable_before_anything_rests_on_it",),
    ),
    Guard(
        "2",
        "a snapshot without its tail is refused",
        "raft/snapshot.py",
        "if len(UnknownFieldSet(tail)):",
        "if False:",
        (f"{SNAPSHOT}::test_every_bit_and_every_byte_of_a_snapshot_counts",),
    ),
    Guard(
        "3",
        "nothing is counted before the disk has it",
        "raft/member.py",
        """        if self._syncing or self._stopped or self.failed.done():
            return
        try:
            self._courier.receive_all()
            if self._proposed and self.engine.leader is not None and not self._transferring:
                self._submit()
            if not self._journal.dirty:
                self._tick()""",
        """        if self._stopped or self.failed.done():
            return
        try:
            self._courier.receive_all()
            if self._proposed and self.engine.leader is not None and not self._transferring:
                self._submit()
            if True:
                self._tick()""",
        (f"{TURNS}::test_a_leader_counts_itself_only_when_its_disk_has_it",),
    ),
    Guard(
        "3",
        "what rests on the disk leaves behind it",
        "raft/member.py",
        """            if self._journal.dirty:
                self._syncing = True""",
        """            if self._journal.dirty:
                self._courier.flush()
                self._syncing = True""",
        (
            f"{TURNS}::test_a_follower_acknowledges_when_its_disk_has_it",
            f"{TURNS}::test_a_vote_leaves_when_the_disk_has_it",
            f"{TURNS}::test_a_candidate_asks_for_votes_when_the_disk_has_its_own",
        ),
    ),
    Guard(
        "4",
        "messages of other clusters are dropped",
        "raft/courier.py",
        "if envelope.cluster_id != self._cluster:",
        "if False:",
        (f"{HAZARDS}::test_4_foreign_messages_are_dropped",),
    ),
    Guard(
        "4",
        "messages to other members are dropped",
        "raft/courier.py",
        "if envelope.destination != self._member:",
        "if False:",
        (f"{HAZARDS}::test_4_foreign_messages_are_dropped",),
    ),
    Guard(
        "4",
        "only voters vote",
        "raft/courier.py",
        'if kind in ("vote", "would_vote") and sender not in voters:',
        "if False:",
        (f"{HAZARDS}::test_4_a_vote_counts_once_and_only_from_a_voter",),
    ),
    Guard(
        "4",
        "a vote counts once",
        "raft/courier.py",
        "if sender in self._voted[1]:",
        "if False:",
        (f"{HAZARDS}::test_4_a_vote_counts_once_and_only_from_a_voter",),
    ),
    Guard(
        "4",
        "an acknowledgement counts in its own term",
        "raft/courier.py",
        'if kind == "stored" and (engine.state != raft.LEADER or envelope.term != engine.raftCurrentTerm):',
        "if False:",
        (f"{HAZARDS}::test_4_an_acknowledgement_of_an_earlier_leadership_is_not_counted",),
    ),
    Guard(
        "4",
        "a newer stream of a member ends the older",
        "rpc/peer.py",
        "if not sender or self._streams.get(sender) is not token:",
        "if not sender:",
        (f"{BAD_INPUT}::test_a_newer_stream_of_a_member_ends_the_older",),
    ),
    Guard(
        "4",
        "streams of other clusters are ended",
        "rpc/peer.py",
        "if hello.cluster_id != identity.cluster_id or hello.destination != identity.member_id:",
        "if False:",
        (f"{BAD_INPUT}::test_a_member_of_another_cluster_is_not_listened_to",),
    ),
    Guard(
        "4",
        "questions of other clusters are refused",
        "rpc/peer.py",
        "if question.cluster_id != self._identity.cluster_id:",
        "if False:",
        (f"{BAD_INPUT}::test_a_member_of_another_cluster_is_not_listened_to",),
    ),
    Guard(
        "5",
        "who hears of a leader helps to elect no other",
        "raft/courier.py",
        'if kind == "vote_request" and not envelope.vote_request.transfer and self._has_leader:',
        "if False:",
        (f"{HAZARDS}::test_5_a_flapping_member_does_not_depose_a_leader_that_is_heard",),
    ),
    Guard(
        "5",
        "who hears of a leader would vote for no other",
        "raft/courier.py",
        "            and not self._has_leader\n",
        "",
        (f"{HAZARDS}::test_5_a_flapping_member_does_not_depose_a_leader_that_is_heard",),
    ),
    Guard(
        "5",
        "who is cut off does not raise its term",
        "raft/courier.py",
        "        engine.postpone_election()\n",
        "        return\n",
        (f"{HAZARDS}::test_5_a_member_that_is_cut_off_keeps_its_term",),
    ),
    Guard(
        "6",
        "a majority has answered before a read does",
        "raft/courier.py",
        "return self.engine.has_majority({member for member, seen in self._rounds_seen.items() if seen >= number})",
        "return True",
        (
            f"{HAZARDS}::test_6_a_round_of_reading_needs_answers_sent_after_it_began",
            f"{TURNS}::test_a_read_asks_the_others_and_waits_for_their_answers",
        ),
    ),
    Guard(
        "6",
        "answers of an earlier round do not count",
        "raft/courier.py",
        "if seen >= number})",
        "if seen >= number - 1})",
        (f"{HAZARDS}::test_6_a_round_of_reading_needs_answers_sent_after_it_began",),
    ),
    Guard(
        "6",
        "a leader reads when it has committed an entry of its term",
        "raft/engine.py",
        "return noop is not None and self.raftCommitIndex >= noop",
        "return True",
        (f"{HAZARDS}::test_6_a_leader_is_certain_only_after_an_entry_of_its_own_term",),
    ),
    Guard(
        "6",
        "every linearizable read asks",
        "raft/member.py",
        "        deadline = self._clock() + REQUEST_TIMEOUT_S\n        while True:\n            try:\n"
        "                if engine.leads_with_certainty:\n                    await self._confirm_leadership()",
        "        deadline = self._clock() + REQUEST_TIMEOUT_S\n        while True:\n            try:\n"
        "                if engine.leads_with_certainty:\n                    pass",
        (f"{TURNS}::test_a_read_asks_the_others_and_waits_for_their_answers",),
    ),
    Guard(
        "6",
        "learners get the log and do not vote",
        "raft/engine.py",
        "self._SyncObj__readonlyNodes = learners",
        "self._SyncObj__readonlyNodes = set()",
        (f"{CLUSTER}::test_a_member_is_added_as_learner_promoted_and_removed",),
    ),
    Guard(
        "7",
        "changes of members are not unpickled",
        "raft/engine.py",
        "def _SyncObj__parseChangeClusterRequest(",
        "def parse_change(",
        (f"{HAZARDS}::test_7_nothing_from_outside_reaches_pickle",),
    ),
    Guard(
        "7",
        "commands are not unpickled",
        "raft/engine.py",
        "def _SyncObj__applyLogEntries(",
        "def apply_entries(",
        (f"{HAZARDS}::test_7_nothing_from_outside_reaches_pickle",),
    ),
    Guard(
        "7",
        "large entries are not cut into pickled pieces",
        "raft/engine.py",
        "def _SyncObj__sendAppendEntries(",
        "def send_append_entries(",
        (f"{HAZARDS}::test_7_nothing_from_outside_reaches_pickle",),
    ),
    Guard(
        "8",
        "nothing forks",
        "raft/engine.py",
        "useFork=False,",
        "useFork=True,",
        (f"{HAZARDS}::test_8_no_process_is_forked",),
    ),
    Guard(
        "9",
        "a write is sent at once, without a timer",
        "raft/member.py",
        "elif engine.last_index != last or self._awaited_elsewhere:",
        "elif self._awaited_elsewhere:",
        (f"{TURNS}::test_a_write_leaves_at_once_while_the_disk_is_at_work",),
    ),
    Guard(
        "10",
        "changes in the log count, and are undone with it",
        "raft/engine.py",
        "for change in self._pending_changes():",
        "for change in []:",
        (f"{HAZARDS}::test_10_the_log_decides_who_is_a_member_not_a_dump",),
    ),
    Guard(
        "10",
        "a snapshot says who is a member, and flags do not",
        "raft/snapshot.py",
        "machine = StateMachine(Members(head.members, head.removed_members))",
        "machine = StateMachine(Members())",
        (f"{CLUSTER}::test_who_is_a_member_is_read_from_the_log_and_not_from_flags",),
    ),
    Guard(
        "late",
        "a late message removes nothing",
        "raft/engine.py",
        "if self._keep_suffix:",
        "if False:",
        (f"{HAZARDS}::test_a_late_message_does_not_remove_what_was_acknowledged",),
    ),
    Guard(
        "late",
        "what was not compared is not committed",
        "raft/engine.py",
        '"commit_index": min(message["commit_index"], compared),',
        '"commit_index": message["commit_index"],',
        (f"{HAZARDS}::test_what_was_not_compared_is_not_committed",),
    ),
    Guard(
        "late",
        "what was applied is never replaced",
        "raft/engine.py",
        "if fromIDx <= self._SyncObj__raftLastApplied:",
        "if False:",
        (f"{HAZARDS}::test_what_was_applied_is_never_replaced",),
    ),
]
