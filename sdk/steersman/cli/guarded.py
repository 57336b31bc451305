"""Changing a part of an object that was looked at: what is written was decided on the object as it then was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from steersman.cli.patching import merged
from steersman.cli.targets import Target
from steersman.client import Api
from steersman.meta.v1.requests_pb2 import MERGE_PATCH

ATTEMPTS = 10

# Of an object as it is: what a merge patch says of it; empty when nothing is to change.
Decide = Callable[[Any], dict[str, Any]]


async def changed(
    api: Api, target: Target, decide: Decide, *, manager: str, dry_run: str, version: str = ""
) -> tuple[Any, bool]:
    """Changes an object as `decide` says; decides again when it changed meanwhile.

    Args:
        api: the apiserver.
        target: the object.
        decide: of the object as it is, the patch; its errors come through.
        manager: who writes.
        dry_run: "none", or "client" or "server": then nothing is stored.
        version: the only version of the object that may be changed; empty: any.

    Returns:
        The object as it is then, and whether anything changed.

    Raises:
        Conflict: it is at another version, or changed during every attempt.
    """
    from steersman import errors

    client = api.resource(target.kind)
    obj = await target.read(api)
    for attempt in range(ATTEMPTS):
        patch = decide(obj)
        if not patch:
            return obj, False
        if dry_run == "client":
            return seen_from_here(obj, patch), True
        patch = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version or _version(obj)}}
        try:
            written = await client.patch(
                target.name,
                json.dumps(patch).encode(),
                namespace=target.namespace,
                type=MERGE_PATCH,
                field_manager=manager,
                dry_run=dry_run == "server",
            )
            return written, True
        except errors.Conflict:
            if version or attempt == ATTEMPTS - 1:
                raise
            obj = await target.again(api)
    raise AssertionError("unreachable")


def _version(obj: Any) -> str:
    return str(obj.metadata.resource_version)


def seen_from_here(obj: Any, patch: dict[str, Any]) -> Any:
    """What a merge patch makes of an object, without the server's rules. Pure."""
    from steersman.manifests import codec

    return codec.decode(type(obj), merged(codec.encode(obj), patch))
