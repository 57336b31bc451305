"""netproxy with the real apiserver and store, under its own identity."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.netproxy.objects import node, service, slice_of
from tests.netproxy.world import World
from tests.scheduler.control_plane import ControlPlane
from tests.waiting import eventually


@pytest.mark.root
async def test_a_service_answers_soon_after_it_was_made(tmp_path: Path, world: World) -> None:
    host = world.node("n1", "192.0.2.11", "10.244.1.1")
    world.pod(host, "a", "10.244.1.5").serve(8080)
    client = world.pod(host, "c", "10.244.1.6")
    async with ControlPlane(tmp_path) as plane, plane.connect() as api:
        configuration = plane.identity("proxy", "system:kube-proxy", "system:node-proxier")
        host.start(
            [
                *[sys.executable, "-m", "netproxy", "--config", str(configuration), "--node-name", "n1"],
                *["--cluster-cidr", "10.244.0.0/16", "--bind-address", f"unix:{tmp_path / 'proxy.sock'}"],
                *["--metrics-address", "127.0.0.1:10249", *plane.tls("proxy")],
            ],
            pipes=False,
            log=tmp_path / "netproxy.log",
        )
        for name, number in (("n1", 1), ("n2", 2)):
            wanted = node(name, f"192.0.2.1{number}", f"10.244.{number}.0/24")
            made = await api.nodes.create(wanted)
            made.status.CopyFrom(wanted.status)
            await api.nodes.update_status(made)
        wanted_service = service("web", "", 80)
        wanted_service.spec.selector["app"] = "web"
        made_service = await api.services.create(wanted_service)
        await api.endpointslices.create(slice_of("web", ["10.244.1.5"], 8080))

        async def answered() -> bool:
            answers = await client.ask(made_service.spec.cluster_ip, 80, timeout_s=0.5)
            return answers[0][0] == "a 10.244.1.6"

        await eventually(answered)
        await eventually(lambda: "10.244.2.0/24 via 192.0.2.12 dev eth0 proto 207" in host.run("ip route"))

        await api.endpointslices.delete("web-a", namespace="default")

        async def refused() -> bool:
            return (await client.ask(made_service.spec.cluster_ip, 80))[0][0] == "ConnectionRefusedError"

        await eventually(refused)
