"""`python -m nodeagent`: flags, and nothing else."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import socket
from pathlib import Path

from steersman.service import flags, logs
from steersman.service.run import StartError, run

from nodeagent.config import AgentConfig
from nodeagent.node.pressure import DEFAULT as DEFAULT_THRESHOLDS
from nodeagent.node.pressure import ThresholdError, thresholds

DESCRIPTION = """\
Runs the pods of one node (what Kubernetes calls the kubelet).

It registers the node with the apiserver, follows the pods that are bound to it and makes them real through a container
runtime that speaks CRI v1. Several agents fit on one machine: give each its own root, runtime, cgroup and network
namespace."""

EXAMPLES = """\
  python -m nodeagent --node-name n1 --config /etc/steersman/nodeagent.yaml \\
      --tls-cert-file n1.crt --tls-private-key-file n1.key --client-ca-file ca.crt
  python -m nodeagent --node-name n2 --node-ip 10.0.0.2 --root-dir /var/lib/steersman/n2 --cgroup-root /steersman/n2 \\
      --container-runtime-endpoint unix:///run/n2/containerd.sock --cni-conf-dir /run/n2/cni ..."""


def _pairs(text: str) -> dict[str, str]:
    """Reads "a=b,c=d"."""
    result: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator or not key:
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=VALUE")
        result[key] = value
    return result


def _addresses(text: str) -> list[str]:
    """Reads "10.0.0.1,fd00::1"."""
    try:
        return [str(ipaddress.ip_address(part.strip())) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    """Reads "10", "10s", "500ms", "5m" or "1h"."""
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)):
        if text.endswith(suffix):
            try:
                value = float(text.removesuffix(suffix)) * factor
            except ValueError:
                continue
            if value > 0:
                return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 10s, 500ms or 5m")


def _absolute(text: str) -> Path:
    return Path(text).resolve()


def parser() -> argparse.ArgumentParser:
    """The flags."""
    result = flags.parser("nodeagent", DESCRIPTION, examples=EXAMPLES)
    flags.add_apiserver(result)
    flags.add_serving(result, bind="0.0.0.0:10250", metrics="127.0.0.1:10255")
    result.add_argument(
        "--insecure", action="store_true", help="serve without TLS to anybody; only for a loopback address"
    )
    node = result.add_argument_group("node")
    node.add_argument(
        "--node-name",
        "--hostname-override",
        default=socket.gethostname().lower(),
        metavar="NAME",
        help="name of the Node object",
    )
    node.add_argument(
        "--node-ip",
        type=_addresses,
        default=[],
        metavar="IP[,IP]",
        help="addresses of the node, the primary one first (default: the one that leads out of the machine)",
    )
    node.add_argument(
        "--node-labels", type=_pairs, default={}, metavar="NAME=VALUE,...", help="further labels of the Node object"
    )
    node.add_argument("--max-pods", type=int, default=110, metavar="N", help="how many pods the node takes")
    node.add_argument(
        "--system-reserved",
        type=_pairs,
        default={},
        metavar="NAME=QUANTITY,...",
        help="resources that pods do not get, as in cpu=500m,memory=512Mi",
    )
    node.add_argument(
        "--pressure-thresholds",
        "--eviction-hard",
        default=DEFAULT_THRESHOLDS,
        metavar="SIGNAL<VALUE,...",
        help="below which the node says that it is short of memory, disk or process ids, so that no more pods come; "
        "its pods are not evicted",
    )
    node.add_argument(
        "--node-lease-renew-interval",
        type=_seconds,
        default=10.0,
        metavar="DURATION",
        help="between renewals of the node's lease",
    )
    node.add_argument(
        "--node-lease-duration",
        type=_seconds,
        default=40.0,
        metavar="DURATION",
        help="after which, without a renewal, the node counts as lost",
    )
    node.add_argument(
        "--node-status-update-frequency",
        type=_seconds,
        default=10.0,
        metavar="DURATION",
        help="between looks at the node's own state; what changed is written at once",
    )
    node.add_argument(
        "--node-status-report-frequency",
        type=_seconds,
        default=300.0,
        metavar="DURATION",
        help="between reports of a state that does not change",
    )
    runtime = result.add_argument_group("container runtime")
    runtime.add_argument(
        "--container-runtime-endpoint",
        default="unix:///run/containerd/containerd.sock",
        metavar="SOCKET",
        help="socket of the runtime",
    )
    runtime.add_argument(
        "--root-dir",
        type=_absolute,
        default=Path("/var/lib/steersman/nodeagent"),
        metavar="DIR",
        help="volumes, logs and network state; one agent each",
    )
    runtime.add_argument(
        "--cgroup-root",
        "--cgroup-parent",
        default="/",
        metavar="CGROUP",
        help="cgroup below which the pods' cgroups (kubepods/...) are made",
    )
    network = result.add_argument_group("network")
    network.add_argument(
        "--cni-conf-dir",
        type=_absolute,
        default=Path("/etc/cni/net.d"),
        metavar="DIR",
        help="where the network configuration is written, from which the runtime reads it",
    )
    network.add_argument(
        "--cni-bin-dir",
        type=_absolute,
        default=Path("/usr/lib/cni"),
        metavar="DIR",
        help="where the network plugins are; the runtime must be told the same",
    )
    network.add_argument("--bridge-name", default="steer0", metavar="NAME", help="name of the pods' bridge")
    network.add_argument(
        "--network-mtu",
        type=int,
        default=0,
        metavar="BYTES",
        help="MTU of the pods' interfaces; 0: the kernel's choice",
    )
    network.add_argument(
        "--cluster-dns",
        type=_addresses,
        default=[],
        metavar="IP[,IP]",
        help="addresses of the cluster's DNS; without any, pods resolve as the node does",
    )
    network.add_argument("--cluster-domain", default="cluster.local", metavar="DOMAIN", help="the cluster's DNS domain")
    network.add_argument(
        "--resolv-conf",
        type=Path,
        default=Path("/etc/resolv.conf"),
        metavar="FILE",
        help="resolver configuration that pods take over from the node",
    )
    pods = result.add_argument_group("pods")
    pods.add_argument(
        "--sync-frequency",
        type=_seconds,
        default=60.0,
        metavar="DURATION",
        help="between looks at a pod that nothing happened to",
    )
    pods.add_argument(
        "--relist-period",
        type=_seconds,
        default=10.0,
        metavar="DURATION",
        help="between listings of the runtime, which find what its events did not tell",
    )
    pods.add_argument(
        "--housekeeping-interval",
        type=_seconds,
        default=60.0,
        metavar="DURATION",
        help="between searches for leftovers of pods, and for logs that are too large",
    )
    pods.add_argument(
        "--container-log-max-size",
        default="10Mi",
        metavar="QUANTITY",
        help="size at which a container's log is moved away and begun anew",
    )
    pods.add_argument(
        "--container-log-max-files",
        type=int,
        default=5,
        metavar="N",
        help="how many files of a container's log are kept, the present one included",
    )
    return result


