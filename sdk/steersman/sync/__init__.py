"""The client for programs without an event loop: the same verbs, without `await`.

    with steersman.sync.connect() as api:
        pod = api.pods.get("web-0", namespace="default")
        for event in api.pods.watch(namespace="default"):
            ...

Every method stands for the one of the same name of `steersman.client`, which runs in a thread of this connection's;
`tools/sync_face.py` makes them from those. A connection may be used from several threads. Functions that are handed
over (a state to wait for, a change to make) are called in the connection's thread and may not use the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar, overload

from google.protobuf.message import Message

from steersman import client, config, kinds
from steersman._sync_clients import ApiAttributes, Bindings, Connection, Forward, PodClient, Process, ResourceClient
from steersman.config import Context
from steersman.sync.portal import Portal

__all__ = [
    "Api",
    "Bindings",
    "Connection",
    "Forward",
    "PodClient",
    "Process",
    "ResourceClient",
    "connect",
    "connect_to",
]

M = TypeVar("M", bound=Message)


class Api(ApiAttributes):
    """A connection to the apiserver, with one client per kind: `api.pods`, `api.deployments`, ..."""

    def __init__(self, make: Callable[[], client.Api]) -> None:
        """Starts a thread; connects when it is first used.

        Args:
            make: makes the client that this one stands for.
        """
        self._face = make()
        self._portal = Portal()
        self._resources: dict[str, ResourceClient[Any]] = {}

    @property
    def namespace(self) -> str:
        """Namespace where none is named."""
        return self._face.namespace

    @property
    def patient(self) -> bool:
        """Whether calls that may be repeated wait for an apiserver that is away."""
        return self._face.patient

    @patient.setter
    def patient(self, patient: bool) -> None:
        self._face.patient = patient

    @overload
    def resource(self, kind: kinds.Kind) -> ResourceClient[Any]: ...

    @overload
    def resource(self, kind: type[M]) -> ResourceClient[M]: ...

    def resource(self, kind: kinds.Kind | type[Any]) -> ResourceClient[Any]:
        """The client of a kind, given as a kind or as its message class."""
        face = self._face.resource(kind)
        known = self._resources.get(face.kind.service)
        if known is None:
            made = PodClient if isinstance(face, client.PodClient) else ResourceClient
            known = self._resources.setdefault(face.kind.service, made(self._portal, face))
        return known

    def close(self) -> None:
        """Closes the connection; running calls are cut. Idempotent."""
        if not self._portal.closed:
            self._portal.call(self._face.close())
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    path: Path | None = None,
    *,
    context: str | None = None,
    namespace: str | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Api:
    """A client from the configuration file, as `steersman.connect`.

    Raises:
        ConfigError: the configuration cannot be used.
        TLSFileError: one of its certificate files cannot be read.
    """
    return connect_to(config.with_namespace(config.load(path, context), namespace), on_warning=on_warning)


def connect_to(context: Context, *, on_warning: Callable[[str], None] | None = None) -> Api:
    """A client of the server that a context names."""
    return Api(lambda: client.connect_to(context, on_warning=on_warning))
