"""Keeps container logs from filling the disk: a log that is too large is moved aside, and the oldest ones go."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import structlog
from steersman.clock import Clock

from nodeagent.config import AgentConfig
from nodeagent.cri.runtime import PodIdentity, Runtime
from nodeagent.errors import RuntimeFailedError
from nodeagent.folders import Folders
from nodeagent.pod.state import Life, PodRuntime

log = structlog.get_logger(__name__)


def rotated_name(path: Path, now: datetime) -> Path:
    """Where a log is moved to; later ones sort after earlier ones."""
    return path.with_name(f"{path.name}.{now:%Y%m%d-%H%M%S}.{now.microsecond:06d}")


def surplus(path: Path, keep: int) -> list[Path]:
    """Moved logs beyond the newest `keep - 1`; the present log counts as one."""
    moved = sorted(path.parent.glob(f"{path.name}.*"), reverse=True)
    return moved[max(0, keep - 1) :]


class LogRotation:
    """Rotates the logs of running containers."""

    def __init__(self, runtime: Runtime, folders: Folders, config: AgentConfig, clock: Clock) -> None:
        self._runtime = runtime
        self._folders = folders
        self._config = config
        self._clock = clock

    async def rotate(self, identity: PodIdentity, runtime: PodRuntime) -> None:
        """Rotates logs of one pod's running containers that are too large."""
        for record in runtime.containers:
            if record.life is not Life.RUNNING:
                continue
            path = self._folders.log(identity.namespace, identity.name, identity.uid, record.name, record.attempt)
            try:
                size = (await asyncio.to_thread(path.stat)).st_size
            except FileNotFoundError:
                continue
            if size > self._config.log_bytes_max:
                await self._move(path, record.id)

    async def _move(self, path: Path, container_id: str) -> None:
        aside = rotated_name(path, self._clock.now())

        def move() -> None:
            path.rename(aside)
            for old in surplus(path, self._config.log_files_max):
                old.unlink(missing_ok=True)

        await asyncio.to_thread(move)
        try:
            await self._runtime.reopen_log(container_id)
        except RuntimeFailedError as error:
            # The runtime still writes to the moved file; put it back rather than lose what comes.
            log.warning("log not rotated", path=str(path), error=error.message)
            await asyncio.to_thread(_put_back, aside, path)


def _put_back(aside: Path, path: Path) -> None:
    if not path.exists():
        aside.rename(path)
