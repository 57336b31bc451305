"""Why objects are the way they are: from facts to findings, and the whole command."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman import kinds
from steersman.cli.why import scheduling
from steersman.cli.why.answers import answer
from steersman.cli.why.facts import Answer, Facts, amount
from steersman.manifests import codec

from tests.apiserver.objects import deployment, pod, service
from tests.sdk.cli.conftest import Cluster

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def made(kind: str, text: str, name: str = "web-1", **metadata: Any) -> Any:
    """An object of a kind out of YAML."""
    data = yaml.safe_load(text) or {}
    when = (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    data["metadata"] = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "creationTimestamp": when,
        **data.get("metadata", {}),
        **metadata,
    }
    return codec.decode(kinds.by_name(kind).message, data)


def event(reason: str, message: str, *, ago_s: int = 10, count: int = 1, path: str = "", about: str = "web-1") -> Any:
    return codec.decode(
        kinds.by_name("events").message,
        {
            "metadata": {"name": f"{reason}{ago_s}"},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": count,
            "involvedObject": {"kind": "Pod", "name": about, "fieldPath": path},
            "lastTimestamp": (NOW - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", ready: str = "True", text: str = "", **labels: str) -> Any:
    data = yaml.safe_load(text) or {}
    data["status"] = {
        "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
        "conditions": [{"type": "Ready", "status": ready, "message": "said so", "reason": "R"}],
        **data.get("status", {}),
    }
    return made("node", yaml.safe_dump(data), name, labels=labels)


def why(kind: str, obj: Any, **facts: Any) -> Answer:
    return answer(kinds.by_name(kind).kind, Facts(obj, NOW, **facts))


def texts(found: Answer) -> str:
    """All that an answer says, for looking things up in it."""
    return json.dumps(found.as_data(), ensure_ascii=False)


UNSCHEDULABLE = """
spec:
  nodeSelector: {NODE_SELECTOR}
  containers:
  - name: main
    image: a:1
    resources: {requests: {memory: 4Gi, cpu: 100m}}
status:
  phase: Pending
  conditions:
  - {type: PodScheduled, status: "False", reason: Unschedulable, message: "MESSAGE"}
