"""A client notices when the apiserver's machine is cut off, whatever it waits for."""

from __future__ import annotations

from pathlib import Path

from steersman.client import Api

from tests.sdk.cli.conftest import Cluster
from tests.waiting import eventually

ESTABLISHED, KEEPALIVE = "01", "02"


def timers(port: int) -> list[str]:
    """The kernel's timers of this process' connections to a port: "02" asks for a sign of life."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/self/net/{name}").read_text().splitlines()]
    return [row[5].partition(":")[0] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED]


def test_the_kernel_asks_the_apiserver_for_signs_of_life(cluster: Cluster) -> None:
    port = int(cluster.server.rpartition(":")[2])

    async def work(api: Api) -> None:
        await api.namespaces.get("default")
        await eventually(lambda: KEEPALIVE in timers(port))

    cluster.do(work)
