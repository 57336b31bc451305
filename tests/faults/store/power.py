"""Members in machines whose power is cut in the middle of writes. Run at the switch of the machines:

    python -m tests.faults.store.power --members abc --cuts 20 --seed 1 --folder DIR [--syncs-do-nothing]

After each cut every acknowledged write is looked for; the last line says how many were lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from pathlib import Path

from etcd import rpc_pb2 as pb
from steersman.service.tls import channel_credentials

from tests.faults.store import preload
from tests.faults.uml.machine import DISK, Machine
from tests.faults.uml.switch import address
from tests.store.client import Client, Refused
from tests.store.cluster import Place, TestCluster
from tests.store.running import ROOT
from tests.waiting import eventually

WRITERS = 8
BOOTED_WITHIN_S = 60.0


class PoweredCluster:
    """Members, each in a machine of its own."""

    def __init__(self, folder: Path, members: str, *, syncs: bool) -> None:
        self.members = members
        places = {name: Place(address(port)) for port, name in enumerate(members)}
        # It makes certificates and commands; what they start runs elsewhere.
        self._cluster = TestCluster(folder, members, ("--snapshot-catchup-entries", "5"), places)
        self._environment = preload.environment(folder, syncs=syncs)
        self.machines = {name: Machine(folder / f"machine-{name}", port) for port, name in enumerate(members)}
        self._clients: dict[str, Client] = {}

    def switch_on(self) -> None:
        """Starts the machines that are off."""
        for name, machine in self.machines.items():
            if not machine.is_on:
                process = self._cluster.members[name]
                process.folder = Path(DISK) / "data"
                machine.switch_on(process.command(), self._environment, ROOT)

    def client(self, name: str) -> Client:
        if name not in self._clients:
            credentials = channel_credentials(self._cluster.authority.certificate, *self._cluster.client_files)
            self._clients[name] = Client(self._cluster.members[name].target, credentials)
        return self._clients[name]

    async def is_back(self) -> bool:
        """Whether every member takes writes."""
        for name in self.members:
            try:
                await self.client(name).put(b"back", timeout=1, patient=False)
            except Refused:
                return False
        return True

    async def leader(self) -> str:
        for name in self.members:
            status = await self.client(name).status()
            if status.leader == status.header.member_id:
                return name
        return self.members[0]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self.cut_power(self.members)

    def cut_power(self, members: str) -> None:
        """Of these, at once. Returns when they are off."""
        for name in members:
            self.machines[name].cut_power()
        for name in members:
            self.machines[name].wait_until_off()


class PowerCuts:
    """Writes without pause, cuts, and what was lost."""

    def __init__(self, folder: Path, members: str, seed: int, *, syncs: bool) -> None:
        self._chance = random.Random(seed)
        self._members = members
        self._syncs = syncs
        self._cluster = PoweredCluster(folder, members, syncs=syncs)
        # Key -> the last number that was acknowledged for it.
        self._acknowledged: dict[bytes, int] = {}
        self._writing = False
        self._begun = time.monotonic()

    async def _writer(self, key: bytes, name: str, number: int) -> None:
        client = self._cluster.client(name)
        while self._writing:
            number += 1
            try:
                await client.put(key, b"%d" % number, timeout=1, patient=False)
            except Refused:
                return
            self._acknowledged[key] = number

    async def _snapshots(self) -> None:
        """One after the other, at anybody, so that a cut may come in the middle of one."""
        while self._writing:
            client = self._cluster.client(self._chance.choice(self._members))
            with contextlib.suppress(Refused):
                await client.call("Maintenance", "Defragment", pb.DefragmentRequest(), 1, patient=False)
            await asyncio.sleep(0.1)

    async def _cut(self, kind: str) -> tuple[int, int]:
        """Cuts the power of some in the middle of writes; how many writes were acknowledged and how many lost."""
        leader = await self._cluster.leader()
        victims = {"all": self._members, "leader": leader}.get(kind) or self._chance.choice(self._members)
        before = sum(self._acknowledged.values())
        self._writing = True
        writers = [asyncio.create_task(self._snapshots())]
        for number in range(WRITERS):
            key, name = b"w%d" % number, self._chance.choice(self._members)
            writers.append(asyncio.create_task(self._writer(key, name, self._acknowledged.get(key, 0))))
        enough = before + self._chance.randrange(50, 300)
        try:
            await eventually(lambda: sum(self._acknowledged.values()) >= enough, BOOTED_WITHIN_S)
        finally:
            self._cluster.cut_power(victims)
            # Where the others go on without the victim, nothing else ends the writes.
            self._writing = False
            await asyncio.gather(*writers)
        acknowledged = sum(self._acknowledged.values()) - before
        self._cluster.switch_on()
        lost = await self._lost()
        age = time.monotonic() - self._begun
        print(f"  {age:.1f} s: power cut of {kind} ({victims}): {acknowledged} acknowledged, {lost} lost", flush=True)
        return acknowledged, lost

    async def _lost(self) -> int:
        """How many acknowledged writes are not there; all, where members cannot go on with what they have."""
        try:
            await eventually(self._cluster.is_back, BOOTED_WITHIN_S)
        except AssertionError:
            print("  the members do not come back", flush=True)
            return sum(self._acknowledged.values())
        lost = 0
        for name in self._members:
            found = {kv.key: int(kv.value) for kv in (await self._cluster.client(name).range(b"w", b"x")).kvs}
            missing = {key: number - found.get(key, 0) for key, number in self._acknowledged.items()}
            lost = max(lost, sum(number for number in missing.values() if number > 0))
        return lost

    async def run(self, cuts: int) -> None:
        """Makes so many cuts; ends early when something was lost."""
        total = lost = done = 0
        try:
            self._cluster.switch_on()
            await eventually(self._cluster.is_back, BOOTED_WITHIN_S)
            # What one member loses the others still have.
            kinds = ["all", "leader", "all", "one"] if self._syncs else ["all"]
            while done < cuts and not lost:
                acknowledged, lost = await self._cut(kinds[done % len(kinds)])
                total += acknowledged
                done += 1
        finally:
            with contextlib.suppress(Refused):
                await self._cluster.close()
        print(f"{done} cuts, {total} acknowledged, {lost} lost")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", required=True)
    parser.add_argument("--cuts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--syncs-do-nothing", action="store_true")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    life = PowerCuts(arguments.folder, arguments.members, arguments.seed, syncs=not arguments.syncs_do_nothing)
    asyncio.run(life.run(arguments.cuts))


if __name__ == "__main__":
    main()
