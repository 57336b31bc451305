"""The scheduler with the real apiserver and store, under its own identity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from steersman import errors
from steersman.core.v1 import Pod
from steersman.scheduling.v1 import PriorityClass

from tests.scheduler.control_plane import ControlPlane
from tests.scheduler.objects import node, pod
from tests.waiting import eventually


async def test_pods_become_bound_or_say_why_not(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path) as plane, plane.connect() as api:
        configuration = plane.identity("scheduler", "system:kube-scheduler")
        plane.start(
            *["scheduler", "--config", str(configuration), "--bind-address", f"unix:{tmp_path / 'scheduler.sock'}"],
            *["--metrics-address", "", *plane.tls("scheduler")],
        )
        for number in range(3):
            made = await api.nodes.create(node(f"n{number}"))
            made.status.CopyFrom(node(f"n{number}", cpu="2").status)
            for taint in list(made.spec.taints):
                made.spec.taints.remove(taint)
            made = await api.nodes.update(made)
            made.status.CopyFrom(node(f"n{number}", cpu="2").status)
            await api.nodes.update_status(made)
        for number in range(9):
            fresh = pod(f"p{number}", cpu="500m")
            fresh.metadata.uid = ""
            await api.pods.create(fresh)

        async def bound() -> bool:
            return all(one.spec.node_name for one in await api.pods.list(namespace="default"))

        await eventually(bound)
        pods = await api.pods.list(namespace="default")
        assert Counter(one.spec.node_name for one in pods) == {"n0": 3, "n1": 3, "n2": 3}
        assert all([c.status for c in one.status.conditions if c.type == "PodScheduled"] == ["True"] for one in pods)

        big = pod("big", cpu="1")
        await api.pods.create(big)

        async def refused() -> str:
            present = await api.pods.get("big", namespace="default")
            return next((c.message for c in present.status.conditions if c.type == "PodScheduled"), "")

        assert await eventually(refused) == (
            "0/3 nodes are available: 3 Insufficient cpu. "
            "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
        )

        async def reasons() -> set[str]:
            return {event.reason for event in await api.events.list(namespace="default")}

        async def recorded() -> bool:
            return {"Scheduled", "FailedScheduling"} <= await reasons()

        await eventually(recorded)
        for name in ("p0", "p1", "p2", "p3", "p4", "p5"):
            await api.pods.delete(name, namespace="default", grace_period_s=0)

        async def placed() -> bool:
            return bool((await api.pods.get("big", namespace="default")).spec.node_name)

        await eventually(placed)


async def test_a_more_important_pod_pushes_out_another_and_takes_its_place(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path) as plane, plane.connect() as api:
        configuration = plane.identity("scheduler", "system:kube-scheduler")
        plane.start(
            *["scheduler", "--config", str(configuration), "--bind-address", f"unix:{tmp_path / 'scheduler.sock'}"],
            *["--metrics-address", "", *plane.tls("scheduler")],
        )
        made = await api.nodes.create(node("n1"))
        for taint in list(made.spec.taints):
            made.spec.taints.remove(taint)
        made = await api.nodes.update(made)
        made.status.CopyFrom(node("n1", cpu="1").status)
        await api.nodes.update_status(made)
        for name, value in (("high", 1000), ("low", 1)):
            await api.priorityclasses.create(PriorityClass(metadata={"name": name}, value=value))

        async def created(name: str) -> None:
            fresh = pod(name, cpu="1", priorityClassName=name)
            fresh.metadata.uid = ""
            # Whoever is pushed out stays for a moment, so that what is written into its status can be seen.
            fresh.metadata.finalizers.append("example.com/watch")
            await api.pods.create(fresh)

        async def read(name: str) -> Pod:
            return await api.pods.get(name, namespace="default")

        async def bound(name: str) -> str:
            return (await read(name)).spec.node_name

        await created("low")
        await eventually(lambda: bound("low"))
        await created("high")

        async def pushed_out() -> bool:
            return (await read("low")).metadata.HasField("deletion_timestamp")

        await eventually(pushed_out)
        target = [one for one in (await read("low")).status.conditions if one.type == "DisruptionTarget"]
        assert [(one.status, one.reason) for one in target] == [("True", "PreemptionByScheduler")]

        async def nominated() -> str:
            return (await read("high")).status.nominated_node_name

        assert await eventually(nominated) == "n1"

        async def told() -> bool:
            return any(one.reason == "Preempted" for one in await api.events.list(namespace="default"))

        await eventually(told)
        assert not await bound("high"), "its victim is still there"
        gone = await read("low")
        del gone.metadata.finalizers[:]
        await api.pods.update(gone)

        async def leave() -> bool:
            # No node agent ends the pod here.
            try:
                await api.pods.delete("low", namespace="default", grace_period_s=0)
            except errors.NotFound:
                return True
            return False

        await eventually(leave)
        assert await eventually(lambda: bound("high")) == "n1"
