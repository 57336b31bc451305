"""An agent on a test machine with an apiserver in memory, and the words that scenarios are written in."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from steersman.clock import RealClock
from steersman.core.v1 import ContainerStatus, Event, Pod
from steersman.errors import NotFound
from steersman.manifests.files import parse
from steersman.service.server import GrpcServer

from nodeagent.bootstrap import Agent
from nodeagent.config import AgentConfig
from nodeagent.network.namespace import CLONE_NEWNET
from nodeagent.rpc.streams import SERVICE, Streams
from tests.nodeagent.machine import Machine
from tests.nodeagent.memory_api import MemoryApi
from tests.waiting import eventually

NODE = "n1"
NODE_IP = "10.1.0.1"
POD_CIDR = "10.244.1.0/24"


@contextlib.contextmanager
def in_network_of(machine: Machine) -> Iterator[None]:
    """Moves this thread, and the threads it starts, into the machine's network namespace for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{machine.name}").open() as inside:
        assert libc.setns(inside.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


class Cluster:
    """One agent, one apiserver in memory."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.api: Any = MemoryApi()
        self.config = AgentConfig(
            node_name=NODE,
            node_ips=[NODE_IP],
            runtime_endpoint=f"unix://{machine.socket}",
            root=machine.base / "agent",
            cni_conf_dir=machine.base / "cni",
            cni_bin_dir=Path("/usr/lib/cni"),
            cgroup_root=machine.cgroup_root,
            cluster_dns=["10.96.0.10"],
            relist_s=1.0,
            housekeeping_s=1.0,
        )
        self.agent: Agent | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def configure(self, **changes: Any) -> None:
        """Changes settings for the next start."""
        self.config = replace(self.config, **changes)

    def start_without_waiting(self) -> Agent:
        """Starts the agent."""
        self._stop = asyncio.Event()
        self.agent = Agent(self.api, self.config)
        self._task = asyncio.create_task(self.agent.run(self._stop))
        return self.agent

    async def start(self) -> None:
        """Starts the agent and waits until pods can run."""
        agent = self.start_without_waiting()
        await self.assign_network()
        await self.until(agent.node.network_ready.is_set)

    async def assign_network(self) -> None:
        """Does what the controllers do with a new node."""
        assert self.agent is not None
        await self.until(self.agent.node.registered.is_set)
        node = await self.api.nodes.get(NODE)
        if not node.spec.pod_cidr:
            node.spec.pod_cidr = POD_CIDR
            node.spec.pod_cidrs.append(POD_CIDR)
            await self.api.nodes.update(node)

    async def until(self, predicate: Any, timeout_s: float = 15.0) -> Any:
        """As `eventually`, but fails at once when the agent does."""

        async def alive() -> Any:
            if self._task is not None and self._task.done():
                self._task.result()
            value = predicate()
            return await value if asyncio.iscoroutine(value) else value

        return await eventually(alive, timeout_s)

    async def stop(self) -> None:
        """Stops the agent gracefully; containers stay."""
        if self._task is not None:
            self._stop.set()
            await self._task
            self._task = None

    async def kill(self) -> None:
        """Ends the agent in the middle of whatever it does."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def close(self) -> None:
        """Removes all pods and stops."""
        if self._task is None:
            await self.start()
        for pod in await self.api.pods.list():
            with contextlib.suppress(NotFound):
                await self.api.pods.delete(pod.metadata.name, namespace=pod.metadata.namespace, grace_period_s=1)

        async def empty() -> bool:
            return not await self.api.pods.list() and not self.containers()

        try:
            await self.until(empty, 30)
        finally:
            await self.stop()

    async def apply(self, text: str) -> None:
        """Creates the objects of a manifest; pods are bound to the node."""
        for manifest in parse(text, "test"):
            obj: Any = manifest.obj
            if isinstance(obj, Pod):
                obj.spec.node_name = NODE
            await self.api.resource(type(obj)).create(obj)

    async def pod(self, name: str) -> Pod:
        return await self.api.pods.get(name)

    async def status_of(self, name: str, container: str = "") -> ContainerStatus:
        pod = await self.pod(name)
        every = [*pod.status.container_statuses, *pod.status.init_container_statuses]
        return next((each for each in every if not container or each.name == container), ContainerStatus())

    async def phase(self, name: str, phase: str, timeout_s: float = 15.0) -> Pod:
        """Waits for a pod's phase."""

        async def reached() -> Pod | None:
            pod = await self.pod(name)
            return pod if pod.status.phase == phase else None

        return await self.until(reached, timeout_s)

    async def ready(self, name: str, timeout_s: float = 15.0) -> Pod:
        """Waits until a pod is ready."""

        async def reached() -> Pod | None:
            pod = await self.pod(name)
            return pod if condition(pod, "Ready") == "True" else None

        return await self.until(reached, timeout_s)

    async def gone(self, name: str, timeout_s: float = 15.0) -> None:
        """Waits until the apiserver does not have a pod any more."""

        async def absent() -> bool:
            try:
                await self.pod(name)
            except NotFound:
                return True
            return False

        await self.until(absent, timeout_s)

    async def events(self, reason: str) -> list[Event]:
        return [each for each in await self.api.events.list() if each.reason == reason]

    def containers(self) -> list[str]:
        return self.machine.ctr("containers", "ls", "-q").split()

    def pid_of(self, container_id: str) -> int:
        wanted = container_id.removeprefix("containerd://")
        for line in self.machine.ctr("tasks", "ls").splitlines():
            words = line.split()
            if words and words[0] == wanted:
                return int(words[1])
        raise AssertionError(f"{container_id} has no task")

    async def kill_container(self, name: str, container: str = "") -> None:
        status = await self.status_of(name, container)
        os.kill(self.pid_of(status.container_id), signal.SIGKILL)

    async def serves(self, ip: str, port: int, path: str, content: str) -> None:
        """Waits until a pod answers with this content; a program takes a moment to listen."""
        request = f"GET {path} HTTP/1.0\r\n\r\n".encode()

        async def answers() -> bool:
            try:
                reader, writer = await asyncio.open_connection(ip, port)
            except OSError:
                return False
            writer.write(request)
            answer = await reader.read()
            writer.close()
            return answer.endswith(f"\r\n\r\n{content}".encode())

        await self.until(answers, 10)

    async def exec(self, name: str, *command: str) -> str:
        """Runs a command in a pod's first container, through the runtime."""
        assert self.agent is not None
        status = await self.status_of(name)
        container_id = status.container_id.removeprefix("containerd://")
        result = await self.agent.runtime.run_command(container_id, command, 5)
        return result.output.decode()

    @contextlib.asynccontextmanager
    async def streams(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to the agent's Streams."""
        assert self.agent is not None
        streams = Streams(self.agent.pods, self.agent.runtime, self.agent.folders, RealClock(), open_to_all=True)
        server = GrpcServer([streams.handler()], services=[SERVICE])
        path = self.machine.base / "streams.sock"
        server.listen(f"unix:{path}", None)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                yield channel
        finally:
            await server.stop(0.1)


def condition(pod: Pod, kind: str) -> str:
    return next((each.status for each in pod.status.conditions if each.type == kind), "")
