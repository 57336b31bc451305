"""The plan of a pod, as a table: what is wanted, what is, what to do."""

from __future__ import annotations

import pytest
from steersman.core.v1 import Pod

from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.plan import (
    CleanUp,
    CreateSandbox,
    DeleteObject,
    Desired,
    Going,
    Memory,
    Plan,
    Problem,
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
    desired_of,
    plan,
)
from nodeagent.pod.probes import Health, Purpose
from nodeagent.pod.state import PodRuntime
from tests.nodeagent.made import NOW, ago, container, later, pod, runtime, sandbox

ONE = pod("{containers: [{name: a, image: i}]}")
TWO = pod("{containers: [{name: a, image: i}, {name: b, image: i}]}")
NEVER = pod("{restartPolicy: Never, containers: [{name: a, image: i}]}")
ON_FAILURE = pod("{restartPolicy: OnFailure, containers: [{name: a, image: i}, {name: b, image: i}]}")
INIT = pod("{initContainers: [{name: x, image: i}, {name: y, image: i}], containers: [{name: a, image: i}]}")
SIDECAR = pod(
    "{restartPolicy: Never, initContainers: [{name: s, image: i, restartPolicy: Always}, {name: y, image: i}],"
    " containers: [{name: a, image: i}]}"
)
WELL = Health(started=True, ready=True)


def made(wanted: Pod, is_: PodRuntime, memory: Memory | None = None) -> Plan:
    return plan(desired_of(wanted, is_, NOW), is_, memory or Memory(), NOW)


STARTS = [
    ("nothing is there", ONE, runtime(), [CreateSandbox(0)]),
    ("a sandbox is there", TWO, runtime(sandbox()), [StartContainer("a", 0), StartContainer("b", 0)]),
    ("everything runs", ONE, runtime(sandbox(), container("a")), []),
    ("a container ended", ONE, runtime(sandbox(), container("a", "1", at=3)), [StartContainer("a", 1, ago(3))]),
    ("a container ended well, but shall run always", ONE, runtime(sandbox(), container("a", "0", at=3)),
     [StartContainer("a", 1, ago(3))]),
    ("of two that ended, only the failed one is repeated", ON_FAILURE,
     runtime(sandbox(), container("a", "0"), container("b", "2", at=3)), [StartContainer("b", 1, ago(3))]),
    ("one ended for ever, the other runs", pod("{restartPolicy: Never, containers: [{name: a}, {name: b}]}"),
     runtime(sandbox(), container("a", "1"), container("b")), []),
    ("a container was made but never started", ONE, runtime(sandbox(), container("a", "created")),
     [StartContainer("a", 0)]),
    ("init containers come first, one by one", INIT, runtime(sandbox()), [StartContainer("x", 0)]),
    ("an init container runs", INIT, runtime(sandbox(), container("x")), []),
    ("an init container ended well", INIT, runtime(sandbox(), container("x", "0")), [StartContainer("y", 0)]),
    ("an init container failed", INIT, runtime(sandbox(), container("x", "1", at=3)),
     [StartContainer("x", 1, ago(3))]),
    ("init is done", INIT, runtime(sandbox(), container("x", "0"), container("y", "0")), [StartContainer("a", 0)]),
    ("init is done although its containers are forgotten", INIT, runtime(sandbox(), container("a")), []),
    ("the sandbox was lost", ONE, runtime(sandbox(ready=False), container("a", "137")), [CreateSandbox(1)]),
    ("the sandbox was lost, its container was not", ONE, runtime(sandbox(ready=False), container("a")),
     [StopContainer("a-0", "a", 30, "Pod sandbox changed, it will be killed and re-created.")]),
    ("init starts over in a new sandbox", INIT,
     runtime(sandbox(0, ready=False), sandbox(1), container("x", "0", at=9), container("y", "0"), container("a", "1")),
     [StartContainer("x", 1, ago(9))]),
    ("what died before stays for its log, what died before that goes", ONE,
     runtime(sandbox(), container("a", "1", 0), container("a", "1", 1), container("a", attempt=2)),
     [RemoveContainer("a-0", "a")]),
    ("an old sandbox goes with its last container", ONE,
     runtime(sandbox(0, ready=False), sandbox(1), container("a", box=1)), [RemoveSandbox("s0")]),
    ("a stranger is stopped", ONE, runtime(sandbox(), container("a"), container("z")),
     [StopContainer("z-0", "z", 30, "Container is not part of the pod")]),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "is_", "actions"), [row[1:] for row in STARTS], ids=[row[0] for row in STARTS])
