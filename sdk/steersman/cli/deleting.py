"""What commands that delete have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# kubectl takes true and false too, from the time when there was no third.
POLICIES = {
    "background": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
    "true": "Background",
    "false": "Orphan",
}


def cascade_option(command: F) -> F:
    """`--cascade[=background|foreground|orphan]`."""
    return click.option(
        "--cascade",
        type=click.Choice(list(POLICIES)),
        default="background",
        show_default=True,
        metavar="[background|foreground|orphan]",
        help="What belongs to it goes afterwards, before it, or stays.",
    )(command)
