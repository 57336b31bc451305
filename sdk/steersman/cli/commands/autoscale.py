"""`steer autoscale`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import message, policies
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api

EPILOG = """\b
Examples:
  steer autoscale deploy/web --min 2 --max 10 --cpu 70%
  steer autoscale deploy/web --max 5 --memory 500Mi --name web-memory
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@choice_options(everything=False)
@session.namespace_option
@click.option("--min", "least", type=click.IntRange(0), metavar="N", help="At least so many; 1 without.")
@click.option("--max", "most", type=int, required=True, metavar="N", help="At most so many.")
@click.option("--cpu", default="", metavar="N%|AMOUNT", help="So busy: 70% of what is asked for, or 500m each.")
@click.option("--cpu-percent", type=click.IntRange(1), metavar="N", help="As --cpu N%.")
@click.option("--memory", default="", metavar="N%|AMOUNT", help="So full: 80% of what is asked for, or 500Mi each.")
@click.option("--name", default="", metavar="NAME", help="Of the autoscaler; the object's without.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    field_selector: str,
    least: int | None,
    most: int,
    cpu: str,
    cpu_percent: int | None,
    memory: str,
    name: str,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Make an autoscaler, which keeps the number of replicas between bounds as the load wants it."""
    if cpu and cpu_percent is not None:
        raise CommandError("--cpu or --cpu-percent, not both", USAGE)
    share = f"{cpu_percent}%" if cpu_percent is not None else cpu

    async def work(api: Api) -> int:
        targets = await chosen(api, Choice(words, filenames, recursive, selector, field_selector), "autoscale")
        if name and len(targets) > 1:
            raise CommandError("--name is for one object", USAGE)
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in targets:
            with trouble.told():
                made = await autoscaler(api, target)
                if dry_run != "client":
                    client = api.resource(type(made))
                    made = await client.create(made, field_manager=manager, dry_run=dry_run == "server")
                results.show(made, "autoscaled")
        results.close()
        return trouble.code

    async def autoscaler(api: Api, target: Target) -> Any:
        from steersman import errors
        from steersman.manifests import codec

        try:
            await api.resource(target.kind).get_scale(target.name, namespace=target.namespace)
        except errors.Unsupported:
            raise CommandError(f"{target.kind.plural} have no replicas") from None
        data = codec.encode_object(await target.again(api))
        made = message(policies.autoscaler(name or target.name, data, least=least, most=most, cpu=share, memory=memory))
        made.metadata.namespace = target.namespace
        return made

    raise SystemExit(session.run(ctx, namespace, work))
