"""Rules of Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.validation import cron, indexes

from tests.apiserver.kinds.table import GONE, Changes, created, refused, refused_update

POLICY = "spec/podFailurePolicy/rules"
PLAIN: Changes = {
    "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "a:1"}]}},
    }
}


def plain(**spec: Any) -> Changes:
    return {"spec": {**PLAIN["spec"], **spec}}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        (PLAIN, []),
        (plain(parallelism=-1), ["spec.parallelism"]),
        (plain(completions=-1), ["spec.completions"]),
        (plain(backoffLimit=-1, ttlSecondsAfterFinished=-1), ["spec.backoffLimit", "spec.ttlSecondsAfterFinished"]),
        ({"spec/activeDeadlineSeconds": -1}, ["spec.activeDeadlineSeconds"]),
        ({"spec/template/spec/restartPolicy": "Always"}, ["spec.template.spec.restartPolicy", "spec.podFailurePolicy"]),
        ({"spec/template/spec/restartPolicy": GONE}, ["spec.template.spec.restartPolicy", "spec.podFailurePolicy"]),
        (plain(completionMode="Sorted"), ["spec.completionMode"]),
        (plain(completionMode="Indexed"), []),
        (plain(completionMode="Indexed", parallelism=1), ["spec.completions"]),
        (plain(completionMode="Indexed", completions=200_000, parallelism=100_001), ["spec.parallelism"]),
        (plain(backoffLimitPerIndex=1), ["spec.backoffLimitPerIndex"]),
        (
            plain(completionMode="Indexed", completions=200_000, parallelism=20_000, backoffLimitPerIndex=1),
            ["spec.maxFailedIndexes", "spec.parallelism"],
        ),
        ({"spec/maxFailedIndexes": 6}, ["spec.maxFailedIndexes"]),
        (
            {"spec/backoffLimitPerIndex": GONE, f"{POLICY}/0/action": "FailJob"},
            ["spec.maxFailedIndexes"],
        ),
        ({"spec/backoffLimitPerIndex": GONE, "spec/maxFailedIndexes": GONE}, ["spec.podFailurePolicy.rules[0].action"]),
        ({"spec/managedBy": "runner"}, ["spec.managedBy"]),
        ({"spec/managedBy": "a.example/" + "x" * 60}, ["spec.managedBy"]),
        ({"spec/managedBy": "Not_A_Domain/x"}, ["spec.managedBy"]),
        ({"spec/podReplacementPolicy": "TerminatingOrFailed"}, ["spec.podReplacementPolicy"]),
        (plain(podReplacementPolicy="Soon"), ["spec.podReplacementPolicy"]),
        ({f"{POLICY}/0/action": "Retry"}, ["spec.podFailurePolicy.rules[0].action"]),
        ({f"{POLICY}/0/onPodConditions": [{"type": "Ready"}]}, ["spec.podFailurePolicy.rules[0]"]),
        ({f"{POLICY}/1/onPodConditions": []}, ["spec.podFailurePolicy.rules[1]"]),
        (
            {f"{POLICY}/1/onPodConditions/0/status": "Maybe"},
            ["spec.podFailurePolicy.rules[1].onPodConditions[0].status"],
        ),
        (
            {f"{POLICY}/0/onExitCodes/containerName": "other"},
            ["spec.podFailurePolicy.rules[0].onExitCodes.containerName"],
        ),
        ({f"{POLICY}/0/onExitCodes/operator": "Gt"}, ["spec.podFailurePolicy.rules[0].onExitCodes.operator"]),
        ({f"{POLICY}/0/onExitCodes/values": []}, ["spec.podFailurePolicy.rules[0].onExitCodes.values"]),
        ({f"{POLICY}/0/onExitCodes/values": [3, 2]}, ["spec.podFailurePolicy.rules[0].onExitCodes.values"]),
        ({f"{POLICY}/0/onExitCodes/values": [0, 2]}, ["spec.podFailurePolicy.rules[0].onExitCodes.values"]),
        ({"spec/successPolicy/rules": []}, ["spec.successPolicy.rules"]),
        ({"spec/successPolicy/rules/0": {}}, ["spec.successPolicy.rules[0]"]),
        ({"spec/successPolicy/rules/0/succeededIndexes": "0,5"}, ["spec.successPolicy.rules[0].succeededIndexes"]),
        ({"spec/successPolicy/rules/0/succeededCount": 5}, ["spec.successPolicy.rules[0].succeededCount"]),
        (
            {"spec/completionMode": "NonIndexed", "spec/maxFailedIndexes": GONE},
            ["spec.backoffLimitPerIndex", "spec.successPolicy"],
        ),
        ({"metadata/name": "x" * 62}, ["metadata.name"]),
        (plain(selector={"matchLabels": {"a": "b"}}), ["spec.template.metadata.labels"]),
        (plain(manualSelector=True), ["spec.selector"]),
        (
            plain(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
            ["spec.template.metadata.labels"],
        ),
        (
            {"spec/template/metadata/labels": {"batch.kubernetes.io/controller-uid": "mine"}},
            ["spec.template.metadata.labels[batch.kubernetes.io/controller-uid]", "spec.template.metadata.labels"],
        ),
    ],
)
def test_jobs(changes: Changes, fields: list[str]) -> None:
    if changes.get("spec", {}).get("completionMode") == "Indexed" and "parallelism" not in changes["spec"]:
        changes = plain(**{**changes["spec"], "completions": 2})
    assert refused(created("batch/v1", "Job", changes)) == fields


def test_a_job_says_whose_its_pods_are() -> None:
    made = created("batch/v1", "Job", PLAIN)
    labels = made.spec.template.metadata.labels
    assert dict(labels) == {
        "batch.kubernetes.io/controller-uid": "u1",
        "batch.kubernetes.io/job-name": "totals",
        "controller-uid": "u1",
        "job-name": "totals",
    }
    assert dict(made.spec.selector.match_labels) == {"batch.kubernetes.io/controller-uid": "u1"}
    assert dict(made.metadata.labels) == dict(labels)


def test_what_a_job_says_nothing_about() -> None:
    spec = created("batch/v1", "Job", PLAIN).spec
    assert (spec.parallelism, spec.completions, spec.backoff_limit) == (1, 1, 6)
    assert (spec.completion_mode, spec.pod_replacement_policy) == ("NonIndexed", "TerminatingOrFailed")
    assert (spec.suspend, spec.HasField("suspend")) == (False, True)
    several = created("batch/v1", "Job", plain(parallelism=3)).spec
    assert (several.parallelism, several.HasField("completions")) == (3, False)
    given = created("batch/v1", "Job", {"spec/podReplacementPolicy": GONE}).spec
    assert (given.pod_replacement_policy, given.backoff_limit) == ("Failed", 2**31 - 1)
    condition = created("batch/v1", "Job", {f"{POLICY}/1/onPodConditions/0/status": GONE})
    assert condition.spec.pod_failure_policy.rules[1].on_pod_conditions[0].status == "True"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"spec/parallelism": 3, "spec/activeDeadlineSeconds": 9, "spec/suspend": True}, []),
        ({"spec/successPolicy/rules/0/succeededCount": 2}, ["spec.successPolicy"]),
        ({"spec/completions": 6}, ["spec.completions"]),
        ({"spec/completions": 6, "spec/parallelism": 6}, []),
        ({"spec/template/spec/containers/0/image": "b:2"}, ["spec.template"]),
        ({"spec/template/spec/nodeSelector": {"a": "b"}}, ["spec.template"]),
        ({"spec/managedBy": "a.example/b"}, ["spec.managedBy"]),
        ({"spec/backoffLimitPerIndex": 2}, ["spec.backoffLimitPerIndex"]),
        ({"spec/selector/matchLabels/task": "totals"}, ["spec.selector"]),
    ],
)
def test_what_of_a_job_may_change(changes: Changes, fields: list[str]) -> None:
    assert refused_update(created("batch/v1", "Job"), changes) == fields


def test_where_the_pods_of_a_suspended_job_run_may_change() -> None:
    waiting = created("batch/v1", "Job", {"spec/suspend": True})
    placed: Changes = {
        "spec/template/spec/nodeSelector": {"a": "b"},
        "spec/template/spec/tolerations": [{"operator": "Exists"}],
        "spec/template/spec/containers/0/resources": {"requests": {"cpu": "2"}},
    }
    assert refused_update(waiting, placed) == []
    assert refused_update(waiting, {"spec/template/spec/containers/0/image": "b:2"}) == ["spec.template"]
    waiting.status.start_time.GetCurrentTime()
    assert refused_update(waiting, placed) == ["spec.template"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"metadata/name": "x" * 53}, ["metadata.name"]),
        ({"spec/schedule": ""}, ["spec.schedule"]),
        ({"spec/schedule": "TZ=UTC 0 0 * * *"}, ["spec.schedule"]),
        ({"spec/timeZone": "Europe/Atlantis"}, ["spec.timeZone"]),
        ({"spec/timeZone": "Local"}, ["spec.timeZone"]),
        ({"spec/timeZone": ""}, ["spec.timeZone"]),
        ({"spec/startingDeadlineSeconds": -1}, ["spec.startingDeadlineSeconds"]),
        ({"spec/concurrencyPolicy": "Perhaps"}, ["spec.concurrencyPolicy"]),
        ({"spec/failedJobsHistoryLimit": -1}, ["spec.failedJobsHistoryLimit"]),
        (
            {"spec/jobTemplate/spec/template/spec/restartPolicy": GONE},
            ["spec.jobTemplate.spec.template.spec.restartPolicy"],
        ),
        ({"spec/jobTemplate/spec/selector": {"matchLabels": {"a": "b"}}}, ["spec.jobTemplate.spec.selector"]),
        ({"spec/jobTemplate/spec/manualSelector": True}, ["spec.jobTemplate.spec.manualSelector"]),
        ({"spec/jobTemplate/metadata/labels/a b": "c"}, ["spec.jobTemplate.metadata.labels"]),
    ],
)
def test_cron_jobs(changes: Changes, fields: list[str]) -> None:
    assert refused(created("batch/v1", "CronJob", changes)) == fields


def test_what_a_cron_job_says_nothing_about() -> None:
    names = ("concurrencyPolicy", "suspend", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    spec = created("batch/v1", "CronJob", {f"spec/{name}": GONE for name in names}).spec
    assert (spec.concurrency_policy, spec.suspend) == ("Allow", False)
    assert (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit) == (3, 1)


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * *",
        "*/5 0-4,8 1,15 jan-MAR sun",
        "0 0 ? * 0-6/2",
        "5/15 * * * *",
        "@daily",
        "@every 1h30m",
        "@every 90s",
    ],
)
def test_schedules(schedule: str) -> None:
    cron.check(schedule)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "not a minute"),
        ("* 24 * * *", "not a hour"),
        ("* * 0 * *", "1 to 31"),
        ("* * * 13 *", "not a month"),
        ("* * * * 7", "0 to 6"),
        ("* * * * mo", "day of the week"),
        ("*/0 * * * *", "not a step"),
        ("5-1 * * * *", "begins after its end"),
        ("1, * * * *", "not a minute"),
        ("@never", "@daily"),
        ("@every", "@daily"),
    ],
)
def test_what_is_no_schedule(schedule: str, words: str) -> None:
    with pytest.raises(cron.ScheduleError, match=words):
        cron.check(schedule)


def test_sets_of_indexes() -> None:
    assert indexes.parse("0,2-4,7", below=8) == [(0, 0), (2, 4), (7, 7)]
    assert indexes.count(indexes.parse("0,2-4,7", below=8)) == 5
    assert indexes.parse("", below=8) == []
    for text in ("8", "2-1", "2-2", "1,1", "3,2", "1-3,2", "a", "-1", "1-", "1,,2", "1 "):
        with pytest.raises(indexes.IndexesError):
            indexes.parse(text, below=8)


def status(*true: str, completed: bool = False) -> Any:
    made = created("batch/v1", "Job")
    for type_ in true:
        made.status.conditions.add(type=type_, status="True")
    if completed:
        made.status.completion_time.GetCurrentTime()
    return made


def test_a_job_ends_once() -> None:
    from apiserver.strategies.job import JobStrategy

    def check(new: Any, old: Any) -> list[str]:
        return [violation.field for violation in JobStrategy().validate_status_update(new, old)]

    assert check(status("Complete", completed=True), status()) == []
    assert check(status("Complete"), status()) == ["status.completionTime"]
    assert check(status("Failed", completed=True), status()) == ["status.completionTime"]
    assert check(status("Complete", "Failed", completed=True), status()) == ["status.conditions"]
    assert check(status(), status("Failed")) == ["status.conditions"]
    negative = status()
    negative.status.active = -1
    assert check(negative, status()) == ["status.active"]
