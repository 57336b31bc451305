"""`steer scale`."""

from __future__ import annotations

import click

from steersman.cli import output, session
from steersman.cli.failures import CommandError
from steersman.client import Api

EPILOG = """\b
Examples:
  steer scale deploy/web --replicas 5
  steer scale deployment web --replicas 0
"""


@click.command(epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME")
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="Wanted number.")
@session.namespace_option
@click.pass_context
def command(ctx: click.Context, what: tuple[str, ...], replicas: int, namespace: str | None) -> None:
    """Set how many replicas an object asks for."""

    async def work(api: Api) -> None:
        from steersman import errors

        target = session.one(what)
        try:
            scaled = await api.resource(target.kind).scale(target.name or "", replicas, namespace=api.namespace)
        except errors.Unsupported:
            raise CommandError(f"{target.kind.plural} have no replicas") from None
        output.write(f"{output.full_name(scaled)} scaled")

    session.run(ctx, namespace, work)
