"""Why a cron job makes no jobs."""

from __future__ import annotations

from steersman.cli.why.facts import Answer, Facts, Finding, ago, deletion, finished, listed, newest, told


def of_cron_job(facts: Facts) -> Answer:
    """The answer for a cron job: when it last made a job, and how the last jobs went."""
    obj = facts.obj
    name = f"cronjob/{obj.metadata.name}"
    findings: list[Finding | None] = [deletion(facts, name)]
    if obj.spec.suspend:
        patch = '\'{"spec":{"suspend":false}}\''
        findings.append(Finding("it is suspended", (), (f"steer patch {name} -p {patch}",)))
    for reason in ("UnparseableSchedule", "FailedCreate", "MissSchedule", "TooManyMissedTimes", "JobAlreadyActive"):
        event = newest(facts.events, reason)
        if event is not None:
            findings.append(Finding(told(event, facts.now)))
    jobs = sorted(facts.owned, key=lambda job: -job.metadata.creation_timestamp.seconds)
    failed = [job for job in jobs if any(c.type == "Failed" and c.status == "True" for c in job.status.conditions)]
    if failed and failed[0] is jobs[0]:
        last = failed[0].metadata.name
        findings.append(Finding(f"its last job failed: {last}", (), (f"steer why job/{last}",)))
    elif failed:
        names = listed([job.metadata.name for job in failed])
        findings.append(Finding(f"{len(failed)} of its last {len(jobs)} jobs failed: {names}", good=True))
    scheduled = obj.status.last_schedule_time
    state = f"last made a job {ago(scheduled, facts.now)} ago" if scheduled.seconds else "has made no job yet"
    return finished(facts, name, f"({obj.spec.schedule}) {state}", findings, good=True)
