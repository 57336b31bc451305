"""A scheduler of one's own: pods go to the node with the lowest price on which they fit.

    python examples/scheduler/cheapest.py              decides for the pods with `schedulerName: cheapest`

A node's price is its label `example.org/price`; one without, or whose price is no number, is never chosen. Steersman's
own scheduler can be extended in two other ways, with a plugin in its process or a gRPC extender beside it
(docs/sdk/schedulers.md); a scheduler of one's own is for those who want to decide by other rules altogether.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from steersman import Key, Result, Runtime, errors
from steersman.core.v1 import Node, Pod
from steersman.quantity import parse
from steersman.runtime import main

NAME = "cheapest"
PRICE = "example.org/price"
RESOURCES = ("cpu", "memory")
LOOK_AGAIN_S = 5.0


def requests(pod: Pod) -> dict[str, Decimal]:
    """What a pod asks for."""
    asked = dict.fromkeys(RESOURCES, Decimal(0))
    for container in pod.spec.containers:
        for resource in RESOURCES:
            quantity = container.resources.requests.get(resource)
            if quantity is not None:
                asked[resource] += parse(quantity.value)
    return asked


def free(node: Node, there: Iterable[Pod]) -> dict[str, Decimal]:
    """What is left of a node beside the pods that are there."""
    offered = node.status.allocatable
    # A node that has not said yet what it has is one that has nothing.
    left = {name: parse(offered[name].value) if name in offered else Decimal(0) for name in RESOURCES}
    for pod in there:
        if pod.status.phase not in ("Succeeded", "Failed"):
            for resource, amount in requests(pod).items():
                left[resource] -= amount
    return left


def price(node: Node) -> Decimal | None:
    """What a node costs; None where its label says nothing of that, or nonsense."""
    try:
        told = Decimal(node.metadata.labels.get(PRICE, ""))
    except InvalidOperation:
        return None
    return told if told.is_finite() else None


def choose(pod: Pod, nodes: Iterable[Node], pods: Mapping[str, list[Pod]]) -> tuple[Node | None, str]:
    """The cheapest node that the pod fits on, and why it is that one or none."""
    asked = requests(pod)
    refused: dict[str, int] = {}
    candidates: list[tuple[Decimal, str, Node]] = []
    for node in nodes:
        name = node.metadata.name
        left, cost = free(node, pods.get(name, [])), price(node)
        short = [resource for resource in RESOURCES if asked[resource] > left[resource]]
        reason = f"too little {' and '.join(short)}" if short else ""
        if node.spec.unschedulable or node.spec.taints:
            reason = "not open to it"
        elif cost is None:
            reason = "without a price"
        if reason or cost is None:
            refused[reason] = refused.get(reason, 0) + 1
        else:
            candidates.append((cost, name, node))
    if candidates:
        least, name, node = min(candidates)
        return node, f"{name} costs {least}, the least of {len(candidates)}"
    return None, "; ".join(f"{count} {reason}" for reason, count in sorted(refused.items())) or "there are no nodes"


def cheapest(runtime: Runtime) -> None:
    """Sets the scheduler up."""
    pods, nodes = runtime.informer(Pod), runtime.informer(Node)
    pods.add_index("node", lambda pod: [pod.spec.node_name] if pod.spec.node_name else [])
    # Bound by us, and not yet seen to be: counted all the same.
    assumed: dict[Key, Pod] = {}

    def waiting(_old: Pod | None, new: Pod | None) -> bool:
        return new is not None and new.spec.scheduler_name == NAME and not new.spec.node_name

    @runtime.reconciler(Pod, when=waiting, name=NAME, workers=1)
    async def decide(key: Key) -> Result | None:
        pod = pods.get(key)
        if pod is None or pod.spec.node_name or pod.metadata.HasField("deletion_timestamp"):
            return None
        for known in [known for known in assumed if (seen := pods.get(known)) is None or seen.spec.node_name]:
            del assumed[known]
        there: dict[str, list[Pod]] = {}
        for node in nodes.list():
            there[node.metadata.name] = pods.by_index("node", node.metadata.name)
        for each in assumed.values():
            there.setdefault(each.spec.node_name, []).append(each)
        chosen, why = choose(pod, nodes.list(), there)
        if chosen is None:
            runtime.recorder.event(pod, "Warning", "FailedScheduling", why)
            return Result(requeue_after_s=LOOK_AGAIN_S)
        name = chosen.metadata.name
        try:
            await runtime.api.pods.bind(key.name, namespace=key.namespace, node_name=name, uid=pod.metadata.uid)
        except (errors.Conflict, errors.NotFound):
            # It was bound by others, or it is gone.
            return None
        bound = Pod()
        bound.CopyFrom(pod)
        bound.spec.node_name = name
        assumed[key] = bound
        runtime.recorder.event(pod, "Normal", "Scheduled", f"Assigned {key} to {why}")
        return None


if __name__ == "__main__":
    main(NAME, cheapest, description="Binds pods with schedulerName 'cheapest' to the cheapest node they fit on.")
