"""Collects the facts about an object from the apiserver, and from the scheduler where it can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from steersman import errors, kinds, selectors
from steersman.cli.why.answers import WORKLOADS
from steersman.cli.why.facts import Facts
from steersman.client import Api

EXPLAIN = "/steersman.scheduler.v1.Scheduler/Explain"
# A scheduler that is not there is not waited for.
SCHEDULER_S = 3.0


async def gather(api: Api, kind: kinds.Kind, obj: Any, now: datetime, scheduler: Any = None) -> Facts:
    """The facts about an object; what the caller may not see is named in `unseen`.

    Args:
        api: the apiserver.
        kind: the object's kind.
        obj: the object.
        now: the present moment.
        scheduler: a channel to the scheduler; None: it is not asked.
    """
    look = _Look(api, [])
    namespace = obj.metadata.namespace
    facts = Facts(obj, now, events=await look.events(kind.kind, obj))
    if kind.kind == "Pod":
        facts = await _of_pod(look, facts, namespace, scheduler)
    elif kind.kind in (*WORKLOADS, "Job"):
        facts = await _of_workload(look, facts, kind, namespace)
    elif kind.kind == "Service":
        pods = await look.seen("pods", api.pods.list(namespace=namespace))
        label = f"kubernetes.io/service-name={obj.metadata.name}"
        endpoints = await look.seen(
            "endpoint slices", api.endpointslices.list(namespace=namespace, label_selector=label)
        )
        facts = replace(facts, pods=pods, endpoints=endpoints)
    elif kind.kind == "CronJob":
        jobs = await look.seen("jobs", api.jobs.list(namespace=namespace))
        facts = replace(facts, owned=[job for job in jobs if _owned_by(job, obj)])
    elif kind.kind == "Node":
        pods = await look.seen("pods", api.pods.list(field_selector=f"spec.nodeName={obj.metadata.name}"))
        facts = replace(facts, pods=pods)
    elif kind.kind == "PersistentVolumeClaim":
        pods = await look.seen("pods", api.pods.list(namespace=namespace))
        facts = replace(facts, pods=pods, classes=await look.seen("storage classes", api.storageclasses.list()))
    return replace(facts, unseen=tuple(look.unseen))


async def _of_pod(look: _Look, facts: Facts, namespace: str, scheduler: Any) -> Facts:
    api, pod = look.api, facts.obj
    nodes = await look.seen("nodes", api.nodes.list())
    waits = not pod.spec.node_name and pod.status.phase == "Pending"
    if not waits:
        return replace(facts, nodes=nodes, missing=[one async for one in missing(api, pod)])
    names = [v.volume_source.persistent_volume_claim.claim_name for v in pod.spec.volumes]
    claims: dict[str, Any] = {}
    for name in filter(None, names):
        claims[name] = await _or_none(api.persistentvolumeclaims.get(name, namespace=namespace))
    facts = replace(facts, nodes=nodes, pods=await look.seen("pods", api.pods.list()), claims=claims)
    if scheduler is None:
        return facts
    from steersman.scheduler.v1.scheduler_pb2 import ExplainRequest, ExplainResponse

    request = ExplainRequest()
    request.pod.namespace, request.pod.name = namespace, pod.metadata.name
    method = scheduler.unary_unary(
        EXPLAIN, request_serializer=ExplainRequest.SerializeToString, response_deserializer=ExplainResponse.FromString
    )
    try:
        said: Any = await api.unary(method, request, timeout_s=SCHEDULER_S)
    except errors.ApiError as error:
        look.unseen.append(f"the scheduler's reasons: {error.message}")
        return facts
    return replace(
        facts,
        verdicts={each.node: [refusal.text for refusal in each.refusals] or ["it suits"] for each in said.nodes},
        reasons=[(each.nodes, each.text) for each in said.reasons],
    )


async def _of_workload(look: _Look, facts: Facts, kind: kinds.Kind, namespace: str) -> Facts:
    api, obj = look.api, facts.obj
    owned: list[Any] = []
    if kind.kind == "Deployment":
        sets = await look.seen("replica sets", api.replicasets.list(namespace=namespace))
        owned = [each for each in sets if _owned_by(each, obj)]
    owners = owned or [obj]
    pods = await look.seen("pods", api.pods.list(namespace=namespace, label_selector=_selector(obj)))
    pods = [pod for pod in pods if any(_owned_by(pod, owner) for owner in owners)]
    events = list(facts.events)
    for each in owned:
        events += await look.events("ReplicaSet", each)
    of_pods: dict[str, list[Any]] = {}
    if any(not _is_ready(pod) for pod in pods):
        for event in await look.seen(
            "events", api.events.list(namespace=namespace, field_selector="involvedObject.kind=Pod")
        ):
            of_pods.setdefault(event.involved_object.name, []).append(event)
    nodes = await look.seen("nodes", api.nodes.list())
    return replace(facts, pods=pods, owned=owned, events=events, nodes=nodes, events_of_pods=of_pods)


def _selector(obj: Any) -> str:
    selector = obj.spec.selector
    return str(selectors.of_message(selector) if hasattr(selector, "match_labels") else selectors.of_map(selector))


def _is_ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def _owned_by(obj: Any, owner: Any) -> bool:
    return any(reference.uid == owner.metadata.uid for reference in obj.metadata.owner_references)


@dataclass
class _Look:
    """Reads, and remembers what may not be read."""

    api: Api
    unseen: list[str]

    async def seen(self, what: str, reading: Awaitable[list[Any]]) -> list[Any]:
        try:
            return await reading
        except errors.Forbidden:
            self.unseen.append(f"{what}: you may not list them")
            return []

    async def events(self, kind: str, obj: Any) -> list[Any]:
        """The events about an object, and not about an older one of its name."""
        selector = f"involvedObject.name={obj.metadata.name},involvedObject.kind={kind}"
        found = await self.seen(
            "events", self.api.events.list(namespace=obj.metadata.namespace, field_selector=selector)
        )
        return [e for e in found if e.involved_object.uid in ("", obj.metadata.uid) or kind == "Node"]


async def _or_none(reading: Awaitable[Any]) -> Any:
    try:
        return await reading
    except (errors.NotFound, errors.Forbidden):
        return None


async def missing(api: Api, pod: Any) -> AsyncIterator[str]:
    """What a pod refers to in its namespace and what is not there; optional references do not count."""
    namespace = pod.metadata.namespace
    wanted: dict[tuple[str, str], set[str]] = {}
    for kind, name, key in references(pod.spec):
        wanted.setdefault((kind, name), set()).update([key] if key else [])
    account = pod.spec.service_account_name
    if account:
        wanted[("serviceaccount", account)] = set()
    for (kind, name), keys in sorted(wanted.items()):
        client: Any = api.resource(kinds.by_name(kind))
        try:
            found = await client.get(name, namespace=namespace)
        except errors.NotFound:
            yield f"{kind} {name!r}"
            continue
        except errors.Forbidden:
            continue
        there = {*getattr(found, "data", ()), *getattr(found, "binary_data", ())}
        for key in sorted(keys - there):
            yield f"key {key!r} of {kind} {name!r}"


def references(spec: Any) -> Iterator[tuple[str, str, str]]:
    """(kind, name, key) of the configmaps, secrets and claims that a pod must have; the key may be empty."""
    for container in [*spec.init_containers, *spec.containers]:
        for env in container.env:
            for kind, ref in (
                ("configmap", env.value_from.config_map_key_ref),
                ("secret", env.value_from.secret_key_ref),
            ):
                name = ref.local_object_reference.name
                if name and not ref.optional:
                    yield kind, name, ref.key
        for source in container.env_from:
            for kind, ref in (("configmap", source.config_map_ref), ("secret", source.secret_ref)):
                if ref.local_object_reference.name and not ref.optional:
                    yield kind, ref.local_object_reference.name, ""
    for volume in spec.volumes:
        yield from _of_volume(volume.volume_source)


def _of_volume(source: Any) -> Iterator[tuple[str, str, str]]:
    with suppress(AttributeError):
        name = source.config_map.local_object_reference.name
        if name and not source.config_map.optional:
            yield "configmap", name, ""
            yield from (("configmap", name, item.key) for item in source.config_map.items)
    if source.secret.secret_name and not source.secret.optional:
        yield "secret", source.secret.secret_name, ""
        yield from (("secret", source.secret.secret_name, item.key) for item in source.secret.items)
    if source.persistent_volume_claim.claim_name:
        yield "persistentvolumeclaim", source.persistent_volume_claim.claim_name, ""
    for each in source.projected.sources:
        for kind, part in (("configmap", each.config_map), ("secret", each.secret)):
            name = part.local_object_reference.name
            if name and not part.optional:
                yield kind, name, ""
