"""Asks one plugin about a small cluster.

What cases there are, and where they come from, is in README.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.storage.v1 import StorageClass

from scheduler.columns.cluster import Cluster
from scheduler.columns.storage import drivers_of
from scheduler.plugins.plugin import CLUSTER, Plugin
from scheduler.pod import PodReader, Template
from scheduler.reasons import Reasons
from scheduler.volumes import claim_of, class_of, volume_of


class Case:
    """A plugin and a cluster."""

    def __init__(
        self,
        plugin: type[Plugin],
        nodes: Iterable[Node],
        pods: Iterable[Pod] = (),
        *,
        namespaces: dict[str, dict[str, str]] | None = None,
        services: Iterable[Service] = (),
        stored: Iterable[Any] = (),
        **arguments: Any,
    ) -> None:
        self.reasons = Reasons()
        self.plugin = plugin(self.reasons, **arguments)
        self.cluster = Cluster()
        self.reader = PodReader()
        for name, labels in (namespaces or {}).items():
            self.cluster.pods.set_namespace(name, Namespace(metadata={"labels": labels}).metadata.labels)
        for service in services:
            self.cluster.set_service(service)
        for thing in stored:
            self._store(thing)
        for node in nodes:
            self.cluster.set_node(node)
        for pod in pods:
            info = self.reader.read(pod)
            self.cluster.add_pod(info, info.node_name)

    def _store(self, thing: Any) -> None:
        storage = self.cluster.storage
        if isinstance(thing, PersistentVolumeClaim):
            claim = claim_of(thing)
            storage.set_claim(claim.key, claim)
        elif isinstance(thing, PersistentVolume):
            storage.set_volume(thing.metadata.name, volume_of(thing))
        elif isinstance(thing, StorageClass):
            storage.set_class(thing.metadata.name, class_of(thing))
        else:
            storage.set_node(thing.metadata.name, drivers_of(thing))

    def verdicts(self, template: Template) -> tuple[dict[str, str], dict[str, bool]]:
        """Node and reason (empty: it suits), and for those that are refused whether preemption may help."""
        codes = self.plugin.filter(template, self.cluster, slice(0, self.cluster.height))
        names = self.cluster.rows.names
        if codes is None:
            return dict.fromkeys(names, ""), {}
        found = {name: self.reasons[int(code)] for name, code in zip(names, codes, strict=True) if code}
        return (
            {name: found[name].text if name in found else "" for name in names},
            {name: reason.resolvable for name, reason in found.items()},
        )

    def refusals(self, pod: Pod) -> dict[str, str]:
        """Node and reason; empty: it suits."""
        template = self.reader.read(pod).template
        codes = self.plugin.filter(template, self.cluster, slice(0, self.cluster.height))
        names = self.cluster.rows.names
        if codes is None:
            return dict.fromkeys(names, "")
        return {name: self.reasons[int(code)].text if code else "" for name, code in zip(names, codes, strict=True)}

    def suited(self, pod: Pod) -> set[str]:
        """The nodes that suit."""
        return {name for name, reason in self.refusals(pod).items() if not reason}

    def resolvable(self, pod: Pod) -> bool:
        """Whether the one node's refusal may be resolved by preemption."""
        codes = self.plugin.filter(self.reader.read(pod).template, self.cluster, slice(0, self.cluster.height))
        assert codes is not None
        return self.reasons[int(codes[0])].resolvable

    def scores(self, pod: Pod, among: Iterable[str] | None = None) -> dict[str, int]:
        """Node and normalised score, of all nodes or of those that passed the other filters."""
        names = list(among) if among is not None else [name for name in self.cluster.rows.names if name]
        rows = np.array([self.cluster.rows.get(name) for name in names], np.intp)
        raw = self.plugin.score(self.reader.read(pod).template, self.cluster, rows)
        if raw is None and self.plugin.reads == CLUSTER:
            return dict.fromkeys(names, 0)
        scores = self.plugin.normalize(np.zeros(len(rows), np.int64) if raw is None else raw)
        return dict(zip(names, scores.tolist(), strict=True))
