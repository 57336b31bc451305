"""`steer lint`."""

from __future__ import annotations

import sys

import click

from steersman.cli import colour, output, session
from steersman.cli.command import Command
from steersman.cli.failures import FAILED, USAGE, CommandError

EPILOG = """\b
Examples:
  steer lint -f web.yaml
  steer lint -f manifests/ -R --strict
  helm template . | steer lint -f -
  steer lint -f web.yaml --pod-security restricted
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[FILE]...")
@session.file_options
@session.namespace_option
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option("--pod-security", type=click.Choice(["baseline", "restricted"]), help="Also what this level forbids.")
@click.option("-o", "--output", "fmt", type=click.Choice(["json", "yaml"]), help="For programs.")
def command(
    names: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    strict: bool,
    pod_security: str | None,
    fmt: str | None,
) -> None:
    """Check manifests by the server's rules, without a server; says file and line of everything that is wrong."""
    from steersman.cli import linting
    from steersman.manifests import files

    sources = (*filenames, *names)
    if not sources:
        raise CommandError("which manifests? -f FILE", USAGE)
    remarks: list[linting.Remark] = []
    manifests: list[files.Manifest] = []
    for source in sources:
        # One file that is no manifest hides nothing of the others.
        try:
            manifests += files.read([source], recursive=recursive)
        except files.ManifestError as error:
            remarks += [linting.Remark(linting.ERROR, place, what) for place, what in error.problems]
    remarks += linting.look_through(manifests, namespace or "default", pod_security or "")
    remarks.sort(key=lambda each: (each.place.source, each.place.line) if each.place is not None else ("", 0))
    errors = [each for each in remarks if strict or each.level == linting.ERROR]
    if fmt is not None:
        data = [
            {
                "level": each.level,
                "file": each.place.source if each.place else "",
                "line": each.place.line if each.place else 0,
                "text": each.text,
            }
            for each in remarks
        ]
        output.write(output.document(data, fmt))
    else:
        in_colour = colour.enabled(sys.stdout)
        for each in remarks:
            text = output.printable(str(each))
            output.write(colour.painted(text, "red" if each in errors else "yellow") if in_colour else text)
    if not errors:
        if fmt is None:
            count = f"{len(manifests)} object{'s' if len(manifests) != 1 else ''}"
            click.echo(f"{count}: nothing wrong" if not remarks else f"{count}: nothing that is refused", err=True)
        return
    raise SystemExit(FAILED)
