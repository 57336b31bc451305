"""A node for tests: a network namespace with a containerd of its own, taken away again whatever happens."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import images
from tests.waiting import eventually_sync

CONTAINERD_CONFIG = """\
version = 2
root = "{base}/containerd"
state = "{base}/run"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{base}/containerd.sock"
[ttrpc]
  address = "{base}/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "steersman.local/pause:1"
  restrict_oom_score_adj = true
  disable_cgroup = false
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{base}/cni"
"""


@dataclass
class Machine:
    """One node's surroundings.

    Attributes:
        name: of the network namespace.
        base: folder that holds everything.
        cgroup_root: cgroup below which its pods live.
    """

    name: str
    base: Path
    cgroup_root: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.base / "containerd.sock"

    def inside(self, *command: str | Path) -> list[str]:
        """A command line that runs in the node's network namespace, with this mount namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]

    def start(self, *command: str | Path, log: str) -> subprocess.Popen[bytes]:
        """Starts a process in the node; it ends with the node."""
        with (self.base / log).open("ab") as output:
            process = subprocess.Popen(self.inside(*command), stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def run(self, *command: str | Path, timeout_s: float = 30) -> str:
        """Runs a command in the node and returns what it printed."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=timeout_s)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ctr(self, *arguments: str | Path) -> str:
        return self.run("ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments)

    def start_containerd(self) -> subprocess.Popen[bytes]:
        process = self.start("containerd", "--config", self.base / "containerd.toml", log="containerd.log")

        def answers() -> bool:
            assert process.poll() is None, (self.base / "containerd.log").read_text()
            return self.socket.exists() and "io.containerd.grpc.v1" in self.ctr("plugins", "ls")

        eventually_sync(answers, 20)
        return process


def _remove_cgroups(root: str) -> None:
    mounted = Path("/sys/fs/cgroup")
    hierarchies = [mounted] if (mounted / "cgroup.controllers").exists() else sorted(mounted.iterdir())
    for hierarchy in hierarchies:
        top = hierarchy / root.strip("/")
        if not top.is_dir():
            continue
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        with contextlib.suppress(OSError):
            top.parent.rmdir()


def _children_of_shims(base: Path) -> list[int]:
    """Processes of containerd shims that belong to this node, with everything below them."""
    found: set[int] = set()
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if "containerd-shim" in command and str(base) in command:
                found.add(int(entry.name))
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found)


def _unmount_below(base: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, key=len, reverse=True):
        if mount.startswith(f"{base}/"):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A node with a running containerd that holds the busybox and pause images."""
    name = f"sn-{secrets.token_hex(4)}"
    base = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    node = Machine(name=name, base=base, cgroup_root=f"/steersman-test/{name}")
    try:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        (base / "cni").mkdir()
        (base / "containerd.toml").write_text(CONTAINERD_CONFIG.format(base=base))
        node.start_containerd()
        for image, content in (("pause", images.pause()), ("busybox", images.busybox())):
            path = base / f"{image}.tar"
            path.write_bytes(content)
            node.ctr("images", "import", path)
        yield node
    finally:
        for process in node.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        # Containers outlive containerd; killing the shims and what they started ends them.
        for pid in _children_of_shims(base):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually_sync(lambda: not _children_of_shims(base), 10)
        _unmount_below(base)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        _remove_cgroups(node.cgroup_root)
        shutil.rmtree(base, ignore_errors=True)
