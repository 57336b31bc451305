"""Rules of Jobs and CronJobs."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, of_message
from steersman.validation import cron, indexes, meta, names, pod
from steersman.validation.meta import not_negative, one_of
from steersman.validation.names import show, violation
from steersman.validation.workload import unchanged

PARALLELISM_MAX = 100_000
# A job of more completions than MANY is bounded more tightly.
MANY = 100_000
OF_MANY_MAX = 10_000
RULES_MAX = 20
EXIT_CODES_MAX = 255
CRON_JOB_NAME_CHARACTERS_MAX = 52
MANAGED_BY_CHARACTERS_MAX = 63
INDEXES_BYTES_MAX = 64 * 1024

UID_LABEL, OLD_UID_LABEL = "batch.kubernetes.io/controller-uid", "controller-uid"
NAME_LABEL, OLD_NAME_LABEL = "batch.kubernetes.io/job-name", "job-name"
_MANAGER = re.compile(r"(?P<domain>[^/]+)/(?P<path>[A-Za-z0-9/\-._~%!$&'()*+,;=:]+)")

_COUNTS = (
    ("parallelism", "parallelism"),
    ("completions", "completions"),
    ("active_deadline_seconds", "activeDeadlineSeconds"),
    ("backoff_limit", "backoffLimit"),
    ("ttl_seconds_after_finished", "ttlSecondsAfterFinished"),
    ("backoff_limit_per_index", "backoffLimitPerIndex"),
    ("max_failed_indexes", "maxFailedIndexes"),
)


def job(obj: Any) -> list[FieldViolation]:
    """What is wrong with a Job."""
    found = _spec("spec", obj.spec)
    spec = obj.spec
    found += meta.selector("spec.selector", spec.selector)
    labels = spec.template.metadata.labels
    if not spec.manual_selector:
        for label, wanted in ((UID_LABEL, obj.metadata.uid), (NAME_LABEL, obj.metadata.name)):
            if labels.get(label) != wanted:
                found += violation(
                    f"spec.template.metadata.labels[{label}]", f"must be {wanted!r}: the apiserver sets it"
                )
        if spec.selector.match_labels.get(UID_LABEL) != obj.metadata.uid:
            found += violation("spec.selector", "is made by the apiserver unless spec.manualSelector is true")
    if not spec.HasField("selector"):
        return found + violation("spec.selector", "required where spec.manualSelector is true")
    try:
        fits = of_message(spec.selector).matches(labels)
    except SelectorError:
        fits = True
    if not fits:
        found += violation("spec.template.metadata.labels", "do not match spec.selector")
    if spec.completion_mode == "Indexed" and spec.completions > 0:
        last = f"{obj.metadata.name}-{spec.completions - 1}"
        if names.label_1123("metadata.name", last):
            found += violation(
                "metadata.name", f"a pod would have the host name {show(last)}, which is not a DNS label"
            )
    return found


def _spec(field: str, spec: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for name, shown in _COUNTS:
        found += not_negative(f"{field}.{shown}", getattr(spec, name))
    found += pod.template(f"{field}.template", spec.template)
    restart = spec.template.spec.restart_policy
    if restart not in ("OnFailure", "Never"):
        here = f"{field}.template.spec.restartPolicy"
        found += violation(here, f"{show(restart)} is not one of OnFailure, Never: these pods are to end")
    found += _indexing(field, spec)
    if spec.HasField("managed_by"):
        found += _manager(f"{field}.managedBy", spec.managed_by)
    if spec.HasField("pod_failure_policy"):
        found += _failure_policy(f"{field}.podFailurePolicy", spec)
    if spec.HasField("pod_replacement_policy"):
        here = f"{field}.podReplacementPolicy"
        if spec.HasField("pod_failure_policy"):
            found += one_of(here, spec.pod_replacement_policy, ("Failed",))
        else:
            found += one_of(here, spec.pod_replacement_policy, ("Failed", "TerminatingOrFailed"))
    if spec.HasField("success_policy"):
        found += _success_policy(f"{field}.successPolicy", spec)
    return found


def _indexing(field: str, spec: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    indexed = spec.completion_mode == "Indexed"
    if spec.HasField("completion_mode"):
        found += one_of(f"{field}.completionMode", spec.completion_mode, ("NonIndexed", "Indexed"))
    if not indexed:
        for name, shown in (("backoff_limit_per_index", "backoffLimitPerIndex"), ("success_policy", "successPolicy")):
            if spec.HasField(name):
                found += violation(f"{field}.{shown}", "only for jobs whose completionMode is Indexed")
    elif not spec.HasField("completions"):
        found += violation(f"{field}.completions", "required where completionMode is Indexed")
    elif spec.parallelism > PARALLELISM_MAX:
        found += violation(f"{field}.parallelism", f"{spec.parallelism} is more than {PARALLELISM_MAX}")
    failed = spec.max_failed_indexes
    if spec.HasField("max_failed_indexes"):
        here = f"{field}.maxFailedIndexes"
        if not spec.HasField("backoff_limit_per_index"):
            found += violation(here, "only where backoffLimitPerIndex is given")
        if spec.HasField("completions") and failed > spec.completions:
            found += violation(here, f"{failed} is more than the {spec.completions} completions")
        if failed > PARALLELISM_MAX:
            found += violation(here, f"{failed} is more than {PARALLELISM_MAX}")
    if indexed and spec.completions > MANY and spec.HasField("backoff_limit_per_index"):
        if not spec.HasField("max_failed_indexes"):
            found += violation(f"{field}.maxFailedIndexes", f"required where there are more than {MANY} completions")
        for shown, value in (("parallelism", spec.parallelism), ("maxFailedIndexes", failed)):
            if value > OF_MANY_MAX:
                why = f"{value} is more than {OF_MANY_MAX}, with more than {MANY} completions"
                found += violation(f"{field}.{shown}", why)
    return found


def _manager(field: str, value: str) -> list[FieldViolation]:
    match = _MANAGER.fullmatch(value)
    if match is None or len(value) > MANAGED_BY_CHARACTERS_MAX:
        rule = f"a domain, '/' and a path, at most {MANAGED_BY_CHARACTERS_MAX}"
        return violation(field, f"{show(value)} is not the name of a controller ({rule})")
    return names.subdomain(field, match["domain"])


def _failure_policy(field: str, spec: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if spec.template.spec.restart_policy != "Never":
        found += violation(field, "only where the template's restartPolicy is Never")
    rules = spec.pod_failure_policy.rules
    if len(rules) > RULES_MAX:
        found += violation(f"{field}.rules", f"{len(rules)} rules, at most {RULES_MAX}")
    known = {each.name for each in chain(spec.template.spec.containers, spec.template.spec.init_containers)}
    for index, rule in enumerate(rules):
        here = f"{field}.rules[{index}]"
        found += one_of(f"{here}.action", rule.action, ("FailJob", "FailIndex", "Ignore", "Count"))
        if rule.action == "FailIndex" and not spec.HasField("backoff_limit_per_index"):
            found += violation(f"{here}.action", "FailIndex is only for jobs with backoffLimitPerIndex")
        if rule.HasField("on_exit_codes") == bool(rule.on_pod_conditions):
            found += violation(here, "needs exactly one of onExitCodes and onPodConditions")
        if rule.HasField("on_exit_codes"):
            found += _exit_codes(f"{here}.onExitCodes", rule.on_exit_codes, known)
        if len(rule.on_pod_conditions) > RULES_MAX:
            found += violation(f"{here}.onPodConditions", f"more than {RULES_MAX}")
        for number, pattern in enumerate(rule.on_pod_conditions):
            at = f"{here}.onPodConditions[{number}]"
            found += names.label_key(f"{at}.type", pattern.type)
            found += one_of(f"{at}.status", pattern.status, ("True", "False", "Unknown"))
    return found


def _exit_codes(field: str, wanted: Any, containers: set[str]) -> list[FieldViolation]:
    found = one_of(f"{field}.operator", wanted.operator, ("In", "NotIn"))
    if wanted.HasField("container_name") and wanted.container_name not in containers:
        found += violation(f"{field}.containerName", f"the template has no container {show(wanted.container_name)}")
    values = list(wanted.values)
    if not 0 < len(values) <= EXIT_CODES_MAX:
        found += violation(f"{field}.values", f"{len(values)} values, 1 to {EXIT_CODES_MAX} are needed")
    if values != sorted(set(values)):
        found += violation(f"{field}.values", "must rise and not repeat")
    if wanted.operator == "In" and 0 in values:
        found += violation(f"{field}.values", "0 is no failure")
    return found


def _success_policy(field: str, spec: Any) -> list[FieldViolation]:
    rules = spec.success_policy.rules
    found: list[FieldViolation] = []
    if not 0 < len(rules) <= RULES_MAX:
        found += violation(f"{field}.rules", f"{len(rules)} rules, 1 to {RULES_MAX} are needed")
    for index, rule in enumerate(rules):
        here = f"{field}.rules[{index}]"
        several = spec.completions
        if not rule.HasField("succeeded_indexes") and not rule.HasField("succeeded_count"):
            found += violation(here, "needs at least one of succeededIndexes and succeededCount")
        if rule.HasField("succeeded_indexes"):
            text = rule.succeeded_indexes
            try:
                if len(text) > INDEXES_BYTES_MAX:
                    raise indexes.IndexesError(f"{len(text)} characters, at most {INDEXES_BYTES_MAX}")
                several = indexes.count(indexes.parse(text, below=spec.completions))
            except indexes.IndexesError as error:
                found += violation(f"{here}.succeededIndexes", str(error))
        if rule.HasField("succeeded_count") and not 0 < rule.succeeded_count <= several:
            found += violation(f"{here}.succeededCount", f"{rule.succeeded_count} is not from 1 to {several}")
    return found


_FROZEN = (
    "completion_mode",
    "pod_failure_policy",
    "backoff_limit_per_index",
    "managed_by",
    "success_policy",
    "selector",
)


def job_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a Job may not change the way it does."""
    others = [field.name for field in old.spec.DESCRIPTOR.fields if field.name not in _FROZEN]
    found = unchanged(new.spec, old.spec, "spec", besides=others)
    is_, was = new.spec, old.spec
    elastic = was.completion_mode == "Indexed" and is_.completions == is_.parallelism and was.HasField("completions")
    same = (is_.HasField("completions"), is_.completions) == (was.HasField("completions"), was.completions)
    if not same and not (elastic and is_.HasField("completions")):
        found += violation("spec.completions", "may not change, but for an indexed job together with parallelism")
    frozen = not _may_be_placed(old)
    if _template(is_.template, frozen=frozen) != _template(was.template, frozen=frozen):
        found += violation("spec.template", "may not change, but for where pods may run while a job is suspended")
    return found


