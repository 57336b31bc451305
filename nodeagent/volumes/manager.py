"""Makes a pod's volumes ready on the node, keeps projections current, and takes everything away again."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import cri
from steersman.core.v1.container_pb2 import Container, VolumeMount
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.volume_pb2 import EmptyDirVolumeSource, HostPathVolumeSource, Volume

from nodeagent.errors import VolumeError
from nodeagent.folders import Folders
from nodeagent.pod import env, quantity
from nodeagent.pod.container_config import TERMINATION_MESSAGE_PATH
from nodeagent.pod.errors import PodConfigError
from nodeagent.pod.volumes_spec import VolumeSources, files_of, is_projection, source_of
from nodeagent.volumes import atomic, mounts, subpaths

_SETGID = 0o2000
_PROPAGATIONS = {
    "": cri.PROPAGATION_PRIVATE,
    "None": cri.PROPAGATION_PRIVATE,
    "HostToContainer": cri.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": cri.PROPAGATION_BIDIRECTIONAL,
}


class Volumes:
    """Volumes of all pods of one agent. Methods block on the disk: call them in a thread."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        # Two containers of a pod may start at once, in two threads; each prepares the pod's volumes.
        self._locks: dict[str, threading.Lock] = {}

    def _alone(self, uid: str) -> threading.Lock:
        """Held by the one thread that works on a pod's volumes."""
        return self._locks.setdefault(uid, threading.Lock())

    def prepare(self, pod: Pod, sources: VolumeSources, now: datetime) -> dict[str, Path]:
        """Makes all volumes ready and returns where they are, by name. Idempotent; updates projections.

        Raises:
            PodConfigError: a volume refers to something that is missing.
            VolumeError: the node cannot make a volume ready.
        """
        folder = self._folders.pod(pod.metadata.uid)
        with self._alone(pod.metadata.uid):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            return {volume.name: self._prepare(pod, volume, sources, now) for volume in pod.spec.volumes}

    def refresh(self, pod: Pod, sources: VolumeSources, now: datetime) -> bool:
        """Brings projections up to date; returns whether any changed. What went missing keeps its last contents.

        Raises:
            VolumeError: the node cannot write.
        """
        with self._alone(pod.metadata.uid):
            return self._refresh(pod, sources, now)

    def _refresh(self, pod: Pod, sources: VolumeSources, now: datetime) -> bool:
        changed = False
        for volume in pod.spec.volumes:
            kind, _ = source_of(volume)
            if not is_projection(kind):
                continue
            path = self._folders.volume(pod.metadata.uid, kind, volume.name)
            if not path.is_dir():
                continue
            try:
                files = files_of(pod, volume, sources)
            except PodConfigError:
                continue
            try:
                changed = atomic.write(path, files, now, group=_group(pod)) or changed
            except OSError as error:
                raise VolumeError(volume.name, str(error)) from error
        return changed

    def _prepare(self, pod: Pod, volume: Volume, sources: VolumeSources, now: datetime) -> Path:
        kind, source = source_of(volume)
        path = self._folders.volume(pod.metadata.uid, kind, volume.name)
        try:
            if kind == "host_path":
                return _host_path(volume.name, source.host_path)
            if kind == "empty_dir":
                return _empty_dir(path, source.empty_dir, _group(pod))
            if is_projection(kind):
                files = files_of(pod, volume, sources)
                _folder(path)
                if kind in ("secret", "projected") and not mounts.is_mount(path):
                    # Secrets do not touch the disk.
                    mounts.mount_tmpfs(path)
                    path.chmod(0o777)
                atomic.write(path, files, now, group=_group(pod))
                return path
        except (OSError, quantity.QuantityError) as error:
            raise VolumeError(volume.name, str(error)) from error
        raise VolumeError(volume.name, f"volumes of kind {kind} are not supported by this node")

    def mounts_of(
        self,
        pod: Pod,
        container: Container,
        attempt: int,
        volumes: Mapping[str, Path],
        environment: Mapping[str, str],
    ) -> list[cri.Mount]:
        """What the container mounts: its volumes, /etc/hosts and the file of its termination message.

        Raises:
            PodConfigError: it mounts a volume that the pod does not have, or a block device.
            VolumeError: a part of a volume cannot be used.
        """
        uid = pod.metadata.uid
        result: list[cri.Mount] = []
        if container.volume_devices:
            raise PodConfigError(
                f"container {container.name!r} asks for block devices, which this node does not support"
            )
        # A pod must not be able to change what the agent writes to; nobody may write there, as in Kubernetes.
        readonly = {each.name for each in pod.spec.volumes if is_projection(source_of(each)[0])}
        for index, mount in enumerate(container.volume_mounts):
            if mount.name not in volumes:
                raise PodConfigError(f"container {container.name!r} mounts volume {mount.name!r}, which is not there")
            host_path = volumes[mount.name]
            part = mount.sub_path or env.expand(mount.sub_path_expr, environment)
            if part:
                target = self._folders.subpath(uid, mount.name, container.name, index)
                try:
                    host_path = subpaths.bind(host_path, part, target)
                except (OSError, ValueError) as error:
                    raise VolumeError(mount.name, f"subPath {part!r}: {error}") from error
            result.append(
                cri.Mount(
                    container_path=_absolute(mount),
                    host_path=str(host_path),
                    readonly=mount.read_only or mount.name in readonly,
                    propagation=_PROPAGATIONS.get(mount.mount_propagation, cri.PROPAGATION_PRIVATE),
                )
            )
        mounted = {each.container_path for each in result}
        hosts = self._folders.hosts(uid)
        if "/etc/hosts" not in mounted and hosts.exists():
            result.append(cri.Mount(container_path="/etc/hosts", host_path=str(hosts)))
        path = container.termination_message_path or TERMINATION_MESSAGE_PATH
        if path not in mounted:
            message = self._folders.termination_message(uid, container.name, attempt)
            message.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            message.unlink(missing_ok=True)
            message.touch()
            message.chmod(0o666)
            result.append(cri.Mount(container_path=path, host_path=str(message)))
        return result

    def write_hosts(self, uid: str, text: str) -> None:
        """Writes the pod's /etc/hosts in place: containers have this very file mounted."""
        path = self._folders.hosts(uid)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            path.chmod(0o644)

    def remove(self, uid: str) -> None:
        """Takes everything of the pod away but its logs. Idempotent.

        Raises:
            VolumeError: a mount cannot be taken away; nothing below it is deleted.
        """
        folder = self._folders.pod(uid)
        if not folder.exists():
            return
        try:
            for target in mounts.below(folder):
                mounts.unmount(target)
        except OSError as error:
            raise VolumeError("*", str(error)) from error
        left = mounts.below(folder)
        if left:
            raise VolumeError("*", f"{left[0]} is still mounted")
        shutil.rmtree(folder, ignore_errors=True)
        self._locks.pop(uid, None)

    def remove_logs(self, uid: str) -> None:
        """Takes the pod's logs away. Idempotent."""
        for folder in self._folders.all_logs.glob(f"*_{uid}"):
            shutil.rmtree(folder, ignore_errors=True)

    def known(self) -> list[str]:
        """Uids of pods that have a folder."""
        return [each.name for each in self._folders.pods.iterdir()] if self._folders.pods.is_dir() else []


