"""Scenarios with real containers: what a person who applies a manifest sees."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.nodeagent.cluster import Cluster, condition
from tests.waiting import eventually

pytestmark = pytest.mark.root

WEB = """
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "hello\\n", other: x}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: web
    image: steersman.local/busybox:1
    command: [sh, -c, 'trap "exit 0" TERM; httpd -f -p 8080 -h /www & wait']
    volumeMounts: [{name: www, mountPath: /www}]
  volumes:
  - name: www
    configMap: {name: page}
"""


async def test_a_pod_with_a_config_map_answers_and_goes_without_a_trace(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    pod = await cluster.ready("web")
    assert pod.status.phase == "Running"
    assert pod.status.pod_ip.startswith("10.244.1.")
    assert [each.ip for each in pod.status.pod_ips] == [pod.status.pod_ip]
    assert pod.status.host_ip == "10.1.0.1"
    assert pod.status.qos_class == "BestEffort"
    assert pod.status.observed_generation == pod.metadata.generation
    for kind in ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"):
        assert condition(pod, kind) == "True", kind
    await cluster.serves(pod.status.pod_ip, 8080, "/index.html", "hello\n")

    uid = pod.metadata.uid
    await cluster.api.pods.delete("web")
    await cluster.gone("web")
    assert cluster.containers() == []
    root = cluster.config.root
    assert not (root / "pods" / uid).exists()
    assert list((root / "logs").iterdir()) == []
    assert str(root) not in Path("/proc/self/mountinfo").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"*{cluster.machine.cgroup_root}/kubepods/*/pod{uid}"))


async def test_a_change_of_a_config_map_reaches_the_files_at_once(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    pod = await cluster.ready("web")
    page = await cluster.api.configmaps.get("page")
    page.data["index.html"] = "changed\n"
    del page.data["other"]
    await cluster.api.configmaps.update(page)
    await cluster.serves(pod.status.pod_ip, 8080, "/index.html", "changed\n")
    assert "other" not in (await cluster.exec("web", "ls", "/www")).split()
    assert "Read-only" in await cluster.exec("web", "rm", "/www/..data")


async def test_a_killed_container_is_back_at_once_and_then_later_each_time(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    before = await cluster.ready("web")
    await cluster.kill_container("web")

    async def back() -> bool:
        status = await cluster.status_of("web")
        return status.restart_count == 1 and status.state.HasField("running")

    await cluster.until(back, 5)
    after = await cluster.ready("web")
    status = after.status.container_statuses[0]
    assert status.last_state.terminated.exit_code == 137
    assert status.last_state.terminated.reason == "Error"
    assert status.last_state.terminated.container_id == before.status.container_statuses[0].container_id
    assert after.status.pod_ip == before.status.pod_ip

    await cluster.kill_container("web")

    async def waits() -> bool:
        status = await cluster.status_of("web")
        return status.state.waiting.reason == "CrashLoopBackOff" and "back-off 10s" in status.state.waiting.message

    await cluster.until(waits, 5)
    assert condition(await cluster.pod("web"), "Ready") == "False"
    assert await cluster.events("BackOff")


async def test_an_agent_that_was_killed_adopts_what_runs(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    before = await cluster.ready("web")
    await cluster.kill()
    await cluster.start()
    await cluster.until(lambda: cluster.agent.pods.find("default", "web") is not None)
    worker = cluster.agent.pods.find("default", "web")
    await cluster.until(lambda: worker.runtime.containers)
    after = await cluster.ready("web")
    assert after.status.container_statuses[0] == before.status.container_statuses[0]
    assert after.status == before.status

    await cluster.kill_container("web")

    async def back() -> bool:
        status = await cluster.status_of("web")
        return status.restart_count == 1 and status.state.HasField("running")

    await cluster.until(back, 5)


async def test_what_was_deleted_while_the_agent_was_away_is_removed(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    await cluster.ready("web")
    await cluster.kill()
    await cluster.api.pods.delete("web", grace_period_s=0)
    await cluster.start()
    await cluster.until(lambda: cluster.containers() == [], 20)
    await cluster.until(lambda: not list((cluster.config.root / "pods").iterdir()), 20)


async def test_init_containers_run_in_order_and_a_sidecar_beside_the_rest(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: job}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 2
  initContainers:
  - {name: one, image: "steersman.local/busybox:1", command: [sh, -c, "echo one >> /shared/order"],
     volumeMounts: [{name: work, mountPath: /shared}]}
  - name: side
    image: steersman.local/busybox:1
    restartPolicy: Always
    command: [sh, -c, 'trap "echo bye >> /shared/order; exit 0" TERM; echo side >> /shared/order; sleep 1000 & wait']
    startupProbe: {exec: {command: [grep, -q, side, /shared/order]}, periodSeconds: 1}
    volumeMounts: [{name: work, mountPath: /shared}]
  - {name: two, image: "steersman.local/busybox:1", command: [sh, -c, "echo two >> /shared/order"],
     volumeMounts: [{name: work, mountPath: /shared}]}
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, "echo main >> /shared/order; cat /shared/order; echo done > /dev/termination-log; exit 0"]
    volumeMounts: [{name: work, mountPath: /shared}]
  volumes: [{name: work, emptyDir: {}}]
""")
    pod = await cluster.phase("job", "Succeeded")
    main = pod.status.container_statuses[0]
    assert main.state.terminated.reason == "Completed"
    assert main.state.terminated.message == "done\n"
    assert [each.name for each in pod.status.init_container_statuses] == ["one", "side", "two"]
    assert all(each.state.HasField("terminated") for each in pod.status.init_container_statuses)
    order = cluster.config.root / "pods" / pod.metadata.uid / "volumes/kubernetes.io~empty-dir/work/order"
    assert order.read_text().split() == ["one", "side", "two", "main", "bye"]
    assert condition(pod, "Ready") == "False"


