"""Sandboxes and containers through CRI, and what they look like as values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import cri

from nodeagent.cri.channel import RuntimeChannel
from nodeagent.cri.termination import TerminationMessages
from nodeagent.errors import RuntimeFailedError
from nodeagent.pod import labels
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime, SandboxRecord
from nodeagent.usage.rates import Reading

T = TypeVar("T")

_LIVES = {
    cri.CONTAINER_CREATED: Life.CREATED,
    cri.CONTAINER_RUNNING: Life.RUNNING,
    cri.CONTAINER_EXITED: Life.EXITED,
    cri.CONTAINER_UNKNOWN: Life.UNKNOWN,
}
# Dead containers do not change, so their details are asked for once; this many are remembered.
_REMEMBERED_MAX = 4096
# A stop that is to take n seconds may take the runtime a little more.
_STOP_MARGIN_S = 60.0
_SANDBOX_TIMEOUT_S = 240.0
# Whoever asks what is used does not wait longer.
_STATS_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class PodIdentity:
    """Which pod a sandbox or container belongs to."""

    uid: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Listed:
    """What one listing of the runtime shows of a pod: enough to notice that something changed.

    Attributes:
        pod: the pod.
        marks: ids and states of its sandboxes and containers.
        running: how many containers run.
    """

    pod: PodIdentity
    marks: frozenset[tuple[str, int]]
    running: int


@dataclass(frozen=True)
class ContainerUse:
    """What a running container has used so far.

    Attributes:
        pod_uid: its pod.
        name: its name in the pod.
        container_id: its id; a container that is started again has another.
        reading: what it has used.
    """

    pod_uid: str
    name: str
    container_id: str
    reading: Reading


@dataclass(frozen=True)
class RuntimeCondition:
    """Whether one part of the runtime is ready."""

    ready: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class ExecResult:
    """What a command printed, and how it ended."""

    output: bytes
    exit_code: int


def _moment(nanoseconds: int) -> datetime | None:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC) if nanoseconds > 0 else None


def _created(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


class Runtime:
    """The runtime's sandboxes and containers. Methods raise `RuntimeFailedError`."""

    def __init__(self, channel: RuntimeChannel, messages: TerminationMessages) -> None:
        self._channel = channel
        self._messages = messages
        self._dead: OrderedDict[str, ContainerRecord] = OrderedDict()
        self._addresses: OrderedDict[str, tuple[tuple[str, ...], bool]] = OrderedDict()

    async def version(self) -> tuple[str, str]:
        """The runtime's name and version."""
        answer = await self._channel.call(
            "RuntimeService/Version", cri.VersionRequest(), cri.VersionResponse, timeout_s=5
        )
        return answer.runtime_name, answer.runtime_version

    async def conditions(self) -> dict[str, RuntimeCondition]:
        """RuntimeReady and NetworkReady."""
        answer = await self._channel.call("RuntimeService/Status", cri.StatusRequest(), cri.StatusResponse, timeout_s=5)
        return {
            each.type: RuntimeCondition(each.status, each.reason, each.message) for each in answer.status.conditions
        }

    async def list_pods(self) -> dict[str, Listed]:
        """Everything that the runtime has, by pod uid."""
        sandboxes = await self._channel.call(
            "RuntimeService/ListPodSandbox", cri.ListPodSandboxRequest(), cri.ListPodSandboxResponse
        )
        containers = await self._channel.call(
            "RuntimeService/ListContainers", cri.ListContainersRequest(), cri.ListContainersResponse
        )
        pods: dict[str, PodIdentity] = {}
        marks: dict[str, set[tuple[str, int]]] = {}
        running: dict[str, int] = {}
        for sandbox in sandboxes.items:
            identity = _identity(sandbox.labels)
            if identity is not None:
                pods[identity.uid] = identity
                marks.setdefault(identity.uid, set()).add((sandbox.id, int(sandbox.state)))
        for container in containers.containers:
            identity = _identity(container.labels)
            if identity is not None:
                pods.setdefault(identity.uid, identity)
                marks.setdefault(identity.uid, set()).add((container.id, int(container.state)))
                if container.state == cri.CONTAINER_RUNNING:
                    running[identity.uid] = running.get(identity.uid, 0) + 1
        return {uid: Listed(pod, frozenset(marks[uid]), running.get(uid, 0)) for uid, pod in pods.items()}

    async def container_use(self) -> list[ContainerUse]:
        """What the running containers of pods have used so far; those that the runtime cannot measure are left out."""
        answer = await self._channel.call(
            "RuntimeService/ListContainerStats",
            cri.ListContainerStatsRequest(),
            cri.ListContainerStatsResponse,
            timeout_s=_STATS_TIMEOUT_S,
        )
        found = []
        for each in answer.stats:
            identity = _identity(each.attributes.labels)
            if identity is None or not each.cpu.HasField("usage_core_nano_seconds"):
                continue
            reading = Reading(
                time_ns=each.cpu.timestamp,
                cpu_ns=each.cpu.usage_core_nano_seconds.value,
                memory_bytes=each.memory.working_set_bytes.value,
            )
            name = each.attributes.labels.get(labels.CONTAINER_NAME, each.attributes.metadata.name)
            found.append(ContainerUse(identity.uid, name, each.attributes.id, reading))
        return found

    async def pod_of_container(self, container_id: str) -> str | None:
        """The uid of the pod that a container or sandbox belongs to; None when it is not (or no more) there."""
        containers = await self._channel.call(
            "RuntimeService/ListContainers",
            cri.ListContainersRequest(filter=cri.ContainerFilter(id=container_id)),
            cri.ListContainersResponse,
        )
        sandboxes = await self._channel.call(
            "RuntimeService/ListPodSandbox",
            cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(id=container_id)),
            cri.ListPodSandboxResponse,
        )
        for found in (*(each.labels for each in containers.containers), *(each.labels for each in sandboxes.items)):
            identity = _identity(found)
            if identity is not None:
                return identity.uid
        return None

    async def observe(self, uid: str) -> PodRuntime:
        """Everything that the runtime has of one pod, in detail."""
        selector = {labels.POD_UID: uid}
        sandboxes = await self._channel.call(
            "RuntimeService/ListPodSandbox",
            cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=selector)),
            cri.ListPodSandboxResponse,
        )
        containers = await self._channel.call(
            "RuntimeService/ListContainers",
            cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=selector)),
            cri.ListContainersResponse,
        )
        return PodRuntime.of(
            [await self._sandbox(each) for each in sandboxes.items],
            [record for each in containers.containers if (record := await self._container(each)) is not None],
        )

    async def _sandbox(self, listed: cri.PodSandbox) -> SandboxRecord:
        ready = listed.state == cri.SANDBOX_READY
        ips: tuple[str, ...] = ()
        host_network = False
        if ready:
            if listed.id not in self._addresses:
                try:
                    status = (await self.sandbox_status(listed.id)).status
                except RuntimeFailedError as error:
                    if not error.not_found:
                        raise
                    return SandboxRecord(listed.id, listed.metadata.attempt, False, _created(listed.created_at))
                found = (status.network.ip, *(each.ip for each in status.network.additional_ips))
                self._remember(
                    self._addresses,
                    listed.id,
                    (
                        tuple(ip for ip in found if ip),
                        status.linux.namespaces.options.network == cri.NODE,
                    ),
                )
            ips, host_network = self._addresses[listed.id]
        return SandboxRecord(listed.id, listed.metadata.attempt, ready, _created(listed.created_at), ips, host_network)

    async def _container(self, listed: cri.Container) -> ContainerRecord | None:
        if listed.id in self._dead:
            return self._dead[listed.id]
        try:
            answer = await self._channel.call(
                "RuntimeService/ContainerStatus",
                cri.ContainerStatusRequest(container_id=listed.id),
                cri.ContainerStatusResponse,
            )
        except RuntimeFailedError as error:
            if error.not_found:
                return None
            raise
        status = answer.status
        life = _LIVES[status.state]
        notes = status.annotations
        record = ContainerRecord(
            id=status.id,
            name=status.labels.get(labels.CONTAINER_NAME, status.metadata.name),
            attempt=status.metadata.attempt,
            life=life,
            sandbox_id=listed.pod_sandbox_id,
            created_at=_created(status.created_at),
            started_at=_moment(status.started_at),
            finished_at=_moment(status.finished_at),
            exit_code=status.exit_code,
            reason=status.reason,
            message=await self._messages.read(status) if life is Life.EXITED else "",
            image=status.image.image,
            image_id=status.image_ref,
            spec_hash=notes.get(labels.CONTAINER_HASH, ""),
            grace_s=int(notes.get(labels.POD_TERMINATION_GRACE, "30") or 30),
        )
        if life is Life.EXITED:
            self._remember(self._dead, status.id, record)
        return record

    @staticmethod
    def _remember(store: OrderedDict[str, T], key: str, value: T) -> None:
        store[key] = value
        while len(store) > _REMEMBERED_MAX:
            store.popitem(last=False)

    async def sandbox_status(self, sandbox_id: str, *, verbose: bool = False) -> cri.PodSandboxStatusResponse:
        """A sandbox in detail; with `verbose`, `info` says how it was set up, as JSON."""
        return await self._channel.call(
            "RuntimeService/PodSandboxStatus",
            cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=verbose),
            cri.PodSandboxStatusResponse,
        )

    async def container_status(self, container_id: str) -> cri.ContainerStatus:
        """A container in detail."""
        answer = await self._channel.call(
            "RuntimeService/ContainerStatus",
            cri.ContainerStatusRequest(container_id=container_id),
            cri.ContainerStatusResponse,
        )
        return answer.status

    async def create_sandbox(self, config: cri.PodSandboxConfig, *, handler: str = "") -> str:
        """Makes and starts a sandbox; returns its id."""
        answer = await self._channel.call(
            "RuntimeService/RunPodSandbox",
            cri.RunPodSandboxRequest(config=config, runtime_handler=handler),
            cri.RunPodSandboxResponse,
            timeout_s=_SANDBOX_TIMEOUT_S,
        )
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Ends a sandbox and gives its address back; one that does not exist is fine."""
        await self._forgiving(
            "StopPodSandbox",
            cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id),
            cri.StopPodSandboxResponse,
            timeout_s=_SANDBOX_TIMEOUT_S,
        )

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Removes a stopped sandbox with its containers; one that does not exist is fine."""
        await self._forgiving(
            "RemovePodSandbox",
            cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id),
            cri.RemovePodSandboxResponse,
            timeout_s=_SANDBOX_TIMEOUT_S,
        )
        self._addresses.pop(sandbox_id, None)

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox_config: cri.PodSandboxConfig
    ) -> str:
        """Makes a container; returns its id."""
        answer = await self._channel.call(
            "RuntimeService/CreateContainer",
            cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config),
            cri.CreateContainerResponse,
        )
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        """Starts a made container."""
        await self._channel.call(
            "RuntimeService/StartContainer",
            cri.StartContainerRequest(container_id=container_id),
            cri.StartContainerResponse,
        )

    async def stop_container(self, container_id: str, grace_s: int) -> None:
        """Asks a container to end and kills it after `grace_s` seconds; one that does not exist is fine."""
        await self._forgiving(
            "StopContainer",
            cri.StopContainerRequest(container_id=container_id, timeout=grace_s),
            cri.StopContainerResponse,
            timeout_s=grace_s + _STOP_MARGIN_S,
        )

    async def remove_container(self, container_id: str) -> None:
        """Removes a container; one that does not exist is fine."""
        await self._forgiving(
            "RemoveContainer",
            cri.RemoveContainerRequest(container_id=container_id),
            cri.RemoveContainerResponse,
        )
        self._dead.pop(container_id, None)

    async def reopen_log(self, container_id: str) -> None:
        """Makes the runtime open a container's log anew, after it was moved away."""
        await self._channel.call(
            "RuntimeService/ReopenContainerLog",
            cri.ReopenContainerLogRequest(container_id=container_id),
            cri.ReopenContainerLogResponse,
        )

    async def run_command(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Runs a command in a container; the runtime kills it after `timeout_s` seconds."""
        answer = await self._channel.call(
            "RuntimeService/ExecSync",
            cri.ExecSyncRequest(container_id=container_id, cmd=command, timeout=max(1, int(timeout_s))),
            cri.ExecSyncResponse,
            timeout_s=timeout_s + 5,
        )
        return ExecResult(answer.stdout + answer.stderr, answer.exit_code)

    async def exec_url(self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool) -> str:
        """Prepares a streamed command; returns where its streams are."""
        answer = await self._channel.call(
            "RuntimeService/Exec",
            cri.ExecRequest(container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=True, stderr=not tty),
            cri.ExecResponse,
        )
        return answer.url

    async def attach_url(self, container_id: str, *, stdin: bool, tty: bool) -> str:
        """Prepares a connection to the streams of a container's own program; returns where they are.

        Args:
            container_id: the container.
            stdin: whether to send standard input.
            tty: whether the container has a terminal; the runtime refuses what is not so.
        """
        answer = await self._channel.call(
            "RuntimeService/Attach",
            cri.AttachRequest(container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=not tty),
            cri.AttachResponse,
        )
        return answer.url

    async def _forgiving(
        self,
        call: str,
        request: cri.StopPodSandboxRequest
        | cri.RemovePodSandboxRequest
        | cri.StopContainerRequest
        | cri.RemoveContainerRequest,
        response: type[cri.StopPodSandboxResponse]
        | type[cri.RemovePodSandboxResponse]
        | type[cri.StopContainerResponse]
        | type[cri.RemoveContainerResponse],
        *,
        timeout_s: float = 120.0,
    ) -> None:
        try:
            await self._channel.call(f"RuntimeService/{call}", request, response, timeout_s=timeout_s)
        except RuntimeFailedError as error:
            if not error.not_found:
                raise


def _identity(values: Mapping[str, str]) -> PodIdentity | None:
    if labels.POD_UID not in values:
        return None
    return PodIdentity(values[labels.POD_UID], values.get(labels.POD_NAMESPACE, ""), values.get(labels.POD_NAME, ""))