def _may_be_placed(old: Any) -> bool:
    """Whether where its pods may run can still change: the job is suspended, and no pod of it has run."""
    return bool(old.spec.suspend and not old.status.HasField("start_time"))


def _template(template: Any, *, frozen: bool) -> Any:
    """What of a template is compared."""
    if frozen:
        return template
    kept = type(template)()
    kept.CopyFrom(template)
    for name in ("labels", "annotations"):
        kept.metadata.ClearField(name)
    for name in ("node_selector", "tolerations", "scheduling_gates"):
        kept.spec.ClearField(name)
    kept.spec.affinity.ClearField("node_affinity")
    if not kept.spec.affinity.ListFields():
        kept.spec.ClearField("affinity")
    for container in chain(kept.spec.containers, kept.spec.init_containers):
        container.ClearField("resources")
    return kept


def job_status(status: Any) -> list[FieldViolation]:
    """What is wrong with a job's status."""
    found: list[FieldViolation] = []
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        found += not_negative(f"status.{name}", getattr(status, name))
    true = {condition.type for condition in status.conditions if condition.status == "True"}
    if {"Complete", "Failed"} <= true:
        found += violation("status.conditions", "a job cannot be both Complete and Failed")
    if "Complete" in true and not status.HasField("completion_time"):
        found += violation("status.completionTime", "required where the job is Complete")
    if "Complete" not in true and status.HasField("completion_time"):
        found += violation("status.completionTime", "only where the job is Complete")
    return found