async def test_a_pod_that_must_not_restart_fails_with_its_exit_code(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sh, -c, "echo oh no; exit 3"],
     terminationMessagePolicy: FallbackToLogsOnError}
""")
    pod = await cluster.phase("bad", "Failed")
    ended = pod.status.container_statuses[0].state.terminated
    assert (ended.exit_code, ended.reason, ended.message) == (3, "Error", "oh no")


async def test_environment_from_everywhere(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red, level: "3"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {password: czNjcmV0}
---
apiVersion: v1
kind: Service
metadata: {name: data-base}
spec: {clusterIP: 10.96.0.77, ports: [{name: sql, port: 5432, protocol: TCP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: env, labels: {tier: a}}
spec:
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, "env; echo 'arg=$(GREETING)'; sleep 1000"]
    resources: {limits: {cpu: 250m, memory: 32Mi}}
    envFrom: [{prefix: CFG_, configMapRef: {name: settings}}]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: MISSING, valueFrom: {configMapKeyRef: {name: settings, key: nothing, optional: true}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: GREETING, value: "hi $(NAME) $$(NAME) $(UNKNOWN) $(DATA_BASE_SERVICE_HOST)"}
    terminationMessagePath: /tmp/message
""")
    pod = await cluster.ready("env")
    path = cluster.agent.folders.log("default", "env", pod.metadata.uid, "main", 0)
    await eventually(lambda: "arg=" in path.read_text())
    lines = [line.split(" ", 3)[3] for line in path.read_text().splitlines()]
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    assert values["CFG_colour"] == "red"
    assert values["CFG_level"] == "3"
    assert values["NAME"] == "env"
    assert values["IP"] == pod.status.pod_ip
    assert values["TIER"] == "a"
    assert values["PASSWORD"] == "s3cret"
    assert values["COLOUR"] == "red"
    assert "MISSING" not in values
    assert values["MEMORY"] == "32"
    assert values["GREETING"] == "hi env $(NAME) $(UNKNOWN) 10.96.0.77"
    assert values["arg"] == values["GREETING"]
    assert values["DATA_BASE_SERVICE_PORT_SQL"] == "5432"
    assert values["DATA_BASE_PORT_5432_TCP"] == "tcp://10.96.0.77:5432"
    assert pod.status.qos_class == "Guaranteed"


