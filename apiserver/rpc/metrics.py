"""What pods and nodes use: asked of the nodes' agents, with what they answer in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from steersman import selectors
from steersman.metrics.v1 import node_metrics_pb2, pod_metrics_pb2
from steersman.metrics.v1.node_metrics_pb2 import ListNodeMetricsRequest, NodeMetrics, NodeMetricsList
from steersman.metrics.v1.pod_metrics_pb2 import ListPodMetricsRequest, PodMetrics, PodMetricsList
from steersman.metrics.v1.unanswered_pb2 import Unanswered
from steersman.nodeagent.v1.usage_pb2 import ContainerUsage, GetUsageRequest, NodeUsage, Usage

from apiserver import errors
from apiserver.authn import User
from apiserver.registry import Registry
from apiserver.rpc.agents import NodeChannel, address_of
from apiserver.rpc.guard import Guard
from apiserver.watchcache.watcher import Selection

PODS: str = pod_metrics_pb2.DESCRIPTOR.services_by_name["Pods"].full_name
NODES: str = node_metrics_pb2.DESCRIPTOR.services_by_name["Nodes"].full_name
GROUP = "metrics.k8s.io"
_GET = "/steersman.nodeagent.v1.Usages/Get"
# A node that does not answer within this is told of, and not waited for.
NODE_S = 5.0
AT_ONCE = 64
_PAGE = 500


@dataclass(frozen=True)
class Answers:
    """What nodes have answered.

    Attributes:
        usages: by name of the node.
        unanswered: those that have not, and why.
    """

    usages: dict[str, NodeUsage]
    unanswered: list[Unanswered]


class MetricsHandlers:
    """The rpcs."""

    def __init__(self, pods: Registry, nodes: Registry, guard: Guard, node_channel: NodeChannel) -> None:
        self._pods = pods
        self._nodes = nodes
        self._guard = guard
        self._node_channel = node_channel

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """A handler for each of the two services."""
        rows: tuple[tuple[str, str, Any, Any, Any], ...] = (
            (PODS, "pods", ListPodMetricsRequest, PodMetricsList, self.pods),
            (NODES, "nodes", ListNodeMetricsRequest, NodeMetricsList, self.nodes),
        )
        return [
            grpc.method_handlers_generic_handler(
                service,
                {
                    "List": grpc.unary_unary_rpc_method_handler(
                        self._guard.unary(f"{plural}.{GROUP}", "list", call),
                        request_deserializer=request.FromString,
                        response_serializer=answer.SerializeToString,
                    )
                },
            )
            for service, plural, request, answer, call in rows
        ]

    async def pods(self, user: User, request: ListPodMetricsRequest, context: Any) -> PodMetricsList:
        """Pods/List."""
        wanted = await self._select(
            self._pods,
            Selection(
                request.namespace,
                request.name,
                _selector("label_selector", request.label_selector),
                self._fields("field_selector", request.field_selector),
            ),
        )
        running = [pod for pod in wanted if pod.spec.node_name and pod.status.phase not in ("Succeeded", "Failed")]
        names = {pod.spec.node_name for pod in running}
        nodes = [node for node in await self._select(self._nodes, Selection()) if node.metadata.name in names]
        answers = await self._ask(nodes, containers=True)
        answer = PodMetricsList(unanswered=answers.unanswered)
        answer.unanswered.extend(
            Unanswered(node=name, reason="there is no such node")
            for name in sorted(names - {node.metadata.name for node in nodes})
        )
        by_pod: dict[str, list[ContainerUsage]] = {}
        for usage in answers.usages.values():
            for each in usage.containers:
                by_pod.setdefault(each.pod_uid, []).append(each)
        for pod in sorted(running, key=lambda each: (each.metadata.namespace, each.metadata.name)):
            if pod.metadata.uid in by_pod:
                answer.items.append(pod_metrics(pod, by_pod[pod.metadata.uid]))
        return answer

    async def nodes(self, user: User, request: ListNodeMetricsRequest, context: Any) -> NodeMetricsList:
        """Nodes/List."""
        labels = _selector("label_selector", request.label_selector)
        nodes = await self._select(self._nodes, Selection("", request.name, labels))
        answers = await self._ask(nodes, containers=False)
        answer = NodeMetricsList(unanswered=answers.unanswered)
        for node in sorted(nodes, key=lambda each: each.metadata.name):
            usage = answers.usages.get(node.metadata.name)
            if usage is not None and usage.HasField("node"):
                answer.items.append(node_metrics(node, usage.node))
        return answer

    async def _ask(self, nodes: Iterable[Any], *, containers: bool) -> Answers:
        """Asks nodes, so many at once; each has its own time to answer."""
        answers = Answers({}, [])
        seats = asyncio.Semaphore(AT_ONCE)

        async def one(node: Any) -> None:
            name, address = node.metadata.name, address_of(node)
            if not address:
                answers.unanswered.append(Unanswered(node=name, reason="it has not said where its agent listens"))
                return
            async with seats:
                method: Any = self._node_channel(name, address).unary_unary(
                    _GET,
                    request_serializer=GetUsageRequest.SerializeToString,
                    response_deserializer=NodeUsage.FromString,
                )
                try:
                    answers.usages[name] = await method(
                        GetUsageRequest(without_containers=not containers), timeout=NODE_S
                    )
                except grpc.aio.AioRpcError as error:
                    answers.unanswered.append(Unanswered(node=name, reason=error.details() or error.code().name))

        await asyncio.gather(*map(one, nodes))
        answers.unanswered.sort(key=lambda each: each.node)
        return answers

    async def _select(self, registry: Registry, selection: Selection) -> list[Any]:
        """The objects that match, as they are now."""
        cached = await registry.read_all(selection, since=None)
        if cached is not None:
            return [registry.kind.message.FromString(entry.data) for _, entry in cached[0]]
        found: list[Any] = []
        after, revision = "", 0
        while True:
            page = await registry.list_page(selection.namespace, after=after, limit=_PAGE, revision=revision)
            for stored in page.items:
                if selection.matches(registry.entry(stored)):
                    found.append(registry.kind.message.FromString(stored.value))
            if not page.more:
                return found
            after, revision = page.items[-1].key, page.revision

    def _fields(self, name: str, text: str) -> selectors.Selector:
        try:
            return selectors.parse_fields(text, self._pods.field_paths)
        except selectors.SelectorError as error:
            raise errors.BadRequest(name, str(error)) from error


def _selector(name: str, text: str) -> selectors.Selector:
    try:
        return selectors.parse(text)
    except selectors.SelectorError as error:
        raise errors.BadRequest(name, str(error)) from error


def _fill(made: Any, obj: Any, usage: Usage) -> None:
    made.metadata.name, made.metadata.namespace = obj.metadata.name, obj.metadata.namespace
    made.metadata.labels.update(obj.metadata.labels)
    made.timestamp.CopyFrom(usage.time)
    made.window.CopyFrom(usage.window)


def _quantities(made: Any, usage: Usage) -> None:
    made["cpu"].value = f"{usage.cpu_nanocores}n"
    made["memory"].value = f"{usage.memory_bytes // 1024}Ki"


def pod_metrics(pod: Any, usages: Iterable[ContainerUsage]) -> PodMetrics:
    """What a pod uses, of what its containers do; the oldest measurement gives the time. Pure."""
    made = PodMetrics()
    ordered = sorted(usages, key=lambda each: each.name)
    oldest = min(ordered, key=lambda each: (each.usage.time.seconds, each.usage.time.nanos))
    _fill(made, pod, oldest.usage)
    for each in ordered:
        _quantities(made.containers.add(name=each.name).usage, each.usage)
    return made


def node_metrics(node: Any, usage: Usage) -> NodeMetrics:
    """What a node uses. Pure."""
    made = NodeMetrics()
    _fill(made, node, usage)
    _quantities(made.usage, usage)
    return made
