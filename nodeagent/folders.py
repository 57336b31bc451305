"""Where things are on the node's disk, below `--root-dir`; the same names as the kubelet's where it has some."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodeagent.pod.container_config import log_path


@dataclass(frozen=True)
class Folders:
    """Paths of one agent."""

    root: Path

    @property
    def pods(self) -> Path:
        """Folder of all pods' folders."""
        return self.root / "pods"

    @property
    def cni_state(self) -> Path:
        """Where the address manager of the network notes which addresses are taken."""
        return self.root / "cni"

    @property
    def lock(self) -> Path:
        """Held while an agent uses this root."""
        return self.root / "lock"

    def pod(self, uid: str) -> Path:
        """Everything of one pod but its logs."""
        return self.pods / uid

    def volume(self, uid: str, kind: str, name: str) -> Path:
        """One volume of a pod."""
        return self.pod(uid) / "volumes" / f"kubernetes.io~{kind.replace('_', '-')}" / name

    def subpath(self, uid: str, volume: str, container: str, index: int) -> Path:
        """Where a part of a volume is bound for one mount of a container."""
        return self.pod(uid) / "volume-subpaths" / volume / container / str(index)

    def hosts(self, uid: str) -> Path:
        """The pod's /etc/hosts."""
        return self.pod(uid) / "etc-hosts"

    def termination_message(self, uid: str, container: str, attempt: int) -> Path:
        """What a container writes its termination message to."""
        return self.pod(uid) / "containers" / container / str(attempt)

    @property
    def all_logs(self) -> Path:
        """Folder of all pods' logs."""
        return self.root / "logs"

    def logs(self, namespace: str, name: str, uid: str) -> Path:
        """Folder of a pod's logs."""
        return self.all_logs / f"{namespace}_{name}_{uid}"

    def log(self, namespace: str, name: str, uid: str, container: str, attempt: int) -> Path:
        """The log of one container."""
        return self.logs(namespace, name, uid) / log_path(container, attempt)
