"""The plugins that there are, in the order in which they are asked, with their default weights."""

from __future__ import annotations

from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_name import NodeName
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import NodeResourcesFit
from scheduler.plugins.node_unschedulable import NodeUnschedulable
from scheduler.plugins.plugin import Plugin
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.reasons import Reasons

Weighted = tuple[Plugin, int]


def defaults(reasons: Reasons) -> tuple[Weighted, ...]:
    """The plugins of the default profile, each with the weight of its score."""
    return (
        (NodeUnschedulable(reasons), 0),
        (NodeName(reasons), 0),
        (TaintToleration(reasons), 3),
        (NodeAffinity(reasons), 2),
        (NodePorts(reasons), 0),
        (NodeResourcesFit(reasons), 1),
        (PodTopologySpread(reasons), 2),
        (InterPodAffinity(reasons), 2),
        (NodeResourcesBalancedAllocation(reasons), 1),
        (ImageLocality(reasons), 1),
    )
