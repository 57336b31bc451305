"""Which objects a command is about: by name, by manifest, by selector, or all of a kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from steersman import kinds
from steersman.cli import session
from steersman.cli.failures import USAGE, CommandError
from steersman.client import Api

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """One object that a command is about.

    Attributes:
        kind: its kind.
        name: its name.
        namespace: its namespace; empty for a kind that has none.
        manifest: the object as a manifest says it; None when it was not named by one.
        found: the object as a list has just shown it; None when it was not looked for.
    """

    kind: kinds.Kind
    name: str
    namespace: str
    manifest: Any = None
    found: Any = None

    def __str__(self) -> str:
        group = f".{self.kind.group}" if self.kind.group else ""
        return f"{self.kind.singular}{group}/{self.name}"

    async def read(self, api: Api) -> Any:
        """The object as it is.

        Raises:
            NotFound: there is none.
        """
        return self.found if self.found is not None else await self.again(api)

    async def again(self, api: Api) -> Any:
        """The object as it is by now, whatever was seen before."""
        return await api.resource(self.kind).get(self.name, namespace=self.namespace)


@dataclass(frozen=True)
class Choice:
    """The words and flags that choose objects.

    Attributes:
        words: kinds and names.
        filenames: manifests.
        recursive: whether folders are read with all below them.
        selector: labels that objects must have.
        fields: fields that objects must have.
        everything: `--all`.
        all_namespaces: whether to look in all namespaces.
    """

    words: Sequence[str] = ()
    filenames: Sequence[str] = ()
    recursive: bool = False
    selector: str = ""
    fields: str = ""
    everything: bool = False
    all_namespaces: bool = False


async def chosen(api: Api, choice: Choice, verb: str, *, all_of_kind: bool = False) -> list[Target]:
    """The objects that words and flags choose, in their order.

    Args:
        api: the apiserver, asked where there is a selector.
        choice: words and flags.
        verb: what the command does, for its messages.
        all_of_kind: whether a kind alone means all of it, also without `--all`.

    Raises:
        CommandError: the words choose nothing, or make no sense together.
        ManifestError: a manifest cannot be used.
    """
    if bool(choice.words) == bool(choice.filenames):
        raise CommandError(f"{verb} what? KIND NAME, KIND/NAME, or -f FILE", USAGE)
    if choice.filenames:
        if choice.selector or choice.everything or choice.fields:
            raise CommandError("-f names its objects itself; -l, --field-selector and --all do not go with it", USAGE)
        return of_files(api, choice.filenames, recursive=choice.recursive)
    named = session.named(choice.words)
    by_name = [item for item in named if item.name is not None]
    chooses = bool(choice.selector or choice.fields or choice.everything)
    if by_name:
        if chooses:
            raise CommandError("give names, or -l, --field-selector or --all, not both", USAGE)
        return [Target(item.kind, item.name or "", _place(api, item.kind)) for item in by_name]
    if choice.everything and choice.selector:
        raise CommandError("--all and -l do not go together", USAGE)
    if not chooses and not all_of_kind:
        raise CommandError(f"{verb} which? a name, -l QUERY, or --all", USAGE)
    return [target for item in named for target in await _listed(api, item.kind, choice)]


async def _listed(api: Api, kind: kinds.Kind, choice: Choice) -> list[Target]:
    objects = await api.resource(kind).list(
        namespace="" if choice.all_namespaces else _place(api, kind),
        label_selector=choice.selector,
        field_selector=choice.fields,
    )
    return [Target(kind, obj.metadata.name, obj.metadata.namespace, found=obj) for obj in objects]


def of_files(api: Api, filenames: Sequence[str], *, recursive: bool = False) -> list[Target]:
    """The objects of manifests, in their order; one without a namespace is in the present one.

    Raises:
        CommandError: a manifest names another namespace than `-n` does, or no object.
        ManifestError: a manifest cannot be used.
    """
    from steersman.manifests import files

    targets = []
    for manifest in files.read(filenames, recursive=recursive):
        obj = manifest.obj
        kind = kinds.of(obj)
        namespace = _namespace_of(api, kind, obj, str(manifest.place))
        targets.append(Target(kind, obj.metadata.name, namespace, manifest=obj))
    if not targets:
        raise CommandError(f"{', '.join(filenames)}: no objects in there")
    return targets


def _namespace_of(api: Api, kind: kinds.Kind, obj: Any, place: str) -> str:
    if not kind.namespaced:
        return ""
    given = asked_namespace()
    declared = str(obj.metadata.namespace)
    if given and declared and declared != given:
        raise CommandError(f"{place}: the manifest says namespace {declared!r}, -n says {given!r}")
    if not declared:
        obj.metadata.namespace = api.namespace
    return str(obj.metadata.namespace)


def asked_namespace() -> str:
    """The namespace that `-n` names; empty without it."""
    context = click.get_current_context(silent=True)
    return str((context.params.get("namespace") if context is not None else None) or "")


def _place(api: Api, kind: kinds.Kind) -> str:
    return api.namespace if kind.namespaced else ""


def choice_options(*, everything: bool = True, all_namespaces: bool = False) -> Callable[[F], F]:
    """`-f -R -l --field-selector` and perhaps `--all` and `-A`."""

    def add(command: F) -> F:
        if everything:
            command = click.option("--all", "everything", is_flag=True, help="All objects of the kind.")(command)
        if all_namespaces:
            command = session.all_namespaces_option(command)
        return session.file_options(session.selector_options(command))

    return add