async def test_a_container_waits_for_a_config_map_that_is_missing(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: waits}
spec:
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
    envFrom: [{configMapRef: {name: later}}]
""")

    async def config_error() -> bool:
        status = await cluster.status_of("waits")
        return status.state.waiting.reason == "CreateContainerConfigError"

    await cluster.until(config_error)
    assert 'configmap "later" not found' in (await cluster.status_of("waits")).state.waiting.message
    await cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: later}, data: {a: b}}")
    await cluster.ready("waits", 3)


async def test_a_volume_waits_for_a_secret_that_is_missing(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: mounts}
spec:
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
    volumeMounts: [{name: s, mountPath: /s, readOnly: true}]
  volumes: [{name: s, secret: {secretName: later, defaultMode: 0400}}]
""")
    await cluster.until(lambda: cluster.events("FailedMount"))
    assert (await cluster.status_of("mounts")).state.waiting.reason == "ContainerCreating"
    await cluster.apply("{apiVersion: v1, kind: Secret, metadata: {name: later}, data: {key: c2VjcmV0}}")
    await cluster.ready("mounts", 3)
    assert await cluster.exec("mounts", "cat", "/s/key") == "secret"
    assert await cluster.exec("mounts", "stat", "-L", "-c", "%a", "/s/key") == "400\n"
    assert "tmpfs" in await cluster.exec("mounts", "grep", " /s ", "/proc/mounts")


async def test_probes_hold_back_readiness_and_restart_what_is_stuck(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, "mkdir -p /www; echo ok > /tmp/alive; httpd -p 8080 -h /www; sleep 1000"]
    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 2}
    readinessProbe: {httpGet: {path: /ready, port: web}, periodSeconds: 1, failureThreshold: 1}
    ports: [{name: web, containerPort: 8080}]
""")
    await cluster.phase("probed", "Running")

    async def unready() -> bool:
        status = await cluster.status_of("probed")
        return bool(status.started) and not status.ready and bool(await cluster.events("Unhealthy"))

    await cluster.until(unready)
    await cluster.exec("probed", "sh", "-c", "echo yes > /www/ready")
    await cluster.ready("probed", 5)
    await cluster.exec("probed", "rm", "/www/ready")

    async def not_ready() -> bool:
        return condition(await cluster.pod("probed"), "Ready") == "False"

    await cluster.until(not_ready, 5)
    await cluster.exec("probed", "rm", "/tmp/alive")

    async def restarted() -> bool:
        return (await cluster.status_of("probed")).restart_count == 1

    await cluster.until(restarted, 10)
    assert any("failed liveness probe" in each.message for each in await cluster.events("Killing"))


async def test_memory_and_cpu_limits_are_the_kernel_s(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, "while [ ! -e /tmp/go ]; do sleep 0.05; done; tail /dev/zero"]
    resources: {requests: {cpu: 100m}, limits: {memory: 24Mi, cpu: 500m}}
""")
    pod = await cluster.phase("greedy", "Running")
    group = cluster.agent.pods.worker(pod.metadata.uid)
    assert group is not None
    assert pod.status.qos_class == "Burstable"
    path = f"{cluster.machine.cgroup_root}/kubepods/burstable/pod{pod.metadata.uid}"
    assert Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text().strip() == str(24 * 1024 * 1024)
    assert Path(f"/sys/fs/cgroup/cpu{path}/cpu.cfs_quota_us").read_text().strip() == "50000"
    assert Path(f"/sys/fs/cgroup/cpu{path}/cpu.shares").read_text().strip() == "102"
    together = Path(f"/sys/fs/cgroup/cpu{cluster.machine.cgroup_root}/kubepods/burstable/cpu.shares")
    await cluster.until(lambda: together.read_text().strip() == "102")
    await cluster.exec("greedy", "touch", "/tmp/go")
    pod = await cluster.phase("greedy", "Failed", 30)
    assert pod.status.container_statuses[0].state.terminated.reason == "OOMKilled"


