"""Running other programs and saying clearly when one fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class ProgramFailed(Exception):
    """A program ended badly.

    Attributes:
        command: what was run.
        output: what it said.
    """

    def __init__(self, command: Sequence[str], output: str) -> None:
        super().__init__(f"{' '.join(command)}: {output.strip() or 'failed without a word'}")
        self.command = command
        self.output = output


def run(*command: str | Path, timeout_s: float = 60.0, stdin: str | None = None) -> str:
    """Runs a program to its end and returns what it printed.

    Raises:
        ProgramFailed: it is missing, ended badly, or took longer than `timeout_s` seconds.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise ProgramFailed(words, f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(words, f"did not end within {timeout_s:g} s") from error
    if done.returncode != 0:
        raise ProgramFailed(words, done.stderr or done.stdout)
    return done.stdout
