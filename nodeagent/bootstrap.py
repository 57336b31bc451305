"""Wires one agent together."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog
from steersman.client import Api, connect
from steersman.clock import Clock, RealClock
from steersman.config import ConfigError
from steersman.informer import Informer
from steersman.recorder import Recorder
from steersman.service.flags import host_port
from steersman.service.metrics import MetricsServer
from steersman.service.run import StartError
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles

from nodeagent.cgroups import MOUNT, Cgroups
from nodeagent.config import AgentConfig
from nodeagent.cri.channel import RuntimeChannel
from nodeagent.cri.images import Images
from nodeagent.cri.runtime import Runtime
from nodeagent.cri.termination import TerminationMessages
from nodeagent.errors import RuntimeFailedError
from nodeagent.executor import Executor, NodeView
from nodeagent.folders import Folders
from nodeagent.handlers import Handlers
from nodeagent.metrics import Metrics
from nodeagent.node.heartbeat import Heartbeat
from nodeagent.node.registration import NodeKeeper
from nodeagent.objects import ReferencedObjects
from nodeagent.pods import Pods
from nodeagent.rotation import LogRotation
from nodeagent.rpc import usage
from nodeagent.rpc.streams import SERVICE, Streams
from nodeagent.rpc.usage import Usages
from nodeagent.tools import WorkerTools
from nodeagent.usage.machine import Machine
from nodeagent.usage.meter import Meter

log = structlog.get_logger(__name__)

COMPONENT = "kubelet"
STOP_GRACE_S = 1.0
FLUSH_S = 2.0
DRAIN_S = 2.0


def lock_root(folders: Folders) -> IO[str]:
    """Takes the root for this process until it ends.

    Raises:
        StartError: another agent uses it, or it cannot be written to.
    """
    try:
        folders.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = folders.lock.open("a")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartError(f"another nodeagent uses {folders.root}") from error
    except OSError as error:
        raise StartError(f"cannot use {folders.root}: {error.strerror}") from error
    return file


class Agent:
    """One node's agent. Make it inside a running loop and `run()` it once.

    Making it raises `StartError` when it lacks rights or cgroups, or another agent uses its root.

    Attributes:
        pods: the workers.
        metrics: what it counts.
        runtime: the container runtime.
        meter: what measures what is used.
    """

    def __init__(self, api: Api, config: AgentConfig, *, clock: Clock | None = None) -> None:
        clock = clock or RealClock()
        self.config = config
        self.metrics = Metrics()
        self.folders = Folders(config.root)
        if os.geteuid() != 0:
            raise StartError("the nodeagent must run as root: it makes cgroups, mounts and network namespaces")
        missing = Cgroups(config.cgroup_root).missing()
        if missing:
            raise StartError(
                f"no cgroup controllers {', '.join(missing)} at {MOUNT}: the kernel lacks them, "
                "or this mount namespace has a /sys of its own (as `ip netns exec` makes one)"
            )
        self._lock = lock_root(self.folders)
        self._channel = RuntimeChannel(config.runtime_endpoint, self.metrics)
        self.runtime = Runtime(self._channel, TerminationMessages())
        self.meter = Meter(self.runtime, Machine(config.cgroup_root, MOUNT), clock)
        images = Images(self._channel)
        self._recorder = Recorder(api, COMPONENT, host=config.node_name, clock=clock)
        node_informer = Informer(api.nodes, field_selector=f"metadata.name={config.node_name}", clock=clock)
        self.node = NodeKeeper(api, config, self.runtime, images, node_informer, clock)
        self._heartbeat = Heartbeat(api, config, clock, self.metrics)
        services = Informer(api.services, clock=clock)
        pods_informer = Informer(api.pods, field_selector=f"spec.nodeName={config.node_name}", clock=clock)
        handlers = Handlers(self.runtime)
        self._objects = ReferencedObjects(api, clock, lambda uid: self.pods.objects_changed(uid))
        view = NodeView(
            allocatable=self.node.allocatable(),
            memory_bytes=self.node.memory_bytes,
            services=services.list,
            network_ready=self.node.network_ready,
        )
        executor = Executor(config, self.runtime, images, handlers, self._objects, self._recorder, view, clock)
        tools = WorkerTools(
            config=config,
            api=api,
            runtime=self.runtime,
            executor=executor,
            handlers=handlers,
            objects=self._objects,
            recorder=self._recorder,
            clock=clock,
            metrics=self.metrics,
        )
        rotation = LogRotation(self.runtime, self.folders, config, clock)
        self.pods = Pods(tools, self._channel, pods_informer, services, rotation)

    async def check_runtime(self) -> None:
        """Says once whether the container runtime answers; an agent without one starts and waits for it."""
        try:
            name, version = await self.runtime.version()
            log.info("container runtime answers", runtime=name, version=version)
        except RuntimeFailedError as error:
            log.warning(
                "container runtime does not answer yet", endpoint=self.config.runtime_endpoint, error=error.message
            )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], Awaitable[None]] | None = None) -> None:
        """Runs until `stop` is set; containers are left running.

        `on_ready` is called when the node is registered.
        """
        await self.check_runtime()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._node(on_ready), name="node"),
                    group.create_task(self.pods.run(), name="pods"),
                    group.create_task(self._recorder.run(), name="events"),
                    group.create_task(self.meter.run(), name="usage"),
                ]
                await stop.wait()
                log.info("stopping; containers are left running")
                await self.pods.drain(DRAIN_S)
                await self._recorder.flush(FLUSH_S)
                for task in tasks:
                    task.cancel()
        finally:
            self._objects.close()
            await self._channel.close()
            self._lock.close()

    async def _node(self, on_ready: Callable[[], Awaitable[None]] | None) -> None:
        node = await self.node.register()
        if on_ready is not None:
            await on_ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.node.run(), name="node object")
            group.create_task(self._heartbeat.run(node), name="heartbeat")


@dataclass(frozen=True)
class Serving:
    """Where an agent serves.

    Attributes:
        address: "host:port" of gRPC.
        metrics: "host:port" of Prometheus metrics; empty: nowhere.
        tls: identity; None serves plain text, on loopback only.
    """

    address: str
    metrics: str
    tls: TLSFiles | None


async def run_agent(config: AgentConfig, client_config: Path | None, serving: Serving, stop: asyncio.Event) -> None:
    """Runs an agent with its servers until `stop` is set.

    Raises:
        StartError: it cannot start.
    """
    host, port = host_port(serving.address)
    if serving.tls is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise StartError(f"without TLS the agent serves on a loopback address only, not on {serving.address}")
    try:
        api = connect(client_config)
    except ConfigError as error:
        raise StartError(str(error)) from error
    async with api:
        clock = RealClock()
        agent = Agent(api, config, clock=clock)
        streams = Streams(agent.pods, agent.runtime, agent.folders, clock, open_to_all=serving.tls is None)
        usages = Usages(agent.meter, open_to_all=serving.tls is None)
        server = GrpcServer([streams.handler(), usages.handler()], services=[SERVICE, usage.SERVICE])
        server.listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", serving.tls)
        try:
            metrics = MetricsServer.start(serving.metrics, serving.tls, agent.metrics.registry)
        except OSError as error:
            raise StartError(f"cannot serve metrics on {serving.metrics}: {error.strerror}") from error
        await server.start()
        log.info("serving", address=serving.address, node=config.node_name)
        try:
            await agent.run(stop, on_ready=lambda: server.set_serving(True))
        finally:
            await server.stop(STOP_GRACE_S)
            if metrics is not None:
                metrics.stop()
