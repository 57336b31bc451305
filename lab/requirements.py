"""What a lab needs of the machine, looked at before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# Programs and the Debian packages that have them.
PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "hostname": "hostname",
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
}
FILES = {
    Path("/usr/lib/cni/bridge"): "containernetworking-plugins",
    Path("/usr/lib/cni/host-local"): "containernetworking-plugins",
    Path("/usr/lib/cni/portmap"): "containernetworking-plugins",
    Path("/bin/busybox"): "busybox-static",
    Path("/usr/bin/catatonit"): "catatonit",
}

# Tried in a namespace that is made for the trial and gone with it.
_KERNEL_TRIALS = (
    (["unshare", "--net", "ip", "link", "add", "trial0", "type", "bridge"], "network bridges"),
    (["unshare", "--net", "ip", "link", "add", "trial0", "type", "veth", "peer", "trial1"], "veth cables"),
    (["unshare", "--net", "iptables", "--wait", "--table", "nat", "--list"], "iptables with NAT"),
    (["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true"], "process namespaces"),
)


class RequirementsMissing(Exception):
    """The machine lacks something; `missing` says what, one line each."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("\n".join(missing))
        self.missing = missing


def check(*, etcd: bool = False) -> None:
    """Looks at everything a lab needs; with `etcd`, as its store too.

    Raises:
        RequirementsMissing: something is missing; it lists everything.
    """
    if os.geteuid() != 0:
        raise RequirementsMissing(["root rights: a lab makes network namespaces and runs containers; try with sudo"])
    missing: list[str] = []
    packages: dict[str, list[str]] = {}
    for program, package in (PROGRAMS | ({"etcd": "etcd-server"} if etcd else {})).items():
        if shutil.which(program) is None:
            packages.setdefault(package, []).append(program)
    for path, package in FILES.items():
        if not path.exists():
            packages.setdefault(package, []).append(str(path))
    missing += [f"{', '.join(what)} (Debian package {package})" for package, what in sorted(packages.items())]
    if not missing:
        missing += _kernel()
    if missing:
        raise RequirementsMissing(missing)


def _kernel() -> list[str]:
    missing: list[str] = []
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and subprocess.run(["modprobe", "overlay"], capture_output=True).returncode:
        missing.append("overlay file systems in the kernel")
    cgroups = Path("/sys/fs/cgroup")
    if not cgroups.is_dir() or not any(cgroups.iterdir()):
        missing.append("control groups, mounted at /sys/fs/cgroup")
    for command, what in _KERNEL_TRIALS:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except OSError as error:
            missing.append(f"{what} ({error})")
            continue
        if done.returncode != 0:
            missing.append(f"{what} in the kernel ({done.stderr.strip() or 'refused'})")
    return missing
