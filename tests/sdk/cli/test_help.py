"""`--help` of everything: what it is for, its flags, and examples that work."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from steersman.cli.main import COMMANDS

from tests.sdk.cli.conftest import Cluster


def every() -> Iterator[tuple[str, click.Command]]:
    """All commands and all that are below them, by the words that call them."""
    left: list[tuple[str, click.Command]] = []
    for name, (module, _) in COMMANDS.items():
        left.append((name, importlib.import_module(f"steersman.cli.commands.{module}").command))
    while left:
        name, command = left.pop()
        yield name, command
        if isinstance(command, click.Group):
            left += [(f"{name} {inner}", each) for inner, each in command.commands.items()]


ALL = sorted(every())


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_help_says_what_for_and_shows_examples(cluster: Cluster, name: str, command: click.Command) -> None:
    text = cluster.steer(*name.split(), "--help")
    assert text.startswith(f"Usage: steer {name}")
    assert command.help
    if not isinstance(command, click.Group):
        assert "Examples:\n  " in text
        assert text.endswith("Flags of every command: steer --help\n")
        for option in (param for param in command.params if isinstance(param, click.Option) and not param.hidden):
            assert option.help, f"{name}: nothing is said of {option.opts}"


def test_the_table_of_commands(cluster: Cluster) -> None:
    text = cluster.steer("--help")
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", text, re.M)
    assert list(COMMANDS) == sorted(COMMANDS)


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_examples_have_flags_that_there_are(name: str, command: click.Command) -> None:
    for line in (command.epilog or "").splitlines():
        look_at(line)


def test_the_page_has_flags_that_there_are() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "cli" / "reading.md").read_text()
    blocks = page.split("```")[1::2]
    lines = [
        line.removeprefix("$") for block in blocks for line in block.splitlines() if line.startswith(("$", "steer"))
    ]
    assert len(lines) > 5
    for line in lines:
        look_at(f"  {line}")


def look_at(line: str) -> None:
    """Every flag of a line that calls `steer` is one of the command's."""
    from steersman.cli.group import _give_global_options
    from steersman.cli.main import OTHERS

    commands = dict(ALL)
    example = re.match(r"\s+(?:.*\| |source <\()?steer (.+?)(?:   .*)?$", line)
    if example is None:
        return
    words = [word for word in shlex.split(example[1].rstrip(")"), comments=True) if word not in (">", "|")]
    beginnings = [" ".join(words[:count]) for count in (3, 2, 1)]
    called = next((each for each in beginnings if each in commands), words[0])
    assert called in commands or called in OTHERS, line
    if called not in commands:
        return
    _give_global_options(commands[called], None)
    known = {opt for param in commands[called].params for opt in (*param.opts, *param.secondary_opts)}
    for word in words[1 : words.index("--") if "--" in words else None]:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{line}: {word}"
