"""Rows of the tables beside this file, read into clusters and pods.

A row is one case: `nodes`, the `pods` that are on them, the `pod` that comes, and what one plugin makes of it:
`verdicts` (node and reason, empty: it suits) or `scores` (node and normalised score). Objects have Kubernetes' field
names; what a case does not depend on is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from steersman.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.core.v1 import NodeAffinity as NodeAffinityMessage
from steersman.manifests import codec
from steersman.storage.v1 import CSINode, StorageClass

from scheduler.plugins.node_resources_fit import Strategy
from scheduler.plugins.pod_topology_spread import Default
from scheduler.terms import node_term

TABLES = Path(__file__).parent / "tables"
Row = Mapping[str, Any]
_numbers = itertools.count(1)


def rows(name: str) -> list[Row]:
    """The rows of a table, in order."""
    found: list[Row] = yaml.load((TABLES / f"{name}.yaml").read_text(), yaml.CSafeLoader)
    return found


def tables() -> Iterator[str]:
    """The names of all tables."""
    return (path.stem for path in sorted(TABLES.glob("*.yaml")))


def a_node(data: Mapping[str, Any]) -> Node:
    """A node; without other capacity it has room for 110 pods."""
    made = codec.decode(Node, {"apiVersion": "v1", "kind": "Node", **data})
    if "pods" not in made.status.allocatable:
        made.status.allocatable["pods"].value = "110"
    return made


def a_pod(data: Mapping[str, Any]) -> Pod:
    """A pod, with a uid of its own, in the namespace "default" unless it says otherwise."""
    made = codec.decode(Pod, {"apiVersion": "v1", "kind": "Pod", **data})
    number = next(_numbers)
    made.metadata.uid = made.metadata.uid or f"uid-{number}"
    made.metadata.name = made.metadata.name or f"pod-{number}"
    made.metadata.namespace = made.metadata.namespace or "default"
    return made


def a_service(data: Mapping[str, Any]) -> Service:
    """A Service."""
    made = codec.decode(Service, {"apiVersion": "v1", "kind": "Service", **data})
    made.metadata.namespace = made.metadata.namespace or "default"
    return made


def stored(row: Row) -> list[Any]:
    """Claims, volumes, classes and what nodes say of their drivers."""
    result: list[Any] = []
    for field, kind, version, message in (
        ("claims", "PersistentVolumeClaim", "v1", PersistentVolumeClaim),
        ("volumes", "PersistentVolume", "v1", PersistentVolume),
        ("classes", "StorageClass", "storage.k8s.io/v1", StorageClass),
        ("drivers", "CSINode", "storage.k8s.io/v1", CSINode),
    ):
        for data in row.get(field, ()):
            made: Any = codec.decode(message, {"apiVersion": version, "kind": kind, **data})
            if message is PersistentVolumeClaim:
                made.metadata.namespace = made.metadata.namespace or "default"
            result.append(made)
    return result


def arguments(row: Row) -> dict[str, Any]:
    """The plugin's arguments."""
    given = dict(row.get("args", {}))
    if "strategy" in given:
        strategy = given["strategy"]
        given["strategy"] = Strategy(
            strategy["kind"],
            tuple(strategy["weights"].items()),
            tuple((use, score) for use, score in strategy.get("shape", [])) or Strategy().shape,
        )
    for name in ("ignored", "ignored_groups"):
        if name in given:
            given[name] = frozenset(given[name])
    if "added" in given:
        message = codec.decode(NodeAffinityMessage, given.pop("added"))
        if message.HasField("required_during_scheduling_ignored_during_execution"):
            required = message.required_during_scheduling_ignored_during_execution.node_selector_terms
            given["added"] = tuple(term for term in map(node_term, required) if term is not None)
        preferred = message.preferred_during_scheduling_ignored_during_execution
        given["added_preferred"] = tuple(
            (one.weight, term) for one in preferred if (term := node_term(one.preference)) is not None
        )
    if "resources" in given:
        given["resources"] = tuple(given["resources"])
    if "defaults" in given:
        given["defaults"] = tuple(Default(key, skew) for key, skew in given["defaults"])
    return given