def _absolute(mount: VolumeMount) -> str:
    return mount.mount_path if mount.mount_path.startswith("/") else f"/{mount.mount_path}"


def _group(pod: Pod) -> int | None:
    context = pod.spec.security_context
    return context.fs_group if context.HasField("fs_group") else None


def _folder(path: Path, mode: int = 0o777) -> bool:
    if path.is_dir():
        return False
    path.mkdir(parents=True)
    path.chmod(mode)
    return True


def _empty_dir(path: Path, source: EmptyDirVolumeSource, group: int | None) -> Path:
    fresh = _folder(path)
    if source.medium == "Memory" and not mounts.is_mount(path):
        size = quantity.whole(quantity.parse(source.size_limit.value)) if source.size_limit.value else 0
        mounts.mount_tmpfs(path, size_bytes=size)
        fresh = True
    if fresh:
        mode = source.mode if source.HasField("mode") else 0o777
        if group is not None:
            os.chown(path, -1, group)
            mode |= _SETGID | 0o070
        path.chmod(mode)
    return path


def _host_path(name: str, source: HostPathVolumeSource) -> Path:
    path = Path(source.path)
    if source.type == "DirectoryOrCreate":
        if not path.exists():
            path.mkdir(mode=0o755, parents=True)
    elif source.type == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    if not source.type:
        return path
    checks = {
        "DirectoryOrCreate": (stat.S_ISDIR, "a folder"),
        "Directory": (stat.S_ISDIR, "a folder"),
        "FileOrCreate": (stat.S_ISREG, "a file"),
        "File": (stat.S_ISREG, "a file"),
        "Socket": (stat.S_ISSOCK, "a socket"),
        "CharDevice": (stat.S_ISCHR, "a character device"),
        "BlockDevice": (stat.S_ISBLK, "a block device"),
    }
    if source.type not in checks:
        raise VolumeError(name, f"hostPath type {source.type!r} is not known")
    fits, words = checks[source.type]
    if not path.exists() or not fits(path.stat().st_mode):
        raise VolumeError(name, f"hostPath type check failed: {source.path} is not {words}")
    return path
