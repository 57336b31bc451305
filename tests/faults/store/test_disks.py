"""Disks that are full, or say no: the member ends, and what it acknowledged is there when the disk is well again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd import rpc_pb2 as pb

from lab.programs import ProgramFailed, run
from tests.store.client import Client, Refused
from tests.store.cluster import TestCluster
from tests.store.running import StoreProcess
from tests.waiting import eventually

pytestmark = pytest.mark.root


class Tmpfs:
    """A file system in memory, of a size that can be changed."""

    def __init__(self, path: Path, mebibytes: int) -> None:
        self.path = path
        path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", path)

    def grow(self, mebibytes: int) -> None:
        run("mount", "-o", f"remount,size={mebibytes}m", self.path)

    def remove(self) -> None:
        run("umount", self.path)


class ThinDisk:
    """An ext4 file system on a disk that promises more than it has: once that is written, it loses what comes.

    The system takes writes as ever, and only a sync tells that they did not arrive.
    """

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self._store = Tmpfs(folder / "thin", mebibytes)
        self._image = self._store.path / "disk"
        self.path = folder / "disk"
        self.path.mkdir()
        try:
            run("truncate", "-s", "64M", self._image)
            run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0", self._image)
            self.mount()
        except BaseException:
            self._store.remove()
            raise

    def mount(self) -> None:
        run("mount", "-o", "loop", self._image, self.path)

    def unmount(self) -> None:
        run("umount", self.path)

    def repair(self) -> None:
        """The disk gets what it promised, and is looked over as after a crash."""
        self.unmount()
        self._store.grow(100)
        with contextlib.suppress(ProgramFailed):
            # Its exit code says whether there was anything to mend.
            run("e2fsck", "-p", "-f", self._image)
        self.mount()

    def remove(self) -> None:
        with contextlib.suppress(ProgramFailed):
            self.unmount()
        self._store.remove()


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Tmpfs]:
    made = Tmpfs(tmp_path / "full", 1)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def thin_disk(tmp_path: Path) -> Iterator[ThinDisk]:
    made = ThinDisk(tmp_path, 12)
    try:
        yield made
    finally:
        made.remove()


async def writes_until_it_ends(client: Client, bytes_each: int) -> list[bytes]:
    """Puts keys one after the other until that is refused; those that were acknowledged."""
    acknowledged: list[bytes] = []
    with contextlib.suppress(Refused):
        while len(acknowledged) < 20_000:
            key = b"k%05d" % len(acknowledged)
            await client.put(key, key.ljust(bytes_each, b"."), timeout=10, patient=False)
            acknowledged.append(key)
    return acknowledged


async def holds(client: Client, acknowledged: list[bytes]) -> None:
    found = {kv.key: kv.value.rstrip(b".") for kv in (await client.range(b"k", b"l")).kvs}
    lost = [key for key in acknowledged if found.get(key) != key]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost"


async def ready(process: StoreProcess, client: Client) -> None:
    async def answers() -> bool:
        with contextlib.suppress(Refused):
            await client.put(b"ready")
            return True
        return False

    process.start()
    await eventually(answers, 20)


async def test_a_file_that_may_not_grow_ends_the_member_and_loses_nothing(tmp_path: Path) -> None:
    process = StoreProcess(tmp_path / "data")
    client = Client(process.target)
    try:
        process.start(file_kib_max=300)
        await client.put(b"first")
        acknowledged = await writes_until_it_ends(client, 1000)
        assert 100 < len(acknowledged) < 1000
        assert process.wait() == 1
        assert "the member cannot go on" in process.output() and "File too large" in process.output()
        await ready(process, client)
        await holds(client, acknowledged)
    finally:
        await client.close()
        process.kill()


async def test_a_full_disk_ends_the_member_and_loses_nothing(tmp_path: Path, tmpfs: Tmpfs) -> None:
    process = StoreProcess(tmpfs.path / "data")
    process.log = tmp_path / "store.log"
    client = Client(process.target)
    try:
        await ready(process, client)
        acknowledged = await writes_until_it_ends(client, 3000)
        assert len(acknowledged) > 100
        assert process.wait() == 1
        assert "the member cannot go on" in process.output() and "No space left on device" in process.output()
        # With the disk as full as before it starts, or says what is wrong; it does not lose anything by trying.
        process.start()
        with contextlib.suppress(Refused):
            await client.put(b"x", b"y" * 3000, timeout=3)
        process.kill()
        tmpfs.grow(50)
        await ready(process, client)
        await holds(client, acknowledged)
        await client.put(b"room", b"again" * 10_000)
    finally:
        await client.close()
        process.kill()


async def test_a_sync_that_fails_ends_the_member_and_loses_nothing(tmp_path: Path, thin_disk: ThinDisk) -> None:
    process = StoreProcess(thin_disk.path / "data")
    process.log = tmp_path / "store.log"
    client = Client(process.target)
    try:
        await ready(process, client)
        acknowledged = await writes_until_it_ends(client, 20_000)
        assert len(acknowledged) > 50
        assert process.wait() == 1
        assert "the member cannot go on" in process.output()
        # The file system has room; only the disk below it has not.
        usage = run("df", "--output=avail", "-k", thin_disk.path)
        assert int(usage.split()[1]) > 10_000
        thin_disk.repair()
        await ready(process, client)
        await holds(client, acknowledged)
    finally:
        await client.close()
        process.kill()


async def leads(cluster: TestCluster, name: str) -> bool:
    """Moves leadership there; whether it has arrived."""
    leader = await cluster.leader()
    if leader != name:
        request = pb.MoveLeaderRequest(targetID=(await cluster.ids())[name])
        with contextlib.suppress(Refused):
            await cluster.client(leader).call("Maintenance", "MoveLeader", request)
    return leader == name


async def test_the_others_go_on_without_the_leader_whose_disk_is_full(tmp_path: Path, tmpfs: Tmpfs) -> None:
    cluster = TestCluster(tmp_path)
    try:
        some = cluster.members["b"]
        some.log = tmp_path / "store.log"
        some.folder = tmpfs.path / "data"
        cluster.start()
        await eventually(lambda: leads(cluster, "b"), 20)
        client = cluster.client("a")
        acknowledged: list[bytes] = []

        async def ended() -> bool:
            key = b"k%05d" % len(acknowledged)
            with contextlib.suppress(Refused):
                await client.put(key, key.ljust(5000, b"."), timeout=3)
                acknowledged.append(key)
            return not some.is_up

        await eventually(ended, 60)
        assert "No space left on device" in some.output()
        await cluster.leader()
        await client.put(b"the others", b"go on")
        await holds(client, acknowledged)
        tmpfs.grow(50)
        cluster.start("b")
        await cluster.leader()
        await holds(cluster.client("b"), acknowledged)
    finally:
        await cluster.close()
