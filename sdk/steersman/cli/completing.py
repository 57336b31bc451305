"""What a shell offers after the tab key: kinds, names of objects, namespaces, containers, contexts, fields.

Whatever goes wrong, nothing is offered and nothing is said: a prompt is no place for errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from steersman.client import Api

T = TypeVar("T")
# A person who presses tab does not wait longer.
PATIENCE_S = 2.0
# Commands whose first word is a pod unless it says otherwise.
POD_FIRST = frozenset({"logs", "exec", "attach", "port-forward", "cp", "debug"})
NODES_ONLY = frozenset({"cordon", "uncordon", "drain"})


def install(command: click.Command, name: str) -> None:
    """Lets the words and flags of a command of this name be completed."""
    for param in command.params:
        if isinstance(param, click.Argument):
            if name == "explain":
                _set(param, fields)
            elif "context" in name and param.name in ("name", "old"):
                _set(param, contexts)
            elif param.name in ("what", "kind", "target") or name in POD_FIRST | NODES_ONLY:
                _set(param, words)
        elif param.name in _BY_OPTION:
            _set(param, _BY_OPTION[param.name])


def _set(param: click.Parameter, complete: Callable[..., Any]) -> None:
    param._custom_shell_complete = complete


def _flags(ctx: click.Context) -> dict[str, Any]:
    """The flags that every command takes, wherever they stand on the line so far."""
    found: dict[str, Any] = {}
    here: click.Context | None = ctx
    while here is not None:
        found = {**{key: value for key, value in here.params.items() if value is not None}, **found}
        here = here.parent
    return {**(ctx.find_root().obj or {}), **found}


def _ask(ctx: click.Context, work: Callable[[Api], Awaitable[list[T]]]) -> list[T]:
    async def talk() -> list[T]:
        from pathlib import Path

        from steersman import config
        from steersman.client import connect_to

        flags = _flags(ctx)
        path = Path(flags["config"]) if flags.get("config") else None
        context = config.with_namespace(config.load(path, flags.get("context")), flags.get("namespace"))
        async with asyncio.timeout(PATIENCE_S), connect_to(context) as api:
            api.patient = False
            return await work(api)

    try:
        return asyncio.run(talk())
    except Exception:
        return []


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted({word for word in words if word.startswith(incomplete)})


def _names(ctx: click.Context, kind: Any) -> list[str]:
    async def work(api: Api) -> list[str]:
        everywhere = bool(ctx.params.get("all_namespaces"))
        where = api.namespace if kind.namespaced and not everywhere else ""
        objects: list[Any] = await api.resource(kind).list(namespace=where)
        return [obj.metadata.name for obj in objects]

    return _ask(ctx, work)


def _kinds(incomplete: str) -> list[str]:
    from steersman import kinds

    every = list(kinds.every())
    words = [kind.plural for kind in every]
    # A kind whose plural another one has before it is found by its whole name only.
    words = [kind.plural if words.index(kind.plural) == i else kind.qualified_plural for i, kind in enumerate(every)]
    found = _beginning(words, incomplete)
    return found or _beginning((name for kind in every for name in (kind.singular, *kind.short_names)), incomplete)


def words(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Kinds, then names; `KIND/NAME` as well. For commands about pods or nodes, their names."""
    from steersman import kinds

    given = [value for value in ctx.params.get(param.name or "") or () if isinstance(value, str)]
    command = ctx.info_name or ""
    before, comma, last = incomplete.rpartition(",")
    kind_word, slash, beginning = incomplete.partition("/")
    if slash:
        try:
            return [f"{kind_word}/{name}" for name in _beginning(_names(ctx, kinds.by_name(kind_word)), beginning)]
        except kinds.UnknownKindError:
            return []
    if command in NODES_ONLY:
        return _beginning(_names(ctx, kinds.by_name("nodes")), incomplete)
    if command in POD_FIRST:
        return _beginning(_names(ctx, kinds.by_name("pods")), incomplete) if not given else []
    if given and "/" not in given[0] and "," not in given[0]:
        try:
            names = _names(ctx, kinds.by_name(given[0]))
        except kinds.UnknownKindError:
            return []
        return _beginning((name for name in names if name not in given), incomplete)
    if given:
        return []
    return [f"{before}{comma}{kind}" for kind in _kinds(last)]


def namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of namespaces."""
    from steersman import kinds

    return _beginning(_names(ctx, kinds.by_name("namespaces")), incomplete)


def containers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the containers of the pod that stands on the line."""
    # Where a flag still lacks its value, the words before it are not sorted into parameters.
    given = ctx.params.get("what") or ctx.params.get("target") or ctx.args[:1]
    pod = (given if isinstance(given, str) else given[0] if given else "").removeprefix("pod/").removeprefix("pods/")

    async def work(api: Api) -> list[str]:
        spec = (await api.pods.get(pod, namespace=api.namespace)).spec
        every: list[Any] = [*spec.containers, *spec.init_containers, *spec.ephemeral_containers]
        return [each.name for each in every]

    return _beginning(_ask(ctx, work), incomplete) if pod and "/" not in pod else []


def contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of contexts."""
    from pathlib import Path

    from steersman import config
    from steersman.cli import contexts as file

    flags = _flags(ctx)
    path = Path(flags["config"]) if flags.get("config") else config.default_path()
    try:
        return _beginning(map(str, file.read(path)["contexts"]), incomplete)
    except Exception:
        return []


def forms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Forms of output."""
    from steersman.cli.forms import PLAIN, WITH_VALUE

    return _beginning([*PLAIN, *(f"{name}=" for name in WITH_VALUE)], incomplete)


def fields(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Kinds, and fields behind a dot."""
    from steersman import kinds
    from steersman.cli import fields as known

    if "." not in incomplete:
        return _kinds(incomplete)
    *way, beginning = incomplete.split(".")
    try:
        found = known.follow(kinds.by_name(way[0]), way[1:])
    except LookupError:
        return []
    names = [field.name for field in known.fields_of(found.message)] if found.message is not None else []
    return [".".join([*way, name]) for name in _beginning(names, beginning)]


_BY_OPTION: dict[str | None, Callable[..., Any]] = {
    "namespace": namespaces,
    "wanted": namespaces,
    "container": containers,
    "context": contexts,
    "form": forms,
}


def commands(table: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """Names of commands with what they are for."""
    return [CompletionItem(name, help=text) for name, text in sorted(table) if name.startswith(incomplete)]
