"""Every command that changes something explains itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import click
import pytest
from steersman.cli.main import COMMANDS

NAMES = [
    *("annotate", "apply", "autoscale", "cordon", "cp", "create", "debug", "delete", "diff", "drain", "edit", "expose"),
    *("label", "patch", "replace", "rollout", "run", "scale", "taint", "top", "uncordon"),
]


def every() -> Iterator[tuple[str, click.Command]]:
    def below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from below(f"{path} {name}", inner)

    for name in NAMES:
        yield from below(name, importlib.import_module(f"steersman.cli.commands.{COMMANDS[name][0]}").command)


@pytest.mark.parametrize(("path", "command"), list(every()), ids=lambda each: each if isinstance(each, str) else "")
def test_help_says_what_it_is_for_with_examples(path: str, command: click.Command) -> None:
    text = command.get_help(click.Context(command, info_name=f"steer {path}"))
    assert command.help, path
    assert "Examples:" in text, path
    # Examples are of this very command.
    assert f"steer {path.split()[0]}" in text, path
    undescribed = [
        param.name
        for param in command.params
        if isinstance(param, click.Option) and not param.help and not param.hidden and param.name != "help"
    ]
    assert not undescribed, path
