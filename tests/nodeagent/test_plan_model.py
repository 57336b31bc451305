"""The plan against a runtime in a few lines, under any order of events: what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Pod

from nodeagent.pod import backoff, phase, plan
from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.probes import Health
from nodeagent.pod.resources import is_sidecar
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime, SandboxRecord
from tests.nodeagent.made import NOW, pod

ROUNDS_MAX = 200


class Model:
    """A runtime that does everything at once, the worker's memory, and a clock."""

    def __init__(self, wanted: Pod) -> None:
        self.pod = wanted
        self.now: datetime = NOW
        self.sandboxes: list[SandboxRecord] = []
        self.containers: list[ContainerRecord] = []
        self.backoffs: dict[str, CrashBackoff] = {}
        self.health: dict[str, Health] = {}
        self.deleted = False
        self.made = 0
        self.highest: dict[str, int] = {}

    @property
    def runtime(self) -> PodRuntime:
        return PodRuntime.of(self.sandboxes, self.containers)

    def settle(self) -> None:
        """Carries out plans until nothing is left to do now; a delay is waited for."""
        for _ in range(ROUNDS_MAX):
            desired = plan.desired_of(self.pod, self.runtime, self.now)
            memory = plan.Memory(backoffs=self.backoffs, health=self.health)
            made = plan.plan(desired, self.runtime, memory, self.now)
            for action in made.actions:
                self.carry_out(action)
                self.check()
            if self.deleted:
                return
            if not made.actions:
                if made.wake_at is None:
                    return
                assert made.wake_at > self.now
                self.now = made.wake_at
        raise AssertionError("it does not settle")

    def carry_out(self, action: plan.Action) -> None:
        self.now += timedelta(milliseconds=50)
        match action:
            case plan.CreateSandbox(attempt=attempt):
                assert not any(each.ready for each in self.sandboxes)
                assert not self.runtime.alive
                assert all(each.attempt < attempt for each in self.sandboxes)
                self.sandboxes.append(SandboxRecord(f"s{self.made}", attempt, True, self.now, ("10.0.0.1",)))
                self.made += 1
            case plan.StartContainer(name=name, attempt=attempt, after=after):
                self.start(name, attempt, after)
            case plan.StopContainer(id=container_id):
                self.end(container_id, 143)
            case plan.RemoveContainer(id=container_id):
                assert not any(each.id == container_id and each.alive for each in self.containers)
                self.containers = [each for each in self.containers if each.id != container_id]
            case plan.StopSandbox(id=sandbox_id):
                assert not any(each.alive and each.sandbox_id == sandbox_id for each in self.containers)
                self.lose(sandbox_id)
            case plan.RemoveSandbox(id=sandbox_id):
                assert not any(each.id == sandbox_id and each.ready for each in self.sandboxes)
                self.sandboxes = [each for each in self.sandboxes if each.id != sandbox_id]
                self.containers = [each for each in self.containers if each.sandbox_id != sandbox_id]
            case plan.CleanUp():
                assert self.runtime.empty
            case plan.DeleteObject():
                assert self.runtime.empty
                self.deleted = True

    def start(self, name: str, attempt: int, after: datetime | None) -> None:
        assert not self.pod.metadata.HasField("deletion_timestamp")
        assert attempt > self.highest.get(name, -1)
        self.highest[name] = attempt
        sandbox = self.runtime.sandbox
        assert sandbox is not None
        assert not any(each.alive for each in self.runtime.attempts(name))
        self.check_order(name)
        self.check_policy(name)
        self.containers = [each for each in self.containers if not (each.name == name and each.life is Life.CREATED)]
        if after is not None:
            entry = self.backoffs.get(name)
            assert entry is None or entry.hold_until(after) <= self.now
            self.backoffs[name] = backoff.after_start(entry, self.now, after)
        record = ContainerRecord(
            f"c{self.made}", name, attempt, Life.RUNNING, sandbox.id, self.now, started_at=self.now
        )
        self.made += 1
        self.containers.append(record)
        self.health[record.id] = Health(started=True, ready=True)

    def check_order(self, name: str) -> None:
        """Everything that has to come before a container is there."""
        for init in self.pod.spec.init_containers:
            if init.name == name:
                return
            if phase.initialized(self.pod, self.runtime):
                return
            before = self.runtime.latest_here(init.name)
            assert before is not None
            if is_sidecar(init):
                assert before.life is Life.RUNNING
            else:
                assert before.succeeded

    def check_policy(self, name: str) -> None:
        """What ended is only started again where the restart policy says so."""
        init = next((each for each in self.pod.spec.init_containers if each.name == name), None)
        before = self.runtime.latest_here(name) if init is not None else self.runtime.latest(name)
        if before is None or before.life is not Life.EXITED or (init is not None and is_sidecar(init)):
            return
        policy = self.pod.spec.restart_policy
        if init is None and policy == "Always":
            return
        assert policy != "Never"
        assert before.exit_code != 0

    def end(self, container_id: str, code: int) -> None:
        self.containers = [
            replace(each, life=Life.EXITED, exit_code=code, finished_at=self.now) if each.id == container_id else each
            for each in self.containers
        ]
        self.health.pop(container_id, None)

    def lose(self, sandbox_id: str) -> None:
        self.sandboxes = [replace(each, ready=False) if each.id == sandbox_id else each for each in self.sandboxes]

    def check(self) -> None:
        names = [each.name for each in self.containers if each.alive]
        assert len(names) == len(set(names))
        assert sum(each.ready for each in self.sandboxes) <= 1

    def happen(self, event: tuple[str, int, int]) -> None:
        kind, which, code = event
        self.now += timedelta(seconds=which)
        alive = self.runtime.alive
        match kind:
            case "exit" if alive:
                self.end(alive[which % len(alive)].id, code)
            case "sandbox dies" if self.runtime.sandbox is not None:
                self.lose(self.runtime.sandbox.id)
            case "agent dies":
                self.backoffs.clear()
            case "half made":
                # The agent died between making a container and starting it.
                if alive:
                    victim = alive[which % len(alive)]
                    self.containers = [
                        replace(each, life=Life.CREATED) if each.id == victim.id else each for each in self.containers
                    ]
                    self.highest[victim.name] -= 1


