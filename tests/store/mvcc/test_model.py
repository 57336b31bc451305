"""The keys compared with a model so simple that it is right: a list of whole states."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
from etcd.log_pb2 import Proposal
from etcd.rpc_pb2 import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from store.errors import StoreError
from store.machine import StateMachine
from store.mvcc import ranges
from store.mvcc.interval import Interval

KEYS = st.sampled_from([b"a", b"a\x00", b"aa", b"ab", b"b", b"ba", b"c"])
ENDS = st.sampled_from([b"", b"\x00", b"aa", b"b", b"c", b"a"])
VALUES = st.binary(max_size=3)

# Key → (create, mod, version, value).
State = dict[bytes, tuple[int, int, int, bytes]]


class Comparison(RuleBasedStateMachine):
    """Does the same to both, and asks both the same."""

    # Over all examples.
    operations: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.machine = StateMachine()
        self.index = 1
        self.states: dict[int, State] = {1: {}}
        self.events: list[tuple[int, bytes, bytes | None]] = []
        self.revision = 1
        self.compacted = 0

    def apply(self, proposal: Proposal) -> StoreError | None:
        self.index += 1
        return self.machine.apply(self.index, 1, [proposal])[0].error

    @property
    def now(self) -> State:
        return self.states[self.revision]

    def commit(self, state: State, changes: list[tuple[bytes, bytes | None]]) -> None:
        if changes:
            self.revision += 1
            self.states[self.revision] = state
            self.events += [(self.revision, key, value) for key, value in changes]

    def put_into(self, state: State, key: bytes, value: bytes) -> None:
        create, _, version, _ = state.get(key, (self.revision + 1, 0, 0, b""))
        state[key] = (create, self.revision + 1, version + 1, value)

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        state = dict(self.now)
        self.put_into(state, key, value)
        assert self.apply(Proposal(put=PutRequest(key=key, value=value))) is None
        self.commit(state, [(key, value)])

    @rule(key=KEYS, end=ENDS)
    def delete(self, key: bytes, end: bytes) -> None:
        gone = sorted(known for known in self.now if known in Interval(key, end))
        state = {known: self.now[known] for known in self.now if known not in gone}
        assert self.apply(Proposal(delete_range=DeleteRangeRequest(key=key, range_end=end))) is None
        self.commit(state, [(known, None) for known in gone])

    @rule(deleted=KEYS, puts=st.dictionaries(KEYS, VALUES, max_size=3))
    def txn(self, deleted: bytes, puts: dict[bytes, bytes]) -> None:
        puts.pop(deleted, None)
        state = dict(self.now)
        changes: list[tuple[bytes, bytes | None]] = []
        request = TxnRequest(success=[RequestOp(request_delete_range=DeleteRangeRequest(key=deleted))])
        if state.pop(deleted, None) is not None:
            changes.append((deleted, None))
        for key, value in puts.items():
            request.success.append(RequestOp(request_put=PutRequest(key=key, value=value)))
            self.put_into(state, key, value)
            changes.append((key, value))
        assert self.apply(Proposal(txn=request)) is None
        self.commit(state, changes)

    @rule(back=st.integers(0, 5), scrub=st.integers(0, 10))
    def compact(self, back: int, scrub: int) -> None:
        revision = self.revision - back
        error = self.apply(Proposal(compaction=CompactionRequest(revision=revision)))
        assert (error is None) == (revision > self.compacted)
        if error is None:
            self.compacted = revision
        self.machine.keyspace.scrub(scrub)

    @rule()
    def scrub(self) -> None:
        while self.machine.keyspace.scrub(3):
            pass

    @rule(key=KEYS, end=ENDS, back=st.integers(0, 6), limit=st.integers(0, 3), descend=st.booleans())
    def read(self, key: bytes, end: bytes, back: int, limit: int, descend: bool) -> None:
        revision = max(1, self.revision - back)
        request = RangeRequest(
            key=key,
            range_end=end,
            revision=revision,
            limit=limit,
            sort_order=RangeRequest.DESCEND if descend else RangeRequest.NONE,
        )
        try:
            selection = ranges.read(self.machine.keyspace, request)
        except StoreError:
            assert revision < self.compacted
            return
        assert revision >= self.compacted
        expected = sorted(known for known in self.states[revision] if known in Interval(key, end))
        if descend:
            expected.reverse()
        assert selection.count == len(expected)
        cut = expected[:limit] if limit else expected
        found = [
            (version.key, (version.create, version.mod, version.version, version.value))
            for version in selection.versions
        ]
        assert found == [(known, self.states[revision][known]) for known in cut]
        assert selection.more == (len(cut) < len(expected))

    @invariant()
    def same_now(self) -> None:
        Comparison.operations += 1
        keyspace = self.machine.keyspace
        assert keyspace.revision == self.revision
        live = {key: (v.create, v.mod, v.version, v.value) for key, v in keyspace.live.items()}
        assert live == self.now

    @invariant()
    def same_events(self) -> None:
        keyspace = self.machine.keyspace
        start = max(2, self.compacted)
        told = [
            (revision, change.after.key, change.after.value if change.after.version else None)
            for revision in range(start, keyspace.revision + 1)
            for change in keyspace.changes_at(revision)
        ]
        assert told == [event for event in self.events if event[0] >= start]

    @invariant()
    def the_size_is_what_is_held(self) -> None:
        keyspace = self.machine.keyspace
        held = [version for key in keyspace.all_keys() for version in keyspace.history(key)]
        assert keyspace.size == sum(version.size() for version in held)

    def teardown(self) -> None:
        """Compacted to the end, nothing is left but what lives."""
        if self.compacted < self.revision:
            self.apply(Proposal(compaction=CompactionRequest(revision=self.revision)))
        while self.machine.keyspace.scrub(100):
            pass
        assert not self.machine.keyspace.past


# 50 steps each: a thousand examples are 50,000 operations.
EXAMPLES = int(os.environ.get("STORE_MODEL_EXAMPLES", "60"))
TestComparison = pytest.mark.filterwarnings("ignore")(Comparison.TestCase)
TestComparison.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_so_many_operations_were_compared() -> None:
    """Says how many, and that examples were not cut short."""
    if not Comparison.operations:
        pytest.skip("they were not run")
    print(f"{Comparison.operations} operations")
    assert Comparison.operations >= 45 * EXAMPLES
