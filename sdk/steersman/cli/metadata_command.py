"""`steer label` and `steer annotate`: one command about the two maps of an object's metadata."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from steersman.cli import edits, output, session
from steersman.cli.command import Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.guarded import changed
from steersman.cli.results import Results, Trouble, note
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api


class Map(NamedTuple):
    """One of the maps.

    Attributes:
        verb: the command, "label".
        field: the map's name, "labels".
        one: what one of its entries is called.
        done: what is said of an object that was changed.
        help: what the command is for.
        examples: its examples.
    """

    verb: str
    field: str
    one: str
    done: str
    help: str
    examples: str


def build(about: Map) -> click.Command:
    """The command about a map."""

    @click.command(cls=Command, name=about.verb, help=about.help, epilog=about.examples)
    @click.argument("words", nargs=-1, metavar="KIND NAME... KEY=VALUE... KEY-...")
    @choice_options(all_namespaces=True)
    @session.namespace_option
    @click.option("--overwrite/--no-overwrite", default=False, help=f"Change {about.field} that have another value.")
    @click.option("--list", "listing", is_flag=True, help=f"Show the {about.field}.")
    @click.option("--resource-version", default="", metavar="VERSION", help="Only if the object is at this version.")
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
        everything: bool,
        all_namespaces: bool,
        overwrite: bool,
        listing: bool,
        resource_version: str,
        manager: str,
        dry_run: str,
        fmt: str | None,
    ) -> None:
        things, changes = edits.split(words)
        choice = Choice(things, filenames, recursive, selector, field_selector, everything, all_namespaces)

        async def work(api: Api) -> int:
            edit = edits.map_edit(changes, labels=about.field == "labels")
            if not changes and not listing:
                raise CommandError(f"{about.verb} with what? KEY=VALUE, or KEY- to remove", USAGE)
            targets = await chosen(api, choice, about.verb)
            if resource_version and len(targets) > 1:
                raise CommandError("--resource-version is for one object", USAGE)
            results, trouble = Results(fmt, dry_run), Trouble()

            async def one(target: Target) -> None:
                seen: dict[str, Any] = {}

                def decide(obj: Any) -> dict[str, Any]:
                    present = seen["before"] = dict(getattr(obj.metadata, about.field))
                    taken = edit.taken(present)
                    if taken and not overwrite:
                        key, value = min(taken.items())
                        raise CommandError(
                            f"{target}: the {about.one} {key!r} is {value!r} already; --overwrite changes it"
                        )
                    patch = edit.patch(present)
                    return {"metadata": {about.field: patch}} if patch else {}

                obj, was_changed = await changed(
                    api, target, decide, manager=manager, dry_run=dry_run, version=resource_version
                )
                for key in edit.missing(seen["before"]):
                    note(f"{target}: there is no {about.one} {key!r} to remove")
                if changes:
                    results.show(obj, _said(about, edit, was_changed))
                if listing:
                    _list(obj, about, head=len(targets) > 1)

            for target in targets:
                with trouble.told():
                    await one(target)
            results.close()
            return trouble.code

        raise SystemExit(session.run(ctx, namespace, work))

    return command


def _said(about: Map, edit: edits.MapEdit, was_changed: bool) -> str:
    if not was_changed:
        return f"not {about.done}"
    return f"un{about.done}" if about.verb == "label" and not edit.put else about.done


def _list(obj: Any, about: Map, *, head: bool) -> None:
    entries = dict(getattr(obj.metadata, about.field))
    if head:
        output.write(f"{output.full_name(obj)}:")
    for key in sorted(entries):
        output.write(f"{'  ' if head else ''}{key}={entries[key]}")
