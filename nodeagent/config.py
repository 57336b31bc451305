"""What an agent was told by its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodeagent.node.pressure import DEFAULT as DEFAULT_THRESHOLDS


@dataclass(frozen=True)
class AgentConfig:
    """Settings of one agent; times in seconds.

    Attributes:
        node_name: name of the Node object.
        node_ips: addresses of the node, the primary one first.
        labels: further labels of the Node object.
        runtime_endpoint: socket of the container runtime.
        root: folder of everything the agent keeps.
        cni_conf_dir: where the network configuration goes.
        cni_bin_dir: where the network plugins are.
        bridge: name of the pods' bridge.
        mtu: of the pods' interfaces; 0 leaves it to the kernel.
        cgroup_root: cgroup below which pods live.
        cluster_dns: addresses of the cluster's DNS.
        cluster_domain: DNS domain of the cluster.
        resolv_conf: resolver configuration that pods take over.
        port: port that the agent serves on, for the Node object.
        max_pods: how many pods the node takes.
        reserved: resources of the node that pods do not get, as quantities.
        pressure_thresholds: what must be left of the machine, see `node.pressure`.
        runtime_grace_s: how long the runtime may be silent before the node is not ready.
        lease_renew_s: between renewals of the lease.
        lease_duration_s: after which the node counts as lost.
        status_update_s: between looks at the node's own state.
        status_report_s: between reports of an unchanged state.
        sync_s: between looks at a pod that nothing happened to.
        relist_s: between listings of the runtime.
        housekeeping_s: between searches for leftovers.
        log_bytes_max: size at which a container's log is moved away.
        log_files_max: how many files of a container's log are kept.
    """

    node_name: str
    node_ips: Sequence[str]
    runtime_endpoint: str
    root: Path
    cni_conf_dir: Path
    cni_bin_dir: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    bridge: str = "steer0"
    mtu: int = 0
    cgroup_root: str = "/"
    cluster_dns: Sequence[str] = ()
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    port: int = 10250
    max_pods: int = 110
    reserved: Mapping[str, str] = field(default_factory=dict)
    pressure_thresholds: str = DEFAULT_THRESHOLDS
    runtime_grace_s: float = 30.0
    lease_renew_s: float = 10.0
    lease_duration_s: int = 40
    status_update_s: float = 10.0
    status_report_s: float = 300.0
    sync_s: float = 60.0
    relist_s: float = 10.0
    housekeeping_s: float = 60.0
    log_bytes_max: int = 10 * 1024 * 1024
    log_files_max: int = 5
