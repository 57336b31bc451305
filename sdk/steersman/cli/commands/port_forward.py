"""`steer port-forward`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import session
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError, explain, say
from steersman.cli.nearest import meant

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer port-forward web-6n-x2x 8080          127.0.0.1:8080 is the pod's port 8080
  steer port-forward deploy/web 9000:http     127.0.0.1:9000 is the port that a container calls http
  steer port-forward svc/web 8080:80          127.0.0.1:8080 is where the service's port 80 goes
  steer port-forward deploy/web :8080         any free local port
  steer port-forward pod/db 5432 --address 0.0.0.0
"""


def ports(text: str) -> tuple[int | None, str]:
    """The local port and the other side's that "8080", "9000:http" or ":8080" mean; None: the same as the other's.

    Raises:
        CommandError: they are no ports.
    """
    local, separator, remote = text.rpartition(":")
    wrong = CommandError(f"{text!r} is not PORT or LOCAL:PORT", USAGE)
    if local and not (local.isdecimal() and int(local) < 65536):
        raise wrong
    if remote.isdecimal() and not 0 < int(remote) < 65536:
        raise wrong
    if not remote or not all(char.isalnum() or char == "-" for char in remote):
        raise wrong
    return (int(local or "0") if separator else None), remote


def port_of(pod: Any, service: Any, wanted: str) -> int:
    """The pod's port that is meant by a number or a name, of the service where there is one.

    Raises:
        CommandError: there is no such port.
    """
    if service is not None:
        known = {word: each for each in service.spec.ports for word in (str(each.port), each.name) if word}
        if wanted not in known:
            there = ", ".join(str(each.port) for each in service.spec.ports)
            raise CommandError(f"service/{service.metadata.name} has no port {wanted}; it has: {there}")
        target = known[wanted].target_port
        wanted = target.str_val if target.type == 1 else str(target.int_val or known[wanted].port)
    if wanted.isdecimal():
        return int(wanted)
    names = {each.name: each.container_port for c in pod.spec.containers for each in c.ports if each.name}
    if wanted not in names:
        hint = meant(wanted, names) or (f"; it has: {', '.join(names)}" if names else "")
        raise CommandError(f"pod/{pod.metadata.name} names no port {wanted!r}{hint}")
    return int(names[wanted])


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", metavar="POD | KIND/NAME")
@click.argument("forwards", nargs=-1, required=True, metavar="[LOCAL:]PORT...")
@click.option("--address", default="127.0.0.1", show_default=True, metavar="IP,...", help="Where to listen.")
@session.namespace_option
@click.pass_context
def command(ctx: click.Context, what: str, forwards: tuple[str, ...], address: str, namespace: str | None) -> None:
    """Connect local ports to a pod's, until interrupted."""
    pairs = [ports(text) for text in forwards]
    addresses = ["127.0.0.1" if each.strip() == "localhost" else each.strip() for each in address.split(",")]

    async def work(api: Api) -> None:
        from steersman.cli import choosing

        pod = await choosing.pod_of(api, what)
        service = None
        _, slash, name = what.partition("/")
        if slash and session.one([what]).kind.kind == "Service":
            service = await api.services.get(name, namespace=api.namespace)
        if pod.status.phase in ("Succeeded", "Failed"):
            raise CommandError(f"pod/{pod.metadata.name} has ended ({pod.status.phase})")
        async with AsyncExitStack() as stack:
            for local, remote in pairs:
                port = port_of(pod, service, remote)
                # The service's own number is the one that a person expects here, and not where it goes.
                same = int(remote) if remote.isdecimal() else port
                for where in addresses:
                    bound = await _listen(api, stack, pod, port, where, same if local is None else local)
                    shown = f"[{where}]" if ":" in where else where
                    click.echo(f"Forwarding from {shown}:{bound} -> {port}")
            await asyncio.Event().wait()

    session.run(ctx, namespace, work)


async def _listen(api: Api, stack: AsyncExitStack, pod: Any, port: int, address: str, local: int) -> int:
    """Listens at a local port until the stack is closed; returns which one it is."""
    from steersman import errors

    name = pod.metadata.name

    def failed(error: errors.ApiError) -> None:
        say(f"connection to port {port} of {name}: {explain(error)[0]}")

    forward = api.pods.forward(name, port, namespace=api.namespace, local_port=local, address=address, on_error=failed)
    try:
        return int(await stack.enter_async_context(forward))
    except OSError as error:
        raise CommandError(f"cannot listen on {address}:{local}: {error.strerror or error}") from error
