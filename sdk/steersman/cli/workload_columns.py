"""What tables show of the kinds that make pods, scale them and keep them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.cli.cells import AGE, NAME, Column, age, containers, duration, images
from steersman.clock import from_timestamp

_CONTAINERS = Column("CONTAINERS", lambda obj, _: containers(obj.spec.template.spec), wide=True)
_IMAGES = Column("IMAGES", lambda obj, _: images(obj.spec.template.spec), wide=True)


def _selector(labels: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def job_status(job: Any, _now: datetime) -> str:
    """The one word that says best how a job is doing."""
    if job.metadata.HasField("deletion_timestamp"):
        return "Terminating"
    true = [condition.type for condition in job.status.conditions if condition.status == "True"]
    return next((word for word in ("Complete", "Failed", "Suspended") if word in true), "Running")


def _completions(job: Any, _now: datetime) -> str:
    if job.spec.HasField("completions"):
        return f"{job.status.succeeded}/{job.spec.completions}"
    several = f" of {job.spec.parallelism}" if job.spec.parallelism > 1 else ""
    return f"{job.status.succeeded}/1{several}"


def _took(job: Any, now: datetime) -> str:
    if not job.status.HasField("start_time"):
        return ""
    end = from_timestamp(job.status.completion_time) if job.status.HasField("completion_time") else now
    return duration(max(0, int((end - from_timestamp(job.status.start_time)).total_seconds())))


def _since(moment: Any, now: datetime) -> str:
    return age(moment, now) if moment.seconds else "<none>"


def amount(value: Any) -> str:
    """A number or a percentage; "N/A" where there is none."""
    return str(value.str_val if value.type == 1 else value.int_val)


def _bound(spec: Any, name: str) -> str:
    return amount(getattr(spec, name)) if spec.HasField(name) else "N/A"


def _figure(target: Any) -> str:
    if target.HasField("average_utilization"):
        return f"{target.average_utilization}%"
    return str(target.average_value.value or target.value.value or "<unknown>")


def _targets(autoscaler: Any, _now: datetime) -> str:
    """Of each metric what was measured and what it should be: "cpu: 40%/80%"."""
    shown = []
    measured = list(autoscaler.status.current_metrics)
    for index, metric in enumerate(autoscaler.spec.metrics):
        part = next((value for field, value in metric.ListFields() if field.name != "type"), None)
        if part is None:
            continue
        name = part.name if hasattr(part, "name") else part.metric.name
        current = "<unknown>"
        if index < len(measured):
            found = next((value for field, value in measured[index].ListFields() if field.name != "type"), None)
            current = _figure(found.current) if found is not None else current
        shown.append(f"{name}: {current}/{_figure(part.target)}")
    return ", ".join(shown) or "<none>"


WORKLOADS: dict[str, list[Column]] = {
    "DaemonSet": [
        NAME,
        Column("DESIRED", lambda d, _: str(d.status.desired_number_scheduled)),
        Column("CURRENT", lambda d, _: str(d.status.current_number_scheduled)),
        Column("READY", lambda d, _: str(d.status.number_ready)),
        Column("UP-TO-DATE", lambda d, _: str(d.status.updated_number_scheduled)),
        Column("AVAILABLE", lambda d, _: str(d.status.number_available)),
        Column("NODE SELECTOR", lambda d, _: _selector(d.spec.template.spec.node_selector)),
        AGE,
        _CONTAINERS,
        _IMAGES,
    ],
    "StatefulSet": [
        NAME,
        Column("READY", lambda s, _: f"{s.status.ready_replicas}/{s.spec.replicas}"),
        AGE,
        _CONTAINERS,
        _IMAGES,
    ],
    "ReplicationController": [
        NAME,
        Column("DESIRED", lambda rc, _: str(rc.spec.replicas)),
        Column("CURRENT", lambda rc, _: str(rc.status.replicas)),
        Column("READY", lambda rc, _: str(rc.status.ready_replicas)),
        AGE,
        _CONTAINERS,
        _IMAGES,
    ],
    "ControllerRevision": [
        NAME,
        Column(
            "CONTROLLER",
            lambda r, _: next(
                (f"{o.kind.lower()}/{o.name}" for o in r.metadata.owner_references if o.controller), "<none>"
            ),
        ),
        Column("REVISION", lambda r, _: str(r.revision)),
        AGE,
    ],
    "PodTemplate": [
        NAME,
        Column("CONTAINERS", lambda t, _: containers(t.template.spec)),
        Column("IMAGES", lambda t, _: images(t.template.spec)),
        AGE,
    ],
    "Job": [
        NAME,
        Column("STATUS", job_status),
        Column("COMPLETIONS", _completions),
        Column("DURATION", _took),
        AGE,
        _CONTAINERS,
        _IMAGES,
    ],
    "CronJob": [
        NAME,
        Column("SCHEDULE", lambda c, _: c.spec.schedule),
        Column("TIMEZONE", lambda c, _: c.spec.time_zone or "<none>"),
        Column("SUSPEND", lambda c, _: str(bool(c.spec.suspend))),
        Column("ACTIVE", lambda c, _: str(len(c.status.active))),
        Column("LAST SCHEDULE", lambda c, now: _since(c.status.last_schedule_time, now)),
        AGE,
        Column("IMAGES", lambda c, _: images(c.spec.job_template.spec.template.spec), wide=True),
    ],
    "HorizontalPodAutoscaler": [
        NAME,
        Column("REFERENCE", lambda h, _: f"{h.spec.scale_target_ref.kind}/{h.spec.scale_target_ref.name}"),
        Column("TARGETS", _targets),
        Column("MINPODS", lambda h, _: str(h.spec.min_replicas)),
        Column("MAXPODS", lambda h, _: str(h.spec.max_replicas)),
        Column("REPLICAS", lambda h, _: str(h.status.current_replicas)),
        AGE,
    ],
    "PodDisruptionBudget": [
        NAME,
        Column("MIN AVAILABLE", lambda b, _: _bound(b.spec, "min_available")),
        Column("MAX UNAVAILABLE", lambda b, _: _bound(b.spec, "max_unavailable")),
        Column("ALLOWED DISRUPTIONS", lambda b, _: str(b.status.disruptions_allowed)),
        AGE,
    ],
}
