"""An apiserver inside a test's process, on a store in memory; `steersman.testing` finds it by its entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steersman.pki import key_pem, new_key, write_private
from steersman.testing.place import Place

from apiserver.bootstrap import Apiserver, Settings, TokenSettings, node_channels
from apiserver.storage.memory import MemoryStorage


@asynccontextmanager
async def serve(place: Place) -> AsyncIterator[None]:
    """Serves at the place's address while the block runs."""
    tls = place.identity("apiserver", "kube-apiserver", "system:masters")
    signing_key = place.folder / "sa.key"
    write_private(signing_key, key_pem(new_key()))
    settings = Settings(
        addresses=[place.address],
        tls=tls,
        # An address for documentation: nothing is there.
        advertise_address="192.0.2.1",
        compaction_interval_s=0,
        tokens=TokenSettings(signing_key=signing_key),
    )
    apiserver = Apiserver(
        settings, MemoryStorage(), node_channel=node_channels(tls), clock=place.clock, source=place.source
    )
    try:
        await apiserver.start()
        await apiserver.ready()
        yield
    finally:
        await apiserver.stop(grace_s=0)
