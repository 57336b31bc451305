"""A node's containerd: its configuration, and the images that it starts with."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab import images
from lab.layout import Machine
from lab.programs import run

CNI_BINARIES = Path("/usr/lib/cni")

_CONFIG = """\
version = 2
root = "{home}/containerd"
state = "{home}/containerd-state"
oom_score = 0
# What the CRI does not need only costs time at the start.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{socket}"

[ttrpc]
  address = "{socket}.ttrpc"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{home}/cni"
"""

CAP_SYS_RESOURCE = 24


def may_lower_oom_score() -> bool:
    """Whether this machine lets root make processes less likely to be killed for memory (CAP_SYS_RESOURCE)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return False


def configuration(node: Machine, *, lower_oom_score: bool) -> str:
    """The text of a node's containerd configuration.

    Args:
        node: the node.
        lower_oom_score: whether sandboxes may get a negative OOM score; where they may not, runc fails if it is tried.
    """
    return _CONFIG.format(
        home=node.home,
        socket=node.containerd_socket,
        pause=images.PAUSE,
        restrict="false" if lower_oom_score else "true",
        cni=CNI_BINARIES,
    )


def built_images() -> list[bytes]:
    """The images that every node starts with, as archives.

    Raises:
        ImageSourceError: a program that an image is made from is missing.
    """
    return [images.pause(), images.busybox()]


def import_images(node: Machine, archives: list[bytes]) -> None:
    """Gives images to a node's containerd; idempotent.

    Raises:
        ProgramFailed: containerd refused one.
    """
    for archive in archives:
        with tempfile.NamedTemporaryFile(dir=node.home, suffix=".tar") as file:
            file.write(archive)
            file.flush()
            run("ctr", "--address", node.containerd_socket, "--namespace", "k8s.io", "images", "import", file.name)
