"""`steer patch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from steersman.cli import patching, session
from steersman.cli.command import Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.guarded import seen_from_here
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, choice_options, chosen
from steersman.client import Api
from steersman.meta.v1.requests_pb2 import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE

EPILOG = """\b
Examples:
  steer patch deploy web -p '{"spec":{"replicas":4}}'
  steer patch deploy web -p 'spec: {template: {spec: {containers: [{name: web, image: "shop/web:2"}]}}}'
  steer patch cm site --type merge -p '{"data":{"color":null}}'
  steer patch deploy web --type json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'
  steer patch deploy web --subresource scale --type merge -p '{"spec":{"replicas":2}}'
"""
TYPES = {"strategic": STRATEGIC_MERGE, "merge": MERGE_PATCH, "json": JSON_PATCH}


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@choice_options(everything=False)
@session.namespace_option
@click.option("-p", "--patch", "text", metavar="PATCH", help="The patch, YAML or JSON.")
@click.option("--patch-file", metavar="FILE", help="A file with the patch; -: standard input.")
@click.option(
    "--type",
    "patch_type",
    type=click.Choice(list(TYPES)),
    default="strategic",
    show_default=True,
    help="Its language: lists merge by key, lists are replaced (RFC 7386), or operations (RFC 6902).",
)
@click.option("--subresource", type=click.Choice(["status", "scale"]), help="Change this part of it instead.")
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
    text: str | None,
    patch_file: str | None,
    patch_type: str,
    subresource: str | None,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Change a part of objects."""
    if (text is None) == (patch_file is None):
        raise CommandError("which patch? -p PATCH or --patch-file FILE", USAGE)
    document = parse(_read(patch_file) if patch_file is not None else text or "", patch_type)
    if dry_run == "client" and patch_type != "merge":
        raise CommandError(f"--dry-run=client cannot apply a {patch_type} patch; --dry-run=server can", USAGE)
    choice = Choice(words, filenames, recursive, selector, field_selector)

    async def work(api: Api) -> int:
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in await chosen(api, choice, "patch"):
            with trouble.told():
                before = await target.again(api)
                after = await patched(api, target, before)
                same = after == before or (
                    dry_run == "none" and after.metadata.resource_version == before.metadata.resource_version
                )
                results.show(after, "patched (no change)" if same else "patched")
        results.close()
        return trouble.code

    async def patched(api: Api, target: Target, before: Any) -> Any:
        if dry_run == "client":
            return seen_from_here(before, document)
        if subresource == "scale":
            return await rescaled(api, target)
        return await api.resource(target.kind).patch(
            target.name,
            json.dumps(document).encode(),
            namespace=target.namespace,
            type=TYPES[patch_type],
            subresource=subresource or "",
            field_manager=manager,
            dry_run=dry_run == "server",
        )

    async def rescaled(api: Api, target: Target) -> Any:
        from steersman.manifests import codec

        if patch_type == "json":
            raise CommandError("a scale takes --type merge or strategic", USAGE)
        client = api.resource(target.kind)
        scale = await client.get_scale(target.name, namespace=target.namespace)
        try:
            wanted = codec.decode(type(scale), patching.merged(codec.encode(scale), document))
        except codec.DecodeError as error:
            raise CommandError(f"the patch does not fit a scale: {error}") from error
        await client.update_scale(wanted, field_manager=manager, dry_run=dry_run == "server")
        return await target.again(api)

    raise SystemExit(session.run(ctx, namespace, work))


def _read(path: str) -> str:
    import sys

    try:
        return (sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()).decode()
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error


def parse(text: str, patch_type: str) -> Any:
    """A patch as plain data. Pure.

    Raises:
        CommandError: it is neither YAML nor JSON, or not of the language's form.
    """
    from steersman.manifests.text import SyntaxProblem, documents

    try:
        found = [document.data for document in documents(text)]
    except SyntaxProblem as error:
        raise CommandError(f"the patch is neither JSON nor YAML: {error}", USAGE) from error
    wanted: type[Any] = list if patch_type == "json" else dict
    if len(found) != 1 or not isinstance(found[0], wanted):
        form = "a list of operations" if wanted is list else "a mapping"
        raise CommandError(f"a patch of type {patch_type} is {form}", USAGE)
    return found[0]
