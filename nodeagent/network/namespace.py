"""Connecting from inside a pod's network namespace."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading

CLONE_NEWNET = 0x40000000
CONNECT_TIMEOUT_S = 10.0


def _connect_inside(namespace: str, port: int) -> socket.socket:
    """Runs in a thread of its own, whose network namespace it changes."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), namespace)
    finally:
        os.close(descriptor)
    return _connect_here(port)


def _connect_here(port: int) -> socket.socket:
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_TIMEOUT_S)
    except OSError:
        # A program may listen on IPv6 only.
        connection = socket.create_connection(("::1", port), timeout=CONNECT_TIMEOUT_S)
    connection.setblocking(False)
    return connection


async def connect(namespace: str | None, port: int) -> socket.socket:
    """A connection to a port of the pod's loopback address; a None namespace is the node's own.

    A socket belongs to the namespace it was made in for ever, so it can be used from any thread afterwards.

    Raises:
        OSError: the namespace is gone, or nobody listens.
    """
    if namespace is None:
        return await asyncio.to_thread(_connect_here, port)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[socket.socket] = loop.create_future()

    def settle(connection: socket.socket | None, error: OSError | None) -> None:
        if done.cancelled():
            if connection is not None:
                connection.close()
        elif connection is not None:
            done.set_result(connection)
        elif error is not None:
            done.set_exception(error)

    def work() -> None:
        try:
            connection = _connect_inside(namespace, port)
        except OSError as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, connection, None)

    threading.Thread(target=work, name="connect-in-pod", daemon=True).start()
    return await done
