"""Decisions per second: the workloads of kubernetes' scheduler_perf, in one process, without an apiserver.

A decision here is everything from the pod's event to its being assumed on a node: reading the message, the queue, all
filters and scores over all nodes, and the change of the columns. Confirmations by the watch are timed by themselves.
What is measured is processor time of the one thread, so that other work on the machine does not count.

    build/venv/bin/python -m tests.bench.scheduler [workload ...]
"""

from __future__ import annotations

import gc
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service
from steersman.storage.v1 import CSINode, StorageClass

from scheduler.bootstrap import make_schedule
from scheduler.outcomes import Placement, Refusal
from scheduler.pod import GROUP_LABELS, MINIMUM_LABELS
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule

ROOT = Path(__file__).resolve().parent.parent.parent
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
PEER = "kube-scheduler, floor of its CI"
LOW, HIGH = 0, 10

Row = dict[str, Any]


def node(number: int, zones: int = 0) -> Node:
    """A node of 4 processors, 32 GiB, 110 pods."""
    name = f"node-{number}"
    made = Node(metadata={"name": name, "labels": {HOST: name}})
    if zones:
        made.metadata.labels[ZONE] = f"zone{number % zones + 1}"
    for key, value in (("cpu", "4"), ("memory", "32Gi"), ("pods", "110")):
        made.status.allocatable[key].value = value
    return made


def template(
    *, cpu: str = "100m", memory: str = "500Mi", labels: dict[str, str] | None = None, namespace: str = "sched-1"
) -> Pod:
    """A pod to make others from."""
    made = Pod(metadata={"namespace": namespace, "labels": labels or {}})
    made.spec.scheduler_name = "default-scheduler"
    container = made.spec.containers.add(name="pause", image="registry.k8s.io/pause:3.10")
    container.resources.requests["cpu"].value = cpu
    container.resources.requests["memory"].value = memory
    return made


def made_from(source: Pod, count: int, prefix: str) -> Iterator[Pod]:
    """So many pods like it, each with a name and a uid of its own."""
    for number in range(count):
        pod = Pod()
        pod.CopyFrom(source)
        pod.metadata.name = f"{prefix}-{number}"
        pod.metadata.uid = f"{prefix}-{number}"
        yield pod


@dataclass(frozen=True)
class Workload:
    """One workload.

    Attributes:
        name: what it is called upstream.
        floor: what kubernetes' CI demands, pods per second; None: nothing.
        aim: what this project aims at, decisions per second.
        make: the cluster with the pods that are there already, and the pods to be measured.
    """

    name: str
    floor: float | None
    aim: float
    make: Callable[[], tuple[Schedule, Iterable[Pod]]]


def cluster(nodes: int, zones: int = 0) -> Schedule:
    """A cluster without pods."""
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(1))
    for number in range(nodes):
        schedule.node_changed(None, node(number, zones), 0)
    return schedule


def place(schedule: Schedule, pods: Iterable[Pod]) -> None:
    """Places pods that are not measured."""
    for pod in pods:
        schedule.pod_changed(None, pod, 0)
        if not isinstance(schedule.attempt(0), Placement):
            raise RuntimeError(f"{pod.metadata.name} found no place")


def basic() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000)
    place(schedule, made_from(template(), 5000, "init"))
    return schedule, made_from(template(), 50_000, "pod")


def with_term(kind: str, color: str, key: str, *, preferred: bool = False, **more: Any) -> Pod:
    pod = template(labels={"color": color, "name": "test"})
    affinity = getattr(pod.spec.affinity, kind)
    if preferred:
        weighted = affinity.preferred_during_scheduling_ignored_during_execution.add(weight=1)
        term = weighted.pod_affinity_term
    else:
        term = affinity.required_during_scheduling_ignored_during_execution.add()
    term.topology_key = key
    term.label_selector.match_labels["color"] = color
    if "namespace_selector" in more:
        term.namespace_selector.match_labels["team"] = more["namespace_selector"]
    else:
        term.namespaces.extend(["sched-1", "sched-0"])
    return pod


def affinity() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000, zones=1)
    pod = with_term("pod_affinity", "blue", ZONE)
    place(schedule, made_from(pod, 5000, "init"))
    return schedule, made_from(pod, 5000, "pod")


def anti_affinity() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000)
    pod = with_term("pod_anti_affinity", "green", HOST)
    place(schedule, made_from(pod, 1000, "init"))
    return schedule, made_from(pod, 2000, "pod")


