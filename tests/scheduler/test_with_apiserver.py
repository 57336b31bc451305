"""The scheduler with the real apiserver and store, under its own identity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

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
