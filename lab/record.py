"""What is written down about a lab, so that any later command finds all of it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab import network
from lab.layout import ROOT, Lab


class LabBusy(Exception):
    """Another command is starting or ending this lab just now."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(f"another command is at work on the cluster {lab.name!r}; try again when it is done")


@contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Holds the lab, so that two commands do not start or end it at once.

    Raises:
        LabBusy: another command holds it.
    """
    lab.base.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = lab.base / f".{lab.name}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabBusy(lab) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            for folder in (lab.base, ROOT.parent):
                # Stays unless it is empty: other labs may live there.
                with suppress(OSError):
                    folder.rmdir()


def write(lab: Lab, *, complete: bool) -> None:
    """Notes how many nodes a lab has, and whether it came up completely."""
    fresh = lab.record.with_suffix(".new")
    fresh.write_text(json.dumps({"name": lab.name, "nodes": lab.count, "complete": complete}))
    fresh.replace(lab.record)


def recorded(lab: Lab) -> tuple[Lab, bool] | None:
    """The lab of this name as it was written down, and whether it came up completely; None when there is none."""
    try:
        content = json.loads(lab.record.read_text())
        return Lab(lab.name, int(content["nodes"]), lab.base), bool(content["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def has_remains(lab: Lab) -> bool:
    """Whether anything of a lab of this name is there, however it got there."""
    return lab.home.exists() or bool(network.namespaces(lab.namespace_prefix))