def preferred(kind: str, color: str) -> Callable[[], tuple[Schedule, Iterable[Pod]]]:
    def make() -> tuple[Schedule, Iterable[Pod]]:
        schedule = cluster(5000)
        pod = with_term(kind, color, HOST, preferred=True)
        place(schedule, made_from(pod, 5000, "init"))
        return schedule, made_from(pod, 5000, "pod")

    return make


def by_namespace_labels() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(6000)
    for number in range(100):
        namespace = Namespace(metadata={"name": f"init-ns-{number}", "labels": {"team": "devops"}})
        schedule.namespace_changed(None, namespace, 0)
    schedule.namespace_changed(None, Namespace(metadata={"name": "sched-1", "labels": {"team": "devops"}}), 0)
    pod = with_term("pod_anti_affinity", "green", HOST, namespace_selector="devops")
    for number in range(100):
        pod.metadata.namespace = f"init-ns-{number}"
        place(schedule, made_from(pod, 40, f"init-{number}"))
    pod.metadata.namespace = "sched-1"
    return schedule, made_from(pod, 2000, "pod")


def node_affinity() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000, zones=1)
    pod = template()
    wish = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    wish.node_selector_terms.add().match_expressions.add(key=ZONE, operator="In", values=["zone1", "zone2"])
    place(schedule, made_from(pod, 5000, "init"))
    return schedule, made_from(pod, 10_000, "pod")


def one_node_each() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(15_000)

    def pods() -> Iterator[Pod]:
        for number, pod in enumerate(made_from(template(), 30_000, "pod")):
            wish = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
            wish.node_selector_terms.add().match_fields.add(
                key="metadata.name", operator="In", values=[f"node-{number % 15_000}"]
            )
            yield pod

    return schedule, pods()


def spreading(when: str) -> Callable[[], tuple[Schedule, Iterable[Pod]]]:
    def make() -> tuple[Schedule, Iterable[Pod]]:
        schedule = cluster(5000, zones=3)
        place(schedule, made_from(template(), 5000, "init"))
        pod = template(labels={"color": "blue"})
        constraint = pod.spec.topology_spread_constraints.add(max_skew=5, topology_key=ZONE, when_unsatisfiable=when)
        constraint.label_selector.match_labels["color"] = "blue"
        return schedule, made_from(pod, 5000, "pod")

    return make


def default_spreading() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000, zones=3)
    service = Service(metadata={"name": "web", "namespace": "sched-1"}, spec={"selector": {"app": "scheduler-perf"}})
    schedule.service_changed(None, service)
    pod = template(labels={"app": "scheduler-perf"})
    place(schedule, made_from(pod, 5000, "init"))
    return schedule, made_from(pod, 50_000, "pod")


def churn() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000)

    def pods() -> Iterator[Pod]:
        # Upstream recreates a node, a pod and a service each second; here every 500 pods.
        for number, pod in enumerate(made_from(template(), 10_000, "pod")):
            if number % 500 == 0:
                extra = node(5000 + number)
                schedule.node_changed(None, extra, 0)
                schedule.node_changed(extra, None, 0)
                big = next(made_from(template(cpu="10"), 1, f"churn-{number}"))
                schedule.pod_changed(None, big, 0)
                schedule.attempt(0)
                schedule.pod_changed(big, None, 0)
            yield pod

    return schedule, pods()


def unschedulable() -> tuple[Schedule, Iterable[Pod]]:
    schedule = cluster(5000)
    place(schedule, made_from(template(), 20_000, "init"))
    impossible = made_from(template(cpu="10", namespace="sched-2"), 1000, "large")

    def pods() -> Iterator[Pod]:
        for number, pod in enumerate(made_from(template(), 10_000, "pod")):
            if number % 10 == 0:
                # These wait, and every event must pass them by.
                schedule.pod_changed(None, next(impossible), 0)
                schedule.attempt(0)
            yield pod

    return schedule, pods()


def preemption(nodes: int) -> Callable[[], tuple[Schedule, Iterable[Pod]]]:
    def make() -> tuple[Schedule, Iterable[Pod]]:
        schedule = cluster(nodes)
        low = template(cpu="900m")
        low.spec.priority = LOW
        place(schedule, made_from(low, 4 * nodes, "low"))
        high = template(cpu="3")
        high.spec.priority = HIGH
        return schedule, made_from(high, nodes, "high")

    return make


