"""What a person is told when something goes wrong: one clear line or a few, and an exit code; never a traceback.

Exit codes: 1 the request was refused or failed; 2 the command line makes no sense; 3 the cluster cannot be reached;
4 there is no such object; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from steersman import errors

FAILED, USAGE, UNREACHABLE, NOT_FOUND, INTERRUPTED = 1, 2, 3, 4, 130


class CommandError(Exception):
    """A command cannot go on; the message is for the person who called it."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def say(message: str) -> None:
    """Writes an error to standard error."""
    # Where nobody can read it, it need not be said; without standard error Python has None there.
    with suppress(OSError):
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


# What OpenSSL says of servers that are none, in words.
_TLS = {
    "WRONG_VERSION_NUMBER": "what is there does not speak TLS",
    "RECORD_LAYER_FAILURE": "what is there does not speak TLS",
    "UNEXPECTED_EOF": "it hung up in the middle of the greeting",
}


def _reason(details: str) -> str:
    """The part of gRPC's account of a failed connection that says why."""
    last = details.rpartition("last error: ")[2]
    for mark in ("UNAVAILABLE: ", "UNKNOWN: "):
        last = last.removeprefix(mark)
    for mark, words in _TLS.items():
        if mark in last:
            return f"{last.partition('[SSL')[0]}{words}"
    return last[:200]


@contextmanager
def told() -> Iterator[None]:
    """Ends the process with a clear line and its exit code when anything goes wrong in the block."""
    try:
        yield
    except (SystemExit, GeneratorExit):
        raise
    except BrokenPipeError:
        # The reader of a pipe has seen enough.
        _give_up_output()
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BaseException as error:
        if _was_interrupted(error):
            # It may have hit an import, and then nothing more can be imported to say anything with.
            raise SystemExit(INTERRUPTED) from None
        if "STEER_TRACEBACK" in os.environ:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            # Somebody wants to know what there is.
            print(error, file=sys.stderr)
            raise SystemExit(USAGE) from None
        lines, code = account(error)
        for line in lines:
            say(line)
        raise SystemExit(code) from None


def _was_interrupted(error: BaseException) -> bool:
    """Whether a KeyboardInterrupt is at the bottom of it, whatever became of that on its way."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, KeyboardInterrupt) or type(current).__name__ == "Abort":
            return True
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return False


def account(error: BaseException) -> tuple[list[str], int]:
    """What to say of whatever went wrong, and the exit code."""
    # Only now, when something has gone wrong: a command that succeeds needs none of these.
    import click

    from steersman.config import ConfigError
    from steersman.errors import ApiError
    from steersman.kinds import UnknownKindError
    from steersman.manifests.files import ManifestError
    from steersman.selectors import SelectorError
    from steersman.service.tls import TLSFileError

    if isinstance(error, ApiError):
        message, code = explain(error)
        return [message], code
    if isinstance(error, ManifestError):
        return [f"{place}: {what}" if place else what for place, what in error.problems], FAILED
    if isinstance(error, CommandError):
        return [str(error)], error.code
    if isinstance(error, (ConfigError, TLSFileError)):
        return [" ".join(str(error).split())], UNREACHABLE
    if isinstance(error, UnknownKindError):
        return [unknown_kind(error.name)], USAGE
    if isinstance(error, SelectorError):
        return [str(error)], USAGE
    if isinstance(error, click.ClickException):
        return [_wrong_words(error)], USAGE
    if type(error).__module__.startswith("google.") and type(error).__name__ == "DecodeError":
        return ["the server's answer makes no sense: is it of another version, or no apiserver at all?"], UNREACHABLE
    if isinstance(error, TimeoutError):
        return [str(error) or "no answer came in time"], UNREACHABLE
    if isinstance(error, OSError):
        import errno

        if error.errno in (errno.ENOSPC, errno.EIO) and not error.filename:
            _give_up_output()
            return [f"cannot write: {error.strerror}"], FAILED
        where = f"{error.filename}: " if error.filename else ""
        return [f"{where}{error.strerror or error}"], FAILED
    if isinstance(error, BaseExceptionGroup):
        return account(error.exceptions[0])
    if isinstance(error, (MemoryError, RecursionError)):
        return [f"this is too much for steer: {type(error).__name__}"], FAILED
    return [f"steer itself is wrong here: {type(error).__name__}: {error} (STEER_TRACEBACK=1 shows where)"], FAILED


def unknown_kind(name: str) -> str:
    """What to say of a kind that there is not."""
    from steersman import kinds
    from steersman.cli.nearest import meant

    known = [word for kind in kinds.every() for word in (kind.plural, kind.singular, kind.qualified_plural)]
    return f"unknown kind {name!r}{meant(name, known) or '; steer api-resources shows all'}"


def _wrong_words(error: click.ClickException) -> str:
    """What is wrong with the words, in one line, and where to read on."""
    import click

    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None and context.parent is not None:
        return f"{message} (see {context.command_path} --help)"
    return message


def _give_up_output() -> None:
    """Nothing more can be written; what is still to be is thrown away, quietly."""
    # Standard output may be no file, and then there is nothing to be done about it.
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