"""


def unschedulable(message: str, selector: str = "") -> Any:
    return made("pod", UNSCHEDULABLE.replace("MESSAGE", message).replace("NODE_SELECTOR", selector))


def tenant(where: str, memory: str) -> Any:
    """A pod that has its place."""
    container = {"name": "m", "image": "a", "resources": {"requests": {"memory": memory}}}
    return made("pod", yaml.safe_dump({"spec": {"nodeName": where, "containers": [container]}}))


def test_a_message_of_the_scheduler_is_taken_apart() -> None:
    message = (
        "0/12 nodes are available: 3 node(s) had untolerated taint {gpu: a, b}, 9 Insufficient cpu and Insufficient "
        "memory. preemption: 0/12 nodes are available: 12 Preemption is not helpful for scheduling."
    )
    count, reasons, note = scheduling.reasons_of(message)
    assert count == 12
    assert reasons == [
        (3, "node(s) had untolerated taint {gpu: a, b}"),
        (9, "Insufficient cpu and Insufficient memory"),
    ]
    assert note.startswith("preemption: 0/12")
    nothing = "no nodes available to schedule pods"
    assert scheduling.reasons_of(nothing) == (0, [], nothing)


def test_a_pod_that_fits_nowhere() -> None:
    message = "0/4 nodes are available: 1 node(s) had untolerated taint {gpu: true}, 3 Insufficient memory."
    nodes = [
        node("n1", memory="4Gi"),
        node("n2", memory="5Gi"),
        node("n3", memory="6Gi"),
        node("n4", text="spec: {taints: [{key: gpu, value: 'true', effect: NoSchedule}]}"),
    ]
    pods = [tenant("n3", "3Gi"), tenant("n2", "4Gi"), tenant("n4", "4Gi"), tenant("n1", "4Gi")]
    found = why("pod", unschedulable(message), nodes=nodes, pods=pods)
    assert found.headline == "pod/web-1 is Pending, made 5m ago"
    assert found.findings[0].text == (
        "no node suits it. 4 nodes: 3 lack memory (needs 4Gi, most free 4Gi on n4), 1 tainted gpu=true"
    )
    assert "n3: 3Gi memory free of 6Gi" in found.findings[0].details
    assert "n1: 0 memory free of 4Gi" in found.findings[0].details
    assert any("toleration for gpu=true" in line for line in found.findings[0].advice)
    assert not found.good


def test_a_pod_that_is_too_large_for_every_node() -> None:
    found = why(
        "pod", unschedulable("0/1 nodes are available: 1 Insufficient memory."), nodes=[node("n1", memory="2Gi")]
    )
    assert "1 lacks memory (needs 4Gi, the largest node n1 has 2Gi)" in found.findings[0].text
    assert "no node is that large" in texts(found)


def test_a_pod_that_wants_labels_that_no_node_has() -> None:
    message = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    nodes = [node("n1", disk="hdd"), node("n2", disk="nvme")]
    found = why("pod", unschedulable(message, "disk: ssd"), nodes=nodes)
    assert "2 without the labels it wants (disk=ssd)" in found.findings[0].text
    assert "n1: disk is hdd, not ssd" in found.findings[0].details
    assert found.findings[0].advice == ("no node has disk=ssd; there are disk=hdd, nvme",)
    found = why("pod", unschedulable(message, "tier: a"), nodes=nodes)
    assert found.findings[0].advice == ("no node has a label tier: steer label node NODE tier=a",)


def test_the_schedulers_own_words_go_before_what_is_seen_from_here() -> None:
    found = why(
        "pod",
        unschedulable("0/1 nodes are available: 1 Insufficient memory."),
        nodes=[node("n1")],
        reasons=[(1, "node(s) were unschedulable")],
        verdicts={"n1": ["node(s) were unschedulable"]},
    )
    assert "1 cordoned" in found.findings[0].text
    assert found.findings[0].details == ("n1: node(s) were unschedulable",)


def test_what_the_scheduler_finds_too_little_of_is_told_with_amounts() -> None:
    found = why(
        "pod",
        unschedulable("0/2 nodes are available: 2 Insufficient memory."),
        nodes=[node("n1")],
        reasons=[(2, "Insufficient memory")],
        verdicts={"n1": ["Insufficient memory", "node(s) were unschedulable"], "gone": ["Insufficient memory"]},
    )
    details = found.findings[0].details
    assert details[0] == "gone: Insufficient memory"
    assert re.fullmatch(r"n1: \S+ memory free of \S+; node\(s\) were unschedulable", details[1])


def test_there_are_no_nodes() -> None:
    found = why("pod", unschedulable("no nodes available to schedule pods"))
    assert found.findings[0].text == "there are no nodes"


STARTED = """
spec:
  nodeName: n1
  restartPolicy: Always
  containers:
  - name: main
    image: shop/web
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 5, failureThreshold: 3}
status:
  phase: PHASE
  conditions: [{type: Ready, status: "False"}]
  containerStatuses:
  - {name: main, image: shop/web, imageID: "", ready: false, restartCount: RESTARTS, state: STATE, lastState: LAST}
