"""Closing nodes for new pods and opening them again."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import Command, dry_run_option, manager_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.guarded import changed
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Target
from steersman.client import Api


async def nodes(api: Api, words: tuple[str, ...], selector: str, verb: str) -> list[Target]:
    """The nodes that words (`n1 node/n2`) or a selector name.

    Raises:
        CommandError: none, or something else than nodes.
    """
    from steersman import kinds

    node = kinds.by_name("node")
    if bool(words) == bool(selector):
        raise CommandError(f"{verb} which node? NAME..., or -l QUERY", USAGE)
    if selector:
        found = await api.nodes.list(label_selector=selector)
        return [Target(node, each.metadata.name, "", found=each) for each in found]
    targets = []
    for word in words:
        kind, slash, name = word.partition("/")
        if slash and kinds.by_name(kind) is not node:
            raise CommandError(f"{word} is no node", USAGE)
        targets.append(Target(node, name if slash else word, ""))
    return targets


async def set_closed(api: Api, target: Target, *, closed: bool, manager: str, dry_run: str, results: Results) -> None:
    """Closes or opens a node, and says so.

    Raises:
        NotFound: there is no such node.
    """

    def decide(node: Any) -> dict[str, Any]:
        return {} if node.spec.unschedulable == closed else {"spec": {"unschedulable": closed or None}}

    obj, was_changed = await changed(api, target, decide, manager=manager, dry_run=dry_run)
    done = "cordoned" if closed else "uncordoned"
    results.show(obj, done if was_changed else f"already {done}")


def build(verb: str, text: str, examples: str, *, closed: bool) -> click.Command:
    """The command that closes or opens nodes."""

    @click.command(cls=Command, name=verb, help=text, epilog=examples)
    @click.argument("words", nargs=-1, metavar="NODE...")
    @click.option("-l", "--selector", default="", metavar="QUERY", help="All nodes that match.")
    @manager_option
    @dry_run_option
    @click.pass_context
    def command(ctx: click.Context, words: tuple[str, ...], selector: str, manager: str, dry_run: str) -> None:
        async def work(api: Api) -> int:
            trouble, results = Trouble(), Results(None, dry_run)
            for target in await nodes(api, words, selector, verb):
                with trouble.told():
                    await set_closed(api, target, closed=closed, manager=manager, dry_run=dry_run, results=results)
            return trouble.code

        raise SystemExit(session.run(ctx, None, work))

    return command
