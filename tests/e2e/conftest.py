"""One cluster for all end-to-end tests of a run; tests that break it beyond repair make their own.

E2E_STORE=etcd runs them on a real etcd.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.world import EXAMPLE, STORE, World, world
from tests.waiting import eventually_sync


@pytest.fixture(scope="session")
def started() -> Iterator[tuple[World, str]]:
    """A cluster with the example on it, and what `steer up --demo` printed."""
    with world() as made:
        printed = made.steer("up", "--name", made.name, "--demo", "--store", STORE)
        yield made, printed


@pytest.fixture
def cluster(started: tuple[World, str]) -> Iterator[World]:
    """The cluster, with the example's three pods ready before and after each test."""
    made, _ = started

    def settled() -> bool:
        pods = made.items("pods", "-l", "app=web")
        return len(pods) == 3 and len(made.pods()) == 3

    made.steer("apply", "-f", str(EXAMPLE), "--force-conflicts")
    eventually_sync(settled, 60)
    yield made
