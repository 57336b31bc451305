"""Nodes and pods for the tests, made in one line."""

from __future__ import annotations

import itertools
from typing import Any

from steersman.core.v1 import Node, Pod
from steersman.manifests import codec

_numbers = itertools.count(1)


def node(
    name: str,
    *,
    cpu: str = "4",
    memory: str = "32Gi",
    pods: str = "110",
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    unschedulable: bool = False,
    images: dict[str, int] | None = None,
    **extended: str,
) -> Node:
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods}
    allocatable.update(extended)
    return codec.decode(
        Node,
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
            "spec": {"taints": taints or [], "unschedulable": unschedulable},
            "status": {
                "allocatable": allocatable,
                "images": [{"names": [image], "sizeBytes": size} for image, size in (images or {}).items()],
            },
        },
    )


def pod(
    name: str = "",
    *,
    cpu: str = "",
    memory: str = "",
    labels: dict[str, str] | None = None,
    namespace: str = "default",
    on: str = "",
    requests: dict[str, str] | None = None,
    priority: int | None = None,
    **spec: Any,
) -> Pod:
    number = next(_numbers)
    asked = dict(requests or {})
    if cpu:
        asked["cpu"] = cpu
    if memory:
        asked["memory"] = memory
    body: dict[str, Any] = {"containers": [{"name": "c", "image": "pause", "resources": {"requests": asked}}]}
    if on:
        body["nodeName"] = on
    if priority is not None:
        body["priority"] = priority
    body.update(spec)
    return codec.decode(
        Pod,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name or f"pod-{number}",
                "namespace": namespace,
                "uid": f"uid-pod-{number}",
                "labels": labels or {},
            },
            "spec": body,
        },
    )
