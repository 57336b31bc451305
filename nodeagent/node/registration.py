"""The Node object: made when it is missing, and its status kept true."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import structlog
from google.protobuf.wrappers_pb2 import StringValue
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1.node_pb2 import ContainerImage, Node, NodeAddress, NodeStatus
from steersman.errors import AlreadyExists, ApiError, Conflict, NotFound
from steersman.informer import Informer
from steersman.retry import Backoff

from nodeagent.config import AgentConfig
from nodeagent.cri.images import Images
from nodeagent.cri.runtime import Runtime
from nodeagent.errors import RuntimeFailedError
from nodeagent.network import cni
from nodeagent.node import capacity, conditions, pressure
from nodeagent.node.conditions import NodeState

log = structlog.get_logger(__name__)

IMAGES_MAX = 50
NETWORK_POLL_S = 0.1
NETWORK_SETTLE_S = 0.3

NO_NETWORK = f"container runtime network not ready: {conditions.NO_POD_CIDR}: no pod CIDR assigned"

HOSTNAME_LABEL = "kubernetes.io/hostname"
OS_LABEL = "kubernetes.io/os"
ARCH_LABEL = "kubernetes.io/arch"


def _version(node: Node) -> int:
    text = node.metadata.resource_version
    return int(text) if text.isdigit() else 0


class NodeKeeper:
    """Keeps the Node object of this machine.

    Attributes:
        network_ready: set while pods can get a network.
        node: the object as last written or seen; None before the registration.
    """

    def __init__(
        self, api: Api, config: AgentConfig, runtime: Runtime, images: Images, informer: Informer[Node], clock: Clock
    ) -> None:
        self._api = api
        self._config = config
        self._runtime = runtime
        self._images = images
        self._informer = informer
        self._clock = clock
        self._capacity = capacity.measure(config.root, config.max_pods)
        self._thresholds = pressure.thresholds(config.pressure_thresholds)
        self._runtime_seen_at = float("-inf")
        self._network_settles_at = float("-inf")
        self._wake = asyncio.Event()
        self._reported_at = float("-inf")
        self.network_ready = asyncio.Event()
        self.registered = asyncio.Event()
        self.node: Node | None = None

    @property
    def memory_bytes(self) -> int:
        """Memory of the machine."""
        return self._capacity.memory_bytes

    def allocatable(self) -> Mapping[str, Decimal]:
        """What pods may have of the machine, in base units."""
        return capacity.base_units(self._capacity.allocatable(self._config.reserved))

    def labels(self) -> dict[str, str]:
        """Labels that the Node object must have."""
        return {
            HOSTNAME_LABEL: self._config.node_name,
            OS_LABEL: "linux",
            ARCH_LABEL: capacity.architecture(),
            **self._config.labels,
        }

    async def register(self) -> Node:
        """Makes the Node object, or takes over the one that is there; goes on until the apiserver accepts it."""
        backoff = Backoff(base_s=0.1, limit_s=7.0)
        while True:
            try:
                self.node = await self._register_once()
            except (Conflict, NotFound, AlreadyExists):
                await self._clock.sleep(backoff.next_s())
            except ApiError as error:
                log.warning("node not registered", error=error.message)
                await self._clock.sleep(backoff.next_s())
            else:
                self.registered.set()
                log.info("node registered", node=self._config.node_name)
                return self.node

    async def _register_once(self) -> Node:
        try:
            node = await self._api.nodes.get(self._config.node_name)
        except NotFound:
            node = Node()
            node.metadata.name = self._config.node_name
            node.metadata.labels.update(self.labels())
            node.status.CopyFrom(await self._status(Node()))
            created = await self._api.nodes.create(node)
            if not created.status.conditions:
                # A status that the apiserver drops when an object is made is written by itself.
                created.status.CopyFrom(node.status)
                return await self._api.nodes.update_status(created)
            return created
        missing = {name: value for name, value in self.labels().items() if node.metadata.labels.get(name) != value}
        if missing:
            node.metadata.labels.update(missing)
            node = await self._api.nodes.update(node)
        return node

    async def run(self) -> None:
        """Keeps status and network configuration until cancelled."""
        self._informer.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run(), name="node of the apiserver")
            group.create_task(self._keep(), name="status of the node")

    def _changed(self, _old: Node | None, new: Node | None) -> None:
        if new is None:
            # A Node object that somebody deleted while the machine is alive is made anew.
            self.node = None
        else:
            self._saw(new)
        self._wake.set()

    def _saw(self, node: Node) -> None:
        """Takes note of a version of the Node; the answer to a write may come after the news of a later one."""
        if self.node is None or self.node.metadata.uid != node.metadata.uid or _version(node) >= _version(self.node):
            self.node = node

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            wait_s = self._config.status_update_s
            try:
                self._configure_network()
                if not await self._report():
                    # The runtime takes a moment to read its network configuration.
                    wait_s = min(wait_s, NETWORK_POLL_S)
            except (Conflict, AlreadyExists):
                wait_s = 0.1
            except NotFound:
                await self.register()
            except (ApiError, OSError) as error:
                log.warning("status of the node not written", error=str(error))
                wait_s = min(wait_s, 1.0)
            timer = asyncio.create_task(self._clock.sleep(wait_s))
            waiter = asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait((timer, waiter), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
                waiter.cancel()

    def pod_cidrs(self) -> list[str]:
        """Networks of this node's pods, as the controllers wrote them."""
        if self.node is None:
            return []
        return list(self.node.spec.pod_cidrs) or ([self.node.spec.pod_cidr] if self.node.spec.pod_cidr else [])

    def _configure_network(self) -> None:
        cidrs = self.pod_cidrs()
        if not cidrs:
            return
        state = self._config.root / "cni"
        try:
            text = cni.conflist(cidrs, bridge=self._config.bridge, state=state, mtu=self._config.mtu)
        except cni.CidrError as error:
            log.error("network not configured", error=str(error))
            return
        replaced = (self._config.cni_conf_dir / cni.FILE_NAME).exists()
        if cni.write(self._config.cni_conf_dir, text):
            log.info("network configured", cidrs=cidrs, bridge=self._config.bridge)
            if replaced:
                # The runtime goes on with the old one until it has noticed, and does not say which one it has.
                self._network_settles_at = self._clock.monotonic() + NETWORK_SETTLE_S

    async def _status(self, node: Node) -> NodeStatus:
        """The status that is true now."""
        config = self._config
        runtime_problem, network_problem = "", ""
        name, version = "containerd", ""
        try:
            name, version = await self._runtime.version()
            found = await self._runtime.conditions()
            runtime = found.get("RuntimeReady")
            if runtime is None or not runtime.ready:
                runtime_problem = "container runtime is not ready"
                if runtime is not None and runtime.message:
                    runtime_problem += f": {runtime.message}"
            network = found.get("NetworkReady")
            if not self.pod_cidrs():
                network_problem = NO_NETWORK
            elif missing := cni.missing_plugins(config.cni_bin_dir):
                names = ", ".join(missing)
                network_problem = f"container runtime network not ready: no {names} in {config.cni_bin_dir}"
            elif network is None or not network.ready:
                reason = f"{network.reason}: {network.message}" if network is not None else "unknown"
                network_problem = f"container runtime network not ready: {reason}"
            elif self._clock.monotonic() < self._network_settles_at:
                network_problem = "container runtime network not ready: its configuration has just changed"
            self._runtime_seen_at = self._clock.monotonic()
        except RuntimeFailedError as error:
            # A runtime that is restarted, or slow for a moment, does not cost the node its pods.
            if self._clock.monotonic() - self._runtime_seen_at > config.runtime_grace_s:
                runtime_problem = f"container runtime is down: {error.message}"
            if not self.pod_cidrs():
                network_problem = NO_NETWORK
        if network_problem:
            self.network_ready.clear()
        elif not runtime_problem:
            self.network_ready.set()
        status = NodeStatus()
        status.CopyFrom(node.status)
        before = list(node.status.conditions)
        state = NodeState(pressure.measure(config.root, self._thresholds), runtime_problem, network_problem)
        del status.conditions[:]
        status.conditions.extend(conditions.conditions(state, before, self._clock.now()))
        for target, values in (
            (status.capacity, self._capacity.quantities()),
            (status.allocatable, self._capacity.allocatable(config.reserved)),
        ):
            for resource, value in values.items():
                target[resource].CopyFrom(StringValue(value=value))
        del status.addresses[:]
        status.addresses.extend(NodeAddress(type="InternalIP", address=ip) for ip in config.node_ips)
        status.addresses.append(NodeAddress(type="Hostname", address=config.node_name))
        status.daemon_endpoints.kubelet_endpoint.port = config.port
        if version:
            status.node_info.CopyFrom(capacity.system_info(name, version))
            del status.images[:]
            try:
                for image in (await self._images.every())[:IMAGES_MAX]:
                    status.images.append(ContainerImage(names=image.names, size_bytes=image.size_bytes))
            except RuntimeFailedError as error:
                log.debug("images not listed", error=error.message)
        return status

    async def _report(self) -> bool:
        """Writes the status when it differs or is due; returns whether the network is ready."""
        node = self.node or await self.register()
        status = await self._status(node)
        due = self._clock.monotonic() - self._reported_at >= self._config.status_report_s
        if due or self._differs(node.status, status):
            fresh = Node()
            fresh.CopyFrom(node)
            fresh.status.CopyFrom(status)
            try:
                self._saw(await self._api.nodes.update_status(fresh))
            except Conflict:
                # The copy that the informer has may be older than our own last write.
                latest = await self._api.nodes.get(self._config.node_name)
                latest.status.CopyFrom(status)
                self._saw(await self._api.nodes.update_status(latest))
            self._reported_at = self._clock.monotonic()
        return self.network_ready.is_set() or not self.pod_cidrs()

    @staticmethod
    def _differs(one: NodeStatus, other: NodeStatus) -> bool:
        if conditions.differ(one.conditions, other.conditions):
            return True
        left, right = NodeStatus(), NodeStatus()
        left.CopyFrom(one)
        right.CopyFrom(other)
        for each in (left, right):
            del each.conditions[:]
        return left != right
