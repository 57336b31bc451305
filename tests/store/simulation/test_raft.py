"""Many short, troubled lives of a cluster in virtual time; each is repeated exactly from its seed.

STORE_SEEDS sets how many, STORE_FIRST_SEED where to begin.
"""

from __future__ import annotations

import logging
import os

import pytest
from pysyncobj import syncobj

from tests.store.linearizability import is_linearizable
from tests.store.simulation.loop import VirtualLoop
from tests.store.simulation.world import Broken, World, live

SEEDS = int(os.environ.get("STORE_SEEDS", "60"))
FIRST = int(os.environ.get("STORE_FIRST_SEED", "1"))


def run(
    seed: int,
    size: int,
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    *,
    changing: bool = False,
    disks_lie: bool = False,
) -> World:
    loop = VirtualLoop()
    monkeypatch.setattr(syncobj, "monotonicTime", loop.time)
    world = World(seed, loop, size, changing=changing)
    world.disks_lie = disks_lie
    try:
        loop.run_until_complete(live(world, seconds))
    finally:
        loop.close()
    return world


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("pysyncobj").setLevel(logging.CRITICAL)


def test_promises_hold_through_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = 0
    for seed in range(FIRST, FIRST + SEEDS):
        world = run(seed, 3 if seed % 4 else 5, 6.0, monkeypatch)
        assert is_linearizable(world.history), f"seed {seed}: what clients saw cannot have happened"
        operations += len(world.history)
    assert operations > SEEDS * 10


def test_promises_hold_while_members_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = 0
    for seed in range(FIRST, FIRST + SEEDS):
        world = run(seed, 3, 6.0, monkeypatch, changing=True)
        assert is_linearizable(world.history), f"seed {seed}: what clients saw cannot have happened"
        changes += world.changes_made
    assert changes > SEEDS / 2


def test_disks_that_lie_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lives without durable logs break promises: this suite would notice if a sync were left out."""
    for seed in range(1, 200):
        try:
            world = run(seed, 3, 6.0, monkeypatch, disks_lie=True)
        except Broken:
            return
        if not is_linearizable(world.history):
            return
    pytest.fail("nothing was found")


def test_a_seed_is_repeated_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(4711, 3, 4.0, monkeypatch)
    second = run(4711, 3, 4.0, monkeypatch)
    assert first.history == second.history and first.applied == second.applied