async def test_hooks_and_grace_when_a_pod_is_deleted(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.apply(f"""
apiVersion: v1
kind: Pod
metadata: {{name: polite}}
spec:
  terminationGracePeriodSeconds: 10
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, 'trap "echo term >> /out/order; exit 0" TERM; sleep 1000 & wait']
    lifecycle:
      postStart: {{exec: {{command: [sh, -c, "echo start >> /out/order"]}}}}
      preStop: {{exec: {{command: [sh, -c, "echo stop >> /out/order"]}}}}
    volumeMounts: [{{name: out, mountPath: /out}}]
  volumes: [{{name: out, hostPath: {{path: {tmp_path}, type: Directory}}}}]
""")
    await cluster.ready("polite")
    await cluster.api.pods.delete("polite")
    await cluster.gone("polite", 5)
    assert (tmp_path / "order").read_text().split() == ["start", "stop", "term"]


async def test_a_container_that_ignores_being_asked_is_killed_after_its_grace(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sh, -c, 'trap "" TERM; while true; do sleep 1; done']}
""")
    await cluster.ready("stubborn")
    await cluster.api.pods.delete("stubborn")
    await cluster.until(lambda: cluster.events("Killing"))
    # The second deletion is in more of a hurry, and counts.
    await cluster.api.pods.delete("stubborn", grace_period_s=1)
    await cluster.gone("stubborn", 10)


async def test_an_image_that_is_not_there(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  containers: [{name: main, image: "steersman.local/nothing:1", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: pulls}
spec:
  containers: [{name: main, image: "localhost:1/nothing:1"}]
""")

    async def reasons() -> bool:
        never = await cluster.status_of("never")
        pulls = await cluster.status_of("pulls")
        return (never.state.waiting.reason, pulls.state.waiting.reason) == ("ErrImageNeverPull", "ImagePullBackOff")

    await cluster.until(reasons)
    assert (await cluster.pod("pulls")).status.phase == "Pending"
    assert await cluster.events("Failed")