"""


def started(state: str, *, phase: str = "Running", restarts: int = 0, last: str = "{}") -> Any:
    text = STARTED.replace("PHASE", phase).replace("RESTARTS", str(restarts))
    return made("pod", text.replace("STATE", state).replace("LAST", last))


def test_a_program_that_ends_again_and_again() -> None:
    obj = started(
        "{waiting: {reason: CrashLoopBackOff, message: back-off}}",
        restarts=7,
        last='{terminated: {exitCode: 127, reason: Error, finishedAt: "2026-05-01T11:59:00Z", message: no file}}',
    )
    found = why("pod", obj, nodes=[node("n1")])
    assert found.headline == "pod/web-1 is CrashLoopBackOff, made 5m ago"
    finding = found.findings[0]
    assert "7 restarts" in finding.text
    assert "ended with 127: the command was not found in the image" in finding.text
    assert finding.details == ("its last words: no file",)
    assert "steer logs web-1 --previous" in finding.advice
    assert any("command and args" in line for line in finding.advice)


def test_too_much_memory() -> None:
    obj = started(
        "{running: {startedAt: '2026-05-01T11:59:00Z'}}",
        restarts=1,
        last="{terminated: {exitCode: 137, reason: OOMKilled, finishedAt: '2026-05-01T11:58:50Z'}}",
    )
    found = why("pod", obj, nodes=[node("n1")])
    assert "was restarted 1 time, last 70s ago: it used more memory than its limit" in texts(found)
    assert "resources.limits.memory" in texts(found)


def test_a_liveness_probe_that_kills() -> None:
    obj = started(
        "{waiting: {reason: CrashLoopBackOff}}",
        restarts=3,
        last="{terminated: {exitCode: 143, finishedAt: '2026-05-01T11:59:00Z'}}",
    )
    about = event("Unhealthy", "Liveness probe failed: timed out", path="spec.containers{main}", count=9)
    other = event("Unhealthy", "Liveness probe failed: other", path="spec.containers{other}", ago_s=1)
    found = why("pod", obj, nodes=[node("n1")], events=[about])
    assert "its liveness probe fails, and then it is started anew: Unhealthy 10s ago (x9)" in texts(found)
    assert "initialDelaySeconds" in texts(found)
    assert "liveness" not in texts(why("pod", obj, nodes=[node("n1")], events=[other]))


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("ErrImagePull", "rpc: manifest unknown: not found", "is the name right, and the tag?"),
        ("ImagePullBackOff", "pull access denied, unauthorized", "no credentials are given"),
        ("ImagePullBackOff", "dial tcp: lookup registry: no such host", "can the node reach the registry?"),
        ("InvalidImageName", "", "is no name of an image"),
        ("ErrImageNeverPull", "", "imagePullPolicy: Never"),
        ("ErrImagePull", "strange", "is the name right? can the node reach"),
    ],
)
def test_images_that_cannot_be_fetched(reason: str, message: str, expected: str) -> None:
    obj = started(f"{{waiting: {{reason: {reason}, message: '{message}'}}}}", phase="Pending")
    found = why("pod", obj, nodes=[node("n1")])
    assert "its image shop/web cannot be fetched" in found.findings[0].text
    assert expected in texts(found)
    assert "it is ':latest' that is asked for" in texts(found)


def test_what_is_referred_to_and_not_there() -> None:
    obj = started("{waiting: {reason: CreateContainerConfigError, message: 'no secret'}}", phase="Pending")
    found = why("pod", obj, nodes=[node("n1")], missing=["configmap 'settings'"])
    assert "it refers to what is not there: configmap 'settings'" in texts(found)
    assert "container main cannot be made: no secret" in texts(found)


def test_a_pod_that_runs_and_is_not_ready() -> None:
    obj = started("{running: {startedAt: '2026-05-01T11:59:00Z'}}")
    about = event("Unhealthy", "Readiness probe failed: HTTP 503", path="spec.containers{main}", count=4, ago_s=3)
    found = why("pod", obj, nodes=[node("n1")], events=[about])
    assert found.headline == "pod/web-1 is running and not ready"
    finding = found.findings[0]
    assert finding.text == (
        "container main is not ready: its readiness probe (GET /ready on 8080, every 5 s, 3 failures count) fails"
    )
    assert finding.details == ("Unhealthy 3s ago (x4): Readiness probe failed: HTTP 503",)
    found = why("pod", obj, nodes=[node("n1")])
    assert found.findings[0].text.endswith("has not succeeded yet")


def test_readiness_gates_and_scheduling_gates() -> None:
    obj = started("{running: {}}")
    obj.spec.readiness_gates.add(condition_type="x/checked")
    assert "the readiness gate x/checked is not True" in texts(why("pod", obj))
    obj = made("pod", "spec: {schedulingGates: [{name: x/quota}]}\nstatus: {phase: Pending}")
    assert "it is held back: x/quota" in texts(why("pod", obj))


def test_nobody_has_looked_at_it() -> None:
    obj = made("pod", "status: {phase: Pending}")
    assert "no scheduler has looked at it since it was made 5m ago" in texts(why("pod", obj))
    obj.spec.scheduler_name = "mine"
    assert "it waits for the scheduler 'mine'" in texts(why("pod", obj))
    obj = made("pod", "spec: {nodeName: n1}\nstatus: {phase: Pending}")
    assert "its node n1 has not said anything about it yet" in texts(why("pod", obj, nodes=[node("n1")]))
    assert "its node n1 is not ready: said so" in texts(why("pod", obj, nodes=[node("n1", ready="Unknown")]))
    assert "its node n1 is not there" in texts(why("pod", obj, nodes=[node("n2")]))


def test_claims_of_a_pod() -> None:
    text = "spec: {volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]}\nstatus: {phase: Pending}"
    claim = made("pvc", "status: {phase: Pending}", "data")
    assert "volume d: its claim data is Pending" in texts(why("pod", made("pod", text), claims={"data": claim}))
    assert "volume d: there is no claim 'data'" in texts(why("pod", made("pod", text), claims={"data": None}))


def deleted(at_s: int, **metadata: Any) -> Any:
    when = (NOW + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return made(
        "pod",
        "spec: {nodeName: n1}\nstatus: {phase: Running}",
        deletionTimestamp=when,
        deletionGracePeriodSeconds=30,
        **metadata,
    )


def test_pods_that_are_on_their_way_out() -> None:
    found = why("pod", deleted(20), nodes=[node("n1")])
    assert found.headline == "pod/web-1 is being deleted"
    assert "20 s left of 30 s" in found.findings[0].text
    assert "should have ended 40 s ago" in texts(why("pod", deleted(-40), nodes=[node("n1")]))
    found = why("pod", deleted(-40), nodes=[node("n1", ready="Unknown")])
    assert "its node n1 does not answer" in texts(found)
    assert "--grace-period 0" in texts(found)
    assert "is no longer there" in texts(why("pod", deleted(-40), nodes=[node("n2")]))
    found = why("pod", deleted(-40, finalizers=["x/tidy", "foregroundDeletion"]))
    assert "2 finalizers hold it" in found.findings[0].text
    assert found.findings[0].details[0] == "finalizer x/tidy"


def test_pods_that_have_ended_and_pods_that_are_well() -> None:
    evicted = made("pod", "spec: {nodeName: n1}\nstatus: {phase: Failed, reason: Evicted, message: disk}")
    found = why("pod", evicted)
    assert found.headline == "pod/web-1 has failed: Evicted"
    assert found.findings[0].text == "Evicted: disk"
    done = why("pod", made("pod", "status: {phase: Succeeded}"))
    assert (done.headline, done.good) == ("pod/web-1 has done its work", True)
    well = made("pod", "spec: {nodeName: n1}\nstatus: {phase: Running, conditions: [{type: Ready, status: 'True'}]}")
    found = why("pod", well, nodes=[node("n1")])
    assert (found.headline, found.good, found.findings) == ("pod/web-1 is Running and ready", True, ())


def test_a_deployment_whose_pods_are_refused() -> None:
    obj = made("deploy", "spec: {replicas: 3, selector: {matchLabels: {a: b}}}\nstatus: {}", "web", generation=0)
    refused = event(
        "FailedCreate", "Error creating: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    )
    found = why("deploy", obj, events=[refused])
    assert found.headline == "deployment/web has 0 of 3 pods ready"
    assert "its pods are refused: Error creating: exceeded quota" in found.findings[0].text
    assert "steer describe quota" in found.findings[0].advice[0]


def test_pods_with_the_same_trouble_stand_together() -> None:
    obj = made("deploy", "spec: {replicas: 2, selector: {matchLabels: {a: b}}}\nstatus: {}", "web")
    pods = []
    for number in (1, 2):
        one = started(
            "{waiting: {reason: CrashLoopBackOff}}", restarts=number, last="{terminated: {exitCode: 1, reason: Error}}"
        )
        one.metadata.name = f"web-{number}"
        pods.append(one)
    found = why("deploy", obj, pods=pods, nodes=[node("n1")])
    assert found.findings[0].text.startswith("2 pods (web-1, web-2): container main ends again and again")
    assert found.findings[0].advice[-1] == "steer why pod/web-1"


def test_deployments_that_do_not_move() -> None:
    obj = made("deploy", "spec: {replicas: 1, paused: true, selector: {}}\nstatus: {}", "web", generation=3)
    said = texts(why("deploy", obj))
    assert "no controller has looked at its latest change yet" in said
    assert "it is paused" in said
    text = """
