"""`steer explain`."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator

import click

from steersman import kinds
from steersman.cli import colour, fields, output
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.fields import Field

EPILOG = """\b
Examples:
  steer explain pod
  steer explain pod.spec.containers
  steer explain deploy.spec.strategy --recursive
  steer explain hpa --api-version autoscaling/v2
"""
WIDTH_MAX = 110


@click.command(cls=Command, epilog=EPILOG)
@click.argument("path", metavar="KIND[.FIELD]...")
@click.option("--recursive", is_flag=True, help="Only names and types, of all fields below.")
@click.option("--api-version", default="", metavar="VERSION", help="Of the kind: apps/v1.")
@click.option("-o", "--output", "fmt", type=click.Choice(["plaintext"]), help="The only form there is.", hidden=True)
def command(path: str, recursive: bool, api_version: str, fmt: str | None) -> None:
    """Say what a kind is, which fields it has, and what they mean; asks no server."""
    kind, names = _kind_and_path(path, api_version)
    try:
        found = fields.follow(kind, names)
    except fields.NoSuchFieldError as error:
        raise CommandError(str(error), USAGE) from error
    output.write("\n".join(_page(kind, names, found, recursive)))


def _kind_and_path(text: str, api_version: str) -> tuple[kinds.Kind, list[str]]:
    """The kind, and the way to a field; a kind may be written with its group: "deployments.apps.spec"."""
    # An index, as in paths of other commands, says nothing of what a field means.
    parts = [part for part in re.sub(r"\[[^\]]*\]", "", text).replace("/", ".").split(".") if part]
    if not parts:
        raise CommandError("explain what? for example pod.spec", USAGE)
    for taken in range(len(parts), 1, -1):
        # The longest beginning that is a kind with its group.
        try:
            return kinds.by_name(".".join(parts[:taken])), parts[taken:]
        except kinds.UnknownKindError:
            continue
    kind = kinds.by_name(parts[0])
    if api_version and kind.api_version != api_version:
        try:
            kind = kinds.by_api(api_version, kind.kind)
        except kinds.UnknownKindError:
            raise CommandError(f"{kind.kind} is served as {kind.api_version}, not as {api_version}", USAGE) from None
    return kind, parts[1:]


def _page(kind: kinds.Kind, names: list[str], found: Field, recursive: bool) -> Iterator[str]:
    bold = colour.enabled(sys.stdout)

    def title(text: str) -> str:
        return colour.painted(text, "bold") if bold else text

    yield f"{title('KIND:')}       {kind.kind}"
    yield f"{title('VERSION:')}    {kind.api_version}"
    if names:
        yield f"\n{title('FIELD:')} {'.'.join(names)} <{found.type}>"
    yield f"\n{title('DESCRIPTION:')}"
    yield from _wrapped(found.text or "(nothing is said of it)", 4)
    if found.message is None:
        return
    if names:
        inside = fields.about(found.message)
        if inside and inside != found.text:
            yield from _wrapped(inside, 4)
    known = fields.all_of(kind) if not names else list(fields.fields_of(found.message))
    yield f"\n{title('FIELDS:')}"
    if recursive:
        yield from _tree(known, 1, [found.message.full_name])
        return
    for field in known:
        yield f"  {title(field.name)}\t<{field.type}>"
        yield from _wrapped(field.text or "(nothing is said of it)", 4)
        yield ""


def _tree(known: list[Field], depth: int, above: list[str]) -> Iterator[str]:
    """Names and types of fields and of all below; a message within itself is named and not opened again."""
    for field in known:
        yield f"{'  ' * depth}{field.name}\t<{field.type}>"
        if field.message is not None and field.message.full_name not in above:
            inner = list(fields.fields_of(field.message))
            yield from _tree(inner, depth + 1, [*above, field.message.full_name])


def _wrapped(text: str, indent: int) -> Iterator[str]:
    width = min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 24)).columns) - 1
    for paragraph in text.split("\n"):
        yield from textwrap.wrap(
            paragraph,
            max(20, width),
            initial_indent=" " * indent,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
