"""What a person is told when something goes wrong: one clear line or a few, and an exit code; never a traceback.

Exit codes: 1 the request was refused or failed; 2 the command line makes no sense; 3 the cluster cannot be reached;
4 there is no such object; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steersman import errors

FAILED, USAGE, UNREACHABLE, NOT_FOUND, INTERRUPTED = 1, 2, 3, 4, 130


class CommandError(Exception):
    """A command cannot go on; the message is for the person who called it."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def say(message: str) -> None:
    """Writes an error to standard error."""
    print(f"error: {message}", file=sys.stderr)


def explain(error: errors.ApiError) -> tuple[str, int]:
    """The words and the exit code for a refused call."""
    from steersman import errors

    if isinstance(error, errors.Unavailable) and error.reason not in ("NODE_UNREACHABLE", "STORAGE_UNAVAILABLE"):
        return f"the apiserver cannot be reached: {_reason(error.message)}", UNREACHABLE
    if isinstance(error, errors.DeadlineExceeded):
        return "the apiserver did not answer in time; the request may or may not have been carried out", UNREACHABLE
    if isinstance(error, errors.NotFound):
        return error.message, NOT_FOUND
    if isinstance(error, errors.Invalid) and len(error.violations) > 1:
        head = error.message.partition(":")[0]
        return "\n".join([f"{head}:", *(f"  {violation}" for violation in error.violations)]), FAILED
    return error.message, FAILED


def _reason(details: str) -> str:
    """The part of gRPC's account of a failed connection that says why."""
    last = details.rpartition("last error: ")[2]
    for mark in ("UNAVAILABLE: ", "UNKNOWN: "):
        last = last.removeprefix(mark)
    return last[:200]


@contextmanager
def told() -> Iterator[None]:
    """Ends the process with a clear line and its exit code when an expected error comes out of the block."""
    import click

    from steersman.config import ConfigError
    from steersman.errors import ApiError
    from steersman.kinds import UnknownKindError
    from steersman.manifests.files import ManifestError
    from steersman.service.tls import TLSFileError

    try:
        yield
    except ApiError as error:
        message, code = explain(error)
        say(message)
        raise SystemExit(code) from None
    except ManifestError as error:
        for place, what in error.problems:
            say(f"{place}: {what}" if place else what)
        raise SystemExit(FAILED) from None
    except CommandError as error:
        say(str(error))
        raise SystemExit(error.code) from None
    except (ConfigError, TLSFileError) as error:
        say(str(error))
        raise SystemExit(UNREACHABLE) from None
    except UnknownKindError as error:
        say(f"{error}; kinds are: {_kinds()}")
        raise SystemExit(USAGE) from None
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(INTERRUPTED) from None


def _kinds() -> str:
    from steersman import kinds

    return ", ".join(kind.plural for kind in kinds.every())