def with_volumes(delayed: bool) -> Callable[[], tuple[Schedule, Iterable[Pod]]]:
    """Pods with a claim each: bound to a volume of a CSI driver, or waiting to be given one of the node's own."""

    def make() -> tuple[Schedule, Iterable[Pod]]:
        schedule = cluster(5000)
        for number in range(5000):
            drivers = CSINode(metadata={"name": f"node-{number}"})
            drivers.spec.drivers.add(name="disk.example.com", node_id=f"node-{number}").allocatable.count = 39
            schedule.drivers_changed(None, drivers, 0)
        mode = "WaitForFirstConsumer" if delayed else "Immediate"
        schedule.class_changed(None, StorageClass(metadata={"name": "disk"}, volume_binding_mode=mode), 0)

        def pods(count: int, prefix: str) -> Iterator[Pod]:
            for number, pod in enumerate(made_from(template(), count, prefix)):
                name = pod.metadata.name
                volume = PersistentVolume(metadata={"name": name})
                volume.spec.capacity["storage"].value = "1Gi"
                volume.spec.access_modes.append("ReadWriteOnce")
                volume.spec.storage_class_name = "disk"
                volume.status.phase = "Available"
                claim = PersistentVolumeClaim(metadata={"name": name, "namespace": pod.metadata.namespace, "uid": name})
                claim.spec.storage_class_name = "disk"
                claim.spec.access_modes.append("ReadWriteOnce")
                claim.spec.resources.requests["storage"].value = "1Gi"
                if delayed:
                    term = volume.spec.node_affinity.required.node_selector_terms.add()
                    term.match_expressions.add(key=HOST, operator="In", values=[f"node-{number}"])
                    volume.spec.persistent_volume_source.local.path = "/mnt"
                else:
                    volume.spec.persistent_volume_source.csi.driver = "disk.example.com"
                    volume.spec.persistent_volume_source.csi.volume_handle = name
                    claim.spec.volume_name = name
                    claim.metadata.annotations["pv.kubernetes.io/bind-completed"] = "yes"
                schedule.volume_changed(None, volume, 0)
                schedule.claim_changed(None, claim, 0)
                source = pod.spec.volumes.add(name="data").volume_source
                source.persistent_volume_claim.claim_name = name
                yield pod

        if delayed:
            # All volumes are there before the first pod comes.
            return schedule, list(pods(1000, "pod"))
        place(schedule, pods(5000, "init"))
        return schedule, list(pods(5000, "pod"))

    return make


def gangs() -> tuple[Schedule, Iterable[Pod]]:
    """Groups of ten; the decision on a group falls when its last member comes."""
    schedule = cluster(5000)

    def pods() -> Iterator[Pod]:
        for group in range(1000):
            labels = {GROUP_LABELS[0]: f"group-{group}", MINIMUM_LABELS[0]: "10"}
            yield from made_from(template(labels=labels), 10, f"group-{group}")

    return schedule, pods()


WORKLOADS = (
    Workload("SchedulingBasic 5000 nodes, 50000 pods", 810, 8000, basic),
    Workload("PodAffinity 5000", 35, 1000, affinity),
    Workload("PodAntiAffinity 2000", 60, 2000, anti_affinity),
    Workload("PreferredPodAffinity 5000", 90, 1000, preferred("pod_affinity", "red")),
    Workload("PreferredPodAntiAffinity 5000", 90, 1000, preferred("pod_anti_affinity", "yellow")),
    Workload("PodAntiAffinity by namespace labels 2000", 24, 500, by_namespace_labels),
    Workload("NodeAffinity 10000", 220, 4000, node_affinity),
    Workload("TopologySpreading 5000", 460, 4000, spreading("DoNotSchedule")),
    Workload("PreferredTopologySpreading 5000", 340, 4000, spreading("ScheduleAnyway")),
    Workload("DefaultTopologySpreading 50000", 160, 4000, default_spreading),
    Workload("MixedChurn 10000", 710, 4000, churn),
    Workload("Unschedulable 10000, 20000 there, 1000 that wait", 600, 4000, unschedulable),
    Workload("CSIPVs 5000, a bound volume each", 100, 1000, with_volumes(delayed=False)),
    Workload("1000 claims that wait, as many local volumes", None, 100, with_volumes(delayed=True)),
    Workload("groups of 10, 10000 pods", None, 4000, gangs),
    Workload("one node each, 15000 nodes, 30000 pods", 1100, 5000, one_node_each),
    Workload("Preemption 1000 nodes, 1000 pods", None, 500, preemption(1000)),
    Workload("Preemption 5000 nodes, 5000 pods", None, 500, preemption(5000)),
)


