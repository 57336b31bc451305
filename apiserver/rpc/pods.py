"""The verbs that only pods have, put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from steersman.clock import Clock

from apiserver.registry import Registry
from apiserver.rpc.agents import NodeChannel
from apiserver.rpc.bindings import BindingHandlers
from apiserver.rpc.eviction import EvictionHandlers
from apiserver.rpc.guard import Guard
from apiserver.rpc.pod_parts import PodPartHandlers
from apiserver.rpc.pod_streams import StreamHandlers

PODS = "steersman.core.v1.Pods"
NODES = "steersman.core.v1.Nodes"
BUDGETS = "steersman.policy.v1.PodDisruptionBudgets"


def pod_methods(
    registries: Mapping[str, Registry], guard: Guard, clock: Clock, node_channel: NodeChannel
) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The pods' own rpcs by name."""
    pods = registries[PODS]
    return {
        **BindingHandlers(pods, guard, clock).methods(),
        **EvictionHandlers(pods, registries[BUDGETS], guard, clock).methods(),
        **PodPartHandlers(pods, guard).methods(),
        **StreamHandlers(pods, registries[NODES], guard, node_channel).methods(),
    }
