"""Commands in containers with streams, over the runtime's streaming server (remote command protocol, version 4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from nodeagent.cri.spdy import SpdyConnection

PROTOCOL = "v4.channel.k8s.io"
# A command whose end the runtime does not report ended like this.
EXIT_UNKNOWN = 255


@dataclass(frozen=True)
class Output:
    """Bytes that the command wrote."""

    data: bytes
    stderr: bool


@dataclass(frozen=True)
class Exit:
    """How the command ended."""

    code: int
    message: str = ""


class ExecSession:
    """One running command. Use as an async context manager; leaving it cuts the streams.

    Entering raises `OSError` when the streaming server cannot be reached or refuses.
    """

    def __init__(self, url: str, *, stdin: bool, tty: bool) -> None:
        """Makes it.

        Args:
            url: from CRI's Exec.
            stdin: whether Exec was asked for standard input.
            tty: whether Exec was asked for a terminal; there is no standard error then.
        """
        self._url = url
        self._kinds = ["error", *(["stdin"] if stdin else []), "stdout", "resize" if tty else "stderr"]
        self._streams: dict[str, int] = {}
        self._connection: SpdyConnection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await SpdyConnection.upgrade(self._url, {"X-Stream-Protocol-Version": PROTOCOL})
        try:
            for kind in self._kinds:
                self._streams[kind] = await self._connection.open_stream({"streamType": kind})
        except BaseException:
            await self._connection.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _send(self, kind: str, data: bytes, *, last: bool = False) -> None:
        if self._connection is not None and kind in self._streams:
            await self._connection.send(self._streams[kind], data, last=last)

    async def write(self, data: bytes) -> None:
        """Sends bytes to the command's standard input; without one they are dropped."""
        await self._send("stdin", data)

    async def end_input(self) -> None:
        """Ends the command's standard input; its output goes on."""
        await self._send("stdin", b"", last=True)

    async def resize(self, width: int, height: int) -> None:
        """Tells a command with a terminal how large the terminal is."""
        await self._send("resize", json.dumps({"Width": width, "Height": height}).encode())

    async def output(self) -> AsyncIterator[Output | Exit]:
        """Yields what the command writes, and at last how it ended."""
        assert self._connection is not None
        kinds = {stream: kind for kind, stream in self._streams.items()}
        open_ends = {kind for kind in self._kinds if kind in ("error", "stdout", "stderr")}
        status = b""
        async for piece in self._connection.received():
            kind = kinds.get(piece.stream, "")
            if kind == "error":
                status += piece.data
            elif kind in ("stdout", "stderr") and piece.data:
                yield Output(piece.data, kind == "stderr")
            if piece.last:
                open_ends.discard(kind)
            if not open_ends:
                break
        yield parse_status(status)


def parse_status(data: bytes) -> Exit:
    """How a command ended, from the JSON status that the runtime sends."""
    try:
        status = json.loads(data)
    except ValueError:
        return Exit(EXIT_UNKNOWN, data.decode(errors="replace") or "the runtime does not say how the command ended")
    if status.get("status") == "Success":
        return Exit(0)
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return Exit(int(cause["message"]), status.get("message", ""))
    return Exit(EXIT_UNKNOWN, status.get("message", ""))
