"""The kinds that this SDK knows, as data read from the protobuf descriptors.

A kind is whatever service carries the `steersman.meta.v1.resource` option; messages are imported when they are first
asked for, so that looking up a name is cheap.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from steersman._kinds_index import ROWS

if TYPE_CHECKING:
    from google.protobuf.message import Message


class UnknownKindError(LookupError):
    """No kind goes by this name.

    Attributes:
        name: what was asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown kind {name!r}")
        self.name = name


@dataclass(frozen=True)
class Kind:
    """One kind of object and the service that serves it.

    Attributes:
        group: API group, empty for the core group.
        version: API version.
        kind: name of the kind, "Pod".
        plural: "pods"; also the name in storage keys.
        singular: "pod".
        short_names: shorter names for the command line.
        namespaced: whether objects live in a namespace.
        categories: collective names for the command line.
        module: Python module of the messages.
        service: full name of the gRPC service.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    namespaced: bool
    categories: tuple[str, ...]
    module: str
    service: str

    @property
    def api_version(self) -> str:
        """What manifests write as apiVersion: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified_plural(self) -> str:
        """Plural with its group, "deployments.apps"; unique among all kinds."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def _message(self, name: str) -> type[Message]:
        message: type[Message] = getattr(importlib.import_module(self.module), name)
        return message

    @cached_property
    def message(self) -> type[Message]:
        """The object's message class."""
        return self._message(self.kind)

    @cached_property
    def list_message(self) -> type[Message]:
        """The message class of a list of objects."""
        return self._message(f"{self.kind}List")

    @cached_property
    def write_request(self) -> type[Message]:
        """The request of Create, Update, UpdateStatus and Apply."""
        return self._message(f"{self.kind}WriteRequest")

    @cached_property
    def watch_event(self) -> type[Message]:
        """The message of a watch."""
        return self._message(f"{self.kind}WatchEvent")

    @cached_property
    def has_status(self) -> bool:
        """Whether objects have a status that is written apart from the rest."""
        return "status" in self.message.DESCRIPTOR.fields_by_name

    def __str__(self) -> str:
        return f"{self.api_version} {self.kind}"


@cache
def _all() -> tuple[Kind, ...]:
    return tuple(Kind(*row) for row in ROWS)


def every() -> Iterator[Kind]:
    """All kinds, ordered by group and name."""
    return iter(_all())


@cache
def _by_message() -> dict[str, Kind]:
    return {f"{kind.service.rpartition('.')[0]}.{kind.kind}": kind for kind in _all()}


def of(message: Message | type[Message]) -> Kind:
    """The kind of an object or of its message class.

    Raises:
        UnknownKindError: the message is not an object of a served kind.
    """
    name = message.DESCRIPTOR.full_name
    try:
        return _by_message()[name]
    except KeyError:
        raise UnknownKindError(name) from None


def by_api(api_version: str, kind: str) -> Kind:
    """The kind that a manifest names by apiVersion and kind.

    Raises:
        UnknownKindError: there is none.
    """
    for candidate in _all():
        if candidate.kind == kind and candidate.api_version == api_version:
            return candidate
    raise UnknownKindError(f"{api_version} {kind}")


def by_name(name: str) -> Kind:
    """The kind that a person names on the command line: "pod", "pods", "po", "deployments.apps", "Pod".

    Raises:
        UnknownKindError: there is none.
    """
    wanted = name.lower()
    for candidate in _all():
        if wanted in (
            candidate.plural,
            candidate.singular,
            candidate.qualified_plural,
            f"{candidate.singular}.{candidate.group}",
            *candidate.short_names,
        ):
            return candidate
    raise UnknownKindError(name)