spec: {replicas: 1, selector: {}}
status: {conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: too slow}]}
"""
    assert "its rollout does not go on: too slow" in texts(why("deploy", made("deploy", text, "web")))
    found = why("deploy", made("deploy", "spec: {replicas: 0, selector: {}}", "web"))
    assert (found.headline, found.good) == ("deployment/web asks for no pods", True)


def test_jobs() -> None:
    text = "status: {failed: 3, conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: m}]}"
    found = why("job", made("job", text, "sum"))
    assert found.headline == "job/sum has failed"
    assert "backoffLimit" in texts(found)
    text = "status: {succeeded: 1, conditions: [{type: Complete, status: 'True'}]}"
    assert why("job", made("job", text, "sum")).good
    assert "it is suspended" in texts(why("job", made("job", "spec: {suspend: true}", "sum")))


SERVICE = "spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}"


def labelled(name: str, *, ready: str = "True", port: str = "http", **labels: str) -> Any:
    text = f"""
spec: {{containers: [{{name: c, image: a, ports: [{{name: {port}, containerPort: 8080}}]}}]}}
status: {{phase: Running, conditions: [{{type: Ready, status: "{ready}"}}]}}
"""
    return made("pod", text, name, labels=labels)


def slice_of(*addresses: str) -> Any:
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    return made("endpointslice", yaml.safe_dump({"addressType": "IPv4", "endpoints": endpoints}), "web-x")


def test_a_service_that_is_answered() -> None:
    found = why(
        "service", made("service", SERVICE, "web"), pods=[labelled("p", app="web")], endpoints=[slice_of("10.0.0.1")]
    )
    assert (found.headline, found.good) == ("service/web is answered by 1 address: 10.0.0.1", True)


def test_a_service_that_nobody_answers() -> None:
    obj = made("service", SERVICE, "web")
    found = why("service", obj, pods=[labelled("p", app="webb")])
    assert found.headline == "service/web is answered by nobody"
    assert found.findings[0].text == "no pod has the labels app=web"
    assert found.findings[0].details == ("app=web: no pod has it, but app=webb there is",)
    assert "no pod has a label app, but apps there is" in texts(why("service", obj, pods=[labelled("p", apps="web")]))
    found = why("service", obj, pods=[labelled("p", ready="False", app="web")])
    assert "1 of 1 pods with its labels are not ready" in texts(found)
    found = why("service", obj, pods=[labelled("p", port="https", app="web")])
    assert "port 80: no container names a port 'http'; did you mean 'https'?" in texts(found)
    assert "it has no selector" in texts(why("service", made("service", "spec: {ports: [{port: 80}]}", "web")))
    assert why("service", made("service", "spec: {type: ExternalName, externalName: x.example}", "web")).good


def test_nodes() -> None:
    found = why("node", node("n1", ready="Unknown"))
    assert found.headline == "node/n1 is not ready"
    assert "its nodeagent has said nothing for" in texts(found)
    assert "it says that it is not ready: said so" in texts(why("node", node("n1", ready="False")))
    found = why("node", node("n1", text="spec: {unschedulable: true}"))
    assert "steer uncordon n1" in texts(found)
    assert found.good
    pressed = node("n1")
    pressed.status.conditions.add(type="MemoryPressure", status="True", message="low")
    assert "it is short of memory: low" in texts(why("node", pressed))
    assert "memory: 2Gi of 8Gi (25%)" in texts(why("node", node("n1"), pods=[tenant("n1", "2Gi")]))


def test_claims() -> None:
    def claim(text: str, **facts: Any) -> str:
        return texts(why("pvc", made("pvc", text, "data"), **facts))

    assert "it names no storage class and there is no default one" in claim("status: {phase: Pending}")
    assert "there is no storage class 'fast'; there are slow" in claim(
        "spec: {storageClassName: fast}", classes=[made("sc", "provisioner: x", "slow", namespace="")]
    )
    late = made("sc", "provisioner: x\nvolumeBindingMode: WaitForFirstConsumer", "late", namespace="")
    assert "waits for the first pod that uses it" in claim("spec: {storageClassName: late}", classes=[late])
    user = made("pod", "spec: {volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]}", "user")
    bound = "spec: {volumeName: v}\nstatus: {phase: Bound}"
    assert "is bound to v, used by user" in claim(bound, pods=[user])
    assert "its volume v is gone" in claim("spec: {volumeName: v}\nstatus: {phase: Lost}")


def test_cron_jobs() -> None:
    cron = made("cj", "spec: {schedule: '* * * * *', suspend: true}", "sum")
    assert "it is suspended" in texts(why("cj", cron))
    cron.spec.suspend = False
    found = why("cj", cron)
    assert (found.headline, found.good) == ("cronjob/sum (* * * * *) has made no job yet", True)
    job = made("job", "status: {conditions: [{type: Failed, status: 'True'}]}", "sum-1")
    assert "steer why job/sum-1" in texts(why("cj", cron, owned=[job]))


def test_quotas() -> None:
    text = (
        "spec: {hard: {pods: 2, memory: 1Gi}}\nstatus: {hard: {pods: 2, memory: 1Gi}, used: {pods: 2, memory: 500Mi}}"
    )
    found = why("quota", made("quota", text, "q"))
    assert found.headline == "quota/q has nothing left of 1 of 2 resources"
    assert found.findings[0].text == "pods: 2 of 2 are used up"
    assert not found.good


def test_anything_else() -> None:
    when = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = why("ns", made("ns", "status: {phase: Terminating}", "a", deletionTimestamp=when, finalizers=["x/y"]))
    assert found.headline == "namespace/a is being deleted"
    assert "steer patch namespace/a --type=merge" in texts(found)
    assert why("cm", made("cm", "data: {a: b}", "c")).good


def test_amounts_for_people() -> None:
    from decimal import Decimal

    assert amount("memory", Decimal(2254857830)) == "2.1Gi"
    assert amount("memory", Decimal(4 * 1024**3)) == "4Gi"
    assert amount("cpu", Decimal("0.25")) == "250m"
    assert amount("cpu", Decimal(3)) == "3"
    assert amount("pods", Decimal(110)) == "110"


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command(cluster: Cluster, namespace: str) -> None:
    one = pod("lonely", namespace)
    one.spec.containers[0].env.add(name="A").value_from.config_map_key_ref.local_object_reference.name = "none"
    cluster.create(one)
    said = cluster.steer("why", "pod/lonely", "-n", namespace)
    assert said.splitlines()[0].startswith("pod/lonely is Pending")
    assert "no scheduler has looked at it" in said
    assert "What to do:" in said
    data = cluster.json("why", "pod", "lonely", "-n", namespace)
    assert data["good"] is False
    assert cluster.run("why", "pod/nobody", "-n", namespace).code == 4
    assert cluster.run("why", "pods", "-n", namespace).code == 2


def test_the_command_finds_what_is_missing(cluster: Cluster, namespace: str) -> None:
    one = pod("waits", namespace, node="n9")
    env = one.spec.containers[0].env.add(name="A").value_from.config_map_key_ref
    env.local_object_reference.name, env.key = "settings", "a"
    one.spec.volumes.add(name="v").volume_source.secret.secret_name = "keys"
    cluster.create(one)
    said = cluster.steer("why", "pod/waits", "-n", namespace)
    assert "it refers to what is not there: " in said
    assert "configmap 'settings', secret 'keys'" in said
    cluster.steer(
        "apply",
        "-n",
        namespace,
        "-f",
        "-",
        stdin=json.dumps(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"b": "1"}}
        ),
    )
    assert "key 'a' of configmap 'settings'" in cluster.steer("why", "pod/waits", "-n", namespace)


def test_the_command_for_other_kinds(cluster: Cluster) -> None:
    cluster.create(deployment("whyd", replicas=2), service("whys"))
    assert "no controller has looked at its latest change yet" in cluster.steer("why", "deploy/whyd")
    assert "service/whys is answered by nobody" in cluster.steer("why", "svc/whys")
    both = cluster.json("why", "deploy/whyd", "svc/whys")
    assert len(both) == 2
    assert "nothing is wrong" in cluster.steer("why", "ns/default") or "Active" in cluster.steer("why", "ns/default")


def test_a_scheduler_that_is_not_there_is_said_and_no_hindrance(cluster: Cluster, namespace: str) -> None:
    cluster.create(pod("p", namespace))
    said = cluster.steer("why", "pod/p", "-n", namespace, "--scheduler", "127.0.0.1:1")
    assert "no scheduler has looked at it" in said
    assert "connection refused" in said


def test_a_scheduler_that_the_context_names(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.create(pod("p", namespace))
    path = str(tmp_path / "config")
    shutil.copy(cluster.config, path)
    cluster.steer("--config", path, "config", "set-context", "--current", "--scheduler", "127.0.0.1:1")
    assert "connection refused" in cluster.steer("why", "pod/p", "-n", namespace, "--config", path)


def test_who_may_not_look_around_is_told_what_was_not_seen(cluster: Cluster, namespace: str) -> None:
    from steersman.rbac.v1 import Role, RoleBinding

    role, binding = Role(), RoleBinding()
    role.metadata.name = binding.metadata.name = "reader"
    role.metadata.namespace = binding.metadata.namespace = namespace
    role.rules.add(verbs=["get"], api_groups=[""], resources=["pods"])
    binding.role_ref.api_group, binding.role_ref.kind, binding.role_ref.name = (
        "rbac.authorization.k8s.io",
        "Role",
        "reader",
    )
    binding.subjects.add(kind="User", name="jo", api_group="rbac.authorization.k8s.io")
    cluster.create(role, binding, pod("p", namespace))
    said = cluster.steer("why", "pod/p", "-n", namespace, "--as", "jo")
    assert "could not look at nodes: you may not list them" in said
