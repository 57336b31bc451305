"""Controllers in the test's own process, on a real apiserver with the store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from steersman.client import Api
from steersman.runtime import Runtime

from controllers.bootstrap import NAME, Settings, control
from controllers.node.controller import Settings as NodeSettings
from tests.apiserver.conftest import Served, identities, served

__all__ = ["identities", "running", "served"]


@pytest.fixture
async def running(served: Served) -> AsyncIterator[Api]:
    """The administrator's client, with all control loops at work; nodes count as lost after a second."""
    manager = served.as_user("system:kube-controller-manager")
    manager.patient = True
    node = NodeSettings(cluster_cidr="10.244.0.0/16", monitor_period_s=0.1, monitor_grace_s=1.0)
    runtime = Runtime(manager, NAME)
    control(runtime, Settings(node=node))
    async with runtime:
        yield served.as_user("admin", "system:masters")