def deciding(schedule: Schedule, pods: Iterable[Pod]) -> list[float]:
    """Seconds of each decision; a pod that needs preemption is decided on twice, with its victims gone in between."""
    taken = []
    for pod in pods:
        started = time.thread_time()
        schedule.pod_changed(None, pod, 0)
        attempt = schedule.attempt(0)
        spent = time.thread_time() - started
        if isinstance(attempt, Refusal) and attempt.preemption is not None:
            for victim in attempt.preemption.victims:
                bound = Pod()
                bound.CopyFrom(victim.message)
                schedule.pod_changed(bound, None, 0)
            started = time.thread_time()
            attempt = schedule.attempt(0)
            spent += time.thread_time() - started
        if isinstance(attempt, Refusal) and pod.metadata.labels.get(GROUP_LABELS[0]):
            # Its group is not complete; when it is, all are placed at once.
            taken.append(spent)
            continue
        if not isinstance(attempt, Placement):
            raise RuntimeError(f"{pod.metadata.name} found no place: {attempt}")
        while attempt is not None and pod.metadata.labels.get(GROUP_LABELS[0]):
            attempt = schedule.attempt(0)
        taken.append(spent)
    return taken


def measured(workload: Workload) -> list[Row]:
    """The figures of one workload."""
    schedule, pods = workload.make()
    gc.collect()
    gc.freeze()
    taken = deciding(schedule, pods)
    gc.unfreeze()
    rate = len(taken) / sum(taken)
    ranked = sorted(taken)
    rows: list[Row] = [
        {
            "figure": workload.name,
            "value": round(rate),
            "unit": "decisions/s",
            "aim": workload.aim,
            "peer": PEER if workload.floor else None,
            "peer_value": workload.floor,
            "ratio": round(rate / workload.floor, 1) if workload.floor else None,
        }
    ]
    for name, value in (("p50", statistics.median(ranked)), ("p99", ranked[int(len(ranked) * 0.99)])):
        rows.append(
            {
                "figure": f"{workload.name}: {name}",
                "value": round(value * 1e6),
                "unit": "us",
                "aim": None,
                "peer": None,
                "peer_value": None,
                "ratio": None,
            }
        )
    return rows


def events() -> list[Row]:
    """What one event costs in a full cluster of 5,000 nodes, and the memory that 150,000 pods take."""
    schedule = cluster(5000)
    pods = list(made_from(template(cpu="10m", memory="10Mi"), 150_000, "pod"))
    for pod in pods:
        schedule.pod_changed(None, pod, 0)
        schedule.attempt(0)
    confirmed = []
    for pod in pods[:20_000]:
        pod.spec.node_name = schedule.assumed[pod.metadata.uid].node
        started = time.thread_time()
        schedule.pod_changed(None, pod, 0)
        confirmed.append(time.thread_time() - started)
    changed = []
    for number in range(2000):
        cordoned = node(number)
        cordoned.spec.unschedulable = True
        started = time.thread_time()
        schedule.node_changed(None, cordoned, 0)
        changed.append(time.thread_time() - started)
    memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    empty = {"peer": None, "peer_value": None, "ratio": None}
    return [
        {"figure": "pod event", "value": round(statistics.mean(confirmed) * 1e6), "unit": "us", "aim": 100, **empty},
        {"figure": "node event", "value": round(statistics.mean(changed) * 1e6), "unit": "us", "aim": 100, **empty},
        {
            "figure": "memory with 5000 nodes, 150000 pods",
            "value": round(memory_bytes / 1e6),
            "unit": "MB",
            "aim": 1500,
            **empty,
        },
    ]


def run(chosen: Iterable[str] = ()) -> list[Row]:
    """All figures, or those of the workloads whose names begin so; also written to build/bench/scheduler.json."""
    wanted = tuple(chosen)
    rows: list[Row] = []
    for workload in WORKLOADS:
        if not wanted or workload.name.startswith(wanted):
            rows += measured(workload)
    if not wanted or "events" in wanted:
        rows += events()
    if not wanted:
        folder = ROOT / "build" / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scheduler.json").write_text(json.dumps(rows, indent=1))
    return rows


def main() -> None:
    """Prints the figures."""
    for row in run(sys.argv[1:]):
        ratio = f"  {row['ratio']:>6} x {row['peer_value']} ({row['peer']})" if row["ratio"] else ""
        aim = f"aim {row['aim']}" if row["aim"] else ""
        print(f"{row['figure']:<48} {row['value']:>9} {row['unit']:<12} {aim:<10}{ratio}")


if __name__ == "__main__":
    main()
