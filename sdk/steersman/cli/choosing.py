"""Which pod and which container a command is about, where a person named something that has several."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from steersman.cli import session
from steersman.cli.failures import CommandError
from steersman.cli.nearest import meant

if TYPE_CHECKING:
    from steersman.client import Api

# Pods say by this annotation which of their containers is meant when none is named.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def note(text: str) -> None:
    """Says which one was taken, beside what the command writes."""
    print(text, file=sys.stderr, flush=True)


async def pods_of(api: Api, what: str) -> list[Any]:
    """The pods that a word means: one by its name, or those that KIND/NAME selects; those that are ready first.

    Raises:
        CommandError: the object selects no pods, or there are none.
        NotFound: there is no such pod or object.
    """

    _, slash, name = what.partition("/")
    if not slash:
        return [await api.pods.get(what, namespace=api.namespace)]
    if not name:
        raise CommandError(f"{what!r} is not KIND/NAME")
    target = session.one([what])
    obj: Any = await api.resource(target.kind).get(target.name or "", namespace=api.namespace)
    if target.kind.kind == "Pod":
        return [obj]
    selector = _selector_of(obj)
    if selector is None:
        raise CommandError(f"{what} selects no pods")
    pods = await api.pods.list(namespace=api.namespace, label_selector=selector)
    if not pods:
        raise CommandError(f"{what} has no pods (steer why {what})")
    return sorted(pods, key=_rank)


def _selector_of(obj: Any) -> str | None:
    """The selector of an object as text; None when it selects nothing."""
    from steersman import selectors

    selector = getattr(getattr(obj, "spec", None), "selector", None)
    if selector is None:
        return None
    found = selectors.of_message(selector) if hasattr(selector, "match_labels") else selectors.of_map(selector)
    return str(found) or None


def _rank(pod: Any) -> tuple[bool, bool, bool, int, str]:
    """What is most likely of interest comes first: on a node, running, ready, the newest."""
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
    return (
        not pod.spec.node_name,
        pod.status.phase != "Running",
        not ready,
        -pod.metadata.creation_timestamp.seconds,
        pod.metadata.name,
    )


async def pod_of(api: Api, what: str) -> Any:
    """One pod: the most interesting one, where there are several; a person is told which.

    Raises:
        CommandError, NotFound: as `pods_of`.
    """
    pods = await pods_of(api, what)
    if len(pods) > 1:
        note(f"Found {len(pods)} pods, using pod/{pods[0].metadata.name}")
    return pods[0]


def containers(pod: Any) -> list[str]:
    """Names of all containers of a pod: those that stay first, then those before them, then those to look into it."""
    spec = pod.spec
    return [each.name for group in (spec.containers, spec.init_containers, spec.ephemeral_containers) for each in group]


def container_of(pod: Any, wanted: str) -> str:
    """The container that is meant; the first one, of which a person is told, where there are several and none is named.

    Raises:
        CommandError: there is none of this name.
    """
    known = containers(pod)
    if wanted:
        if wanted not in known:
            hint = meant(wanted, known) or f"; it has: {', '.join(known)}"
            raise CommandError(f"pod/{pod.metadata.name} has no container {wanted!r}{hint}")
        return wanted
    marked = pod.metadata.annotations.get(DEFAULT_CONTAINER, "")
    if marked in known:
        return str(marked)
    if len(known) > 1:
        note(f'Defaulted container "{known[0]}" out of: {", ".join(known)}')
    return known[0] if known else ""
