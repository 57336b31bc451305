"""Tables of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from steersman import kinds
from steersman.batch.v1 import Job
from steersman.cli.columns import cells, columns, order
from steersman.manifests import codec

from tests import manifests

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def row(obj: Any, *, wide: bool = False) -> dict[str, str]:
    chosen = columns(kinds.of(obj), wide=wide, with_namespace=False)
    return dict(zip([column.heading for column in chosen], cells(obj, chosen, NOW), strict=True))


def example(api_version: str, kind: str) -> Any:
    return codec.decode_object(manifests.of(api_version, kind))


@pytest.mark.parametrize("kind", list(kinds.every()), ids=str)
def test_every_kind_has_a_table(kind: kinds.Kind) -> None:
    full, blank = example(kind.api_version, kind.kind), kind.message()
    for obj in (full, blank):
        assert all(isinstance(cell, str) for cell in row(obj, wide=True).values())
    assert order(kind, [full, blank]) in ([full, blank], [blank, full])


@pytest.mark.parametrize(
    ("api_version", "kind", "cell", "text"),
    [
        ("apps/v1", "StatefulSet", "READY", "0/3"),
        ("apps/v1", "DaemonSet", "NODE SELECTOR", "kubernetes.io/os=linux"),
        ("batch/v1", "CronJob", "SCHEDULE", "15,45 3-5/2 * JAN-jun 1-5"),
        ("batch/v1", "Job", "COMPLETIONS", "0/5"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "REFERENCE", "Deployment/shop"),
        ("policy/v1", "PodDisruptionBudget", "MIN AVAILABLE", "60%"),
        ("policy/v1", "PodDisruptionBudget", "MAX UNAVAILABLE", "N/A"),
        ("v1", "PersistentVolume", "ACCESS MODES", "RWO"),
        ("v1", "PersistentVolume", "CAPACITY", "100Gi"),
        ("v1", "Endpoints", "ENDPOINTS", "192.0.2.10:80,192.0.2.10:53,2001:db8::1:80 + 1 more"),
        ("networking.k8s.io/v1", "Ingress", "HOSTS", "*.example.org,*"),
        ("networking.k8s.io/v1", "IngressClass", "NAME", "edge (default)"),
        ("storage.k8s.io/v1", "StorageClass", "NAME", "fast"),
        ("events.k8s.io/v1", "Event", "OBJECT", "pod/web"),
        ("v1", "Event", "OBJECT", "pod/web"),
    ],
)
def test_cells(api_version: str, kind: str, cell: str, text: str) -> None:
    assert row(example(api_version, kind))[cell] == text


def test_targets_of_an_autoscaler() -> None:
    made = example("autoscaling/v2", "HorizontalPodAutoscaler")
    measured = made.status.current_metrics.add(type="Resource")
    measured.resource.current.average_utilization = 42
    assert row(made)["TARGETS"].startswith(
        "cpu: 42%/60%, memory: <unknown>/200Mi, requests_per_second: <unknown>/1500m"
    )


@pytest.mark.parametrize("condition", ["Complete", "Failed", "Suspended"])
def test_how_a_job_is_doing(condition: str) -> None:
    job = Job()
    assert row(job)["STATUS"] == "Running"
    job.status.conditions.add(type=condition, status="True")
    job.status.start_time.seconds = int(NOW.timestamp()) - 300
    assert (row(job)["STATUS"], row(job)["DURATION"]) == (condition, "5m")
    job.status.completion_time.seconds = int(NOW.timestamp()) - 210
    assert row(job)["DURATION"] == "90s"