async def test_host_network_and_dns(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  containers: [{name: main, image: "steersman.local/busybox:1", command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: resolves}
spec:
  hostname: me
  subdomain: svc
  hostAliases: [{ip: 10.9.9.9, hostnames: [friend]}]
  containers: [{name: main, image: "steersman.local/busybox:1", command: [sleep, "1000"]}]
""")
    host = await cluster.ready("host")
    assert host.status.pod_ip == host.status.host_ip == "10.1.0.1"
    assert "steer0" in await cluster.exec("host", "ip", "link")
    pod = await cluster.ready("resolves")
    resolv = await cluster.exec("resolves", "cat", "/etc/resolv.conf")
    assert "nameserver 10.96.0.10" in resolv
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in resolv
    assert "ndots:5" in resolv
    hosts = await cluster.exec("resolves", "cat", "/etc/hosts")
    assert f"{pod.status.pod_ip}\tme.svc.default.svc.cluster.local\tme" in hosts
    assert "10.9.9.9\tfriend" in hosts
    assert await cluster.exec("resolves", "hostname") == "me\n"


async def test_a_security_context_is_kept_to(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: secure}
spec:
  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, runAsNonRoot: true}
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
---
apiVersion: v1
kind: Pod
metadata: {name: rooted}
spec:
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sleep, "1000"], securityContext: {runAsNonRoot: true}}
""")
    await cluster.ready("secure")
    assert await cluster.exec("secure", "id") == "uid=1000 gid=3000 groups=2000,3000\n"
    assert "Read-only" in await cluster.exec("secure", "touch", "/x")
    await cluster.exec("secure", "touch", "/scratch/mine")
    assert await cluster.exec("secure", "stat", "-c", "%g", "/scratch/mine") == "2000\n"
    assert "CapEff:\t0000000000000000" in await cluster.exec("secure", "cat", "/proc/self/status")

    async def refused() -> bool:
        return (await cluster.status_of("rooted")).state.waiting.reason == "CreateContainerConfigError"

    await cluster.until(refused)


async def test_a_pod_that_is_active_for_too_long_fails(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  activeDeadlineSeconds: 1
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "steersman.local/busybox:1", command: [sleep, "1000"]}]
""")
    pod = await cluster.phase("slow", "Failed")
    assert pod.status.reason == "DeadlineExceeded"


async def test_a_sandbox_that_dies_is_made_anew(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    before = await cluster.ready("web")
    worker = cluster.agent.pods.worker(before.metadata.uid)
    cluster.machine.ctr("tasks", "kill", "--signal", "SIGKILL", worker.runtime.sandboxes[0].id)

    async def back() -> bool:
        pod = await cluster.pod("web")
        return condition(pod, "Ready") == "True" and pod.status.container_statuses[0].restart_count == 1

    await cluster.until(back, 20)
    pod = await cluster.pod("web")
    await cluster.serves(pod.status.pod_ip, 8080, "/index.html", "hello\n")


async def test_a_part_of_a_volume_cannot_lead_out_of_it(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: parts}
data: {a: "only a"}
---
apiVersion: v1
kind: Pod
metadata: {name: parts}
spec:
  restartPolicy: Never
  initContainers:
  - name: link
    image: steersman.local/busybox:1
    command: [sh, -c, "mkdir -p /v/etc; echo inside > /v/etc/passwd; ln -s /etc /v/out"]
    volumeMounts: [{name: v, mountPath: /v}]
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
    volumeMounts:
    - {name: v, mountPath: /sub, subPath: out}
    - {name: v, mountPath: /fresh, subPath: deep/er}
    - {name: c, mountPath: /file, subPath: a}
  volumes: [{name: v, emptyDir: {}}, {name: c, configMap: {name: parts}}]
""")
    await cluster.ready("parts")
    assert await cluster.exec("parts", "cat", "/sub/passwd") == "inside\n"
    assert await cluster.exec("parts", "cat", "/file") == "only a"
    assert await cluster.exec("parts", "ls", "/fresh") == ""


async def test_a_log_that_is_too_large_is_moved_aside(cluster: Cluster) -> None:
    await cluster.stop()
    cluster.configure(log_bytes_max=2000, log_files_max=2)
    await cluster.start()
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: talks}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sh, -c, "while true; do echo talking; sleep 0.01; done"]}
""")
    pod = await cluster.ready("talks")
    folder = cluster.agent.folders.logs("default", "talks", pod.metadata.uid) / "main"
    await cluster.until(lambda: len(list(folder.iterdir())) == 2, 10)
    await cluster.until(lambda: (folder / "0.log").stat().st_size > 0)


async def test_a_port_of_the_node_leads_to_the_pod(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "through the node"}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: steersman.local/busybox:1
    command: [httpd, -f, -p, "8080", -h, /www]
    ports: [{containerPort: 8080, hostPort: 18080}]
    volumeMounts: [{name: www, mountPath: /www}]
  volumes: [{name: www, configMap: {name: page}}]
""")
    await cluster.ready("web")
    await cluster.serves("10.244.1.1", 18080, "/index.html", "through the node")


