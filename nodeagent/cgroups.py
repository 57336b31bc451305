"""The cgroup around all containers of a pod, in cgroup v1 and v2."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from nodeagent.pod import resources
from nodeagent.pod.resources import BEST_EFFORT, BURSTABLE, GUARANTEED, Limits

MOUNT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "memory")
_CONTROLLERS_V2 = "+cpu +memory +pids"


def weight_of(shares: int) -> int:
    """cgroup v2's CPU weight (1-10000) of cgroup v1's shares (2-262144)."""
    return max(1, min(10_000, 1 + (max(2, shares) - 2) * 9999 // 262_142))


class Cgroups:
    """Cgroups of one agent's pods. Methods block on the kernel: call them in a thread."""

    def __init__(self, root: str, mount: Path = MOUNT) -> None:
        """Makes it; nothing is written yet.

        Args:
            root: cgroup below which everything lives, "/" or "/steersman/n1".
            mount: where the cgroup file systems are.
        """
        self._root = root.strip("/")
        self._mount = mount
        self.unified = (mount / "cgroup.controllers").exists()

    def missing(self) -> list[str]:
        """Controllers that pods need and that this machine (or this mount namespace) does not have."""
        if self.unified:
            present = set((self._mount / "cgroup.controllers").read_text().split())
            return [name for name in NEEDED if name not in present]
        return [name for name in NEEDED if not (self._mount / name).is_dir()]

    def parent_of(self, uid: str, qos: str) -> str:
        """The pod's cgroup, as the runtime is told it."""
        return f"{self._class(qos)}/pod{uid}"

    def _class(self, qos: str) -> str:
        middle = {GUARANTEED: "", BURSTABLE: "burstable", BEST_EFFORT: "besteffort"}[qos]
        return "/" + "/".join(part for part in (self._root, "kubepods", middle) if part)

    def weigh(self, qos: str, shares: int) -> None:
        """Sets how much CPU all pods of a class get together when it is short; of no effect before the first pod."""
        path = self._class(qos).strip("/")
        if self.unified:
            _write(self._mount / path / "cpu.weight", weight_of(shares))
        else:
            _write(self._mount / "cpu" / path / "cpu.shares", shares)

    def create(self, parent: str, limits: Limits) -> None:
        """Makes the pod's cgroup with its limits. Idempotent; limits that the kernel refuses are left out."""
        if self.unified:
            self._create_unified(parent, limits)
            return
        for controller in (*NEEDED, "pids"):
            hierarchy = self._mount / controller
            if not hierarchy.is_dir():
                continue
            path = hierarchy / parent.strip("/")
            path.mkdir(parents=True, exist_ok=True)
            if controller == "cpu":
                _write(path / "cpu.shares", limits.cpu_shares)
                _write(path / "cpu.cfs_period_us", resources.CPU_PERIOD_US)
                _write(path / "cpu.cfs_quota_us", limits.cpu_quota_us or -1)
            elif controller == "memory" and limits.memory_bytes:
                _write(path / "memory.limit_in_bytes", limits.memory_bytes)

    def _create_unified(self, parent: str, limits: Limits) -> None:
        path = self._mount
        for part in parent.strip("/").split("/"):
            _write(path / "cgroup.subtree_control", _CONTROLLERS_V2)
            path /= part
            path.mkdir(exist_ok=True)
        _write(path / "cgroup.subtree_control", _CONTROLLERS_V2)
        _write(path / "cpu.weight", weight_of(limits.cpu_shares))
        _write(path / "cpu.max", f"{limits.cpu_quota_us or 'max'} {resources.CPU_PERIOD_US}")
        _write(path / "memory.max", limits.memory_bytes or "max")

    def remove(self, parent: str) -> None:
        """Removes the pod's cgroup from every hierarchy. Idempotent; what still has a process stays."""
        for hierarchy in self._hierarchies():
            top = hierarchy / parent.strip("/")
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def _hierarchies(self) -> list[Path]:
        if self.unified:
            return [self._mount]
        return [each for each in self._mount.iterdir() if each.is_dir() and not each.is_symlink()]


def _write(path: Path, value: object) -> None:
    if path.parent.is_dir():
        with contextlib.suppress(OSError):
            path.write_text(str(value))
