"""One troubled life of a cluster. Run beside the wires of a lab:

    python -m tests.faults.store.life --seed 17 --wires NAME --folder DIR

Clients write and read, watchers watch, and what the seed draws befalls the members. In the end everything is
repaired, and what was seen is compared with what is there. It ends with success if all promises were kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import random
import signal
import sys
import time
from pathlib import Path

from etcd import rpc_pb2 as pb

from tests.faults.store import preload
from tests.faults.store.tape import Tape, Write
from tests.faults.store.troubles import KINDS, Trouble, draw
from tests.faults.store.wall_clock import WallClock
from tests.faults.store.wires import MEMBERS, Wires
from tests.store.client import Client, Refused
from tests.store.cluster import TestCluster
from tests.store.linearizability import FOREVER, Operation, is_linearizable
from tests.waiting import eventually

ROUNDS = 3
# Half of them stay with a member each, the others ask anybody.
CLIENTS = 6
KEYS = 3
CALL_S = 1.0
# How long a round of troubles lasts: from one that hardly anybody notices to one in which leaders change.
LASTS_S = (0.1, 0.5, 1.5, 3.0)
# Answers between two rounds.
BETWEEN = 60
REPAIRED_WITHIN_S = 40.0


class Life:
    """A cluster, its clients, its watchers and its troubles."""

    def __init__(self, folder: Path, wires: Wires, seed: int) -> None:
        self._chance = random.Random(seed)
        self._wires = wires
        environment = preload.environment(folder)
        # Few entries stay behind a snapshot, so that who missed some needs one.
        self._cluster = TestCluster(folder, MEMBERS, ("--snapshot-catchup-entries", "5"), wires.places)
        for process in self._cluster.members.values():
            process.environment |= environment
        self._clocks = {name: WallClock(process) for name, process in self._cluster.members.items()}
        self._history: list[Operation] = []
        self._answered = 0
        self._acknowledged: dict[int, Write] = {}
        self._over = False
        self._born = time.monotonic()

    def _age(self) -> float:
        return time.monotonic() - self._born

    # -- who uses the cluster ------------------------------------------------------------------------------------

    async def _client(self, number: int, seed: float) -> None:
        chance = random.Random(f"{seed} {number}")
        step = 0
        members = MEMBERS if number >= len(MEMBERS) else MEMBERS[number]
        while not self._over:
            step += 1
            client = self._cluster.client(chance.choice(members))
            key = f"k{chance.randrange(KEYS)}"
            if chance.random() < 0.5:
                answered = await self._write(client, key, f"{number}-{step}")
            else:
                answered = await self._read(client, key)
            self._answered += answered
            await asyncio.sleep(chance.random() * (0.02 if answered else 0.2))

    async def _write(self, client: Client, key: str, value: str) -> bool:
        begun, ended = time.monotonic(), FOREVER
        with contextlib.suppress(Refused):
            response = await client.put(key.encode(), value.encode(), timeout=CALL_S, patient=False)
            ended = time.monotonic()
            write = Write(response.header.revision, key.encode(), value.encode())
            assert self._acknowledged.setdefault(write.revision, write) == write, "one revision for two writes"
        self._history.append(Operation(key, True, value, begun, ended))
        return ended != FOREVER

    async def _read(self, client: Client, key: str) -> bool:
        begun = time.monotonic()
        with contextlib.suppress(Refused):
            request = pb.RangeRequest(key=key.encode())
            response = await client.call("KV", "Range", request, CALL_S, patient=False)
            found = response.kvs[0].value.decode() if response.kvs else None
            self._history.append(Operation(key, False, found, begun, time.monotonic()))
            return True
        return False

    # -- what befalls it ------------------------------------------------------------------------------------------

    async def _leader(self) -> str:
        """Who leads as far as can be told; anybody when that is nobody."""
        newest = (-1, "")
        for name, process in self._cluster.members.items():
            if process.is_up:
                with contextlib.suppress(Refused):
                    client = self._cluster.client(name)
                    status = await client.call("Maintenance", "Status", pb.StatusRequest(), 0.5, patient=False)
                    if status.leader == status.header.member_id:
                        newest = max(newest, (status.raftTerm, name))
        return newest[1] or self._chance.choice(MEMBERS)

    async def _round(self) -> None:
        """One trouble, or several at once, for a while."""
        count = self._chance.choice([1, 1, 1, 2, 2, 3])
        kinds = self._chance.sample(KINDS, count)
        lasts = self._chance.choice(LASTS_S)
        if self._chance.random() < 0.25:
            # Undisturbed, and until the connections are given up whose buffers still hold what it misses.
            kinds, lasts = ["one falls behind"], 3.0
        leader = await self._leader()
        troubles = [draw(self._chance, kind, leader) for kind in kinds]
        print(f"  {self._age():.1f} s: for {lasts:g} s {'; '.join(map(str, troubles))} (leader {leader})", flush=True)
        ways = {way for trouble in troubles for way in trouble.lost}
        share = max(trouble.share for trouble in troubles)
        if ways or share:
            await asyncio.to_thread(self._wires.lose, ways, share)
        for trouble in troubles:
            await self._begin(trouble)
        await asyncio.sleep(lasts)
        for name in sorted({name for trouble in troubles for name in trouble.snapshots}):
            await self._take_snapshot(name)
        await self._repair()

    async def _take_snapshot(self, name: str) -> None:
        with contextlib.suppress(Refused):
            client = self._cluster.client(name)
            await client.call("Maintenance", "Defragment", pb.DefragmentRequest(), CALL_S, patient=False)

    async def _begin(self, trouble: Trouble) -> None:
        members = self._cluster.members
        for name in trouble.victims:
            if members[name].is_up:
                members[name].signal(trouble.signal)
        for name, seconds in trouble.clocks.items():
            self._clocks[name].set(seconds)

    async def _repair(self) -> None:
        await asyncio.to_thread(self._wires.lose, ())
        for name, process in self._cluster.members.items():
            if process.is_up:
                # One that is being killed may look alive for a moment more, frozen or not.
                process.signal(signal.SIGCONT)
            if not process.is_up:
                self._cluster.start(name)

    async def _settle(self) -> None:
        """Until every member is up, takes writes and answers reads again."""
        await self._repair()

        async def restarted() -> bool:
            await self._repair()
            return all(process.is_up for process in self._cluster.members.values())

        await eventually(restarted)
        for name in MEMBERS:
            await eventually(functools.partial(self._serves, name), REPAIRED_WITHIN_S)

    async def _serves(self, name: str) -> bool:
        try:
            await self._cluster.client(name).put(b"end", name.encode(), timeout=CALL_S)
        except Refused:
            return False
        return True

    # -- what must hold -------------------------------------------------------------------------------------------

    async def _check(self, tapes: list[Tape]) -> None:
        last = (await self._cluster.client("a").range(b"k")).header.revision
        await eventually(lambda: all(tape.last >= last for tape in tapes), REPAIRED_WITHIN_S)
        final = tapes[0].told
        assert [write.revision for write in final] == list(range(2, last + 1))
        for tape in tapes[1:]:
            assert tape.told == final, "two watchers were told different things"
        for name in MEMBERS:
            watch = await self._cluster.client(name).watch(b"", b"\0", start_revision=1)
            events = await watch.events(last - 1)
            watch.cancel()
            log = [Write(event.kv.mod_revision, event.kv.key, event.kv.value) for event in events]
            assert log == final, f"the log of {name} differs from what watchers were told"
        lost = [write for write in self._acknowledged.values() if final[write.revision - 2] != write]
        assert not lost, f"acknowledged writes are lost: {lost}"
        hashes = set()
        for name in MEMBERS:
            request = pb.HashKVRequest(revision=last)
            hashes.add((await self._cluster.client(name).call("Maintenance", "HashKV", request)).hash)
        assert len(hashes) == 1, "members hold different keys"
        assert is_linearizable(self._history), "what clients saw cannot have happened"

    async def run(self) -> None:
        """Lives it. Raises AssertionError when a promise was broken."""
        background: list[asyncio.Task[None]] = []
        try:
            self._cluster.start()
            await self._cluster.leader()
            of_clients, of_tapes = self._chance.random(), random.Random(self._chance.random())
            clients = [asyncio.create_task(self._client(number, of_clients)) for number in range(CLIENTS)]
            tapes = [Tape(lambda name=name: self._cluster.client(name), 60.0) for name in MEMBERS]
            tapes.append(Tape(lambda: self._cluster.client(of_tapes.choice(MEMBERS)), 0.7))
            background = [*clients, *(asyncio.create_task(tape.record()) for tape in tapes)]
            lives = asyncio.create_task(self._live(clients, tapes))
            done, _ = await asyncio.wait({lives, *background[CLIENTS:]}, return_when=asyncio.FIRST_COMPLETED)
            background.append(lives)
            for task in done:
                task.result()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._cluster.close()
        unanswered = sum(operation.ended == FOREVER for operation in self._history)
        installed = sum(
            process.output().count("the leader's snapshot was installed") for process in self._cluster.members.values()
        )
        print(
            f"  {self._age():.1f} s: kept; {len(self._history)} operations, {unanswered} without an answer, "
            f"{len(self._acknowledged)} acknowledged writes, last revision {tapes[0].last}, "
            f"{installed} caught up by snapshot"
        )

    async def _live(self, clients: list[asyncio.Task[None]], tapes: list[Tape]) -> None:
        for _ in range(ROUNDS):
            seen = self._answered
            await eventually(lambda seen=seen: self._answered >= seen + BETWEEN, REPAIRED_WITHIN_S)
            await self._round()
        await self._settle()
        self._over = True
        await asyncio.gather(*clients)
        await self._check(tapes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--wires", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        asyncio.run(Life(arguments.folder, Wires(arguments.wires), arguments.seed).run())
    except AssertionError as error:
        print(f"seed {arguments.seed}: {error}", flush=True)
        raise
    sys.stdout.flush()


if __name__ == "__main__":
    main()