async def test_pods_outlive_their_runtime_and_are_looked_after_when_it_is_back(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    before = await cluster.ready("web")
    cluster.machine.processes[0].kill()
    cluster.machine.processes[0].wait()

    async def node_unready() -> bool:
        node = await cluster.api.nodes.get("n1")
        return any(each.type == "Ready" and "runtime is down" in each.message for each in node.status.conditions)

    await cluster.stop()
    cluster.configure(status_update_s=0.2, runtime_grace_s=0)
    agent = cluster.start_without_waiting()
    await cluster.until(node_unready)
    (cluster.machine.base / "containerd.sock").unlink()
    process = await asyncio.to_thread(cluster.machine.start_containerd)
    cluster.machine.processes.remove(process)
    cluster.machine.processes[0] = process
    await cluster.until(agent.node.network_ready.is_set)
    after = await cluster.ready("web")
    assert after.status.container_statuses[0].container_id == before.status.container_statuses[0].container_id
    await cluster.kill_container("web")

    async def back() -> bool:
        status = await cluster.status_of("web")
        return status.restart_count == 1 and status.state.HasField("running")

    await cluster.until(back, 10)


async def test_labels_and_annotations_that_change_reach_their_files(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: told, labels: {a: "1"}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sleep, "1000"]
    volumeMounts: [{name: info, mountPath: /info}]
  volumes:
  - name: info
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
""")
    pod = await cluster.ready("told")
    assert await cluster.exec("told", "cat", "/info/labels") == 'a="1"'
    pod.metadata.labels["a"] = "2"
    await cluster.api.pods.update(pod)

    async def changed() -> bool:
        return await cluster.exec("told", "cat", "/info/labels") == 'a="2"'

    await cluster.until(changed)


async def test_an_ephemeral_container_sees_the_processes_of_its_target(cluster: Cluster) -> None:
    await cluster.apply(WEB)
    pod = await cluster.ready("web")
    ephemeral = pod.spec.ephemeral_containers.add(target_container_name="web")
    ephemeral.ephemeral_container_common.name = "look"
    ephemeral.ephemeral_container_common.image = "steersman.local/busybox:1"
    ephemeral.ephemeral_container_common.command.extend(["sh", "-c", "ps; sleep 1000"])
    await cluster.api.pods.update(pod)

    async def runs() -> bool:
        pod = await cluster.pod("web")
        return any(each.state.HasField("running") for each in pod.status.ephemeral_container_statuses)

    await cluster.until(runs)
    log = cluster.agent.folders.log("default", "web", pod.metadata.uid, "look", 0)
    await cluster.until(lambda: "httpd -f" in log.read_text())


async def test_a_pod_that_does_not_fit_fails_and_uses_nothing(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: large}
spec:
  containers:
  - {name: main, image: "steersman.local/busybox:1", resources: {requests: {cpu: "1000"}}}
""")
    pod = await cluster.phase("large", "Failed")
    assert pod.status.reason == "OutOfcpu"
    assert cluster.containers() == []


async def test_a_container_that_takes_a_moment_to_listen_is_ready_soon_after(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: soon}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: steersman.local/busybox:1
    command: [sh, -c, "sleep 0.5; exec httpd -f -p 8080"]
    startupProbe: {tcpSocket: {port: 8080}}
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 30}
""")
    await cluster.ready("soon", 3)


async def test_namespaces_and_kernel_settings_of_a_pod(cluster: Cluster) -> None:
    await cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  terminationGracePeriodSeconds: 1
  shareProcessNamespace: true
  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "7"}]}
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sleep, "1000"]}
  - {name: other, image: "steersman.local/busybox:1", command: [sleep, "2000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  terminationGracePeriodSeconds: 1
  hostPID: true
  containers:
  - {name: main, image: "steersman.local/busybox:1", command: [sleep, "3000"], securityContext: {privileged: true}}
""")
    await cluster.ready("shared")
    processes = await cluster.exec("shared", "ps", "-o", "args")
    assert "catatonit" in processes
    assert "sleep 2000" in processes
    assert await cluster.exec("shared", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "7\n"
    await cluster.ready("host")
    assert "containerd" in await cluster.exec("host", "ps", "-o", "args")
    assert await cluster.exec("host", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward && echo may") == "may\n"
