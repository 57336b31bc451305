"""The control loops inside a test's process; `steersman.testing` finds them by their entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steersman.client import connect_to
from steersman.runtime import Runtime
from steersman.testing.place import Place

from controllers.bootstrap import NAME, Settings, control
from controllers.node.controller import Settings as NodeSettings


@asynccontextmanager
async def run(place: Place) -> AsyncIterator[None]:
    """Runs all of them while the block runs."""
    settings = Settings(node=NodeSettings(cluster_cidr="10.244.0.0/16"), root_ca=place.authority.pem().decode())
    async with connect_to(place.context("system:kube-controller-manager")) as api:
        runtime = Runtime(api, NAME, clock=place.clock)
        control(runtime, settings)
        async with runtime:
            yield
