"""Wires the scheduler: connection, watches, columns, profiles, loop, servers."""

from __future__ import annotations

import asyncio
import random
import socket
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import structlog
import yaml
from prometheus_client import CollectorRegistry
from steersman.client import connect
from steersman.clock import Clock, RealClock
from steersman.config import ConfigError
from steersman.election import Election, Terms
from steersman.recorder import Recorder
from steersman.service.flags import refuse_plain_text
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from scheduler import configuration
from scheduler.alarm import Alarm
from scheduler.asker import Asker
from scheduler.binder import Binder
from scheduler.columns.cluster import Cluster
from scheduler.configuration import ConfigurationError, Factory
from scheduler.framework import Framework, Profile
from scheduler.loop import Bell, Loop
from scheduler.metrics import Metrics
from scheduler.plugins.guarded import Guarded
from scheduler.plugins.plugin import Plugin
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.rpc.explain import SERVICE, Explainer
from scheduler.schedule import Schedule
from scheduler.volume_binder import VolumeBinder
from scheduler.watcher import Watcher

log = structlog.get_logger(__name__)

STOP_S = 2.0
LEASE_NAME, LEASE_NAMESPACE = "kube-scheduler", "kube-system"
PLUGIN_LIMIT_S = 1.0
PLUGIN_GROUP = "steersman.scheduler.plugins"


@dataclass(frozen=True)
class Settings:
    """What the flags say.

    Attributes:
        config: client configuration file; None: the default one.
        names: scheduler names that this process serves with the default plugins.
        profiles: file with profiles (KubeSchedulerConfiguration), in place of `names`; None: none.
        seed: of the random choice among equally good nodes; None: another one every time.
        bind_address: where gRPC is served.
        metrics_address: where metrics are served; empty: nowhere.
        tls: identity of the servers; None: plain text, on loopback only.
        election: durations of the election of a leader; None: this process decides without one.
        socket: path of a unix socket where gRPC is served as well; empty: none.
    """

    config: Path | None
    names: tuple[str, ...]
    profiles: Path | None
    seed: int | None
    bind_address: str
    metrics_address: str
    tls: TLSFiles | None
    election: Terms | None = None
    socket: str = ""


def make_schedule(profiles: Iterable[str | Profile], reasons: Reasons, source: random.Random) -> Schedule:
    """A schedule for profiles; one that is only named has the default plugins."""
    cluster = Cluster()
    frameworks = {}
    for entry in profiles:
        profile = Profile(entry, defaults(reasons)) if isinstance(entry, str) else entry
        frameworks[profile.name] = Framework(profile, cluster, reasons, source)
    return Schedule(cluster, frameworks)


def foreign_plugins() -> dict[str, Factory]:
    """Plugins of other packages, by the name of their entry point; each is imported when a profile first uses it.

    An entry point names a callable that takes `Reasons` and the arguments of the profile and returns a `Plugin`. Its
    calls may take `PLUGIN_LIMIT_S` at most.
    """
    alarm = Alarm(PLUGIN_LIMIT_S)

    def lazily(entry: metadata.EntryPoint) -> Factory:
        def make(reasons: Reasons, args: Mapping[str, Any]) -> Plugin:
            try:
                plugin = entry.load()(reasons, args)
            except Exception as error:
                raise StartError(f"plugin {entry.name} ({entry.value}) cannot be made: {error}") from error
            if not isinstance(plugin, Plugin):
                raise StartError(f"plugin {entry.name} ({entry.value}) is not a scheduler.plugins.plugin.Plugin")
            return Guarded(plugin, alarm.limit)

        return make

    return {entry.name: lazily(entry) for entry in metadata.entry_points(group=PLUGIN_GROUP)}


def read_profiles(path: Path, reasons: Reasons) -> tuple[Profile, ...]:
    """The profiles of a file; what has no effect is logged.

    Raises:
        StartError: the file cannot be read or makes no sense.
    """
    try:
        document = yaml.safe_load(path.read_text())
        found, warnings = configuration.profiles(document, reasons, foreign_plugins())
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StartError(f"{path} is not YAML: {error}") from error
    except ConfigurationError as error:
        raise StartError(f"{path}: {error}") from error
    for warning in warnings:
        log.warning("configuration", path=str(path), warning=warning)
    return found


async def serve(settings: Settings, stop: asyncio.Event, *, clock: Clock | None = None) -> None:
    """Runs until `stop` is set; bindings under way are completed first. The clock is the machine's by default.

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
    clock = clock or RealClock()
    registry, reasons, bell = CollectorRegistry(), Reasons(), Bell()
    metrics = Metrics(registry)
    profiles: Sequence[str | Profile] = settings.names
    if settings.profiles is not None:
        profiles = read_profiles(settings.profiles, reasons)
        if settings.tls is None:
            for extender in profiles[0].extenders if isinstance(profiles[0], Profile) else ():
                refuse_plain_text(extender.address, f"extender {extender.name}")
    schedule = make_schedule(profiles, reasons, random.Random(settings.seed))
    names = tuple(schedule.frameworks)
    recorder = Recorder(api, names[0], clock=clock)
    watcher = Watcher(api, schedule, clock, bell.wake)
    volumes = VolumeBinder(api, clock)
    watcher.claims.on_change(volumes.claim_changed)
    binder = Binder(api, schedule, recorder, clock, metrics, bell, volumes)
    election: Election | None = None
    if settings.election is not None:
        election = Election(
            api.leases,
            clock,
            name=LEASE_NAME,
            namespace=LEASE_NAMESPACE,
            identity=f"{socket.gethostname()}_{uuid.uuid4()}",
            terms=settings.election,
            on_change=bell.wake,
        )
    asker = Asker(schedule, binder, clock, settings.tls, bell)
    loop = Loop(schedule, binder, asker, bell, clock, metrics, may_decide=election.leads if election else lambda: True)

    server = GrpcServer([Explainer(schedule, clock).handler()], services=[SERVICE])
    server.listen(settings.bind_address, settings.tls)
    if settings.socket:
        server.listen(f"unix:{settings.socket}", settings.tls)
    try:
        metrics_server = MetricsServer.start(settings.metrics_address, settings.tls, registry)
    except OSError as error:
        raise StartError(f"cannot serve metrics on {settings.metrics_address}: {error.strerror}") from error
    await server.start()
    log.info("scheduler started", profiles=names, address=settings.bind_address)

    async def decide() -> None:
        await watcher.synced()
        await server.set_serving(True)
        log.info("everything read", nodes=len(schedule.cluster.rows), waiting=len(schedule.queue))
        async with asyncio.TaskGroup() as group:
            if election is not None:
                group.create_task(election.run())
            group.create_task(loop.run())

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
            await asker.close()
            await binder.drain(STOP_S)
            if election is not None:
                await election.resign()
            await recorder.flush(STOP_S)
            await server.stop()
            if metrics_server is not None:
                metrics_server.stop()
    log.info("scheduler stopped")
