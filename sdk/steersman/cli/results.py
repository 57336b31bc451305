"""What a command that changes something says of each object, and of what went wrong with some of several."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from steersman.cli import output
from steersman.cli.failures import CommandError, explain, say

_RUNS = {"none": "", "client": " (dry run)", "server": " (server dry run)"}


def note(text: str) -> None:
    """Writes to standard error what is no error, and yet to be known."""
    print(text, file=sys.stderr)


class Results:
    """Says what came of each object, in the form that was asked for.

    Objects in YAML or JSON are kept until `close`, so that several are one readable text.
    """

    def __init__(self, fmt: str | None = None, dry_run: str = "none") -> None:
        self._fmt = fmt
        self._suffix = _RUNS[dry_run]
        self._objects: list[Any] = []

    def show(self, obj: Any, verb: str) -> None:
        """Says what was done to an object: "deployment.apps/web scaled"."""
        if self._fmt in ("yaml", "json"):
            self._objects.append(obj)
        elif self._fmt == "name":
            output.write(output.full_name(obj))
        else:
            output.write(f"{output.full_name(obj)} {verb}{self._suffix}")

    def close(self) -> None:
        """Writes what was kept."""
        if self._objects:
            output.write(output.documents(self._objects, self._fmt or "", as_list=len(self._objects) > 1))
            self._objects = []


class Trouble:
    """Goes on with the next object when one fails; the exit code remembers.

    Attributes:
        code: 0, or the exit code of the first failure.
    """

    def __init__(self) -> None:
        self.code = 0

    @contextmanager
    def told(self) -> Iterator[None]:
        """Says what an expected error in the block is, and swallows it; an apiserver that is away ends all."""
        from steersman import errors

        try:
            yield
        except (errors.Unavailable, errors.DeadlineExceeded, errors.Unauthenticated):
            raise
        except errors.ApiError as error:
            message, code = explain(error)
            say(message)
            self.code = self.code or code
        except CommandError as error:
            say(str(error))
            self.code = self.code or error.code
