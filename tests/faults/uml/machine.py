"""Machines with a kernel and a disk of their own, whose power can be cut: User-Mode Linux.

It comes with the package `user-mode-linux`. A machine's root is this machine's, read-only: it has the same programs.
What it writes goes to its own disk, an ext4 file system at DISK, and to /run, which is gone with its power.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.programs import run
from tests.faults.uml import switch
from tests.waiting import eventually_sync

KERNEL = "linux.uml"
DISK = "/run/disk"
MEMORY_MIB = 384

# The machine's first process. When it ends, the machine stops.
_INIT = """\
#!/bin/sh
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir {disk}
mount -t ext4 /dev/ubda {disk}
ip link set lo up
ip address add {address}/24 dev vec0
ip link set vec0 up
cd {folder}
env {environment} {command} || echo "init: the program ended with $?"
sync
umount {disk}
echo o >/proc/sysrq-trigger
read -r forever
"""


class Machine:
    """One machine. It has to be started from within the namespace of its switch."""

    def __init__(self, folder: Path, port: int, disk_mib: int = 64) -> None:
        """A machine whose files are in `folder`, with a new disk, at a port of the switch."""
        self.folder = folder
        self.address = switch.address(port)
        self._port = port
        self._disk = folder / "disk"
        self.console = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._printer: subprocess.Popen[bytes] | None = None
        assert shutil.which(KERNEL), "the package user-mode-linux is not installed"
        folder.mkdir(parents=True)
        run("truncate", "-s", f"{disk_mib}M", self._disk)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self._disk)

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def switch_on(self, command: Sequence[str], environment: Mapping[str, str], working_folder: Path) -> None:
        """Boots and runs a program; returns at once."""
        init = self.folder / "init"
        init.write_text(
            _INIT.format(
                disk=DISK,
                address=self.address,
                folder=shlex.quote(str(working_folder)),
                environment=shlex.join(f"{name}={value}" for name, value in environment.items()),
                command=shlex.join(command),
            )
        )
        init.chmod(0o755)
        arguments = [
            KERNEL,
            f"mem={MEMORY_MIB}M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={init}",
            f"ubda={self._disk}",
            f"vec0:transport=tap,ifname={switch.tap(self._port)},depth=128",
            "con=null",
            "con0=null,fd:1",
            f"uml_dir={self.folder}",
            "umid=machine",
            "quiet",
        ]
        # A machine is one processor; it loses time when it is moved between several. It ends with whoever started it.
        cores = sorted(os.sched_getaffinity(0))
        placed = ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(cores[self._port % len(cores)])]
        with self.console.open("ab") as console:
            # The console must not be a file.
            self._printer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=console)
            self._process = subprocess.Popen(
                [*placed, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._printer.stdin,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._printer.stdin is not None
        self._printer.stdin.close()

    def cut_power(self) -> None:
        """Everything that was not on the disk is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait_until_off(self) -> None:
        """Returns when the machine is off, after its power was cut or its program has ended."""
        if self._process is None or self._printer is None:
            return
        self._process.wait(10)
        self._printer.wait(10)
        eventually_sync(self._is_gone)

    def _is_gone(self) -> bool:
        """Whether none of its processes is left that could hold the disk."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def output(self) -> str:
        """What the machine has said so far, over all its starts."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""
