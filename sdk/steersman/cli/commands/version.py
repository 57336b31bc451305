"""`steer version`."""

from __future__ import annotations

import click

import steersman


@click.command(epilog="\b\nExamples:\n  steer version")
def command() -> None:
    """Show the version."""
    click.echo(f"steersman {steersman.__version__}")
