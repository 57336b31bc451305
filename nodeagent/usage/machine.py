"""What the whole node has used, read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path

from nodeagent.usage.rates import NANOSECONDS, Reading


def parse_stat(text: str, ticks_per_second: int) -> int:
    """Processor time of all processors out of /proc/stat, in nanoseconds: all but idling and waiting for disks."""
    fields = [int(field) for field in text.splitlines()[0].split()[1:9]]
    idle, waiting = fields[3], fields[4]
    return (sum(fields) - idle - waiting) * NANOSECONDS // ticks_per_second


def parse_meminfo(text: str) -> int:
    """Memory in use out of /proc/meminfo, in bytes: what is not available to whoever asks for some."""
    values = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.strip()}
    return values["MemTotal"] - values.get("MemAvailable", values["MemFree"])


def parse_pairs(text: str) -> dict[str, int]:
    """The numbers of a file of lines `NAME NUMBER`, as cpu.stat and memory.stat are."""
    return {words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) == 2}


class Machine:
    """Reads the node. Methods block on the kernel, for a moment."""

    def __init__(self, root: str, mount: Path, proc: Path = Path("/proc")) -> None:
        """Makes it.

        Args:
            root: the cgroup below which everything of the node lives; "/" when the machine is all the node's.
            mount: where the cgroup file systems are.
            proc: where the kernel tells of the machine.
        """
        self._root = root.strip("/")
        self._mount = mount
        self._proc = proc

    def read(self, time_ns: int) -> Reading | None:
        """What the node has used by now; None when the kernel does not say."""
        try:
            cpu_ns, memory_bytes = self._cgroup() if self._root else self._whole()
        except (OSError, KeyError, ValueError, IndexError):
            return None
        return Reading(time_ns, cpu_ns, memory_bytes)

    def _whole(self) -> tuple[int, int]:
        cpu_ns = parse_stat((self._proc / "stat").read_text(), os.sysconf("SC_CLK_TCK"))
        return cpu_ns, parse_meminfo((self._proc / "meminfo").read_text())

    def _cgroup(self) -> tuple[int, int]:
        unified = self._mount / self._root
        if (self._mount / "cgroup.controllers").exists():
            cpu_ns = parse_pairs((unified / "cpu.stat").read_text())["usage_usec"] * 1000
            used = int((unified / "memory.current").read_text())
            inactive = parse_pairs((unified / "memory.stat").read_text())["inactive_file"]
        else:
            cpu_ns = int((self._mount / "cpuacct" / self._root / "cpuacct.usage").read_text())
            memory = self._mount / "memory" / self._root
            used = int((memory / "memory.usage_in_bytes").read_text())
            inactive = parse_pairs((memory / "memory.stat").read_text())["total_inactive_file"]
        return cpu_ns, max(0, used - inactive)
