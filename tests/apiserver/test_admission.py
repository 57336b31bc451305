"""What the cluster and its namespaces ask of every object: quotas, limits, priorities, security."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from steersman import errors
from steersman.client import Api
from steersman.core.v1 import PersistentVolumeClaim
from steersman.service.tls import TLSFiles
from steersman.storage.v1 import StorageClass

from apiserver.bootstrap import Apiserver, Settings, node_channels
from tests.apiserver import access
from tests.apiserver.access import asking
from tests.apiserver.conftest import Served
from tests.apiserver.objects import config_map, deployment, namespace, pod, service
from tests.waiting import eventually


async def seen(served: Served, service: str, count: int) -> None:
    """Waits until the cache of a kind holds so many objects: admission looks there."""
    cache = served.apiserver.registries[service].cache
    await eventually(lambda: len(cache) >= count)


async def with_quota(served: Served, api: Api, **hard: str) -> None:
    await api.resourcequotas.create(access.quota(**hard))
    await seen(served, "steersman.core.v1.ResourceQuotas", 1)


async def used(api: Api) -> dict[str, str]:
    quota = await api.resourcequotas.get("q")
    return {name: amount.value for name, amount in quota.status.used.items()}


# --- quotas ---------------------------------------------------------------------------------------------------------


async def test_a_quota_holds_however_many_write_at_once(served: Served, api: Api) -> None:
    await with_quota(served, api, pods="10", **{"requests.cpu": "1"})
    wanted = [asking(pod(f"p{index}"), requests={"cpu": "50m"}) for index in range(40)]
    results = await asyncio.gather(*(api.pods.create(each) for each in wanted), return_exceptions=True)
    refused = [each for each in results if isinstance(each, errors.Exhausted)]
    assert (len(results) - len(refused), len(refused)) == (10, 30)
    assert len(await api.pods.list(namespace="default")) == 10
    assert await used(api) == {"pods": "10", "requests.cpu": "500m"}
    assert refused[0].reason == "QUOTA_EXCEEDED"
    assert "pods: 1 more, 10 of 10 used" in refused[0].message


async def test_what_is_refused_for_another_reason_is_not_charged(served: Served, api: Api) -> None:
    await with_quota(served, api, configmaps="5", **{"count/deployments.apps": "1"})
    await api.configmaps.create(config_map("a"))
    for _ in range(3):
        with pytest.raises(errors.AlreadyExists):
            await api.configmaps.create(config_map("a"))
    await api.configmaps.create(config_map("dry"), dry_run=True)
    assert (await used(api))["configmaps"] == "1"
    await api.deployments.create(deployment("a"))
    with pytest.raises(errors.Exhausted, match=r"count/deployments\.apps"):
        await api.deployments.create(deployment("b"))
    with pytest.raises(errors.Exhausted):
        await api.deployments.create(deployment("b"), dry_run=True)


async def test_what_was_there_before_the_quota_counts(served: Served, api: Api) -> None:
    for name in ("a", "b"):
        await api.services.create(service(name, type="NodePort"))
    # With the Service of the apiserver itself, which is in this namespace.
    await with_quota(served, api, services="4", **{"services.nodeports": "3"})
    await api.services.create(service("c", type="NodePort"))
    assert await used(api) == {"services": "4", "services.nodeports": "3"}
    with pytest.raises(errors.Exhausted):
        await api.services.create(service("d"))
    grown = await api.services.get("c")
    grown.spec.ports.add(name="more", port=81)
    with pytest.raises(errors.Exhausted, match=r"services\.nodeports: 1 more, 3 of 3 used"):
        await api.services.update(grown)


async def test_a_quota_on_processors_wants_them_said(served: Served, api: Api) -> None:
    await with_quota(served, api, **{"limits.memory": "1Gi"})
    with pytest.raises(errors.Forbidden, match=r"wants every container to say limits\.memory"):
        await api.pods.create(pod())
    await api.pods.create(asking(pod(), limits={"memory": "512Mi"}))
    with pytest.raises(errors.Exhausted, match=r"limits\.memory: 768Mi more, 512Mi of 1Gi used"):
        await api.pods.create(asking(pod("q"), limits={"memory": "768Mi"}))


async def test_a_quota_with_a_scope_counts_only_what_is_within(served: Served, api: Api) -> None:
    quota = access.quota(pods="1")
    quota.spec.scopes.append("BestEffort")
    await api.resourcequotas.create(quota)
    await seen(served, "steersman.core.v1.ResourceQuotas", 1)
    await api.pods.create(pod("a"))
    with pytest.raises(errors.Exhausted):
        await api.pods.create(pod("b"))
    await api.pods.create(asking(pod("c"), requests={"cpu": "1"}))
    await api.namespaces.create(namespace("other"))
    await api.pods.create(pod("b", namespace="other"))


# --- limits ---------------------------------------------------------------------------------------------------------


async def with_limits(served: Served, api: Api, type: str = "Container", **parts: dict[str, str]) -> None:
    await api.limitranges.create(access.limit_range(type=type, **parts))
    await seen(served, "steersman.core.v1.LimitRanges", 1)


async def test_containers_get_what_they_do_not_ask_for(served: Served, api: Api) -> None:
    await with_limits(served, api, default={"cpu": "500m", "memory": "64Mi"}, default_request={"cpu": "100m"})
    made = await api.pods.create(pod())
    resources = made.spec.containers[0].resources
    assert {name: amount.value for name, amount in resources.limits.items()} == {"cpu": "500m", "memory": "64Mi"}
    assert resources.requests["cpu"].value == "100m"
    assert made.status.qos_class == "Burstable"
    stated = await api.pods.create(asking(pod("q"), requests={"cpu": "10m"}, limits={"cpu": "20m", "memory": "1Mi"}))
    assert stated.spec.containers[0].resources.limits["cpu"].value == "20m"


@pytest.mark.parametrize(
    ("type", "parts", "requests", "limits", "why"),
    [
        ("Container", {"max": {"cpu": "1"}}, {}, {"cpu": "2"}, "asks for 2 of cpu, at most 1"),
        ("Container", {"min": {"cpu": "100m"}}, {"cpu": "10m"}, {}, "asks for 10m of cpu, at least 100m"),
        ("Container", {"max_limit_request_ratio": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "3"}, "more than 2 times"),
        ("Pod", {"max": {"memory": "1Gi"}}, {}, {}, "must limit memory to at most 1Gi"),
        ("Pod", {"max": {"memory": "1Gi"}}, {}, {"memory": "2Gi"}, "asks for 2Gi of memory"),
    ],
)
async def test_what_asks_for_too_much_or_too_little_is_refused(
    served: Served, api: Api, type: str, parts: Any, requests: Any, limits: Any, why: str
) -> None:
    await with_limits(served, api, type, **parts)
    with pytest.raises(errors.Forbidden, match=why):
        await api.pods.create(asking(pod(), requests=requests, limits=limits))


def claim(name: str, size: str = "1Gi") -> PersistentVolumeClaim:
    made = PersistentVolumeClaim()
    made.metadata.name, made.metadata.namespace = name, "default"
    made.spec.access_modes.append("ReadWriteOnce")
    made.spec.resources.requests["storage"].value = size
    return made


async def test_claims_are_bounded_and_get_the_default_class(served: Served, api: Api) -> None:
    await with_limits(served, api, "PersistentVolumeClaim", max={"storage": "2Gi"})
    with pytest.raises(errors.Forbidden, match="at most 2Gi"):
        await api.persistentvolumeclaims.create(claim("big", "3Gi"))
    assert not (await api.persistentvolumeclaims.create(claim("a"))).spec.HasField("storage_class_name")
    for name, default in (("slow", "false"), ("fast", "true")):
        made = StorageClass(provisioner="example.org/disks")
        made.metadata.name = name
        made.metadata.annotations["storageclass.kubernetes.io/is-default-class"] = default
        await api.storageclasses.create(made)
    await seen(served, "steersman.storage.v1.StorageClasses", 2)
    assert (await api.persistentvolumeclaims.create(claim("b"))).spec.storage_class_name == "fast"
    none = claim("c")
    none.spec.storage_class_name = ""
    assert (await api.persistentvolumeclaims.create(none)).spec.storage_class_name == ""


# --- priorities -----------------------------------------------------------------------------------------------------


async def test_a_pod_has_the_priority_of_its_class(api: Api) -> None:
    plain = await api.pods.create(pod("plain"))
    assert (plain.spec.priority, plain.spec.preemption_policy) == (0, "PreemptLowerPriority")
    await api.priorityclasses.create(access.priority_class("high", 1000))
    wanted = pod("a")
    wanted.spec.priority_class_name = "high"
    assert (await api.pods.create(wanted)).spec.priority == 1000
    wanted = pod("b")
    wanted.spec.priority_class_name = "system-node-critical"
    assert (await api.pods.create(wanted)).spec.priority == 2_000_001_000
    for name, priority in (("nothing", None), ("high", 5)):
        wanted = pod("c")
        wanted.spec.priority_class_name = name
        if priority is not None:
            wanted.spec.priority = priority
        with pytest.raises(errors.Forbidden, match="Priority"):
            await api.pods.create(wanted)


async def test_one_class_at_most_is_the_default(served: Served, api: Api) -> None:
    await api.priorityclasses.create(access.priority_class("usual", 7, default=True))
    await seen(served, "steersman.scheduling.v1.PriorityClasses", 3)
    made = await api.pods.create(pod())
    assert (made.spec.priority, made.spec.priority_class_name) == (7, "usual")
    with pytest.raises(errors.Forbidden, match="'usual' is the default already"):
        await api.priorityclasses.create(access.priority_class("other", 8, default=True))


# --- security -------------------------------------------------------------------------------------------------------


def secure(name: str = "p", namespace: str = "guarded") -> Any:
    """A pod that keeps to the strictest level."""
    made = pod(name, namespace)
    made.spec.security_context.run_as_non_root = True
    made.spec.security_context.seccomp_profile.type = "RuntimeDefault"
    context = made.spec.containers[0].security_context
    context.allow_privilege_escalation = False
    context.capabilities.drop.append("ALL")
    return made


async def guarded(served: Served, api: Api, **labels: str) -> None:
    made = namespace("guarded")
    for mode, level in labels.items():
        made.metadata.labels[f"pod-security.kubernetes.io/{mode}"] = level
    await api.namespaces.create(made)
    await seen(served, "steersman.core.v1.Namespaces", 5)


def privileged(made: Any) -> None:
    made.spec.containers[0].security_context.privileged = True


def host_path(made: Any) -> None:
    made.spec.volumes.add(name="h").volume_source.host_path.path = "/"


def host_port(made: Any) -> None:
    made.spec.containers[0].ports.add(container_port=80, host_port=80)


def host_network(made: Any) -> None:
    made.spec.host_network = True


def capability(made: Any) -> None:
    made.spec.containers[0].security_context.capabilities.add.append("SYS_ADMIN")


def unconfined(made: Any) -> None:
    made.spec.security_context.seccomp_profile.type = "Unconfined"


def init_root(made: Any) -> None:
    made.spec.init_containers.add(name="i", image="i:1").security_context.run_as_user = 0


def sysctl(made: Any) -> None:
    made.spec.security_context.sysctls.add(name="kernel.msgmax", value="1")


@pytest.mark.parametrize(
    "change", [privileged, host_path, host_port, host_network, capability, unconfined, sysctl], ids=lambda f: f.__name__
)
async def test_the_baseline_keeps_pods_off_the_node(served: Served, api: Api, change: Any) -> None:
    await guarded(served, api, enforce="baseline")
    await api.pods.create(pod("plain", "guarded"))
    wrong = pod("wrong", "guarded")
    change(wrong)
    with pytest.raises(errors.Forbidden, match="PodSecurity 'baseline'"):
        await api.pods.create(wrong)


async def test_the_restricted_level_wants_everything_given_up(served: Served, api: Api) -> None:
    await guarded(served, api, enforce="restricted")
    await api.pods.create(secure())
    with pytest.raises(errors.Forbidden) as caught:
        await api.pods.create(pod("plain", "guarded"))
    for demand in ("allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile", "drop capability ALL"):
        assert demand in caught.value.message
    wrong = secure("init")
    init_root(wrong)
    with pytest.raises(errors.Forbidden, match="runAsUser to 0"):
        await api.pods.create(wrong)


async def test_templates_are_warned_of_and_not_refused(served: Served, api: Api) -> None:
    await guarded(served, api, enforce="baseline", warn="restricted")
    made = deployment()
    made.metadata.namespace = "guarded"
    made.spec.template.spec.host_network = True
    await api.deployments.create(made)
    assert any("would break PodSecurity 'restricted'" in warning for warning in served.warnings)


async def test_a_level_that_does_not_exist_is_refused(api: Api) -> None:
    made = namespace("strange")
    made.metadata.labels["pod-security.kubernetes.io/enforce"] = "paranoid"
    made.metadata.labels["pod-security.kubernetes.io/enforce-version"] = "v2"
    with pytest.raises(errors.Invalid) as caught:
        await api.namespaces.create(made)
    assert len(caught.value.violations) == 2


async def test_a_pod_that_was_there_before_the_label_is_still_bound(served: Served, api: Api) -> None:
    await api.namespaces.create(namespace("guarded"))
    early = pod("early", "guarded")
    early.spec.host_network = True
    await api.pods.create(early)
    await api.namespaces.patch("guarded", b'{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}')

    async def refused() -> bool:
        try:
            await api.pods.create(early, dry_run=True)
        except errors.Forbidden:
            return True
        except errors.AlreadyExists:
            return False
        return False

    await eventually(refused)
    bound = await api.pods.bind("early", namespace="guarded", node_name="n1")
    bound.metadata.labels["a"] = "b"
    bound = await api.pods.update(bound)
    bound.spec.containers[0].image = "other:2"
    with pytest.raises(errors.Forbidden, match="hostNetwork"):
        await api.pods.update(bound)


async def test_a_quota_holds_across_apiservers(served: Served, api: Api) -> None:
    tls = TLSFiles(served.folder / "apiserver.crt", served.folder / "apiserver.key", served.folder / "ca.crt")
    settings = Settings(addresses=["localhost:0"], tls=tls)
    other = Apiserver(settings, served.storage, node_channel=node_channels(tls))
    await other.start()
    await other.ready()
    beside = Served(other, served.storage, served.folder, served.authority)
    try:
        second = beside.as_user("admin", "system:masters")
        await with_quota(served, api, configmaps="15")
        await seen(beside, "steersman.core.v1.ResourceQuotas", 1)
        calls = [(api, second)[index % 2].configmaps.create(config_map(f"c{index}")) for index in range(40)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(each, errors.Exhausted) for each in results) == 25
        assert len(await second.configmaps.list(namespace="default")) == 15
        assert await used(api) == {"configmaps": "15"}
    finally:
        for each in beside.opened:
            await each.close()
        await other.stop(grace_s=0)
