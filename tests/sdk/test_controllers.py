"""A user's own controller: reconcilers on a runtime, finalizers, an elected leader; on virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from steersman import errors, finalizers, testing, until
from steersman.client import Api
from steersman.core.v1 import ConfigMap, Pod, Secret
from steersman.election import Terms
from steersman.informer import Key
from steersman.meta.v1 import OwnerReference
from steersman.rbac.v1 import ClusterRoleBinding
from steersman.reconcile import Result
from steersman.retry import Bucket
from steersman.runtime import Runtime
from steersman.testing import run_virtual
from structlog.testing import capture_logs


def source(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata={"name": name, "namespace": "default", "labels": {"kind": "source"}}, data=data)


def copies(runtime: Runtime) -> Counter[str]:
    """Keeps a Secret with the data of each source; returns how often it was called for which."""
    calls: Counter[str] = Counter()
    sources = runtime.informer(ConfigMap, label_selector="kind=source")

    @runtime.reconciler(ConfigMap, owns=[Secret], label_selector="kind=source", name="copies")
    async def reconcile(key: Key) -> Result | None:
        calls[key.name] += 1
        found = sources.get(key)
        if found is None:
            return None
        copy = Secret(metadata={"name": key.name, "namespace": key.namespace})
        copy.metadata.owner_references.append(
            OwnerReference(api_version="v1", kind="ConfigMap", name=key.name, uid=found.metadata.uid, controller=True)
        )
        for name, value in found.data.items():
            copy.data[name] = value.encode()
        await runtime.api.secrets.apply(copy, field_manager="copies", force=True)
        return None

    return calls


def holds(**data: str) -> until.Until:
    wanted = {name: value.encode() for name, value in data.items()}
    return until.Until(f"with {data}", lambda secret: secret is not None and dict(secret.data) == wanted)


def test_an_object_and_what_it_owns_call_for_a_reconcile() -> None:
    async def main() -> None:
        async with testing.control_plane("controllers") as plane:
            api = plane.api
            await api.configmaps.create(source("before", a="1"))
            await api.configmaps.create(ConfigMap(metadata={"name": "other", "namespace": "default"}))
            runtime = Runtime(api, "copies", clock=plane.clock)
            calls = copies(runtime)
            async with runtime:
                await api.secrets.wait("before", holds(a="1"), timeout_s=10)
                await api.configmaps.create(source("after", b="2"))
                await api.secrets.wait("after", holds(b="2"), timeout_s=10)
                # What was made goes, or is changed by others: it is put right.
                await api.secrets.delete("after")
                await api.secrets.wait("after", holds(b="2"), timeout_s=10)
                await api.secrets.modify("after", lambda found: found.data.update(b=b"broken"))
                await api.secrets.wait("after", holds(b="2"), timeout_s=10)
                # What it was made for goes: the garbage collector takes it.
                await api.configmaps.delete("after")
                await api.secrets.wait("after", until.gone(), timeout_s=60)
            assert "other" not in calls
            seen = calls.total()
            await api.configmaps.create(source("unseen"))
            await asyncio.sleep(60)
            assert calls.total() == seen, "a runtime that was stopped still works"

    run_virtual(main())


def test_a_failing_reconcile_is_tried_again_ever_later() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            runtime = Runtime(plane.api, "failing", clock=plane.clock)
            tried: list[float] = []

            @runtime.reconciler(ConfigMap, label_selector="kind=source")
            async def reconcile(key: Key) -> None:
                tried.append(plane.clock.monotonic())
                if len(tried) < 8:
                    raise ValueError("not yet")

            async with runtime:
                await plane.api.configmaps.create(source("it"))
                await asyncio.sleep(3600)
            assert len(tried) == 8
            pauses = [later - earlier for earlier, later in pairwise(tried)]
            assert pauses == sorted(pauses)

    run_virtual(main())


def test_one_of_several_leads_and_another_takes_over() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            terms = Terms(lease_s=15, renew_s=10, retry_s=2)
            first, second = (
                Runtime(plane.api, "copies", clock=plane.clock, election=terms, namespace="kube-system")
                for _ in range(2)
            )
            by_first, by_second = copies(first), copies(second)
            await first.start()
            await asyncio.sleep(10)
            await second.start()
            await plane.api.configmaps.create(source("one"))
            await plane.api.secrets.wait("one", until.exists(), timeout_s=10)
            await asyncio.sleep(600)
            assert first.leads()
            assert by_second.total() == 0, "two worked at once"
            stopped_at = plane.clock.monotonic()
            await first.stop()
            await plane.api.configmaps.create(source("two"))
            await plane.api.secrets.wait("two", until.exists(), timeout_s=60)
            # The Lease was given back: there was no need to wait until it ran out.
            assert plane.clock.monotonic() - stopped_at < terms.lease_s
            assert "two" not in by_first
            lease = await plane.api.leases.get("copies", namespace="kube-system")
            assert lease.spec.holder_identity
            await second.stop()

    run_virtual(main())


def test_a_leader_that_cannot_renew_stops_before_another_begins() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            terms = Terms(lease_s=15, renew_s=10, retry_s=2)
            doubtful: Api = await plane.connect("system:kube-controller-manager")
            first = Runtime(doubtful, "copies", clock=plane.clock, election=terms, namespace="kube-system")
            second = Runtime(plane.api, "copies", clock=plane.clock, election=terms, namespace="kube-system")
            for runtime in (first, second):
                copies(runtime)
                await runtime.start()
                await asyncio.sleep(5)
            assert (first.leads(), second.leads()) == (True, False)
            await doubtful.close()
            while not second.leads():
                both = first.leads() and second.leads()
                await asyncio.sleep(0.5)
                assert not both
            assert not first.leads()
            for runtime in (first, second):
                await runtime.stop()

    run_virtual(main())


@pytest.mark.parametrize("wrong", [{"lease_s": 5}, {"renew_s": 15}, {"retry_s": 10}, {"retry_s": 0}])
def test_terms_with_which_two_could_lead_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="renew_s < lease_s"):
        Terms(**wrong)


def test_a_finalizer_keeps_an_object_until_it_is_taken_off() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            clients = plane.api.configmaps
            made = await clients.create(source("kept"))
            kept = await finalizers.add(clients, made, "example.org/cleanup")
            again = await finalizers.add(clients, kept, "example.org/cleanup")
            assert list(again.metadata.finalizers) == ["example.org/cleanup"]
            await clients.delete("kept")
            going = await clients.get("kept")
            assert finalizers.is_going(going)
            with pytest.raises(errors.Conflict, match="being deleted"):
                await finalizers.add(clients, going, "example.org/late")
            await finalizers.remove(clients, going, "example.org/cleanup")
            await clients.wait("kept", until.gone(), timeout_s=10)
            await finalizers.remove(clients, going, "example.org/cleanup")
            # One of the same name is another one: nothing is taken off it.
            other = source("kept")
            other.metadata.finalizers.append("example.org/cleanup")
            await clients.create(other)
            await finalizers.remove(clients, going, "example.org/cleanup")
            with pytest.raises(errors.Conflict, match="another one"):
                await finalizers.add(clients, going, "example.org/x")
            assert finalizers.has(await clients.get("kept"), "example.org/cleanup")

    run_virtual(main())


def test_a_background_task_that_ends_is_told_as_the_runtime_s_end() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            runtime = Runtime(plane.api, "short", clock=plane.clock)

            async def short() -> None:
                await asyncio.sleep(5)
                raise ValueError("over")

            runtime.background(short)
            async with runtime:
                with pytest.raises(RuntimeError, match="short has ended") as caught:
                    await runtime.ended()
                assert isinstance(caught.value.__cause__, ValueError)

    run_virtual(main())


def test_an_informer_whose_handler_raises_ends_the_start_and_is_told() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            runtime = Runtime(plane.api, "wrong", clock=plane.clock)

            def wrong(_old: ConfigMap | None, _new: ConfigMap | None) -> None:
                raise KeyError("a bug")

            runtime.informer(ConfigMap).on_change(wrong)
            await plane.api.configmaps.create(source("one"))
            with pytest.raises(RuntimeError, match="informer of configmaps has ended") as caught:
                async with asyncio.timeout(60):
                    await runtime.start()
            assert isinstance(caught.value.__cause__, KeyError)
            await runtime.stop()

    with capture_logs() as said:
        run_virtual(main())
    told = [entry for entry in said if entry["event"] == "informer of configmaps has ended"]
    assert [repr(entry["exc_info"]) for entry in told] == ["KeyError('a bug')"]


def test_a_kind_that_may_not_be_read_is_named_and_tried_again() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            nobody = await plane.connect("nobody")
            runtime = Runtime(nobody, "curious", clock=plane.clock)
            secrets = runtime.informer(Secret)
            with pytest.raises(errors.Forbidden):
                await nobody.secrets.list()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60), runtime:
                    pass
            assert not {"informer of secrets", "recorder"} & {task.get_name() for task in asyncio.all_tasks()}
            starting = asyncio.create_task(runtime.start())
            await asyncio.sleep(60)
            allowed = ClusterRoleBinding(metadata={"name": "curious"})
            allowed.role_ref.api_group, allowed.role_ref.kind = "rbac.authorization.k8s.io", "ClusterRole"
            allowed.role_ref.name = "cluster-admin"
            allowed.subjects.add(kind="User", name="nobody", api_group="rbac.authorization.k8s.io")
            await plane.api.clusterrolebindings.create(allowed)
            async with asyncio.timeout(60):
                await starting
            assert len(secrets) == 0
            await runtime.stop()

    with capture_logs() as said:
        run_virtual(main())
    assert {(e["kind"], e["code"]) for e in said if e["event"] == "watch broke"} == {("Secret", "PERMISSION_DENIED")}


def test_what_was_recorded_is_sent_before_the_stop() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            made = await plane.api.configmaps.create(source("one"))
            runtime = Runtime(plane.api, "talker", clock=plane.clock)
            await runtime.start()
            for number in range(3):
                runtime.recorder.event(made, "Normal", "Said", f"number {number}")
            # The recorder has taken them up, and not sent them.
            await asyncio.sleep(0)
            await runtime.stop()
            said = {event.message for event in await plane.api.events.list(namespace="default")}
            assert said == {"number 0", "number 1", "number 2"}

    run_virtual(main())


def test_informers_are_shared_by_those_who_ask_for_the_same() -> None:
    async def main() -> None:
        async with testing.control_plane("apiserver") as plane:
            runtime = Runtime(plane.api, "sharing")
            assert runtime.informer(Pod) is runtime.informer(Pod)
            assert runtime.informer(Pod) is not runtime.informer(Pod, label_selector="a=b")

    run_virtual(main())


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = Bucket(per_s=10, burst=5)
    waits = [round(bucket.take(100.0), 3) for _ in range(8)]
    assert waits == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3]
    assert bucket.take(200.0) == 0
