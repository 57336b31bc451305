"""Running programs: one place that starts them, feeds them and says what went wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence


class CommandError(Exception):
    """A program failed.

    Attributes:
        program: its name.
        code: its exit code; 127 when it is not installed.
        stderr: what it said.
    """

    def __init__(self, program: str, code: int, stderr: str) -> None:
        super().__init__(f"{program} failed ({code}): {stderr.strip() or 'it said nothing'}")
        self.program = program
        self.code = code
        self.stderr = stderr


async def run(
    arguments: Sequence[str], *, text: str = "", environment: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> str:
    """Runs a program with `text` as its input and returns what it printed.

    Raises:
        CommandError: it is not installed, failed, or did not end in time (it is killed then).
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except OSError as error:
        raise CommandError(arguments[0], 127, error.strerror or str(error)) from error
    try:
        async with asyncio.timeout(timeout_s):
            output, complaint = await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandError(arguments[0], -9, f"not done after {timeout_s:g} s") from None
    if process.returncode:
        raise CommandError(arguments[0], process.returncode, complaint.decode(errors="replace"))
    return output.decode(errors="replace")
