"""Which reasoning is for which kind."""

from __future__ import annotations

from collections.abc import Callable

from steersman.cli.why.anything import of_anything
from steersman.cli.why.claim import of_claim
from steersman.cli.why.cron_job import of_cron_job
from steersman.cli.why.facts import Answer, Facts
from steersman.cli.why.node import of_node
from steersman.cli.why.pod import of_pod
from steersman.cli.why.quota import of_quota
from steersman.cli.why.service import of_service
from steersman.cli.why.workload import of_job, of_workload

WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController")
_OTHERS: dict[str, Callable[[Facts], Answer]] = {
    "Pod": of_pod,
    "Job": of_job,
    "CronJob": of_cron_job,
    "ResourceQuota": of_quota,
    "Service": of_service,
    "Node": of_node,
    "PersistentVolumeClaim": of_claim,
}


def answer(kind: str, facts: Facts) -> Answer:
    """Why an object of a kind is the way it is."""
    if kind in WORKLOADS:
        return of_workload(facts)
    return _OTHERS.get(kind, of_anything)(facts)
