"""`steer exec`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty as terminal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import click

from steersman.cli import session
from steersman.cli.commands.logs import pod_of
from steersman.client import Api
from steersman.core.v1.pod_pb2 import PodExecRequest, PodExecStart, TerminalSize

EPILOG = """\b
Examples:
  steer exec web-6n-x2x -- ls -l /www
  steer exec -it deploy/web -- sh
  echo hello | steer exec -i web-6n-x2x -- cat
"""
PIECE = 32 * 1024


@click.command(epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container, where there are several.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@session.namespace_option
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    words: tuple[str, ...],
    container: str,
    stdin: bool,
    tty: bool,
    namespace: str | None,
) -> None:
    """Run a command in a container; ends with the command's exit code."""
    tty = tty and sys.stdin.isatty()

    async def work(api: Api) -> int:
        start = PodExecStart(
            namespace=api.namespace,
            name=await pod_of(api, what),
            container=container,
            command=words,
            stdin=stdin,
            tty=tty,
        )
        with _raw_terminal(enabled=tty):
            return await _converse(api, start)

    raise SystemExit(session.run(ctx, namespace, work))


async def _converse(api: Api, start: PodExecStart) -> int:
    requests: asyncio.Queue[PodExecRequest | None] = asyncio.Queue()
    requests.put_nowait(PodExecRequest(start=start))
    loop = asyncio.get_running_loop()

    def send_size() -> None:
        columns, rows = shutil.get_terminal_size()
        requests.put_nowait(PodExecRequest(resize=TerminalSize(width=columns, height=rows)))

    if start.tty:
        send_size()
        loop.add_signal_handler(signal.SIGWINCH, send_size)
    reader = asyncio.create_task(_read_stdin(requests)) if start.stdin else None

    async def sent() -> AsyncIterator[PodExecRequest]:
        while (request := await requests.get()) is not None:
            yield request

    code = 0
    try:
        async for answer in api.pods.exec(sent()):
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


async def _read_stdin(requests: asyncio.Queue[PodExecRequest | None]) -> None:
    """Passes standard input on as it comes."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptor = sys.stdin.fileno()
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
            piece = os.read(descriptor, PIECE)
            if not piece:
                requests.put_nowait(PodExecRequest(stdin_eof=True))
                return
            requests.put_nowait(PodExecRequest(stdin=piece))
            await asyncio.sleep(0)
    finally:
        if polled:
            loop.remove_reader(descriptor)


@contextmanager
def _raw_terminal(*, enabled: bool) -> Iterator[None]:
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