def job_status_update(new: Any, old: Any) -> list[FieldViolation]:
    """What of a job's status may not change the way it does: a job that has ended has ended."""
    found = job_status(new.status)
    now = {condition.type for condition in new.status.conditions if condition.status == "True"}
    for condition in old.status.conditions:
        if condition.type in ("Complete", "Failed") and condition.status == "True" and condition.type not in now:
            found += violation("status.conditions", f"{condition.type} may not be taken back")
    return found


def cron_job(obj: Any) -> list[FieldViolation]:
    """What is wrong with a CronJob."""
    spec = obj.spec
    found: list[FieldViolation] = []
    if len(obj.metadata.name) > CRON_JOB_NAME_CHARACTERS_MAX:
        why = f"at most {CRON_JOB_NAME_CHARACTERS_MAX} characters: the jobs' names are made of it"
        found += violation("metadata.name", why)
    try:
        cron.check(spec.schedule)
    except cron.ScheduleError as error:
        found += violation("spec.schedule", str(error) if spec.schedule else "required")
    if spec.HasField("time_zone") and not cron.is_time_zone(spec.time_zone):
        found += violation("spec.timeZone", f"{show(spec.time_zone)} is not the name of a time zone")
    for name, shown in (
        ("starting_deadline_seconds", "startingDeadlineSeconds"),
        ("successful_jobs_history_limit", "successfulJobsHistoryLimit"),
        ("failed_jobs_history_limit", "failedJobsHistoryLimit"),
    ):
        found += not_negative(f"spec.{shown}", getattr(spec, name))
    found += one_of("spec.concurrencyPolicy", spec.concurrency_policy, ("Allow", "Forbid", "Replace"))
    template = spec.job_template
    found += names.labels("spec.jobTemplate.metadata.labels", template.metadata.labels)
    found += names.annotation_map("spec.jobTemplate.metadata.annotations", template.metadata.annotations)
    found += _spec("spec.jobTemplate.spec", template.spec)
    if template.spec.HasField("selector"):
        found += violation("spec.jobTemplate.spec.selector", "is made by the apiserver for each job")
    if template.spec.manual_selector:
        found += violation(
            "spec.jobTemplate.spec.manualSelector", "may not be true: each job needs a selector of its own"
        )
    return found
