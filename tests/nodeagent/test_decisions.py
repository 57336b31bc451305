"""The smaller decisions: delays, probes, resources, resolvers, contents of volumes."""

from __future__ import annotations

from decimal import Decimal

import cri
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman.core.v1 import ConfigMap, Pod, Secret

from nodeagent.cgroups import Cgroups, weight_of
from nodeagent.cri.images import credentials, pull_policy
from nodeagent.pod import (
    admission,
    backoff,
    container_config,
    dns,
    env,
    fields,
    probes,
    resources,
    sandbox_config,
    volumes_spec,
)
from nodeagent.pod.backoff import CrashBackoff
from nodeagent.pod.errors import MissingKeyError, MissingObjectError, PodConfigError
from nodeagent.pod.fields import NodeFacts
from nodeagent.pod.probes import Cadence, Health, Purpose, Tally
from nodeagent.pod.volumes_spec import Payload, VolumeSources
from tests.nodeagent.made import NOW, ago, later, pod

# Delays between restarts.


def test_delays_double_up_to_five_minutes() -> None:
    entry: CrashBackoff | None = None
    delays = []
    for _ in range(8):
        entry = backoff.after_start(entry, NOW, NOW)
        delays.append(entry.delay_s)
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_container_that_ran_for_ten_minutes_starts_over() -> None:
    entry = CrashBackoff(160, ago(601))
    assert entry.hold_until(NOW) == NOW
    assert backoff.after_start(entry, NOW, NOW).delay_s == 10
    assert CrashBackoff(160, ago(599)).hold_until(NOW) == later(160)


@given(st.lists(st.floats(0, 2000), max_size=30))
def test_a_delay_is_never_outside_of_its_bounds(runs: list[float]) -> None:
    entry: CrashBackoff | None = None
    now = NOW
    for seconds in runs:
        ended = now + (later(seconds) - NOW)
        now = entry.hold_until(ended) if entry is not None else ended
        assert now >= ended
        entry = backoff.after_start(entry, now, ended)
        assert backoff.BASE_S <= entry.delay_s <= backoff.LIMIT_S


# Probes.


def test_a_verdict_needs_its_run_of_answers() -> None:
    cadence = Cadence(0, 10, 1, success_threshold=2, failure_threshold=3)
    tally = Tally(verdict=True)
    seen = []
    for answer in (False, False, True, False, False, False, True, True):
        tally = tally.after(answer, cadence)
        seen.append(tally.verdict)
    assert seen == [True, True, True, True, True, False, False, True]


def test_health_of_a_container_that_starts() -> None:
    plain = pod("{containers: [{name: a}]}").spec.containers[0]
    assert probes.initial(plain) == Health(started=True, ready=True)
    probed = pod("{containers: [{name: a, startupProbe: {}, readinessProbe: {}}]}").spec.containers[0]
    health = probes.initial(probed)
    assert health == Health(started=False, ready=False)
    health = health.with_verdict(Purpose.STARTUP, True)
    assert health.started
    assert health.with_verdict(Purpose.LIVENESS, False).failed is Purpose.LIVENESS


# Resources.

CLASSES = [
    ("{containers: [{name: a}]}", "BestEffort"),
    ("{containers: [{name: a, resources: {requests: {cpu: 100m}}}]}", "Burstable"),
    ("{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]}", "Guaranteed"),
    ("{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}}]}", "Burstable"),
    ("{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]}", "Burstable"),
    ("{initContainers: [{name: i}], containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]}", "Burstable"),
]


@pytest.mark.parametrize(("spec", "expected"), CLASSES)
def test_quality_of_service(spec: str, expected: str) -> None:
    assert resources.qos_class(pod(spec)) == expected


def test_limits_of_containers_and_pods() -> None:
    wanted = pod(
        "{initContainers: [{name: i, resources: {requests: {cpu: 3}}},"
        " {name: s, restartPolicy: Always, resources: {requests: {cpu: 500m}}}],"
        " containers: [{name: a, resources: {requests: {cpu: 250m}, limits: {cpu: 500m, memory: 64Mi}}},"
        " {name: b, resources: {limits: {cpu: 1, memory: 64Mi}}}]}"
    )
    first, second = (resources.container_limits(each) for each in wanted.spec.containers)
    assert first == resources.Limits(256, 50_000, 64 * 1024**2)
    assert second == resources.Limits(1024, 100_000, 64 * 1024**2)
    assert resources.pod_request(wanted, "cpu") == Decimal(3)
    # One container without a limit leaves the pod without one.
    assert resources.pod_limits(wanted).cpu_quota_us == 0