def _outward_address() -> list[str]:
    """The address that this machine would speak from to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return [str(probe.getsockname()[0])]
        except OSError:
            return []


def config_of(arguments: argparse.Namespace) -> AgentConfig:
    """The agent's settings from its flags.

    Raises:
        StartError: they cannot be used together.
    """
    from steersman.quantity import QuantityError, whole

    addresses = arguments.node_ip or _outward_address()
    if not addresses:
        raise StartError("this machine has no address of its own; name one with --node-ip")
    try:
        _, port = flags.host_port(arguments.bind_address)
    except ValueError as error:
        raise StartError(f"--bind-address: {error}") from None
    try:
        log_bytes_max = whole(arguments.container_log_max_size)
    except QuantityError as error:
        raise StartError(f"--container-log-max-size: {error}") from None
    try:
        thresholds(arguments.pressure_thresholds)
    except ThresholdError as error:
        raise StartError(f"--pressure-thresholds: {error}") from None
    return AgentConfig(
        pressure_thresholds=arguments.pressure_thresholds,
        node_name=arguments.node_name,
        node_ips=addresses,
        labels=arguments.node_labels,
        runtime_endpoint=arguments.container_runtime_endpoint,
        root=arguments.root_dir,
        cni_conf_dir=arguments.cni_conf_dir,
        cni_bin_dir=arguments.cni_bin_dir,
        bridge=arguments.bridge_name,
        mtu=arguments.network_mtu,
        cgroup_root=arguments.cgroup_root,
        cluster_dns=arguments.cluster_dns,
        cluster_domain=arguments.cluster_domain,
        resolv_conf=arguments.resolv_conf,
        port=port,
        max_pods=arguments.max_pods,
        reserved=arguments.system_reserved,
        lease_renew_s=arguments.node_lease_renew_interval,
        lease_duration_s=round(arguments.node_lease_duration),
        status_update_s=arguments.node_status_update_frequency,
        status_report_s=arguments.node_status_report_frequency,
        sync_s=arguments.sync_frequency,
        relist_s=arguments.relist_period,
        housekeeping_s=arguments.housekeeping_interval,
        log_bytes_max=log_bytes_max,
        log_files_max=max(2, arguments.container_log_max_files),
    )


def main() -> None:
    """Parses flags and runs the agent."""
    arguments = parser().parse_args()
    logs.configure("nodeagent", level=arguments.log_level, fmt=arguments.log_format)

    async def serve(stop: asyncio.Event) -> None:
        from nodeagent.bootstrap import Serving, run_agent

        tls = flags.serving_tls(arguments)
        if tls is None and not arguments.insecure:
            raise StartError(
                "--tls-cert-file, --tls-private-key-file and --client-ca-file are needed (or --insecure on loopback)"
            )
        serving = Serving(arguments.bind_address, arguments.metrics_address, tls)
        await run_agent(config_of(arguments), arguments.config, serving, stop)

    run(serve)


if __name__ == "__main__":
    main()
