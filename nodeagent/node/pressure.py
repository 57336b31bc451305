"""When a node says that it is short of something."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from steersman.quantity import QuantityError, parse

from nodeagent.node.capacity import memory_info

MEMORY, DISK, PROCESSES = "memory.available", "nodefs.available", "pid.available"
# Kubernetes' own for memory and disk.
DEFAULT = "memory.available<100Mi,nodefs.available<10%,pid.available<5%"


class ThresholdError(ValueError):
    """A text does not name thresholds.

    Attributes:
        text: the part that is wrong.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is not SIGNAL<QUANTITY or SIGNAL<PERCENT% with SIGNAL one of {MEMORY}, {DISK}, {PROCESSES}"
        )
        self.text = text


@dataclass(frozen=True)
class Threshold:
    """What must be left: an amount in base units, or a share of the whole."""

    amount: Decimal = Decimal(0)
    share: Decimal = Decimal(0)

    def is_short(self, left: int, total: int) -> bool:
        """Whether less than that is left."""
        return left < self.amount or left < self.share * total


@dataclass(frozen=True)
class Pressure:
    """What the machine runs short of."""

    memory: bool
    disk: bool
    processes: bool


def thresholds(text: str) -> dict[str, Threshold]:
    """Reads "memory.available<100Mi,nodefs.available<10%"; a signal that is not named is never short.

    Raises:
        ThresholdError: the text is not of this form.
    """
    found: dict[str, Threshold] = {}
    for part in filter(None, text.split(",")):
        signal, separator, value = part.partition("<")
        if not separator or signal not in (MEMORY, DISK, PROCESSES):
            raise ThresholdError(part)
        try:
            number = parse(value.removesuffix("%"))
        except QuantityError as error:
            raise ThresholdError(part) from error
        found[signal] = Threshold(share=number / 100) if value.endswith("%") else Threshold(amount=number)
    return found


def measure(root: Path, limits: Mapping[str, Threshold]) -> Pressure:
    """Reads what is left of the machine; the disk is the one that `root` is on."""
    memory = memory_info()
    disk = shutil.disk_usage(root)
    running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    none = Threshold()
    return Pressure(
        memory=limits.get(MEMORY, none).is_short(memory["MemAvailable"], memory["MemTotal"]),
        disk=limits.get(DISK, none).is_short(disk.free, disk.total),
        processes=limits.get(PROCESSES, none).is_short(most - running, most),
    )
