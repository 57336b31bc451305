"""The run loop of a service process: asyncio, SIGTERM and SIGINT as an event, errors as one line."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable

# gRPC and fork do not mix; services start other programs by exec only, which needs none of gRPC's fork handlers.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class StartError(Exception):
    """The service cannot start; the message is one line for the person who started it."""


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main(stop)` until it returns; `stop` is set by SIGTERM or SIGINT.

    A `StartError`, and other errors that name what is wrong with the surroundings, end the process with exit code 1
    and one line on standard error.
    """
    from steersman.service.server import BindError
    from steersman.service.tls import TLSFileError

    async def supervise() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        # What was imported lives as long as the process: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        await main(stop)

    try:
        asyncio.run(supervise())
    except (StartError, BindError, TLSFileError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
