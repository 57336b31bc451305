"""Starting and ending machines: a process tree with namespaces of its own, whose first process is supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from lab import network
from lab.layout import Lab, Machine

# Run by the machine's first process before it becomes supervisor. /run is the machine's own, so that locks and sockets
# that programs put there are not shared with other machines. No resolver can be reached from a lab; with an empty
# configuration programs find that out at once instead of waiting for one.
_BOOT = """\
set -e
hostname "$1"
mount -t tmpfs -o mode=0755 tmpfs /run
: > /run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
shift
exec "$@"
"""
CGROUPS = Path("/sys/fs/cgroup")


def start(machine: Machine) -> None:
    """Starts a machine whose supervisor configuration has been written. Returns at once."""
    configuration = machine.home / "supervisor.conf"
    command = [
        "nsenter",
        f"--net={network.NAMESPACES / machine.namespace}",
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--mount-proc",
        "--propagation=private",
        "sh",
        "-c",
        _BOOT,
        "boot",
        machine.name,
        sys.executable,
        "-m",
        "lab.supervisord",
        "--configuration",
        str(configuration),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEER")}
    with (machine.logs / "machine.log").open("ab") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def boot_failure(machine: Machine) -> str:
    """What a machine that did not come up said; empty when it said nothing."""
    with suppress(OSError):
        return (machine.logs / "machine.log").read_text(errors="replace").strip()[-500:]
    return ""


def _parent(pid: int) -> int | None:
    with suppress(OSError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def end_all(namespaces: list[str], *, grace_s: float) -> None:
    """Ends every process in some network namespaces: the tops of the trees are asked first, and killed in the end.

    A machine's containers have network namespaces of their own; they are in its process namespace and end with its
    first process.
    """
    pids = {pid for namespace in namespaces for pid in network.processes(namespace)}
    tops = {pid for pid in pids if _parent(pid) not in pids}
    # `unshare` only waits for the machine's first process, and passes no signal on.
    firsts = {pid for pid in pids if _parent(pid) in tops} or tops
    for pid in firsts:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _alive(namespaces) and time.monotonic() < deadline:
        time.sleep(0.02)
    deadline = time.monotonic() + 10
    while (left := _alive(namespaces)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _alive(namespaces: list[str]) -> list[int]:
    return [pid for namespace in namespaces for pid in network.processes(namespace) if not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def remove_cgroups(lab: Lab) -> None:
    """Removes the cgroups of a lab's containers, in every hierarchy."""
    hierarchies = [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else sorted(CGROUPS.iterdir())
    for hierarchy in hierarchies:
        top = hierarchy / lab.cgroup.strip("/")
        for _ in range(100):
            if not top.is_dir() or _remove_tree(top):
                break
            time.sleep(0.02)
        with suppress(OSError):
            top.parent.rmdir()


def _remove_tree(top: Path) -> bool:
    """Removes a cgroup and those below it; False when a process that is just ending still holds one."""
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def unmount_below(folder: Path) -> None:
    """Unmounts whatever is mounted below a folder in the machine's own mount namespace."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
