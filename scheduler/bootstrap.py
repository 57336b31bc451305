"""Wires the scheduler: connection, watches, columns, profiles, loop, servers."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from steersman.client import connect
from steersman.clock import RealClock
from steersman.config import ConfigError
from steersman.events import Recorder
from steersman.service.flags import host_port
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from scheduler.binder import Binder
from scheduler.columns.cluster import Cluster
from scheduler.framework import Framework, Profile
from scheduler.loop import Bell, Loop
from scheduler.metrics import Metrics
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.rpc.explain import SERVICE, Explainer
from scheduler.schedule import Schedule
from scheduler.watcher import Watcher

log = structlog.get_logger(__name__)

STOP_S = 2.0


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        config: client configuration file; None: the default one.
        names: scheduler names that this process serves, all with the default plugins.
        seed: of the random choice among equally good nodes; None: another one every time.
        bind_address: where gRPC is served.
        metrics_address: where metrics are served; empty: nowhere.
        tls: identity of the servers; None: plain text, on loopback only.
    """

    config: Path | None
    names: tuple[str, ...]
    seed: int | None
    bind_address: str
    metrics_address: str
    tls: TLSFiles | None


def refuse_plain_text(address: str, flag: str) -> None:
    """Makes sure that without certificates nothing is served beyond this machine.

    Raises:
        StartError: the address is not loopback.
    """
    if not address or address.startswith("unix:"):
        return
    try:
        host, _ = host_port(address)
    except ValueError as error:
        raise StartError(f"{flag}: {error}") from error
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(f"{flag} {address} is not a loopback address: give it a certificate, key and client authority")


def make_schedule(names: tuple[str, ...], reasons: Reasons, source: random.Random) -> Schedule:
    """A schedule whose profiles all have the default plugins."""
    cluster = Cluster()
    frameworks = {name: Framework(Profile(name, defaults(reasons)), cluster, reasons, source) for name in names}
    return Schedule(cluster, frameworks)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until `stop` is set; bindings under way are completed first.

    Raises:
        StartError: something that is needed is missing.
    """
    if settings.tls is None:
        refuse_plain_text(settings.bind_address, "--bind-address")
        refuse_plain_text(settings.metrics_address, "--metrics-address")
    try:
        api = connect(settings.config)
    except ConfigError as error:
        raise StartError(str(error)) from error
    clock, registry, reasons, bell = RealClock(), CollectorRegistry(), Reasons(), Bell()
    metrics = Metrics(registry)
    schedule = make_schedule(settings.names, reasons, random.Random(settings.seed))
    recorder = Recorder(api, settings.names[0], clock=clock)
    watcher = Watcher(api, schedule, clock, bell.wake)
    binder = Binder(api, schedule, recorder, clock, metrics, bell)
    loop = Loop(schedule, binder, bell, clock, metrics)

    server = GrpcServer([Explainer(schedule, reasons, clock).handler()], services=[SERVICE])
    server.listen(settings.bind_address, settings.tls)
    try:
        metrics_server = MetricsServer.start(settings.metrics_address, settings.tls, registry)
    except OSError as error:
        raise StartError(f"cannot serve metrics on {settings.metrics_address}: {error.strerror}") from error
    await server.start()
    log.info("scheduler started", profiles=settings.names, address=settings.bind_address)

    async def decide() -> None:
        await watcher.synced()
        await server.set_serving(True)
        log.info("everything read, deciding", nodes=len(schedule.cluster.rows), waiting=len(schedule.queue))
        await loop.run()

    async with api:
        tasks = [asyncio.create_task(part) for part in (watcher.run(), decide(), recorder.run())]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
            await binder.drain(STOP_S)
            await recorder.flush(STOP_S)
            await server.stop()
            if metrics_server is not None:
                metrics_server.stop()
    log.info("scheduler stopped")
