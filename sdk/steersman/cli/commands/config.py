"""`steer config`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from steersman.cli import output, session
from steersman.cli.command import Command, Group
from steersman.cli.failures import USAGE, CommandError

EPILOG = """\b
Examples:
  steer config get-contexts
  steer config use-context lab
  steer config set-context --current --namespace shop
  steer config set-context prod --server 10.0.0.1:6443 --certificate-authority ca.crt
  steer config set-credentials prod --client-certificate me.crt --client-key me.key --embed-certs
  steer config view --minify
"""
F = TypeVar("F", bound=Callable[..., Any])


def _example(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  steer config {line}" for line in lines)


def _path(ctx: click.Context) -> Path:
    from steersman import config

    return session.asked(ctx).config or config.default_path()


@click.group(cls=Group, epilog=EPILOG)
def command() -> None:
    """Show and change the file that says which clusters there are, and who you are to them."""


@command.command("view", epilog=_example("view", "view --minify -o json"))
@click.option("--minify", is_flag=True, help="Only the current context.")
@click.option("--raw", is_flag=True, help="With keys and tokens.")
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), default="yaml", help="In which form.")
@click.pass_context
def view(ctx: click.Context, minify: bool, raw: bool, fmt: str) -> None:
    """Show the file, without keys and tokens."""
    from steersman.cli import contexts

    document = contexts.read(_path(ctx))
    only = session.asked(ctx).context or (document.get("current-context", "") if minify else "")
    if only:
        contexts.entry(document, only)
    output.write(output.document(contexts.shown(document, raw=raw, only=only), fmt))


@command.command("get-contexts", epilog=_example("get-contexts", "get-contexts -o name"))
@click.argument("name", required=False)
@click.option("-o", "--output", "fmt", type=click.Choice(["name"]), help="Names only.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.pass_context
def get_contexts(ctx: click.Context, name: str | None, fmt: str | None, no_headers: bool) -> None:
    """Show which contexts there are."""
    from steersman.cli import contexts

    document = contexts.read(_path(ctx))
    names = [name] if name else sorted(map(str, document["contexts"]))
    if name:
        contexts.entry(document, name)
    if fmt == "name":
        for each in names:
            output.write(each)
        return
    current = session.asked(ctx).context or document.get("current-context")
    rows = []
    for each in names:
        one = contexts.entry(document, each)
        proof = "token" if "token" in one or "token-file" in one else ""
        proof = "certificate" if any(key.startswith("client-certificate") for key in one) else proof
        mark = "*" if each == current else ""
        rows.append([mark, each, str(one.get("server", "")), proof or "<none>", str(one.get("namespace", ""))])
    headings = ["CURRENT", "NAME", "SERVER", "PROOF", "NAMESPACE"]
    output.write(output.table(headings, rows, head=not no_headers))


@command.command("current-context", epilog=_example("current-context"))
@click.pass_context
def current_context(ctx: click.Context) -> None:
    """Show which context is used when none is named."""
    from steersman.cli import contexts

    name = contexts.read(_path(ctx)).get("current-context")
    if not name:
        raise CommandError("no context is the current one; steer config use-context NAME makes it so")
    output.write(str(name))


@command.command("use-context", epilog=_example("use-context lab"))
@click.argument("name")
@click.pass_context
def use_context(ctx: click.Context, name: str) -> None:
    """Make a context the one that is used when none is named."""
    from steersman.cli import contexts

    document = contexts.read(_path(ctx))
    contexts.entry(document, name)
    document["current-context"] = name
    contexts.save(_path(ctx), document)
    output.write(f'Switched to context "{name}".')


@command.command("rename-context", epilog=_example("rename-context lab mine"))
@click.argument("old")
@click.argument("new")
@click.pass_context
def rename_context(ctx: click.Context, old: str, new: str) -> None:
    """Give a context another name."""
    from steersman.cli import contexts

    document = contexts.read(_path(ctx))
    contexts.entry(document, old)
    if new in document["contexts"]:
        raise CommandError(f"there is a context {new!r} already")
    document["contexts"] = {new if key == old else key: value for key, value in document["contexts"].items()}
    if document.get("current-context") == old:
        document["current-context"] = new
    contexts.save(_path(ctx), document)
    output.write(f'Context "{old}" renamed to "{new}".')


@command.command("delete-context", epilog=_example("delete-context lab"))
@click.argument("name")
@click.pass_context
def delete_context(ctx: click.Context, name: str) -> None:
    """Take a context out of the file."""
    from steersman.cli import contexts

    document = contexts.read(_path(ctx))
    contexts.entry(document, name)
    del document["contexts"][name]
    if document.get("current-context") == name:
        document.pop("current-context")
        click.echo("warning: it was the current one; steer config use-context chooses another", err=True)
    contexts.save(_path(ctx), document)
    output.write(f'Context "{name}" deleted.')


def _cluster_options(command: F) -> F:
    command = click.option("--server", metavar="HOST:PORT", help="Where the apiserver is; or unix:/path.")(command)
    command = click.option("--scheduler", metavar="HOST:PORT", help="Where steer why asks the scheduler.")(command)
    command = click.option("--server-name", metavar="NAME", help="Name in its certificate.")(command)
    return click.option("--certificate-authority", metavar="FILE", help="Who signed its certificate.")(command)


def _credential_options(command: F) -> F:
    command = click.option("--client-certificate", metavar="FILE", help="Your certificate.")(command)
    command = click.option("--client-key", metavar="FILE", help="Its key.")(command)
    command = click.option("--token", metavar="TOKEN", help="A bearer token.")(command)
    return click.option("--token-file", metavar="FILE", help="A file with the bearer token.")(command)


_embed_option = click.option("--embed-certs", is_flag=True, help="Put the content of the files into the context.")
_current_option = click.option("--current", is_flag=True, help="The current context.")


@command.command(
    "set-context",
    cls=Command,
    epilog=_example("set-context --current --namespace shop", "set-context b --server b:6443"),
)
@click.argument("name", required=False)
@_current_option
@click.option("-n", "--namespace", "wanted", metavar="NAME", help="Namespace when none is named.")
@_cluster_options
@_credential_options
@_embed_option
@click.pass_context
def set_context(
    ctx: click.Context, /, name: str | None, current: bool, wanted: str | None, embed_certs: bool, **values: str | None
) -> None:
    """Make a context, or change what is given of one; an empty value takes it away."""
    _set(ctx, name, current, {"namespace": wanted, **values}, embed_certs)


@command.command("set-cluster", cls=Command, epilog=_example("set-cluster lab --server 10.0.0.1:6443"))
@click.argument("name", required=False)
@_current_option
@_cluster_options
@_embed_option
@click.pass_context
def set_cluster(
    ctx: click.Context, /, name: str | None, current: bool, embed_certs: bool, **values: str | None
) -> None:
    """Say where the cluster of a context is, and how it proves itself."""
    _set(ctx, name, current, values, embed_certs)


@command.command("set-credentials", cls=Command, epilog=_example("set-credentials lab --token-file token"))
@click.argument("name", required=False)
@_current_option
@_credential_options
@_embed_option
@click.pass_context
def set_credentials(
    ctx: click.Context, /, name: str | None, current: bool, embed_certs: bool, **values: str | None
) -> None:
    """Say who you are to the cluster of a context."""
    _set(ctx, name, current, values, embed_certs)


def _set(ctx: click.Context, name: str | None, current: bool, values: dict[str, str | None], embed: bool) -> None:
    from steersman.cli import contexts

    if current == bool(name):
        raise CommandError("which context? NAME, or --current", USAGE)
    path = _path(ctx)
    document = contexts.read(path, may_be_new=True)
    name = name or str(document.get("current-context") or "")
    if not name:
        raise CommandError("no context is the current one", USAGE)
    new = name not in document["contexts"]
    one = document["contexts"].setdefault(name, {})
    contexts.put(one, {key.replace("_", "-"): value for key, value in values.items()}, embed=embed)
    if new and "server" not in one:
        raise CommandError(f"context {name!r} is a new one: it needs --server", USAGE)
    document.setdefault("current-context", name)
    contexts.save(path, document)
    output.write(f'Context "{name}" {"created" if new else "modified"}.')
