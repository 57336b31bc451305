"""What commands share: options, the connection, and naming objects on the command line."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from steersman import kinds
from steersman.cli.failures import UNREACHABLE, USAGE, CommandError, explain, told

if TYPE_CHECKING:
    from steersman import errors
    from steersman.client import Api
    from steersman.config import Context

SHOW_REQUESTS = 6
FOR_EVER_S = 30 * 86400.0
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def namespace_option(command: F) -> F:
    """`-n/--namespace`."""
    return click.option("-n", "--namespace", metavar="NAME", help="Namespace (default: the context's).")(command)


def all_namespaces_option(command: F) -> F:
    """`-A/--all-namespaces`."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")(command)


def selector_options(command: F) -> F:
    """`-l/--selector` and `--field-selector`."""
    command = click.option("--field-selector", default="", metavar="QUERY", help="As in spec.nodeName=n1.")(command)
    return click.option("-l", "--selector", default="", metavar="QUERY", help="As in app=web,tier!=cache.")(command)


def file_options(command: F) -> F:
    """`-f/--filename` and `-R/--recursive`."""
    command = click.option("-R", "--recursive", is_flag=True, help="Folders with all folders below them.")(command)
    return click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        metavar="FILE",
        help="Manifest: a file, a folder, a pattern, or - for standard input; may be given several times.",
    )(command)


def seconds(text: str) -> float:
    """A span of time such as "90", "5m", "1h30m" in seconds.

    Raises:
        CommandError: it is none.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = list(_SPAN.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise CommandError(f"{text!r} is not a span of time such as 90s, 5m or 1h30m", USAGE)
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


class Asked(NamedTuple):
    """What the flags say that every command takes."""

    config: Path | None
    context: str | None
    timeout_s: float | None
    verbosity: int
    impersonation: tuple[tuple[str, str], ...]


def asked(ctx: click.Context) -> Asked:
    """The flags that every command takes, wherever they stood.

    Raises:
        CommandError: they make no sense.
    """
    options = ctx.find_root().obj or {}
    user, groups, uid = options.get("as_user"), options.get("as_groups") or (), options.get("as_uid")
    if (groups or uid) and not user:
        raise CommandError("--as-group and --as-uid go with --as", USAGE)
    pairs = [("impersonate-user", user)] if user else []
    pairs += [("impersonate-group", group) for group in groups]
    pairs += [("impersonate-uid", uid)] if uid else []
    span = options.get("request_timeout")
    return Asked(
        config=Path(options["config"]) if options.get("config") else None,
        context=options.get("context"),
        timeout_s=seconds(span) if span is not None else None,
        verbosity=options.get("verbosity") or 0,
        impersonation=tuple(pairs),
    )


def context_of(ctx: click.Context, namespace: str | None) -> Context:
    """The context of the configuration that the flags choose.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    from steersman import config

    flags = asked(ctx)
    return config.with_namespace(config.load(flags.config, flags.context), namespace)


def run(ctx: click.Context, namespace: str | None, work: Callable[[Api], Awaitable[T]]) -> T:
    """Connects as the options say, does the work, and turns expected errors into a clear line."""
    from steersman import errors

    async def main() -> T:
        flags = asked(ctx)
        context = context_of(ctx, namespace)
        async with _opened(context, flags) as api:
            try:
                return await work(api)
            except (errors.Unauthenticated, errors.Unavailable) as error:
                raise _away(error, context) from error

    with told():
        return asyncio.run(main())


def _opened(context: Context, flags: Asked) -> Api:
    from steersman.client import connect_to, print_warning

    api = connect_to(context, on_warning=print_warning)
    # A person wants to know at once that the apiserver is away.
    api.patient = False
    if flags.impersonation:
        api.metadata = (*api.metadata, *flags.impersonation)
    unary: Any = api.unary

    async def told_of(method: Any, request: Any, *, idempotent: bool = False, **options: Any) -> Any:
        if flags.timeout_s is not None:
            # 0 is for ever, as far as anything is.
            options["timeout_s"] = flags.timeout_s or FOR_EVER_S
        begun = time.monotonic()
        outcome = "OK"
        try:
            return await unary(method, request, idempotent=idempotent, **options)
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            if flags.verbosity >= SHOW_REQUESTS:
                took = f"{(time.monotonic() - begun) * 1000:.1f} ms"
                name = type(request).DESCRIPTOR.name
                print(f"{getattr(method, 'path', name)}: {outcome} in {took}", file=sys.stderr)
                if flags.verbosity > SHOW_REQUESTS:
                    print("  " + " ".join(str(request).split()), file=sys.stderr)

    if flags.timeout_s is not None or flags.verbosity >= SHOW_REQUESTS:
        setattr(api, "unary", told_of)  # noqa: B010 (a method, for mypy)
    return api


def _away(error: errors.ApiError, context: Context) -> CommandError:
    """The error for an apiserver that is away, or that does not know us: with what can be seen of it from here."""
    from datetime import UTC, datetime

    from steersman.cli.credentials import doubt

    message, code = explain(error)
    why = doubt(context, datetime.now(UTC))
    if code == UNREACHABLE:
        where = f" (context {context.name!r})" if context.name else ""
        return CommandError(f"{message}{where}" + (f"; {why}" if "expired" in why or "not valid" in why else ""), code)
    return CommandError(f"{message}; {why}" if why else message, code)


class Named(NamedTuple):
    """A kind, and the name of one of its objects; None for all of them."""

    kind: kinds.Kind
    name: str | None


def named(words: Sequence[str]) -> list[Named]:
    """What `pods`, `pods,services`, `pod web`, `pod/web deploy/web` mean.

    Raises:
        CommandError: the words make no sense together.
        UnknownKindError: there is no such kind.
    """
    if not words:
        raise CommandError("which kind? for example: pods, deploy/web", USAGE)
    if any("/" in word for word in words):
        found: list[Named] = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name:
                raise CommandError(f"{word!r} is not KIND/NAME, as the others are", USAGE)
            found.append(Named(kinds.by_name(kind), name))
        return found
    chosen = _kinds_of(words[0])
    if len(words) == 1:
        return [Named(kind, None) for kind in chosen]
    return [Named(kind, name) for kind in chosen for name in words[1:]]


def _kinds_of(word: str) -> list[kinds.Kind]:
    if word == "all":
        return [kind for kind in kinds.every() if "all" in kind.categories]
    return [kinds.by_name(part) for part in word.split(",")]


def one(words: Sequence[str]) -> Named:
    """The one object that words name.

    Raises:
        CommandError: they name none, or several.
    """
    found = named(words)
    if len(found) != 1 or found[0].name is None:
        raise CommandError("name one object: KIND/NAME or KIND NAME", USAGE)
    return found[0]