def test_what_is_done(wanted: Pod, is_: PodRuntime, actions: list[object]) -> None:
    assert list(made(wanted, is_).actions) == actions


def test_a_lost_sandbox_of_a_pod_that_must_not_restart_ends_it() -> None:
    is_ = runtime(sandbox(ready=False), container("a", "137"))
    assert desired_of(NEVER, is_, NOW).going is Going.ENDED
    assert made(NEVER, is_).actions == ()


def test_a_sidecar_must_have_started_before_the_next_and_is_kept_running() -> None:
    assert made(SIDECAR, runtime(sandbox())).actions == (StartContainer("s", 0),)
    running = runtime(sandbox(), container("s"))
    assert made(SIDECAR, running).actions == ()
    started = Memory(health={"s-0": Health(started=True)})
    assert made(SIDECAR, running, started).actions == (StartContainer("y", 0),)
    dead = runtime(sandbox(), container("s", "0", at=2), container("y", "0"), container("a"))
    assert made(SIDECAR, dead).actions == (StartContainer("s", 1, ago(2)),)


def test_sidecars_end_after_the_rest_in_reverse() -> None:
    two = pod(
        "{restartPolicy: Never, initContainers: [{name: s, restartPolicy: Always}, {name: t, restartPolicy: Always}],"
        " containers: [{name: a}]}"
    )
    is_ = runtime(sandbox(), container("s"), container("t"), container("a", "0"))
    [stop] = made(two, is_).actions
    assert isinstance(stop, StopContainer)
    assert stop.name == "t"
    [stop] = made(two, runtime(sandbox(), container("s"), container("t", "0"), container("a", "0"))).actions
    assert isinstance(stop, StopContainer)
    assert stop.name == "s"
    done = runtime(sandbox(), container("s", "0"), container("t", "0"), container("a", "0"))
    assert made(two, done).actions == (StopSandbox("s0"),)


def test_a_container_that_keeps_ending_waits_from_its_last_end() -> None:
    is_ = runtime(sandbox(), container("a", "1", 1, at=4))
    memory = Memory(backoffs={"a": CrashBackoff(10, ago(30))})
    result = made(ONE, is_, memory)
    assert result.actions == ()
    assert result.wake_at == later(6)
    assert result.waiting["a"].reason == "CrashLoopBackOff"
    assert result.waiting["a"].message == "back-off 10s restarting failed container=a pod=p_default(u1)"


def test_a_failed_pull_is_shown_before_the_waiting_for_the_next_try() -> None:
    is_ = runtime(sandbox())
    fresh = Memory(problems={"a": Problem("ErrImagePull", "no such host", ago(1), later(9))})
    assert made(ONE, is_, fresh).waiting["a"].reason == "ErrImagePull"
    assert made(ONE, is_, fresh).wake_at == later(1)
    known = Memory(problems={"a": Problem("ErrImagePull", "no such host", ago(3), later(7))})
    assert made(ONE, is_, known).waiting["a"].reason == "ImagePullBackOff"
    assert made(ONE, is_, known).wake_at == later(7)
    due = Memory(problems={"a": Problem("ErrImagePull", "no such host", ago(30), ago(1))})
    assert made(ONE, is_, due).actions == (StartContainer("a", 0),)


def test_a_failed_probe_stops_the_container_with_the_probe_s_grace() -> None:
    probed = pod("{containers: [{name: a, livenessProbe: {terminationGracePeriodSeconds: 3}}]}")
    is_ = runtime(sandbox(), container("a"))
    memory = Memory(health={"a-0": Health(True, True, Purpose.LIVENESS)})
    assert made(probed, is_, memory).actions == (
        StopContainer("a-0", "a", 3, "Container a failed liveness probe, will be restarted"),
    )
    being_stopped = Memory(health=memory.health, stopping=frozenset({"a-0"}))
    assert made(probed, is_, being_stopped).actions == ()


