"""`steer port-forward`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import click

from steersman.cli import session
from steersman.cli.commands.logs import pod_of
from steersman.cli.failures import USAGE, CommandError, explain, say
from steersman.client import Api

EPILOG = """\b
Examples:
  steer port-forward web-6n-x2x 8080          127.0.0.1:8080 is the pod's port 8080
  steer port-forward deploy/web 9000:8080     127.0.0.1:9000 is the pod's port 8080
  steer port-forward deploy/web :8080         any free local port
"""
PIECE = 64 * 1024


def ports(text: str) -> tuple[int, int]:
    """The local and the pod's port that "8080", "9000:8080" or ":8080" mean.

    Raises:
        CommandError: they are no ports.
    """
    local, separator, remote = text.rpartition(":")
    if not separator:
        local = remote
    numbers = (local or "0", remote)
    if not all(number.isdigit() and int(number) < 65536 for number in numbers) or int(remote) == 0:
        raise CommandError(f"{text!r} is not PORT or LOCAL:PORT", USAGE)
    return int(numbers[0]), int(remote)


@click.command(epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.argument("forwards", nargs=-1, required=True, metavar="[LOCAL:]PORT...")
@click.option("--address", default="127.0.0.1", show_default=True, metavar="IP", help="Where to listen.")
@session.namespace_option
@click.pass_context
def command(ctx: click.Context, what: str, forwards: tuple[str, ...], address: str, namespace: str | None) -> None:
    """Connect local ports to a pod's, until interrupted."""

    async def work(api: Api) -> None:
        pairs = [ports(text) for text in forwards]
        pod = await pod_of(api, what)
        await api.pods.get(pod, namespace=api.namespace)
        servers = []
        for local, remote in pairs:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: int = remote) -> None:
                await _relay(api, pod, remote, reader, writer)

            try:
                server = await asyncio.start_server(serve, address, local)
            except OSError as error:
                raise CommandError(f"cannot listen on {address}:{local}: {error.strerror}") from error
            servers.append(server)
            bound = server.sockets[0].getsockname()[1]
            click.echo(f"Forwarding from {address}:{bound} -> {remote}")
        await asyncio.gather(*(server.serve_forever() for server in servers))

    session.run(ctx, namespace, work)


async def _relay(api: Api, pod: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    from steersman.core.v1.pod_pb2 import PodPortForwardRequest, PodPortForwardStart
    from steersman.errors import ApiError

    async def sent() -> AsyncIterator[PodPortForwardRequest]:
        yield PodPortForwardRequest(start=PodPortForwardStart(namespace=api.namespace, name=pod, port=port))
        while piece := await reader.read(PIECE):
            yield PodPortForwardRequest(data=piece)
        yield PodPortForwardRequest(eof=True)

    try:
        async for answer in api.pods.port_forward(sent()):
            writer.write(answer.data)
            await writer.drain()
    except ApiError as error:
        say(f"connection to port {port} of {pod}: {explain(error)[0]}")
    except ConnectionError:
        # The local side has gone; so may the other.
        pass
    finally:
        writer.close()
