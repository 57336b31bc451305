"""Controllers in the test's own process, on a real apiserver with the store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from steersman.client import Api

from controllers.bootstrap import Controllers, Settings
from controllers.node.controller import Settings as NodeSettings
from tests.apiserver.conftest import Served, identities, served

__all__ = ["identities", "running", "served"]


@pytest.fixture
async def running(served: Served) -> AsyncIterator[Api]:
    """The administrator's client, with all control loops at work; nodes count as lost after a second."""
    manager = served.as_user("system:kube-controller-manager")
    manager.patient = True
    node = NodeSettings(cluster_cidr="10.244.0.0/16", monitor_period_s=0.1, monitor_grace_s=1.0)
    controllers = Controllers(manager, Settings(node=node))
    await controllers.start()
    yield served.as_user("admin", "system:masters")
    await controllers.stop()
