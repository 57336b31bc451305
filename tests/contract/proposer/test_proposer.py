"""What everything above agreement relies on, for each Proposer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from etcd.rpc_pb2 import PutRequest

from store.bootstrap import open_store
from store.machine import StateMachine
from store.members import Members
from store.raft import proposer as kinds
from store.raft.memory import MemoryProposer
from store.raft.proposer import Proposer
from store.replica import Replica
from tests.contract.store.conftest import settings
from tests.store.running import identity


@pytest.fixture(params=["memory", "pysyncobj"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Proposer, Replica]]:
    if request.param == "memory":
        replica = Replica(StateMachine(Members(identity().members)))
        yield MemoryProposer(replica, 1), replica
        return
    store = await open_store(settings(tmp_path))
    store.member.start()
    try:
        yield store.member, store.replica
    finally:
        store.member.stop()


def put(number: int) -> bytes:
    return PutRequest(key=b"k", value=b"%d" % number).SerializeToString()


async def test_an_outcome_is_applied_when_it_is_told(pair: tuple[Proposer, Replica]) -> None:
    proposer, replica = pair
    outcome = await proposer.propose(kinds.PUT, put(1))
    assert outcome.error is None
    assert outcome.revision == replica.machine.keyspace.revision == 2
    assert proposer.status().applied == replica.machine.applied


async def test_order_is_the_order_of_proposing(pair: tuple[Proposer, Replica]) -> None:
    proposer, replica = pair
    outcomes = await asyncio.gather(*(proposer.propose(kinds.PUT, put(number)) for number in range(200)))
    assert [outcome.revision for outcome in outcomes] == list(range(2, 202))
    version = replica.machine.keyspace.get(b"k")
    assert version is not None and version.value == b"199"


async def test_a_barrier_sees_everything_before_it(pair: tuple[Proposer, Replica]) -> None:
    proposer, replica = pair
    await proposer.propose(kinds.PUT, put(1))
    await proposer.barrier()
    assert replica.machine.keyspace.revision == 2


async def test_leadership_is_told_to_those_who_ask(pair: tuple[Proposer, Replica]) -> None:
    proposer, _ = pair
    told: list[bool] = []
    proposer.on_leadership(told.append)
    assert told == [True]
    assert proposer.status().is_leader and proposer.term == proposer.status().term
