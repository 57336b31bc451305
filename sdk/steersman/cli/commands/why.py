"""`steer why`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import colour, output, session
from steersman.cli.command import Command

if TYPE_CHECKING:
    from steersman.cli.why.facts import Answer
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer why pod/web-6n-x2x        why is it pending, restarting, unready, still there?
  steer why deploy/web            what is wrong with its pods?
  steer why service/web           who answers it, and why nobody?
  steer why node/n2
  steer why pvc/data
  steer why pod/huge --scheduler 10.0.0.1:10259      with the scheduler's own words on every node
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME...")
@session.namespace_option
@click.option(
    "--scheduler",
    envvar="STEER_SCHEDULER",
    metavar="HOST:PORT",
    help="Ask the scheduler, there (default: as the context says).",
)
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), help="For programs.")
@click.pass_context
def command(
    ctx: click.Context, what: tuple[str, ...], namespace: str | None, scheduler: str | None, fmt: str | None
) -> None:
    """Say why objects are the way they are, and what can be done about it."""

    async def work(api: Api) -> None:
        from steersman.cli.why.answers import answer
        from steersman.cli.why.gather import gather

        named = session.named(what)
        if any(item.name is None for item in named):
            named = [session.one(what)]
        answers = []
        address = scheduler or session.context_of(ctx, namespace).scheduler
        channel = _channel(ctx, namespace, address) if address else None
        try:
            for item in named:
                obj: Any = await api.resource(item.kind).get(item.name or "", namespace=api.namespace)
                facts = await gather(api, item.kind, obj, datetime.now(UTC), channel)
                answers.append(answer(item.kind.kind, facts))
        finally:
            if channel is not None:
                await channel.close()
        if fmt is not None:
            data = [each.as_data() for each in answers]
            output.write(output.document(data[0] if len(data) == 1 else data, fmt))
        else:
            output.write("\n\n".join("\n".join(lines(each, in_colour=colour.enabled(sys.stdout))) for each in answers))

    session.run(ctx, namespace, work)


def _channel(ctx: click.Context, namespace: str | None, address: str) -> Any:
    """A channel to the scheduler, as the context's user."""
    from dataclasses import replace

    from steersman.client import open_channel

    context = session.context_of(ctx, namespace)
    return open_channel(replace(context, server=address, server_name="scheduler"))


def lines(answer: Answer, *, in_colour: bool) -> list[str]:
    """An answer as a person reads it. Pure."""

    def paint(text: str, name: str) -> str:
        return colour.painted(text, name) if in_colour else text

    found = [paint(output.printable(answer.headline), "green" if answer.good else "yellow")]
    for finding in answer.findings:
        mark = paint("-", "green") if finding.good else paint("!", "red")
        found.append(f"  {mark} {output.printable(finding.text)}")
        found += [f"      {output.printable(detail)}" for detail in finding.details]
    advice = list(dict.fromkeys(each for finding in answer.findings if not finding.good for each in finding.advice))
    if advice:
        found.append("What to do:")
        found += [f"  {paint(output.printable(each), 'cyan')}" for each in advice]
    return found
