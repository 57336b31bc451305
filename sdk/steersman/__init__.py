"""The Python SDK of Steersman: typed messages, a client, manifests, informers and a runtime for controllers.

    import steersman

    async with steersman.connect() as api:
        async for event in api.pods.watch(namespace="default"):
            ...

    with steersman.sync.connect() as api:
        api.deployments.create(steersman.apps.v1.Deployment(...))

What is named here is imported when it is first used, so that `import steersman` costs nothing and a command line starts
fast. docs/sdk/ has a page for each part.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steersman import apps as apps
    from steersman import authentication as authentication
    from steersman import authorization as authorization
    from steersman import autoscaling as autoscaling
    from steersman import batch as batch
    from steersman import certificates as certificates
    from steersman import coordination as coordination
    from steersman import core as core
    from steersman import discovery as discovery
    from steersman import errors as errors
    from steersman import events as events
    from steersman import finalizers as finalizers
    from steersman import kinds as kinds
    from steersman import manifests as manifests
    from steersman import meta as meta
    from steersman import networking as networking
    from steersman import node as node
    from steersman import policy as policy
    from steersman import rbac as rbac
    from steersman import scheduling as scheduling
    from steersman import storage as storage
    from steersman import sync as sync
    from steersman import testing as testing
    from steersman import until as until
    from steersman.client import Api as Api
    from steersman.client import connect as connect
    from steersman.client import connect_to as connect_to
    from steersman.informer import Informer as Informer
    from steersman.informer import Key as Key
    from steersman.informer import key_of as key_of
    from steersman.reconcile import Result as Result
    from steersman.reconcile import TerminalError as TerminalError
    from steersman.resource import WatchEvent as WatchEvent
    from steersman.runtime import Runtime as Runtime

__version__ = "0.1.0"

# Where what is named here lives.
_HOMES = {
    "Api": "client",
    "Informer": "informer",
    "Key": "informer",
    "Result": "reconcile",
    "Runtime": "runtime",
    "TerminalError": "reconcile",
    "WatchEvent": "resource",
    "connect": "client",
    "connect_to": "client",
    "key_of": "informer",
}
# The groups of messages; each imports its versions when they are first used.
_GROUPS = (
    *("apps", "authentication", "authorization", "autoscaling", "batch", "certificates", "coordination", "core"),
    *("discovery", "events", "meta", "networking", "node", "policy", "rbac", "scheduling", "storage"),
)
_MODULES = ("errors", "finalizers", "kinds", "manifests", "sync", "testing", "until")

__all__ = [*_HOMES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"steersman.{_HOMES[name]}"), name)
    if name in _MODULES or name in _GROUPS:
        return importlib.import_module(f"steersman.{name}")
    raise AttributeError(f"module 'steersman' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_GROUPS])
