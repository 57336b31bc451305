"""Carries out the actions of a plan. Every action may be repeated: what is done already is found done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import cri
import structlog
from steersman.clock import Clock
from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.service_pb2 import Service
from steersman.recorder import Recorder

from nodeagent.cgroups import Cgroups
from nodeagent.config import AgentConfig
from nodeagent.cri.images import Images, PresentImage, pull_policy
from nodeagent.cri.runtime import PodIdentity, Runtime
from nodeagent.errors import ContainerStartError, ImageError, RuntimeFailedError
from nodeagent.folders import Folders
from nodeagent.handlers import Handlers, Target
from nodeagent.objects import ReferencedObjects
from nodeagent.pod import container_config, dns, env, resources, sandbox_config
from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.fields import NodeFacts
from nodeagent.pod.plan import StopContainer
from nodeagent.pod.sandbox_config import SandboxPlace
from nodeagent.pod.state import PodRuntime, SandboxRecord
from nodeagent.pod.volumes_spec import VolumeSources
from nodeagent.volumes.manager import Volumes

log = structlog.get_logger(__name__)

# Least time that a container gets between the end of its preStop hook and being killed.
GRACE_AFTER_HOOK_MIN_S = 2
DEFAULT_RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True)
class NodeView:
    """What the executor asks about the node; all of it may change while the agent runs.

    Attributes:
        allocatable: what the node offers pods, in base units.
        memory_bytes: memory of the machine.
        services: all services of the cluster, as last seen.
        network_ready: returns when pods can get a network.
    """

    allocatable: Mapping[str, Decimal]
    memory_bytes: int
    services: Callable[[], list[Service]]
    network_ready: asyncio.Event


class Executor:
    """Makes and removes sandboxes, containers, volumes and cgroups of pods."""

    def __init__(
        self,
        config: AgentConfig,
        runtime: Runtime,
        images: Images,
        handlers: Handlers,
        objects: ReferencedObjects,
        recorder: Recorder,
        node: NodeView,
        clock: Clock,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._images = images
        self._handlers = handlers
        self._objects = objects
        self._recorder = recorder
        self._node = node
        self._clock = clock
        self._folders = Folders(config.root)
        self.volumes = Volumes(self._folders)
        self.cgroups = Cgroups(config.cgroup_root)
        self._resolver: tuple[float, dns.Resolver] | None = None

    @property
    def allocatable(self) -> Mapping[str, Decimal]:
        """What the node offers pods, in base units."""
        return self._node.allocatable

    def _event(self, pod: Pod, type_: str, reason: str, message: str, container: Container | None = None) -> None:
        path = ""
        if container is not None:
            init = any(each.name == container.name for each in pod.spec.init_containers)
            path = f"spec.{'initContainers' if init else 'containers'}{{{container.name}}}"
        self._recorder.event(pod, type_, reason, message, field_path=path)

    def _facts(self, pod_ips: tuple[str, ...] = ()) -> NodeFacts:
        return NodeFacts(tuple(self._config.node_ips), pod_ips, self._node.allocatable)

    def _volume_sources(self, pod: Pod, pod_ips: tuple[str, ...] = ()) -> VolumeSources:
        namespace = pod.metadata.namespace
        return VolumeSources(
            config_map=lambda name: self._objects.config_map(namespace, name),
            secret=lambda name: self._objects.secret(namespace, name),
            token=lambda audience, seconds: self._objects.token(pod.metadata.uid, audience, seconds),
            node=self._facts(pod_ips),
        )

    def _node_resolver(self) -> dns.Resolver:
        """The node's resolver configuration, read again when its file changed."""
        path = self._config.resolv_conf
        try:
            changed = path.stat().st_mtime
            if self._resolver is None or self._resolver[0] != changed:
                self._resolver = (changed, dns.parse(path.read_text()))
        except OSError:
            return dns.Resolver()
        return self._resolver[1]

    def _place(self, pod: Pod) -> SandboxPlace:
        metadata = pod.metadata
        node_resolver = self._node_resolver()
        resolver = dns.resolver_of(pod, node_resolver, self._config.cluster_dns, self._config.cluster_domain)
        # Without a resolver of its own the runtime copies /etc/resolv.conf, whatever else that says.
        copied = resolver == node_resolver and self._config.resolv_conf == DEFAULT_RESOLV_CONF
        return SandboxPlace(
            cgroup_parent=self.cgroups.parent_of(metadata.uid, resources.qos_class(pod)),
            log_directory=str(self._folders.logs(metadata.namespace, metadata.name, metadata.uid)),
            resolver=None if copied else resolver,
            node_name=self._config.node_name,
            cluster_domain=self._config.cluster_domain,
        )

    async def _prepare_volumes(self, pod: Pod, pod_ips: tuple[str, ...]) -> dict[str, Path]:
        if not await self._objects.synced(pod.metadata.uid):
            raise PodConfigError("the ConfigMaps and Secrets of the pod could not be read yet")
        sources = self._volume_sources(pod, pod_ips)
        return await asyncio.to_thread(self.volumes.prepare, pod, sources, self._clock.now())

    async def refresh_volumes(self, pod: Pod, runtime: PodRuntime) -> None:
        """Brings the files of projections up to date.

        Raises:
            VolumeError: they cannot be written.
        """
        ips = runtime.sandbox.ips if runtime.sandbox is not None else ()
        sources = self._volume_sources(pod, ips)
        await asyncio.to_thread(self.volumes.refresh, pod, sources, self._clock.now())

    async def create_sandbox(self, pod: Pod, attempt: int) -> None:
        """Makes volumes, cgroup and sandbox.

        Raises:
            PodConfigError, VolumeError: a volume cannot be made.
            RuntimeFailedError: the runtime refuses.
        """
        if not pod.spec.host_network and not self._node.network_ready.is_set():
            self._event(pod, "Warning", "NetworkNotReady", "network is not ready: the node has no pod CIDR yet")
            await self._node.network_ready.wait()
        if dns.needs_cluster_dns(pod) and not self._config.cluster_dns:
            log.debug("no cluster DNS; the pod gets the node's resolver", pod=pod.metadata.name)
        await self._prepare_volumes(pod, ())
        place = self._place(pod)
        limits = resources.pod_limits(pod)
        await asyncio.to_thread(self.cgroups.create, place.cgroup_parent, limits)
        await asyncio.to_thread(Path(place.log_directory).mkdir, 0o755, True, True)
        if attempt > 0:
            self._event(pod, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        config = sandbox_config.build(pod, attempt, place)
        sandbox_id = await self._runtime.create_sandbox(config, handler=pod.spec.runtime_class_name)
        log.info("sandbox started", pod=f"{pod.metadata.namespace}/{pod.metadata.name}", id=sandbox_id[:12])

    async def _write_hosts(self, pod: Pod, sandbox: SandboxRecord) -> None:
        short, full = sandbox_config.host_names(pod, self._place(pod))
        ips = tuple(self._config.node_ips) if pod.spec.host_network else sandbox.ips
        text = dns.hosts_file(pod, short, full, ips)
        await asyncio.to_thread(self.volumes.write_hosts, pod.metadata.uid, text)

    async def _image(self, pod: Pod, container: Container, sandbox: cri.PodSandboxConfig) -> PresentImage:
        policy = pull_policy(container.image, container.image_pull_policy)
        found = await self._images.find(container.image)
        if found is not None and policy != "Always":
            message = f'Container image "{container.image}" already present on machine'
            self._event(pod, "Normal", "Pulled", message, container)
            return found
        if policy == "Never":
            message = f'Container image "{container.image}" is not present with pull policy of Never'
            self._event(pod, "Warning", "ErrImageNeverPull", message, container)
            raise ImageError("ErrImageNeverPull", message)
        self._event(pod, "Normal", "Pulling", f'Pulling image "{container.image}"', container)
        names = [each.name for each in pod.spec.image_pull_secrets]
        secrets = [
            secret for name in names if (secret := self._objects.secret(pod.metadata.namespace, name)) is not None
        ]
        began = self._clock.monotonic()
        try:
            pulled = await self._images.pull(container.image, secrets, sandbox)
        except ImageError as error:
            message = f'Failed to pull image "{container.image}": {error.message}'
            self._event(pod, "Warning", "Failed", message, container)
            raise
        seconds = self._clock.monotonic() - began
        message = (
            f'Successfully pulled image "{container.image}" in {seconds:.3f}s. Image size: {pulled.size_bytes} bytes.'
        )
        self._event(pod, "Normal", "Pulled", message, container)
        return pulled

    async def start_container(
        self, pod: Pod, container: Container, attempt: int, sandbox: SandboxRecord, *, target_id: str = ""
    ) -> str:
        """Fetches the image if need be, makes the container, starts it, runs its postStart hook; returns its id.

        Raises:
            PodConfigError: a reference leads nowhere.
            VolumeError: a volume cannot be made ready.
            ImageError: the image cannot be had.
            ContainerStartError: the runtime refuses, or the hook failed.
        """
        place = self._place(pod)
        around = sandbox_config.build(pod, sandbox.attempt, place)
        image = await self._image(pod, container, around)
        pod_ips = tuple(self._config.node_ips) if pod.spec.host_network else sandbox.ips
        volumes = await self._prepare_volumes(pod, pod_ips)
        await self._write_hosts(pod, sandbox)
        try:
            container_config.check_user(pod, container, image.uid, image.user)
            namespace = pod.metadata.namespace
            sources = env.Sources(
                config_map=lambda name: self._objects.config_map(namespace, name),
                secret=lambda name: self._objects.secret(namespace, name),
                services=self._node.services(),
                node=self._facts(pod_ips),
            )
            environment = env.environment(pod, container, sources)
        except PodConfigError as error:
            self._event(pod, "Warning", "Failed", f"Error: {error.message}", container)
            raise
        mounts = await asyncio.to_thread(self.volumes.mounts_of, pod, container, attempt, volumes, environment)
        await asyncio.to_thread((Path(place.log_directory) / container.name).mkdir, 0o755, True, True)
        where = container_config.ContainerPlace(
            attempt, image.id, environment, mounts, self._node.memory_bytes, target_id
        )
        config = container_config.build(pod, container, where)
        try:
            container_id = await self._runtime.create_container(sandbox.id, config, around)
        except RuntimeFailedError as error:
            if not error.still_busy:
                self._event(pod, "Warning", "Failed", f"Error: {error.message}", container)
            raise ContainerStartError("CreateContainerError", error.message, still_busy=error.still_busy) from error
        self._event(pod, "Normal", "Created", f"Created container: {container.name}", container)
        try:
            await self._runtime.start_container(container_id)
        except RuntimeFailedError as error:
            self._event(pod, "Warning", "Failed", f"Error: {error.message}", container)
            raise ContainerStartError("RunContainerError", error.message) from error
        self._event(pod, "Normal", "Started", f"Started container {container.name}", container)
        log.info(
            "container started", pod=f"{pod.metadata.namespace}/{pod.metadata.name}", container=container.name,
            attempt=attempt, id=container_id[:12],
        )  # fmt: skip
        if container.lifecycle.HasField("post_start"):
            await self._post_start(pod, container, container_id, sandbox)
        return container_id

    async def _post_start(self, pod: Pod, container: Container, container_id: str, sandbox: SandboxRecord) -> None:
        target = self._target(pod, container, container_id, sandbox)
        answer = await self._handlers.hook(container.lifecycle.post_start, target, timeout_s=3600)
        if answer.ok:
            return
        message = f"PostStartHook failed: {answer.message}"
        self._event(pod, "Warning", "FailedPostStartHook", message, container)
        await self._runtime.stop_container(container_id, 0)
        raise ContainerStartError("PostStartHookError", message)

    def _target(self, pod: Pod, container: Container, container_id: str, sandbox: SandboxRecord | None) -> Target:
        ips = sandbox.ips if sandbox is not None else ()
        if pod.spec.host_network or not ips:
            ips = tuple(self._config.node_ips)
        return Target(container, container_id, ips[0] if ips else "127.0.0.1")

    def target(self, pod: Pod, container: Container, container_id: str, runtime: PodRuntime) -> Target:
        """What probes of a running container ask."""
        return self._target(pod, container, container_id, runtime.sandbox)

    async def stop_container(self, pod: Pod | None, action: StopContainer, runtime: PodRuntime) -> None:
        """Runs the preStop hook, asks the container to end, kills it after the grace period.

        Raises:
            RuntimeFailedError: the runtime failed; the container may still run.
        """
        remaining_s = float(action.grace_s)
        container: Container | None = None
        if pod is not None:
            every = (*pod.spec.init_containers, *pod.spec.containers)
            container = next((each for each in every if each.name == action.name), None)
            message = action.why
            if action.why == "Stopping container":
                message = f"Stopping container {action.name}"
            self._event(pod, "Normal", "Killing", message, container)
        if pod is not None and container is not None and container.lifecycle.HasField("pre_stop") and remaining_s > 0:
            began = self._clock.monotonic()
            target = self._target(pod, container, action.id, runtime.sandbox)
            answer = await self._handlers.hook(container.lifecycle.pre_stop, target, timeout_s=remaining_s)
            if not answer.ok:
                self._event(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {answer.message}", container)
            remaining_s = max(GRACE_AFTER_HOOK_MIN_S, remaining_s - (self._clock.monotonic() - began))
        await self._runtime.stop_container(action.id, round(remaining_s))

    async def remove_container(self, identity: PodIdentity, runtime: PodRuntime, container_id: str) -> None:
        """Removes a dead container with its log and its termination message.

        Raises:
            RuntimeFailedError: the runtime failed.
        """
        record = next((each for each in runtime.containers if each.id == container_id), None)
        await self._runtime.remove_container(container_id)
        if record is None:
            return
        folder = self._folders.log(identity.namespace, identity.name, identity.uid, record.name, record.attempt)
        message = self._folders.termination_message(identity.uid, record.name, record.attempt)

        def unlink() -> None:
            for path in (*folder.parent.glob(f"{folder.name}*"), message):
                path.unlink(missing_ok=True)

        await asyncio.to_thread(unlink)

    async def clean_up(self, identity: PodIdentity) -> None:
        """Takes away volumes, folders, logs and cgroup of a pod that has no sandbox any more.

        Raises:
            VolumeError: something is still in use.
        """
        for qos in (resources.GUARANTEED, resources.BURSTABLE, resources.BEST_EFFORT):
            await asyncio.to_thread(self.cgroups.remove, self.cgroups.parent_of(identity.uid, qos))
        await asyncio.to_thread(self.volumes.remove_logs, identity.uid)
        # The folder goes last: as long as it is there, a search for leftovers finds the pod.
        await asyncio.to_thread(self.volumes.remove, identity.uid)
        self._objects.forget(identity.uid)
