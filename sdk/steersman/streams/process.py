"""A program in a container: its input, what it writes, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from steersman.streams.duplex import Duplex

# A message of at most so many bytes; a longer piece of input is sent as several.
PIECE = 256 * 1024


@dataclass(frozen=True)
class Output:
    """A piece of what a program writes.

    Attributes:
        data: the bytes.
        stderr: whether they went to standard error rather than to standard output.
    """

    data: bytes
    stderr: bool = False


@dataclass(frozen=True)
class Completed:
    """A command that has ended.

    Attributes:
        exit_code: its exit code; None where none is told, as of a program that was only attached to.
        stdout: all that it wrote to standard output.
        stderr: all that it wrote to standard error.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes


class Process:
    """Use it as an asynchronous context manager; iterate over it for what the program writes.

    Leaving the block before the program has ended gives the stream up. What is written waits while the program
    does not read, and what the program writes waits while nobody iterates.
    """

    def __init__(self, duplex: Duplex) -> None:
        """A program that is not started yet, at the other end of a call."""
        self._duplex = duplex
        self.exit_code: int | None = None
        """The program's exit code, once the iteration has ended."""

    async def __aenter__(self) -> Self:
        await self._duplex.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._duplex.close()

    async def write(self, data: bytes) -> None:
        """Sends a piece of standard input; returns when it is on its way.

        Raises:
            ApiError: the stream failed.
            BrokenPipeError: the program has ended, or its input has.
        """
        for begin in range(0, len(data), PIECE):
            await self._duplex.send(self._duplex.request(stdin=data[begin : begin + PIECE]))

    async def write_eof(self) -> None:
        """Ends standard input. Idempotent while the program runs."""
        await self._duplex.send(self._duplex.request(stdin_eof=True))

    async def resize(self, width: int, height: int) -> None:
        """Tells the program's terminal a new size, in characters."""
        request = self._duplex.request()
        request.resize.width, request.resize.height = width, height
        await self._duplex.send(request)

    async def __aiter__(self) -> AsyncIterator[Output]:
        while (answer := await self._duplex.read()) is not None:
            match answer.WhichOneof("message"):
                case "stdout":
                    yield Output(answer.stdout)
                case "stderr":
                    yield Output(answer.stderr, stderr=True)
                case "exit_code":
                    self.exit_code = answer.exit_code

    async def wait(self) -> int | None:
        """Waits for the program's end, whatever it writes meanwhile; returns its exit code."""
        async for _ in self:
            pass
        return self.exit_code

    async def communicate(self, input: bytes = b"") -> Completed:
        """Sends an input, if the program has one, and collects what it writes until it ends."""
        feeding = asyncio.create_task(self._feed(input)) if self._duplex.start.start.stdin else None
        stdout, stderr = bytearray(), bytearray()
        try:
            async for piece in self:
                (stderr if piece.stderr else stdout).extend(piece.data)
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        return Completed(self.exit_code, bytes(stdout), bytes(stderr))

    async def _feed(self, input: bytes) -> None:
        await self.write(input)
        await self.write_eof()
