"""Phase, conditions and container states, as people read them."""

from __future__ import annotations

import pytest
from steersman.core.v1 import ContainerStatus, Pod, PodStatus

from nodeagent.pod import phase, status
from nodeagent.pod.plan import Memory, Problem, Waiting
from nodeagent.pod.probes import Health
from nodeagent.pod.state import PodRuntime
from nodeagent.pod.status import Surroundings, Verdict
from tests.nodeagent.made import NOW, container, later, pod, runtime, sandbox

ALWAYS = pod("{containers: [{name: a}, {name: b}]}")
NEVER = pod("{restartPolicy: Never, containers: [{name: a}, {name: b}]}")
ON_FAILURE = pod("{restartPolicy: OnFailure, containers: [{name: a}, {name: b}]}")
INIT = pod("{restartPolicy: Never, initContainers: [{name: x}], containers: [{name: a}]}")
BOTH_READY = Memory(health={"a-0": Health(True, True), "b-0": Health(True, True)})

PHASES = [
    ("nothing yet", ALWAYS, runtime(), "Pending"),
    ("one of two has not begun", ALWAYS, runtime(sandbox(), container("a")), "Pending"),
    ("both run", ALWAYS, runtime(sandbox(), container("a"), container("b")), "Running"),
    ("both ended, and start again", ALWAYS, runtime(sandbox(), container("a", "1"), container("b", "0")), "Running"),
    ("one ended for ever", NEVER, runtime(sandbox(), container("a", "0"), container("b")), "Running"),
    ("both ended well", NEVER, runtime(sandbox(), container("a", "0"), container("b", "0")), "Succeeded"),
    ("one failed", NEVER, runtime(sandbox(), container("a", "0"), container("b", "3")), "Failed"),
    ("one failed, and starts again", ON_FAILURE, runtime(sandbox(), container("a", "0"), container("b", "3")),
     "Running"),
    ("both ended well at last", ON_FAILURE, runtime(sandbox(), container("a", "0"), container("b", "0", 2)),
     "Succeeded"),
    ("init runs", INIT, runtime(sandbox(), container("x")), "Pending"),
    ("init failed for ever", INIT, runtime(sandbox(), container("x", "1")), "Failed"),
    ("the container's state is not known", ALWAYS, runtime(sandbox(), container("a", "unknown"), container("b")),
     "Running"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "is_", "expected"), [row[1:] for row in PHASES], ids=[row[0] for row in PHASES])
def test_phase(wanted: Pod, is_: PodRuntime, expected: str) -> None:
    assert phase.of(wanted, is_) == expected


def build(wanted: Pod, is_: PodRuntime, around: Surroundings | None = None) -> PodStatus:
    return status.build(wanted, is_, around or Surroundings(host_ips=["10.1.0.1"]), NOW)


def conditions(found: PodStatus) -> dict[str, str]:
    return {each.type: each.status for each in found.conditions}


def state(found: ContainerStatus) -> str:
    if found.state.HasField("waiting"):
        return f"waiting {found.state.waiting.reason}"
    return "running" if found.state.HasField("running") else f"terminated {found.state.terminated.reason}"


def test_a_pod_that_has_just_come() -> None:
    found = build(ALWAYS, runtime())
    assert found.phase == "Pending"
    assert found.host_ip == "10.1.0.1"
    assert found.pod_ip == ""
    assert [state(each) for each in found.container_statuses] == ["waiting ContainerCreating"] * 2
    assert conditions(found) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    message = next(each.message for each in found.conditions if each.type == "Ready")
    assert message == "containers with unready status: [a b]"


def test_a_pod_that_runs() -> None:
    found = build(
        ALWAYS, runtime(sandbox(), container("a"), container("b")), Surroundings(["10.1.0.1"], memory=BOTH_READY)
    )
    assert (found.phase, found.pod_ip) == ("Running", "10.0.0.5")
    assert set(conditions(found).values()) == {"True"}
    first = found.container_statuses[0]
    assert (first.ready, first.started, first.restart_count) == (True, True, 0)
    assert first.container_id == "containerd://a-0"


def test_init_containers_that_are_not_done() -> None:
    found = build(INIT, runtime(sandbox(), container("x")))
    assert state(found.container_statuses[0]) == "waiting PodInitializing"
    condition = next(each for each in found.conditions if each.type == "Initialized")
    assert (condition.status, condition.message) == ("False", "containers with incomplete status: [x]")


