"""Why a pod is pending, restarting, unready, failed or still there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from steersman.cli import columns
from steersman.cli.why import scheduling
from steersman.cli.why.facts import Answer, Facts, Finding, ago, condition, deletion, newest, one_line, told

# What the number that a program ended with most often means.
EXITS = {
    1: "the program failed; its log says why",
    2: "the program failed, or its words make no sense to it",
    126: "the command cannot be executed: is it a program, with the right to be executed?",
    127: "the command was not found in the image",
    128: "the program ended with a number that makes no sense",
    134: "the program gave up (SIGABRT)",
    137: "it was killed (SIGKILL)",
    139: "the program broke (SIGSEGV)",
    143: "it was asked to end (SIGTERM)",
}
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
CONFIG_REASONS = ("CreateContainerConfigError",)
CREATE_REASONS = ("CreateContainerError", "RunContainerError", "PostStartHookError", "ContainerCannotRun")


def of_pod(facts: Facts) -> Answer:
    """The answer for a pod."""
    pod = facts.obj
    name = f"pod/{pod.metadata.name}"
    word = columns.pod_status(pod)
    findings = [finding for finding in _findings(facts) if finding is not None]
    findings += [Finding(f"could not look at {what}", good=True) for what in facts.unseen]
    bad = [finding for finding in findings if not finding.good]
    since = ago(pod.metadata.creation_timestamp, facts.now)
    ready = condition(pod, "Ready")
    is_ready = ready is not None and ready.status == "True"
    if pod.metadata.HasField("deletion_timestamp"):
        headline = f"{name} is being deleted"
    elif pod.status.phase == "Succeeded":
        headline = f"{name} has done its work"
    elif pod.status.phase == "Failed":
        headline = f"{name} has failed" + (f": {pod.status.reason}" if pod.status.reason else "")
    elif is_ready and not bad:
        headline = f"{name} is {word} and ready"
    elif pod.status.phase == "Running" and word == "Running":
        headline = f"{name} is running and not ready"
    else:
        headline = f"{name} is {word}, made {since} ago"
    good = (is_ready or pod.status.phase == "Succeeded") and not bad and not headline.endswith("deleted")
    return Answer(headline, tuple(sorted(findings, key=lambda finding: finding.good)), good)


def _findings(facts: Facts) -> Iterator[Finding | None]:
    pod = facts.obj
    yield _leaving(facts)
    if pod.status.phase in ("Succeeded", "Failed"):
        yield _ended(facts)
        yield from _containers(facts)
        return
    if not pod.spec.node_name:
        yield from _unscheduled(facts)
        return
    yield _node(facts)
    yield from _unstarted(facts)
    yield from _containers(facts)
    yield from _unready(facts)
    yield from _grown_old(facts)


def _leaving(facts: Facts) -> Finding | None:
    pod = facts.obj
    if not pod.metadata.HasField("deletion_timestamp"):
        return None
    name = f"pod/{pod.metadata.name}"
    if pod.metadata.finalizers:
        return deletion(facts, name)
    grace_s = pod.metadata.deletion_grace_period_seconds
    deadline = pod.metadata.deletion_timestamp
    late_s = int(facts.now.timestamp() - deadline.seconds)
    hook = newest(facts.events, "FailedPreStopHook")
    details = (told(hook, facts.now),) if hook is not None else ()
    if late_s < 0:
        running = [s.name for s in pod.status.container_statuses if s.state.HasField("running")]
        still = f"; still running: {', '.join(running)}" if running else ""
        return Finding(
            f"its containers have {-late_s} s left of {grace_s} s to end in{still}",
            details,
            ("a program that ends at once when asked to (SIGTERM) needs no grace: is it PID 1, and does it listen?",),
        )
    node = _node_of(facts)
    if node is not None and not _is_ready(node):
        return Finding(
            f"its node {pod.spec.node_name} does not answer, so nobody can say whether its containers have ended",
            details,
            (
                f"steer why node/{pod.spec.node_name}",
                f"when the node is gone for good: steer delete {name} --grace-period 0",
            ),
        )
    if node is None and pod.spec.node_name and facts.nodes:
        return Finding(
            f"its node {pod.spec.node_name} is no longer there, so nobody ends its containers",
            details,
            (f"steer delete {name} --grace-period 0",),
        )
    return Finding(
        f"its containers should have ended {max(0, late_s)} s ago, and its node {pod.spec.node_name} has not said so",
        details,
        (f"steer describe {name}", f"look at the log of the nodeagent on {pod.spec.node_name}"),
    )


def _ended(facts: Facts) -> Finding | None:
    status = facts.obj.status
    if status.phase == "Succeeded":
        return Finding("all its containers have ended well", good=True)
    if not status.reason and not status.message:
        return None
    advice = {
        "Evicted": "its node ran out of something: ask for what it needs, and set limits",
        "DeadlineExceeded": "spec.activeDeadlineSeconds is over",
        "NodeLost": f"steer why node/{facts.obj.spec.node_name}",
    }.get(status.reason)
    return Finding(
        ": ".join(part for part in (status.reason, one_line(status.message)) if part), (), (advice,) if advice else ()
    )


def _unscheduled(facts: Facts) -> Iterator[Finding | None]:
    pod = facts.obj
    gates = [gate.name for gate in pod.spec.scheduling_gates]
    if gates:
        yield Finding(
            f"it is held back: {', '.join(gates)} must be taken out of spec.schedulingGates first",
            (),
            ("the program that put the gate there takes it away when it is ready",),
        )
        return
    yield from _claims(facts)
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        if pod.status.nominated_node_name:
            yield Finding(
                f"pods of lower priority are leaving {pod.status.nominated_node_name} for it",
                (one_line(scheduled.message),),
                ("wait until they have ended",),
            )
            return
        yield scheduling.finding(facts, scheduled.message)
        return
    other = pod.spec.scheduler_name not in ("", "default-scheduler")
    text = f"no scheduler has looked at it since it was made {ago(pod.metadata.creation_timestamp, facts.now)} ago"
    if other:
        text += f"; it waits for the scheduler {pod.spec.scheduler_name!r}"
    advice = (
        f"start the scheduler {pod.spec.scheduler_name!r}, or take spec.schedulerName out"
        if other
        else "is the scheduler running? steer get leases -n kube-system; on a lab: steer status"
    )
    yield Finding(text, (), (advice,))


def _claims(facts: Facts) -> Iterator[Finding]:
    for volume in facts.obj.spec.volumes:
        name = volume.volume_source.persistent_volume_claim.claim_name
        if not name or name not in facts.claims:
            continue
        claim = facts.claims[name]
        if claim is None:
            yield Finding(f"volume {volume.name}: there is no claim {name!r}", (), (f"create pvc/{name}",))
        elif claim.status.phase != "Bound":
            yield Finding(
                f"volume {volume.name}: its claim {name} is {claim.status.phase or 'Pending'}",
                (),
                (f"steer why pvc/{name}",),
            )


def _node_of(facts: Facts) -> Any:
    return next((node for node in facts.nodes if node.metadata.name == facts.obj.spec.node_name), None)


def _is_ready(node: Any) -> bool:
    found = condition(node, "Ready")
    return found is not None and found.status == "True"


def _node(facts: Facts) -> Finding | None:
    pod, node = facts.obj, _node_of(facts)
    if node is None:
        if not facts.nodes:
            return None
        return Finding(f"its node {pod.spec.node_name} is not there", (), ("steer get nodes",))
    if not _is_ready(node):
        found = condition(node, "Ready")
        said = f": {one_line(found.message)}" if found is not None and found.message else ""
        return Finding(
            f"its node {pod.spec.node_name} is not ready{said}", (), (f"steer why node/{pod.spec.node_name}",)
        )
    return None


def _unstarted(facts: Facts) -> Iterator[Finding]:
    """What keeps a pod that has a node from starting at all."""
    pod = facts.obj
    if facts.missing and pod.status.phase == "Pending":
        yield Finding(
            f"it refers to what is not there: {', '.join(facts.missing)}",
            (),
            ("create it in the pod's namespace, or mark the reference as optional",),
        )
    if pod.status.phase != "Pending":
        return
    statuses = [*pod.status.init_container_statuses, *pod.status.container_statuses]
    if any(s.state.HasField("running") or s.restart_count for s in statuses):
        return
    for reasons, text, advice in (
        (
            ("FailedMount", "FailedAttachVolume"),
            "a volume cannot be mounted",
            "steer get pvc; does what it names exist?",
        ),
        (("FailedCreatePodSandBox",), "its network or its sandbox cannot be made", "look at the nodeagent's log"),
        (
            ("NetworkNotReady",),
            "its node has no network for pods yet",
            "has the node a pod CIDR? steer get nodes -o wide",
        ),
    ):
        event = newest(facts.events, *reasons)
        if event is not None:
            yield Finding(text, (told(event, facts.now),), (advice,))
    if not statuses and not facts.events:
        yield Finding(
            f"its node {pod.spec.node_name} has not said anything about it yet",
            (),
            (f"steer why node/{pod.spec.node_name}",),
        )


def _containers(facts: Facts) -> Iterator[Finding]:
    """What is wrong with containers, one by one."""
    pod = facts.obj
    for kind, statuses in (
        ("init container", pod.status.init_container_statuses),
        ("container", pod.status.container_statuses),
    ):
        for status in statuses:
            found = _container(facts, kind, status)
            if found is not None:
                yield found


def _container(facts: Facts, kind: str, status: Any) -> Finding | None:
    pod, state = facts.obj, status.state
    what = f"{kind} {status.name}"
    if state.HasField("waiting"):
        return _waiting(facts, kind, status)
    if state.HasField("terminated"):
        ended = state.terminated
        if ended.exit_code == 0 or ended.reason == "Completed":
            return None
        return Finding(f"{what} {_exit_words(ended, facts)}", _last_words(ended), _log_advice(pod, status, again=False))
    if state.HasField("running") and status.restart_count and status.last_state.HasField("terminated"):
        ended = status.last_state.terminated
        times = f"{status.restart_count} time{'s' if status.restart_count > 1 else ''}"
        recent = facts.now.timestamp() - ended.finished_at.seconds < 600
        killed = _liveness(facts, status.name)
        last = ago(ended.finished_at, facts.now)
        return Finding(
            f"{what} was restarted {times}, last {last} ago: it {_exit_words(ended, facts)}",
            (*_last_words(ended), *killed),
            _log_advice(pod, status, again=True) + _after_exit(ended, killed),
            good=not recent and status.ready,
        )
    if kind == "init container" and state.HasField("running") and pod.status.phase == "Pending":
        spec = next((c for c in pod.spec.init_containers if c.name == status.name), None)
        if spec is None or spec.restart_policy != "Always":
            return Finding(
                f"{what} is running since {ago(state.running.started_at, facts.now)}; the others wait for its end",
                (),
                (f"steer logs {pod.metadata.name} -c {status.name}",),
            )
    return None


def _waiting(facts: Facts, kind: str, status: Any) -> Finding | None:
    pod, waiting = facts.obj, status.state.waiting
    what, reason = f"{kind} {status.name}", waiting.reason
    message = one_line(waiting.message)
    if reason in IMAGE_REASONS:
        return _image(facts, what, status)
    if reason in CONFIG_REASONS:
        missing = (f"create it: {', '.join(facts.missing)}",) if facts.missing else ()
        return Finding(f"{what} cannot be made: {message or reason}", (), missing or ("correct what it refers to",))
    if reason in CREATE_REASONS:
        return Finding(
            f"{what} cannot be started: {message or reason}", (), (f"steer describe pod {pod.metadata.name}",)
        )
    if reason == "CrashLoopBackOff":
        ended = status.last_state.terminated
        killed = _liveness(facts, status.name)
        return Finding(
            f"{what} ends again and again ({status.restart_count} restarts): it {_exit_words(ended, facts)}; "
            "it is started again after a pause that grows to 5 minutes",
            (*_last_words(ended), *killed),
            _log_advice(pod, status, again=True) + _after_exit(ended, killed),
        )
    if reason in ("PodInitializing", "ContainerCreating", ""):
        return None
    return Finding(f"{what} waits: {reason}" + (f": {message}" if message else ""))


def _image(facts: Facts, what: str, status: Any) -> Finding:
    pod = facts.obj
    spec = next((c for c in [*pod.spec.containers, *pod.spec.init_containers] if c.name == status.name), None)
    image = spec.image if spec is not None else status.image
    event = newest(facts.events, "Failed", "ErrImageNeverPull", containing=image) or newest(facts.events, "Failed")
    message = one_line(status.state.waiting.message or (event.message if event is not None else ""))
    lower = message.lower()
    if status.state.waiting.reason == "InvalidImageName":
        advice = [f"{image!r} is no name of an image; correct spec.containers[].image"]
    elif status.state.waiting.reason == "ErrImageNeverPull":
        advice = ["the image is not on the node, and imagePullPolicy: Never forbids fetching it"]
    elif any(word in lower for word in ("unauthorized", "authentication", "denied", "forbidden", "401", "403")):
        secrets = [s.name for s in pod.spec.image_pull_secrets]
        used = f"the credentials in {', '.join(secrets)} are not accepted" if secrets else "no credentials are given"
        advice = [f"{used}: steer create secret docker-registry ..., and spec.imagePullSecrets"]
    elif any(word in lower for word in ("not found", "404", "manifest unknown", "no such image", "does not exist")):
        advice = ["is the name right, and the tag? does the registry have it?"]
    elif any(word in lower for word in ("no such host", "timeout", "refused", "unreachable", "i/o", "dial")):
        advice = ["can the node reach the registry? name, network, proxy"]
    else:
        advice = ["is the name right? can the node reach the registry, and may it?"]
    if ":" not in image.rpartition("/")[2] and "@" not in image:
        advice.append("the name has no tag, so it is ':latest' that is asked for")
    word = "it is tried again after a pause" if "BackOff" in status.state.waiting.reason else "it is tried again"
    return Finding(f"{what}: its image {image} cannot be fetched; {word}", (message,) if message else (), tuple(advice))


def _exit_words(ended: Any, facts: Facts) -> str:
    """How a container ended: "ended with 137: it was killed (SIGKILL)"."""
    if ended.reason == "OOMKilled":
        return "used more memory than its limit and was killed (OOMKilled)"
    if ended.reason == "DeadlineExceeded":
        return "ran longer than it may"
    code = ended.exit_code
    meaning = EXITS.get(code, f"a signal ended it ({code - 128})" if 128 < code < 160 else "")
    if code == 0:
        return "ended well, and is to run for ever" if facts.obj.spec.restart_policy == "Always" else "ended well"
    return f"ended with {code}" + (f": {meaning}" if meaning else "")


def _last_words(ended: Any) -> tuple[str, ...]:
    return (f"its last words: {one_line(ended.message)}",) if ended.message else ()


def _log_advice(pod: Any, status: Any, *, again: bool) -> tuple[str, ...]:
    several = len(pod.spec.containers) + len(pod.spec.init_containers) > 1
    container = f" -c {status.name}" if several else ""
    return (f"steer logs {pod.metadata.name}{container}" + (" --previous" if again else ""),)


def _after_exit(ended: Any, killed: Sequence[str]) -> tuple[str, ...]:
    if ended.reason == "OOMKilled":
        return ("give it more memory (resources.limits.memory), or let it use less",)
    if killed:
        return ("give it longer (initialDelaySeconds, a startupProbe), or correct what the probe asks",)
    if ended.exit_code in (126, 127):
        return ("look at command and args: is the program there, in this image?",)
    if ended.exit_code == 0:
        return ("a program that ends is the work of a Job; one that serves must not go into the background",)
    return ()


def _liveness(facts: Facts, container: str) -> tuple[str, ...]:
    for sort in ("liveness", "startup"):
        event = newest(facts.events, "Unhealthy", containing=f"{sort} probe")
        if event is not None and _concerns(event, container):
            return (f"its {sort} probe fails, and then it is started anew: {told(event, facts.now)}",)
    return ()


def _concerns(event: Any, container: str) -> bool:
    path = event.involved_object.field_path
    return not path or f"{{{container}}}" in path


def _unready(facts: Facts) -> Iterator[Finding]:
    """Why a pod that runs is not ready."""
    pod = facts.obj
    if pod.status.phase != "Running":
        return
    conditions = {each.type: each for each in pod.status.conditions}
    for gate in pod.spec.readiness_gates:
        found = conditions.get(gate.condition_type)
        if found is None or found.status != "True":
            said = f": {one_line(found.message)}" if found is not None and found.message else ""
            yield Finding(
                f"the readiness gate {gate.condition_type} is not True{said}",
                (),
                ("the program that the gate belongs to sets the condition; is it running?",),
            )
    for status in pod.status.container_statuses:
        if status.ready or not status.state.HasField("running"):
            continue
        spec = next((c for c in pod.spec.containers if c.name == status.name), None)
        events = [e for e in facts.events if e.reason == "Unhealthy" and _concerns(e, status.name)]
        starting = spec is not None and spec.HasField("startup_probe") and not status.started
        sort = "startup" if starting else "readiness"
        event = newest(events, "Unhealthy", containing=f"{sort} probe")
        probe = (spec.startup_probe if starting else spec.readiness_probe) if spec is not None else None
        asks = f" ({probe_words(probe)})" if probe is not None else ""
        if event is not None or (spec is not None and spec.HasField(f"{sort}_probe")):
            yield Finding(
                f"container {status.name} is not ready: its {sort} probe{asks} "
                + ("fails" if event is not None else "has not succeeded yet"),
                (told(event, facts.now),) if event is not None else (),
                (*_log_advice(pod, status, again=False), "no traffic of Services goes there until it succeeds"),
            )
        else:
            yield Finding(f"container {status.name} runs and is not ready yet", (), ())


def probe_words(probe: Any) -> str:
    """What a probe asks: "GET /healthz on 8080, every 10 s, 3 failures are too many"."""
    handler = probe.handler
    asks = "?"
    if handler.HasField("http_get"):
        asks = f"GET {handler.http_get.path or '/'} on {_port(handler.http_get.port)}"
    elif handler.HasField("tcp_socket"):
        asks = f"connect to {_port(handler.tcp_socket.port)}"
    elif handler.HasField("grpc"):
        asks = f"gRPC health on {handler.grpc.port}"
    elif handler.HasField("exec"):
        asks = one_line(" ".join(handler.exec.command), 80)
    return f"{asks}, every {probe.period_seconds or 10} s, {probe.failure_threshold or 3} failures count"


def _port(port: Any) -> str:
    return str(port.str_val if port.type == 1 else port.int_val)


def _grown_old(facts: Facts) -> Iterator[Finding]:
    """Warnings of the last minutes that nothing above has spoken of."""
    spoken = {"Unhealthy", "BackOff", "Failed", "FailedScheduling", "FailedMount", "FailedCreatePodSandBox"}
    spoken |= {"FailedAttachVolume", "NetworkNotReady", "ErrImageNeverPull", "FailedPreStopHook"}
    for reason in sorted({e.reason for e in facts.events if e.type == "Warning"} - spoken):
        event = newest(facts.events, reason)
        if event is not None:
            yield Finding(told(event, facts.now), good=False)
