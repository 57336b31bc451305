"""Which programs run on which machine, under supervisor, and talking to supervisor."""

from __future__ import annotations

import shutil
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.containerd import CNI_BINARIES
from lab.layout import (
    APISERVER_PORT,
    CLUSTER_CIDR,
    SERVICE_CIDR,
    STORE_PEER_PORT,
    STORE_PORT,
    Lab,
    Machine,
)

_SUPERVISOR = """\
[supervisord]
nodaemon = true
user = root
logfile = {logs}/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = {home}/supervisord.pid
directory = /
childlogdir = {logs}

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# A killed service is started again at once, for ever; one that dies as soon as it starts is given more and more time.
_PROGRAM = """
[program:{name}]
command = {command}
autorestart = true
startsecs = 1
startretries = 1000000
stopwaitsecs = {stop_wait_s}
stopsignal = TERM
redirect_stderr = true
stdout_logfile = {logs}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


@dataclass(frozen=True)
class Program:
    """A service and the words that start it."""

    name: str
    command: list[str]
    stop_wait_s: int = 5


@dataclass(frozen=True)
class ProgramState:
    """What supervisor knows of a service; `pid` is 0 when it does not run and counts in the machine's own numbers."""

    name: str
    state: str
    pid: int
    since: float


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _tls(lab: Lab, name: str) -> list[str]:
    return [
        f"--tls-cert-file={lab.pki / name}.crt",
        f"--tls-private-key-file={lab.pki / name}.key",
        f"--client-ca-file={lab.pki / 'ca.crt'}",
    ]


def control_programs(lab: Lab, *, node_grace_s: float, etcd: bool = False) -> list[Program]:
    """The services of the control plane; with `etcd`, a real etcd is the store."""
    address, ca = lab.control.address, lab.pki / "ca.crt"
    client_url, peer_url = f"https://{address}:{STORE_PORT}", f"https://{address}:{STORE_PEER_PORT}"
    certificate, key = f"{lab.pki / 'store'}.crt", f"{lab.pki / 'store'}.key"
    flags = [
        "--name=store",
        f"--data-dir={lab.control.home / 'store'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--listen-peer-urls={peer_url}",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={ca}",
        f"--listen-metrics-urls=https://{address}:2381",
    ]
    # The flags are etcd's own; it asks for the cluster's members as well where they are not on the loopback.
    alone = [f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=store={peer_url}", "--log-level=warn"]
    store = [shutil.which("etcd") or "etcd", *flags, *alone] if etcd else _python("store", *flags)
    apiserver = _python(
        "apiserver",
        f"--bind-address={address}:{APISERVER_PORT}",
        f"--socket={lab.apiserver_socket}",
        f"--metrics-address={address}:6442",
        f"--advertise-address={address}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--service-account-signing-key-file={lab.pki / 'sa.key'}",
        f"--encryption-provider-config={lab.pki / 'encryption.yaml'}",
        f"--etcd-servers={client_url}",
        f"--etcd-cafile={ca}",
        f"--etcd-certfile={lab.pki / 'apiserver'}.crt",
        f"--etcd-keyfile={lab.pki / 'apiserver'}.key",
        *_tls(lab, "apiserver"),
    )
    scheduler = _python(
        "scheduler",
        f"--config={lab.pki / 'scheduler'}.config",
        f"--bind-address={address}:10259",
        f"--socket={lab.scheduler_socket}",
        f"--metrics-address={address}:10251",
        *_tls(lab, "scheduler"),
    )
    controllers = _python(
        "controllers",
        f"--config={lab.pki / 'controllers'}.config",
        f"--bind-address={address}:10257",
        f"--metrics-address={address}:10252",
        f"--cluster-cidr={CLUSTER_CIDR}",
        f"--node-monitor-grace-period={node_grace_s:g}",
        f"--root-ca-file={ca}",
        f"--cluster-signing-cert-file={ca}",
        f"--cluster-signing-key-file={lab.pki / 'ca.key'}",
        *_tls(lab, "controllers"),
    )
    return [
        Program("store", store),
        Program("apiserver", apiserver),
        Program("scheduler", scheduler),
        Program("controllers", controllers),
    ]


def node_programs(lab: Lab, node: Machine) -> list[Program]:
    """The services of a node."""
    containerd = ["/usr/bin/containerd", "--config", str(node.home / "containerd.toml")]
    nodeagent = _python(
        "nodeagent",
        f"--node-name={node.name}",
        f"--node-ip={node.address}",
        f"--config={lab.pki / node.name}.config",
        f"--bind-address={node.address}:10250",
        f"--metrics-address={node.address}:10255",
        f"--container-runtime-endpoint=unix://{node.containerd_socket}",
        f"--root-dir={node.home / 'nodeagent'}",
        f"--cgroup-root={lab.cgroup}/{node.name}",
        f"--cni-conf-dir={node.home / 'cni'}",
        f"--cni-bin-dir={CNI_BINARIES}",
        # The nodes share one machine's disk and memory: they are under pressure only when it really is.
        "--pressure-thresholds=memory.available<100Mi,nodefs.available<1%",
        *_tls(lab, node.name),
    )
    netproxy = _python(
        "netproxy",
        f"--node-name={node.name}",
        f"--config={lab.pki}/proxy-{node.name}.config",
        f"--cluster-cidr={CLUSTER_CIDR}",
        f"--bind-address={node.address}:10256",
        f"--metrics-address={node.address}:10249",
        *_tls(lab, f"proxy-{node.name}"),
    )
    return [Program("containerd", containerd), Program("nodeagent", nodeagent), Program("netproxy", netproxy)]


def configuration(machine: Machine, programs: list[Program], *, log_level: str = "info") -> str:
    """The text of a machine's supervisor configuration; our own services log from `log_level` on."""
    text = _SUPERVISOR.format(logs=machine.logs, home=machine.home, socket=machine.supervisor_socket)
    for program in programs:
        # A percent sign begins an expansion in supervisor's files.
        words = program.command
        if words[:2] == [sys.executable, "-m"]:
            words = [*words, f"--log-level={log_level}"]
        command = " ".join(words).replace("%", "%%")
        text += _PROGRAM.format(name=program.name, command=command, logs=machine.logs, stop_wait_s=program.stop_wait_s)
    return text


class SupervisorAway(Exception):
    """A machine's supervisor does not answer; the machine is not running."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(f"machine {machine.name} is not running")
        self.machine = machine


def states(machine: Machine) -> list[ProgramState]:
    """What the services of a machine are doing.

    Raises:
        SupervisorAway: the machine is not running.
    """
    found: Any = _call(machine, "supervisor.getAllProcessInfo")
    return [ProgramState(info["name"], info["statename"], info["pid"], float(info["start"])) for info in found]


def _call(machine: Machine, method: str, *arguments: Any) -> Any:
    from supervisor.xmlrpc import SupervisorTransport

    if not Path(machine.supervisor_socket).exists():
        raise SupervisorAway(machine)
    transport = SupervisorTransport(None, None, f"unix://{machine.supervisor_socket}")
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        target: Any = proxy
        for part in method.split("."):
            target = getattr(target, part)
        return target(*arguments)
    except OSError as error:
        raise SupervisorAway(machine) from error
    finally:
        transport.close()
