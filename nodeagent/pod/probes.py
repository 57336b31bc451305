"""When a probe's answers become a verdict, and what the verdicts mean for a container."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from steersman.core.v1.container_pb2 import Container
from steersman.core.v1.probe_pb2 import Probe

PERIOD_S = 10
TIMEOUT_S = 1
SUCCESS_THRESHOLD = 1
FAILURE_THRESHOLD = 3


class Purpose(enum.Enum):
    """What a probe is for; the value is its name in events."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True)
class Cadence:
    """A probe's numbers with defaults filled in; times in seconds."""

    initial_delay_s: int
    period_s: int
    timeout_s: int
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Probe) -> Cadence:
        """From a probe; 0 means the default."""
        return cls(
            probe.initial_delay_seconds,
            probe.period_seconds or PERIOD_S,
            probe.timeout_seconds or TIMEOUT_S,
            probe.success_threshold or SUCCESS_THRESHOLD,
            probe.failure_threshold or FAILURE_THRESHOLD,
        )


@dataclass(frozen=True)
class Tally:
    """Answers of one probe so far.

    Attributes:
        verdict: True passing, False failing.
        run: how many answers in a row were like the last one.
        last: the last answer; None before the first.
    """

    verdict: bool
    run: int = 0
    last: bool | None = None

    def after(self, answer: bool, cadence: Cadence) -> Tally:
        """The tally after one more answer; the verdict turns when the run reaches its threshold."""
        run = self.run + 1 if answer == self.last else 1
        threshold = cadence.success_threshold if answer else cadence.failure_threshold
        return Tally(answer if run >= threshold else self.verdict, run, answer)


@dataclass(frozen=True)
class Health:
    """What the probes say of one running container.

    Attributes:
        started: the startup probe has passed, or there is none and the postStart hook is done.
        ready: the readiness probe passes, or there is none.
        failed: the probe that says that the container must be restarted, if any.
    """

    started: bool = False
    ready: bool = False
    failed: Purpose | None = None

    def with_verdict(self, purpose: Purpose, passing: bool) -> Health:
        """This health after a verdict."""
        match purpose:
            case Purpose.STARTUP:
                return replace(self, started=self.started or passing, failed=None if passing else purpose)
            case Purpose.LIVENESS:
                return replace(self, failed=None if passing else purpose)
            case Purpose.READINESS:
                return replace(self, ready=passing)


def probe_of(container: Container, purpose: Purpose) -> Probe | None:
    """The container's probe for a purpose."""
    name = {
        Purpose.STARTUP: "startup_probe",
        Purpose.LIVENESS: "liveness_probe",
        Purpose.READINESS: "readiness_probe",
    }[purpose]
    return getattr(container, name) if container.HasField(name) else None


def initial(container: Container) -> Health:
    """Health of a container that has just started: what has no probe is taken to be well."""
    return Health(
        started=not container.HasField("startup_probe"),
        ready=not container.HasField("readiness_probe"),
    )


def restart_grace_s(container: Container, purpose: Purpose, pod_grace_s: int) -> int:
    """Seconds to stop in after a failed probe: the probe's own, else the pod's."""
    probe = probe_of(container, purpose)
    if probe is not None and probe.HasField("termination_grace_period_seconds"):
        return probe.termination_grace_period_seconds
    return pod_grace_s