def test_who_is_killed_first_for_memory() -> None:
    def score(spec: str) -> int:
        wanted = pod(spec)
        return resources.oom_score_adj(wanted, wanted.spec.containers[0], 4 * 1024**3)

    assert score("{containers: [{name: a}]}") == 1000
    assert score("{containers: [{name: a, resources: {requests: {memory: 1Gi}}}]}") == 750
    assert score("{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]}") == -997
    assert score("{containers: [{name: a, resources: {requests: {memory: 1}}}]}") == 999


def test_cgroups_of_both_versions(tmp_path: object) -> None:
    from pathlib import Path

    root = Path(str(tmp_path))
    for controller in ("cpu", "memory", "pids"):
        (root / "v1" / controller).mkdir(parents=True)
    old = Cgroups("/lab/n1", root / "v1")
    assert old.missing() == []
    assert Cgroups("/", root / "none").missing() == ["cpu", "memory"]
    parent = old.parent_of("u", resources.BURSTABLE)
    assert parent == "/lab/n1/kubepods/burstable/podu"
    old.create(parent, resources.Limits(512, 20_000, 1 << 20))
    assert (root / "v1/cpu" / parent[1:] / "cpu.cfs_quota_us").read_text() == "20000"
    assert (root / "v1/memory" / parent[1:] / "memory.limit_in_bytes").read_text() == str(1 << 20)

    (root / "v2").mkdir()
    (root / "v2/cgroup.controllers").write_text("cpuset cpu")
    new = Cgroups("/", root / "v2")
    assert new.missing() == ["memory"]
    parent = new.parent_of("u", resources.GUARANTEED)
    assert parent == "/kubepods/podu"
    new.create(parent, resources.Limits(1024))
    assert (root / "v2" / parent[1:] / "cpu.max").read_text() == "max 100000"
    assert (root / "v2" / parent[1:] / "cpu.weight").read_text() == "39"
    assert (root / "v2/cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (weight_of(2), weight_of(262_144)) == (1, 10_000)


ROOM = {"cpu": Decimal(2), "memory": Decimal(4 * 1024**3), "pods": Decimal(3)}


def asking(cpu: str, port: int = 0) -> Pod:
    ports = f"ports: [{{containerPort: 80, hostPort: {port}}}]," if port else ""
    return pod(f"{{containers: [{{name: a, {ports} resources: {{requests: {{cpu: {cpu}}}}}}}]}}")


def test_a_pod_that_does_not_fit_is_refused() -> None:
    assert admission.refusal(asking("2"), [], ROOM) is None
    refused = admission.refusal(asking("1500m"), [asking("600m")], ROOM)
    assert refused is not None
    assert refused.reason == "OutOfcpu"
    assert refused.message.endswith("cpu, requested: 1.5, used: 0.6, capacity: 2")
    refused = admission.refusal(asking("0"), [asking("0")] * 3, ROOM)
    assert refused is not None
    assert refused.reason == "OutOfpods"
    refused = admission.refusal(asking("0", 80), [asking("0", 80)], ROOM)
    assert refused is not None
    assert refused.reason == "NodePorts"
    assert admission.refusal(asking("0", 80), [asking("0", 81)], ROOM) is None


# Names and addresses.

NODE_RESOLVER = dns.parse("# the node's\nnameserver 192.0.2.1\nsearch example.org .\noptions timeout:2\n")


def test_resolvers_by_policy() -> None:
    def of(spec: str) -> dns.Resolver:
        return dns.resolver_of(pod(spec), NODE_RESOLVER, ["10.96.0.10"], "cluster.local")

    cluster = of("{containers: []}")
    assert cluster.servers == ["10.96.0.10"]
    assert cluster.searches == ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"]
    assert cluster.options == ["ndots:5"]
    assert of("{dnsPolicy: Default}") == dns.Resolver(["192.0.2.1"], ["example.org"], ["timeout:2"])
    assert of("{hostNetwork: true}").servers == ["192.0.2.1"]
    assert of("{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}").servers == ["10.96.0.10"]
    own = of(
        "{dnsPolicy: None, dnsConfig: {nameservers: [1.2.3.4], searches: [a.b], options: [{name: ndots, value: '1'},"
        " {name: edns0}]}}"
    )
    assert own == dns.Resolver(["1.2.3.4"], ["a.b"], ["ndots:1", "edns0"])
    without = dns.resolver_of(pod("{containers: []}"), NODE_RESOLVER, [], "cluster.local")
    assert without.servers == ["192.0.2.1"]


def test_a_sandbox_s_configuration() -> None:
    place = sandbox_config.SandboxPlace("/kubepods/podu1", "/logs/p", None, "n1", "cluster.local")
    wanted = pod(
        "{hostname: h, subdomain: s, setHostnameAsFQDN: true, shareProcessNamespace: true,"
        " securityContext: {sysctls: [{name: net.ipv4.ip_forward, value: '1'}], fsGroup: 5},"
        " containers: [{name: a, ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}, {containerPort: 81}]}]}",
        metadata=", labels: {app: x}",
    )
    found = sandbox_config.build(wanted, 2, place)
    assert found.hostname == "h.s.default.svc.cluster.local"
    assert found.metadata == cri.PodSandboxMetadata(name="p", uid="u1", namespace="default", attempt=2)
    assert [(each.protocol, each.container_port, each.host_port) for each in found.port_mappings] == [(1, 80, 8080)]
    assert found.labels["io.kubernetes.pod.uid"] == "u1"
    assert found.labels["app"] == "x"
    assert found.linux.sysctls["net.ipv4.ip_forward"] == "1"
    assert found.linux.security_context.namespace_options.pid == cri.POD
    assert list(found.linux.security_context.supplemental_groups) == [5]


def test_a_container_s_configuration() -> None:
    wanted = pod(
        "{terminationGracePeriodSeconds: 9, containers: [{name: a, image: i, command: [run, $(X)],"
        " args: [$$(X)], securityContext: {privileged: true}}]}"
    )
    place = container_config.ContainerPlace(3, "sha256:1", {"X": "y"}, [], 1 << 30)
    found = container_config.build(wanted, wanted.spec.containers[0], place)
    assert (list(found.command), list(found.args)) == (["run", "y"], ["$(X)"])
    assert found.annotations["io.kubernetes.container.restartCount"] == "3"
    assert found.annotations["io.kubernetes.pod.terminationGracePeriod"] == "9"
    assert found.log_path == "a/3.log"
    assert found.linux.security_context.privileged
    assert not found.linux.security_context.masked_paths


def test_profiles_of_the_container_go_before_those_of_the_pod() -> None:
    wanted = pod(
        "{securityContext: {seccompProfile: {type: RuntimeDefault}, appArmorProfile: {type: Unconfined},"
        " seLinuxOptions: {type: pod_t}}, containers: [{name: a, securityContext: {"
        "appArmorProfile: {type: Localhost, localhostProfile: tight}}}]}"
    )
    place = container_config.ContainerPlace(0, "sha256:1", {}, [], 1 << 30)
    found = container_config.build(wanted, wanted.spec.containers[0], place).linux.security_context
    assert found.seccomp.profile_type == cri.SecurityProfile.RuntimeDefault
    assert (found.apparmor.profile_type, found.apparmor.localhost_ref) == (cri.SecurityProfile.Localhost, "tight")
    assert found.selinux_options.type == "pod_t"
    assert len(found.masked_paths) > 5


def test_who_may_run_as_root() -> None:
    strict = pod("{securityContext: {runAsNonRoot: true}, containers: [{name: a}]}")
    container = strict.spec.containers[0]
    container_config.check_user(strict, container, 1000, "")
    for uid, user in ((0, ""), (None, ""), (None, "www")):
        with pytest.raises(PodConfigError):
            container_config.check_user(strict, container, uid, user)
    container.security_context.run_as_user = 0
    with pytest.raises(PodConfigError, match="runAsUser"):
        container_config.check_user(strict, container, 1000, "")


# Environment and files.


def test_expansion() -> None:
    values = {"A": "1", "B": "$(A)"}
    table = {"$(A)": "1", "$(B)": "$(A)", "$(C)": "$(C)", "$$(A)": "$(A)", "$A $": "$A $", "$$$(A)": "$1", "$(": "$("}
    assert {text: env.expand(text, values) for text in table} == table


@given(st.text())
def test_text_without_dollars_stays(text: str) -> None:
    plain = text.replace("$", "")
    assert env.expand(plain, {"A": "1"}) == plain


def downward(wanted: Pod, path: str) -> str:
    return fields.pod_field(wanted, path, NodeFacts(("10.1.0.1", "fd00::1"), ("10.0.0.5",)))


def test_the_downward_api() -> None:
    wanted = pod("{nodeName: n1}", metadata=', labels: {b: "2", a: "1"}, annotations: {x: "two\\nlines"}')
    assert downward(wanted, "metadata.labels") == 'a="1"\nb="2"'
    assert downward(wanted, "metadata.annotations['x']") == "two\nlines"
    assert downward(wanted, "metadata.labels['none']") == ""
    assert downward(wanted, "status.hostIPs") == "10.1.0.1,fd00::1"
    with pytest.raises(PodConfigError):
        downward(wanted, "spec.containers")


def sources(config_map: ConfigMap | None = None, secret: Secret | None = None) -> VolumeSources:
    return VolumeSources(lambda _: config_map, lambda _: secret, lambda *_: None, NodeFacts())


SETTINGS = ConfigMap(data={"a": "1", "b": "2"}, binary_data={"c": b"\x00"})


def files(volume: str, given: VolumeSources) -> dict[str, Payload]:
    wanted = pod(f"{{volumes: [{{name: v, {volume}}}]}}", metadata=", labels: {k: w}")
    return volumes_spec.files_of(wanted, wanted.spec.volumes[0], given)


def test_files_of_a_config_map() -> None:
    assert files("configMap: {name: c}", sources(SETTINGS)) == {
        "a": Payload(b"1", 0o644),
        "b": Payload(b"2", 0o644),
        "c": Payload(b"\x00", 0o644),
    }
    chosen = "configMap: {name: c, defaultMode: 256, items: [{key: a, path: deep/a}, {key: b, path: b, mode: 511}]}"
    assert files(chosen, sources(SETTINGS)) == {"deep/a": Payload(b"1", 0o400), "b": Payload(b"2", 0o777)}


def test_what_is_missing_and_what_may_be() -> None:
    with pytest.raises(MissingObjectError):
        files("configMap: {name: c}", sources())
    assert files("configMap: {name: c, optional: true}", sources()) == {}
    with pytest.raises(MissingKeyError):
        files("configMap: {name: c, items: [{key: z, path: z}]}", sources(SETTINGS))
    with pytest.raises(MissingObjectError):
        files("secret: {secretName: s}", sources())


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..x"])
def test_paths_must_stay_inside(path: str) -> None:
    with pytest.raises(PodConfigError):
        files(f"configMap: {{name: c, items: [{{key: a, path: {path}}}]}}", sources(SETTINGS))


def test_a_projection_of_several_sources() -> None:
    projected = (
        "projected: {sources: [{configMap: {name: c, items: [{key: a, path: a}]}}, {secret: {name: s}},"
        " {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}"
    )
    assert files(projected, sources(SETTINGS, Secret(data={"k": b"v"}))) == {
        "a": Payload(b"1", 0o644),
        "k": Payload(b"v", 0o644),
        "labels": Payload(b'k="w"', 0o644),
    }


def test_what_a_pod_refers_to() -> None:
    wanted = pod(
        "{imagePullSecrets: [{name: pull}], volumes: [{name: v, projected: {sources: [{secret: {name: s1}}]}}],"
        " containers: [{name: a, envFrom: [{configMapRef: {name: c1}}],"
        " env: [{name: X, valueFrom: {secretKeyRef: {name: s2, key: k}}}]}]}"
    )
    assert volumes_spec.referenced(wanted) == (frozenset({"c1"}), frozenset({"pull", "s1", "s2"}))


# Images.

POLICIES = [
    ("busybox", "", "Always"),
    ("busybox:latest", "", "Always"),
    ("busybox:1", "", "IfNotPresent"),
    ("host:5000/busybox", "", "Always"),
    ("busybox@sha256:ab", "", "IfNotPresent"),
    ("busybox", "Never", "Never"),
]


@pytest.mark.parametrize(("image", "given_policy", "expected"), POLICIES)
def test_pull_policy(image: str, given_policy: str, expected: str) -> None:
    assert pull_policy(image, given_policy) == expected


def test_credentials_of_a_registry() -> None:
    import json

    document = {"auths": {"https://r.example:5000/v1/": {"auth": "dTpw"}, "r.example:5000/deep": {"username": "d"}}}
    secret = Secret(data={".dockerconfigjson": json.dumps(document).encode(), "other": b"x"})
    broken = Secret(data={".dockerconfigjson": b"{"})
    found = credentials("r.example:5000/deep/image:1", [secret, broken])
    assert [(each.username, each.password) for each in found] == [("d", ""), ("u", "p")]
    assert credentials("elsewhere.example/image", [secret]) == []