def test_a_container_that_waits_shows_how_it_ended_as_its_last_state() -> None:
    around = Surroundings(waiting={"a": Waiting("CrashLoopBackOff", "back-off 10s")})
    found = build(ALWAYS, runtime(sandbox(), container("a", "7", 1), container("b")), around)
    first = found.container_statuses[0]
    assert state(first) == "waiting CrashLoopBackOff"
    assert first.last_state.terminated.exit_code == 7
    assert first.restart_count == 1


def test_a_restarted_container_shows_its_predecessor() -> None:
    found = build(ALWAYS, runtime(sandbox(), container("a", "137"), container("a", attempt=1), container("b")))
    first = found.container_statuses[0]
    assert state(first) == "running"
    assert first.last_state.terminated.container_id == "containerd://a-0"


def test_a_container_that_could_not_be_made_says_why() -> None:
    memory = Memory(problems={"a": Problem("CreateContainerConfigError", 'secret "s" not found', NOW, later(5))})
    found = build(ALWAYS, runtime(sandbox()), Surroundings(memory=memory))
    assert found.container_statuses[0].state.waiting.message == 'secret "s" not found'
    assert state(found.container_statuses[1]) == "waiting ContainerCreating"


def test_a_container_that_the_runtime_has_lost() -> None:
    before = pod(
        "{restartPolicy: Never, containers: [{name: a}]}",
        status='{containerStatuses: [{name: a, containerID: "containerd://x",'
        ' state: {running: {startedAt: "2026-11-20T04:00:00Z"}}}]}',
    )
    found = build(before, runtime(), Surroundings(going=True))
    assert found.container_statuses[0].state.terminated.reason == "ContainerStatusUnknown"
    assert found.container_statuses[0].state.terminated.exit_code == 137


def test_an_end_is_for_ever() -> None:
    ended = pod("{containers: [{name: a}]}", status="{phase: Failed, reason: Evicted, message: why}")
    found = build(ended, runtime(sandbox(), container("a")))
    assert (found.phase, found.reason, found.message) == ("Failed", "Evicted", "why")


def test_a_pod_that_the_agent_ended_runs_until_its_containers_have_stopped() -> None:
    around = Surroundings(going=True, verdict=Verdict("DeadlineExceeded", "too long"))
    assert build(ALWAYS, runtime(sandbox(), container("a"), container("b", "0")), around).phase == "Running"
    found = build(ALWAYS, runtime(sandbox(), container("a", "143"), container("b", "0")), around)
    assert (found.phase, found.reason) == ("Failed", "DeadlineExceeded")


def test_readiness_gates_hold_back_only_the_pod() -> None:
    gated = pod("{readinessGates: [{conditionType: example.com/go}], containers: [{name: a}]}")
    memory = Memory(health={"a-0": Health(True, True)})
    found = conditions(build(gated, runtime(sandbox(), container("a")), Surroundings(memory=memory)))
    assert (found["ContainersReady"], found["Ready"]) == ("True", "False")
    gated.status.conditions.add(type="example.com/go", status="True")
    found = conditions(build(gated, runtime(sandbox(), container("a")), Surroundings(memory=memory)))
    assert (found["Ready"], found["example.com/go"]) == ("True", "True")


def test_a_transition_time_stays_while_its_status_stays() -> None:
    wanted = pod("{containers: [{name: a}]}")
    first = build(wanted, runtime())
    wanted.status.CopyFrom(first)
    again = status.build(wanted, runtime(), Surroundings(host_ips=["10.1.0.1"]), later(60))
    assert status.same(first, again)
    running = status.build(
        wanted,
        runtime(sandbox(), container("a")),
        Surroundings(["10.1.0.1"], memory=Memory(health={"a-0": Health(True, True)})),
        later(60),
    )
    ready = next(each for each in running.conditions if each.type == "Ready")
    assert ready.last_transition_time.seconds == int(later(60).timestamp())


def test_conditions_of_others_are_taken_from_the_newest() -> None:
    ours = build(pod("{containers: [{name: a}]}"), runtime())
    fresh = PodStatus()
    fresh.conditions.add(type="DisruptionTarget", status="True")
    fresh.conditions.add(type="PodScheduled", status="True", reason="kept")
    fresh.conditions.add(type="Ready", status="True")
    found = status.rebase(ours, fresh)
    assert conditions(found)["Ready"] == "False"
    assert conditions(found)["DisruptionTarget"] == "True"
    assert next(each.reason for each in found.conditions if each.type == "PodScheduled") == "kept"
