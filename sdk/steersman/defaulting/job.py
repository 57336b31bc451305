"""Defaults of Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

from steersman.defaulting.pod import pod_spec

INT32_MAX = 2**31 - 1


def job(obj: Any) -> None:
    """Fills in a Job, except for the selector."""
    spec = obj.spec
    if not spec.HasField("parallelism"):
        if not spec.HasField("completions"):
            spec.completions = 1
        spec.parallelism = 1
    if not spec.HasField("backoff_limit"):
        spec.backoff_limit = INT32_MAX if spec.HasField("backoff_limit_per_index") else 6
    if not spec.HasField("completion_mode"):
        spec.completion_mode = "NonIndexed"
    for name in ("suspend", "manual_selector"):
        if not spec.HasField(name):
            setattr(spec, name, False)
    if not spec.HasField("pod_replacement_policy"):
        spec.pod_replacement_policy = "Failed" if spec.HasField("pod_failure_policy") else "TerminatingOrFailed"
    template(spec)
    labels = spec.template.metadata.labels
    if labels and not obj.metadata.labels:
        obj.metadata.labels.update(labels)


def template(spec: Any) -> None:
    """Fills in what the pods of a job are made from, and its policy for failures."""
    pod_spec(spec.template.spec)
    for rule in spec.pod_failure_policy.rules if spec.HasField("pod_failure_policy") else ():
        for pattern in rule.on_pod_conditions:
            pattern.status = pattern.status or "True"


def cron_job(obj: Any) -> None:
    """Fills in a CronJob."""
    spec = obj.spec
    spec.concurrency_policy = spec.concurrency_policy or "Allow"
    if not spec.HasField("suspend"):
        spec.suspend = False
    if not spec.HasField("successful_jobs_history_limit"):
        spec.successful_jobs_history_limit = 3
    if not spec.HasField("failed_jobs_history_limit"):
        spec.failed_jobs_history_limit = 1
    template(spec.job_template.spec)
