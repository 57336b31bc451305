"""`steer diff`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import Command, manager_option
from steersman.cli.differing import shown, unified
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.results import Trouble
from steersman.cli.targets import Target, of_files
from steersman.client import Api

EPILOG = """\b
Examples:
  steer diff -f web.yaml
  steer diff -f manifests/ -R && echo "nothing would change"
  STEER_DIFF="diff -u --color=always" steer diff -f web.yaml      with a program of your own

\b
Ends with 0 when nothing differs, 1 when something does, more when something went wrong.
"""
# The program that compares two folders, with its flags.
PROGRAM = "STEER_DIFF"
DIFFERS, WRONG = 1, 2


@click.command(cls=Command, epilog=EPILOG)
@session.file_options
@session.namespace_option
@click.option("-l", "--selector", default="", metavar="QUERY", help="Only objects of the manifests that match.")
@click.option("--server-side/--no-server-side", default=True, hidden=True)
@click.option("--force-conflicts", is_flag=True, help="As if fields that others applied were taken over.")
@manager_option
@click.pass_context
def command(
    ctx: click.Context,
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    server_side: bool,
    force_conflicts: bool,
    manager: str,
) -> None:
    """Show what applying manifests would change, with all of the server's rules and defaults."""
    if not filenames:
        raise CommandError("compare with what? -f FILE", USAGE)

    async def work(api: Api) -> tuple[list[tuple[str, str, str]], int]:
        from steersman import selectors

        states, trouble = [], Trouble()
        query = selectors.parse(selector)
        for target in of_files(api, filenames, recursive=recursive):
            if query.matches(target.manifest.metadata.labels):
                with trouble.told():
                    states.append((_name(target), *await compare(api, target)))
        return states, trouble.code

    async def compare(api: Api, target: Target) -> tuple[str, str]:
        from steersman import errors
        from steersman.manifests import codec

        live: Any = None
        with suppress(errors.NotFound):
            live = codec.encode_object(await target.again(api))
        wanted = await api.resource(target.kind).apply(
            target.manifest, field_manager=manager, force=force_conflicts, dry_run=True
        )
        return shown(live, codec.encode_object(wanted))

    states, failed = session.run(ctx, namespace, work)
    differing = [state for state in states if state[1] != state[2]]
    code = _with_program(os.environ[PROGRAM], differing) if os.environ.get(PROGRAM) else _by_ourselves(differing)
    raise SystemExit(max(WRONG, failed) if failed else code)


def _name(target: Target) -> str:
    """What a state is called, as the name of a file."""
    kind = target.kind
    parts = (kind.group, kind.version, kind.kind, target.namespace, target.name)
    return ".".join(part for part in parts if part).replace("/", "_").replace(":", "_")


def _by_ourselves(states: list[tuple[str, str, str]]) -> int:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for name, before, after in states:
        for line in unified(name, before, after, colour=colour):
            click.echo(line, color=colour)
    return DIFFERS if states else 0


def _with_program(program: str, states: list[tuple[str, str, str]]) -> int:
    """Lets a program compare two folders of files; its exit code is ours."""
    with tempfile.TemporaryDirectory(prefix="LIVE-") as live, tempfile.TemporaryDirectory(prefix="MERGED-") as wanted:
        for name, before, after in states:
            if before:
                Path(live, name).write_text(before)
            Path(wanted, name).write_text(after)
        sys.stdout.flush()
        try:
            return subprocess.run([*shlex.split(program), live, wanted], check=False).returncode
        except (OSError, ValueError) as error:
            raise CommandError(f"{PROGRAM}={program!r} cannot be run: {error}", WRONG) from error
