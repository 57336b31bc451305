"""The message that a container leaves when it ends: from its file, or from the end of its log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cri

from nodeagent.pod import labels

MESSAGE_BYTES_MAX = 4096
LOG_BYTES_MAX = 2048
LOG_LINES_MAX = 80


class TerminationMessages:
    """Reads messages where `volumes.mounts` put the files that containers write them to."""

    async def read(self, status: cri.ContainerStatus) -> str:
        """The message of a container that has ended; what the runtime says when the container left none."""
        return await asyncio.to_thread(self._read, status)

    def _read(self, status: cri.ContainerStatus) -> str:
        path = status.annotations.get(labels.TERMINATION_MESSAGE_PATH, "")
        policy = status.annotations.get(labels.TERMINATION_MESSAGE_POLICY, "File")
        source = next((each.host_path for each in status.mounts if path and each.container_path == path), None)
        message = _tail(Path(source), MESSAGE_BYTES_MAX) if source else ""
        failed = status.exit_code != 0
        if not message and policy == "FallbackToLogsOnError" and failed and status.log_path:
            message = _log_tail(Path(status.log_path))
        return message or status.message


def _tail(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - limit))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _log_tail(path: Path) -> str:
    """The last lines of a log in CRI's form, without their prefixes."""
    text = _tail(path, 16 * LOG_BYTES_MAX)
    lines = [line.split(" ", 3)[3] for line in text.splitlines() if line.count(" ") >= 3]
    return "\n".join(lines[-LOG_LINES_MAX:])[-LOG_BYTES_MAX:]
