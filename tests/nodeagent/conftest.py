from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.nodeagent.cluster import Cluster, in_network_of
from tests.nodeagent.machine import Machine, machine


@pytest.fixture(scope="session")
def node() -> Iterator[Machine]:
    """A machine with a containerd; shared, for each test leaves it empty."""
    with machine() as made:
        yield made


@pytest.fixture
def inside(node: Machine) -> Iterator[Machine]:
    """The test's thread is in the machine's network."""
    with in_network_of(node):
        yield node


@pytest.fixture
async def cluster(inside: Machine) -> AsyncIterator[Cluster]:
    made = Cluster(inside)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
