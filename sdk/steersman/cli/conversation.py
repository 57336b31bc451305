"""A terminal's conversation with a program in a container: what is typed goes there, what it writes comes here."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty as terminal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from steersman.core.v1.pod_pb2 import TerminalSize

PIECE = 32 * 1024


async def converse(
    stream: Callable[[AsyncIterator[Any]], AsyncIterator[Any]],
    request: type[Any],
    start: Any,
    *,
    stdin: bool,
    tty: bool,
) -> int:
    """Holds a conversation to its end; returns the program's exit code, 0 where the answers carry none.

    Args:
        stream: the rpc: requests in, answers out.
        request: class of the requests, which carry `start`, `stdin`, `stdin_eof` or `resize`.
        start: the beginning.
        stdin: whether to send standard input.
        tty: whether the program has a terminal: then its size is sent, and each change of it.
    """
    requests: asyncio.Queue[Any] = asyncio.Queue()
    requests.put_nowait(request(start=start))

    def send_size() -> None:
        columns, rows = shutil.get_terminal_size()
        requests.put_nowait(request(resize=TerminalSize(width=columns, height=rows)))

    if tty:
        send_size()
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, send_size)
    reader = asyncio.create_task(_read_stdin(requests, request)) if stdin else None

    async def sent() -> AsyncIterator[Any]:
        while (each := await requests.get()) is not None:
            yield each

    code = 0
    try:
        async for answer in stream(sent()):
            match answer.WhichOneof("message"):
                case "stdout":
                    sys.stdout.buffer.write(answer.stdout)
                    sys.stdout.buffer.flush()
                case "stderr":
                    sys.stderr.buffer.write(answer.stderr)
                    sys.stderr.buffer.flush()
                case "exit_code":
                    code = answer.exit_code
    finally:
        requests.put_nowait(None)
        if reader is not None:
            reader.cancel()
    return code


async def _read_stdin(requests: asyncio.Queue[Any], request: type[Any]) -> None:
    """Passes standard input on as it comes."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):
        # Somebody closed it: there is nothing to be read.
        requests.put_nowait(request(stdin_eof=True))
        return
    try:
        loop.add_reader(descriptor, ready.set)
        polled = True
    except PermissionError:
        # A regular file cannot be waited for; it is always ready.
        polled = False
    try:
        while True:
            if polled:
                await ready.wait()
                ready.clear()
            try:
                piece = os.read(descriptor, PIECE)
            except OSError:
                # A terminal that went away, say.
                piece = b""
            if not piece:
                requests.put_nowait(request(stdin_eof=True))
                return
            requests.put_nowait(request(stdin=piece))
            await asyncio.sleep(0)
    finally:
        if polled:
            loop.remove_reader(descriptor)


@contextmanager
def raw_terminal(*, enabled: bool) -> Iterator[None]:
    """The terminal passes every key on while the block runs, and is as before afterwards."""
    if not enabled:
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    terminal.setraw(descriptor)
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
