"""`steer edit`."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click

from steersman.cli import editing, patching, session
from steersman.cli.command import Command, manager_option
from steersman.cli.failures import FAILED, CommandError, account
from steersman.cli.results import Results, Trouble, note
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api
from steersman.meta.v1.requests_pb2 import MERGE_PATCH, STRICT

EPILOG = """\b
Examples:
  steer edit deploy/web
  steer edit cm site -o json
  STEER_EDITOR="code --wait" steer edit svc/web

\b
The editor is $STEER_EDITOR, $VISUAL, $EDITOR, or vi.
"""
EDITORS = ("STEER_EDITOR", "VISUAL", "EDITOR")
ATTEMPTS = 10


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@choice_options(everything=False)
@session.namespace_option
@click.option("--subresource", type=click.Choice(["status"]), help="Change this part of it instead.")
@click.option("--output-patch", is_flag=True, help="Also show what was changed, as a merge patch.")
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), default="yaml", help="Edit it so.")
@manager_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    selector: str,
    field_selector: str,
    subresource: str | None,
    output_patch: bool,
    fmt: str,
    manager: str,
) -> None:
    """Change objects in an editor, one after another.

    What others change meanwhile in other places stays; where both changed the same, the editor opens again.
    """
    choice = Choice(words, filenames, recursive, selector, field_selector)

    async def work(api: Api) -> int:
        trouble = Trouble()
        for target in await chosen(api, choice, "edit"):
            with trouble.told():
                await Session(api, target, fmt, manager, subresource or "", show_patch=output_patch).run()
        return trouble.code

    raise SystemExit(session.run(ctx, namespace, work))


class Session:
    """The editing of one object, to its end."""

    def __init__(self, api: Api, target: Target, fmt: str, manager: str, subresource: str, *, show_patch: bool) -> None:
        self._api = api
        self._target = target
        self._fmt = fmt
        self._manager = manager
        self._subresource = subresource
        self._show_patch = show_patch

    async def run(self) -> None:
        """Opens the editor until what comes out of it is stored, or given up.

        Raises:
            CommandError: it was given up with something wrong in it; says where the text is kept.
            NotFound: there is no such object, or no longer.
        """
        from steersman import errors
        from steersman.manifests.files import ManifestError

        original, version = await self._read()
        text = editing.text_of(original, self._fmt)
        problems: list[str] = []
        while True:
            # In a thread, so that the connection stays alive however long it takes.
            edited = await asyncio.to_thread(open_editor, editing.annotated(text, problems), self._fmt)
            body = editing.without_notes(edited)
            if problems and body == text:
                self._give_up(text, problems)
            text = body
            try:
                wanted = editing.read(body, original)
                patch = patching.between(original, wanted) if wanted is not None else {}
                if not patch:
                    note(f"{self._target}: cancelled, nothing changed")
                    return
                if self._show_patch:
                    click.echo(f"Patch: {json.dumps(patch)}")
                await self._store(patch, original, version)
                return
            except _Overwrites as error:
                original, version = await self._read()
                problems = [f"{self._target} was changed by somebody else meanwhile: {error}"]
            except (ManifestError, CommandError, errors.Invalid, errors.Forbidden, errors.FailedPrecondition) as error:
                problems = account(error)[0]

    async def _read(self) -> tuple[dict[str, Any], str]:
        from steersman.cli import output

        obj = await self._target.again(self._api)
        return output.tidy(obj), obj.metadata.resource_version

    async def _store(self, patch: dict[str, Any], original: dict[str, Any], version: str) -> None:
        """Writes what was changed on top of what others changed elsewhere.

        Raises:
            _Overwrites: others changed the same.
        """
        from steersman import errors

        patch = json.loads(json.dumps(patch))
        patch.get("metadata", {}).pop("resourceVersion", None)
        for attempt in range(ATTEMPTS):
            body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version}}
            try:
                written = await self._api.resource(self._target.kind).patch(
                    self._target.name,
                    json.dumps(body).encode(),
                    namespace=self._target.namespace,
                    type=MERGE_PATCH,
                    subresource=self._subresource,
                    field_manager=self._manager,
                    field_validation=STRICT,
                )
            except errors.Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
                current, version = await self._read()
                both = patching.overwritten(patch, original, current)
                if both:
                    raise _Overwrites(", ".join(".".join(path) for path in both)) from None
                continue
            Results().show(written, "edited")
            return

    def _give_up(self, text: str, problems: list[str]) -> None:
        with tempfile.NamedTemporaryFile(
            "w", prefix="steer-edit-", suffix=f".{self._fmt}", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        raise CommandError(f"{problems[0]}\nnothing is stored; what you wrote is kept in {file.name}", FAILED)


class _Overwrites(Exception):
    """What is to be written was changed by somebody else meanwhile."""


def open_editor(text: str, fmt: str) -> str:
    """Lets a person change a text; returns it as saved.

    Raises:
        CommandError: the editor cannot be started, or ends with an error.
    """
    editor = next((os.environ[name] for name in EDITORS if os.environ.get(name)), "vi")
    with tempfile.TemporaryDirectory(prefix="steer-edit-") as folder:
        path = Path(folder, f"object.{fmt}")
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            raise CommandError(f"the editor {editor!r} cannot be started: {error}; $STEER_EDITOR names one") from error
        if done.returncode != 0:
            raise CommandError(f"the editor {editor!r} ended with {done.returncode}; nothing is changed")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CommandError(f"what was saved is not UTF-8 text (byte {error.start})") from error
