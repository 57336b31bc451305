"""What this machine has, read from /proc and /etc."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from steersman import __version__
from steersman.core.v1.node_pb2 import NodeSystemInfo

from nodeagent.pod import quantity

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


@dataclass(frozen=True)
class Capacity:
    """Resources of the machine.

    Attributes:
        cpus: how many.
        memory_bytes: main memory.
        disk_bytes: size of the file system of the agent's root.
        pods: how many pods the node takes.
    """

    cpus: int
    memory_bytes: int
    disk_bytes: int
    pods: int

    def quantities(self) -> dict[str, str]:
        """As the Node object has it."""
        return {
            "cpu": str(self.cpus),
            "memory": f"{self.memory_bytes // 1024}Ki",
            "ephemeral-storage": f"{self.disk_bytes // 1024}Ki",
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "pods": str(self.pods),
        }

    def allocatable(self, reserved: Mapping[str, str]) -> dict[str, str]:
        """What is left for pods when `reserved` (quantities by resource) is taken off."""
        left = self.quantities()
        if "cpu" in reserved:
            milli = max(0, self.cpus * 1000 - quantity.milli(quantity.parse(reserved["cpu"])))
            left["cpu"] = str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
        for name, total in (("memory", self.memory_bytes), ("ephemeral-storage", self.disk_bytes)):
            if name in reserved:
                free = max(0, total - quantity.whole(quantity.parse(reserved[name])))
                left[name] = f"{free // 1024}Ki"
        return left


def base_units(quantities: Mapping[str, str]) -> dict[str, Decimal]:
    """Quantities as numbers: CPUs, bytes, pods."""
    return {name: quantity.parse(text) for name, text in quantities.items()}


def memory_info() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    values: dict[str, int] = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return values


def measure(root: Path, max_pods: int) -> Capacity:
    """Reads the machine's resources."""
    return Capacity(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=memory_info()["MemTotal"],
        disk_bytes=shutil.disk_usage(root).total,
        pods=max_pods,
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def architecture() -> str:
    """The machine's architecture in Go's words."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def system_info(runtime_name: str, runtime_version: str) -> NodeSystemInfo:
    """Facts about the machine's software, for people."""
    release: dict[str, str] = {}
    for line in _text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        release[name] = value.strip('"')
    return NodeSystemInfo(
        machine_id=_text("/etc/machine-id"),
        system_uuid=_text("/sys/class/dmi/id/product_uuid") or _text("/etc/machine-id"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        kernel_version=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux"),
        container_runtime_version=f"{runtime_name}://{runtime_version}",
        kubelet_version=f"steersman-{__version__}",
        operating_system="linux",
        architecture=architecture(),
    )