def test_a_container_of_which_nobody_knows_what_it_does_is_stopped() -> None:
    [stop] = made(ONE, runtime(sandbox(), container("a", "unknown"))).actions
    assert isinstance(stop, StopContainer)
    assert "unknown state" in stop.why


def test_a_changed_image_replaces_the_container() -> None:
    is_ = runtime(sandbox(), container("a", of=ONE))
    assert made(ONE, is_).actions == ()
    changed = pod("{containers: [{name: a, image: other}]}")
    [stop] = made(changed, is_).actions
    assert isinstance(stop, StopContainer)
    assert "definition changed" in stop.why


def test_nothing_is_started_twice() -> None:
    launching = Memory(launching=True)
    assert made(ONE, runtime(), launching).actions == ()
    assert made(TWO, runtime(sandbox(), container("a")), launching).actions == ()


def test_the_restart_count_goes_on_when_the_runtime_has_forgotten() -> None:
    known = pod(
        "{containers: [{name: a}]}",
        status="{phase: Running, containerStatuses: [{name: a, restartCount: 4, containerID: x}]}",
    )
    assert made(known, runtime(sandbox())).actions == (StartContainer("a", 5),)


DELETED = pod(
    "{terminationGracePeriodSeconds: 20, containers: [{name: a}]}",
    metadata=', deletionTimestamp: "2026-11-20T05:00:00Z", deletionGracePeriodSeconds: 7',
)
GOING = [
    ("it runs", runtime(sandbox(), container("a")), [StopContainer("a-0", "a", 7, "Stopping container")]),
    ("its containers ended", runtime(sandbox(), container("a", "0")), [StopSandbox("s0")]),
    ("its sandbox is stopped", runtime(sandbox(ready=False), container("a", "0")),
     [RemoveSandbox("s0"), CleanUp(), DeleteObject()]),
    ("it never ran", runtime(), [CleanUp(), DeleteObject()]),
    ("a container is left without a sandbox", runtime(container("a", "0")),
     [RemoveContainer("a-0", "a"), CleanUp(), DeleteObject()]),
]  # fmt: skip


@pytest.mark.parametrize(("is_", "actions"), [row[1:] for row in GOING], ids=[row[0] for row in GOING])
def test_a_pod_that_is_deleted(is_: PodRuntime, actions: list[object]) -> None:
    assert list(made(DELETED, is_).actions) == actions


def test_a_pod_that_is_gone_is_removed_without_asking_the_apiserver() -> None:
    going = Desired(None, Going.GONE)
    [stop] = plan(going, runtime(sandbox(), container("a")), Memory(), NOW).actions
    assert isinstance(stop, StopContainer)
    assert stop.grace_s == 2
    left = plan(going, runtime(sandbox(ready=False), container("a", "0")), Memory(), NOW)
    assert left.actions == (RemoveSandbox("s0"), CleanUp())


def test_an_ended_pod_keeps_its_dead_containers() -> None:
    done = pod("{restartPolicy: Never, containers: [{name: a}]}", status="{phase: Succeeded}")
    assert made(done, runtime(sandbox(), container("a", "0"))).actions == (StopSandbox("s0"),)
    assert made(done, runtime(sandbox(ready=False), container("a", "0"))).actions == ()
    assert made(done, runtime()).actions == ()


def test_an_active_deadline_ends_the_pod() -> None:
    limited = pod("{activeDeadlineSeconds: 10, containers: [{name: a}]}", status='{startTime: "2026-11-20T04:59:55Z"}')
    is_ = runtime(sandbox(), container("a"))
    assert made(limited, is_).wake_at == later(5)
    assert desired_of(limited, is_, later(5)).going is Going.ENDED


def test_restart_rules_of_a_container_go_before_its_pod_s_policy() -> None:
    ruled = pod(
        "{restartPolicy: Never, containers: [{name: a, restartPolicy: Never,"
        " restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]}, {name: b}]}"
    )
    is_ = runtime(sandbox(), container("a", "42", at=3), container("b"))
    assert made(ruled, is_).actions == (StartContainer("a", 1, ago(3)),)
    is_ = runtime(sandbox(), container("a", "1"), container("b"))
    assert made(ruled, is_).actions == ()