EVENTS = st.lists(
    st.tuples(st.sampled_from(["exit", "exit", "sandbox dies", "agent dies", "half made"]), st.integers(0, 40),
              st.integers(0, 2)),
    max_size=12,
)  # fmt: skip
POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])
INITS = st.lists(st.booleans(), max_size=3)


def wanted(policy: str, inits: list[bool], containers: int) -> Pod:
    first = ", ".join(
        f"{{name: i{index}{', restartPolicy: Always' if sidecar else ''}}}" for index, sidecar in enumerate(inits)
    )
    then = ", ".join(f"{{name: c{index}}}" for index in range(containers))
    return pod(f"{{restartPolicy: {policy}, initContainers: [{first}], containers: [{then}]}}")


def finish_inits(model: Model) -> None:
    """Lets init containers that run to an end do so."""
    for _ in range(8):
        model.settle()
        names = {each.name for each in model.pod.spec.init_containers if not is_sidecar(each)}
        running = [each for each in model.runtime.alive if each.name in names]
        if not running:
            return
        for each in running:
            model.end(each.id, 0)


@settings(max_examples=150, deadline=None)
@given(POLICIES, INITS, st.integers(1, 3), EVENTS)
def test_a_pod_settles_whatever_happens(
    policy: str, inits: list[bool], containers: int, events: list[tuple[str, int, int]]
) -> None:
    model = Model(wanted(policy, inits, containers))
    finish_inits(model)
    for event in events:
        model.happen(event)
        model.settle()
    finish_inits(model)
    found = phase.of(model.pod, model.runtime)
    if found in phase.TERMINAL:
        assert policy != "Always"
        assert not model.runtime.alive
        assert model.runtime.sandbox is None
    elif policy == "Always":
        assert found == "Running"
        assert {each.name for each in model.runtime.alive} >= {each.name for each in model.pod.spec.containers}


@settings(max_examples=100, deadline=None)
@given(POLICIES, INITS, st.integers(1, 3), EVENTS)
def test_a_pod_that_is_deleted_goes_whatever_happened(
    policy: str, inits: list[bool], containers: int, events: list[tuple[str, int, int]]
) -> None:
    model = Model(wanted(policy, inits, containers))
    for event in events:
        model.settle()
        model.happen(event)
    model.pod.metadata.deletion_timestamp.FromDatetime(model.now)
    model.settle()
    assert model.deleted
    assert model.runtime.empty
