"""Debian's etcdctl against a cluster of three. It comes with the package `etcd-client`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.cluster import TestCluster
from tests.store.running import free_port
from tests.waiting import eventually_sync


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    made = TestCluster(tmp_path_factory.mktemp("etcdctl"))
    try:
        made.start()
        for name in "abc":
            eventually_sync(lambda name=name: answers(made, name), 20)
        yield made
    finally:
        for process in made.members.values():
            process.kill()


def answers(cluster: TestCluster, name: str) -> bool:
    endpoint = f"https://{cluster.members[name].target}"
    return "is healthy" in cluster.etcdctl("endpoint", "health", endpoints=endpoint, check=False)


class Running:
    """An etcdctl that goes on until it is ended; what it prints is gathered."""

    def __init__(self, cluster: TestCluster, folder: Path, *arguments: str) -> None:
        self._path = folder / f"{'-'.join(arguments[:2])}.out".replace("/", "_")
        self._file = self._path.open("wb")
        self.process = subprocess.Popen(
            cluster.etcdctl_command(*arguments),
            stdin=subprocess.PIPE,
            stdout=self._file,
            stderr=self._file,
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        )

    def output(self) -> str:
        return self._path.read_text()

    def wait_for(self, text: str) -> None:
        eventually_sync(lambda: text in self.output(), 10)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._file.close()


def test_put_get_del_in_all_forms(cluster: TestCluster) -> None:
    ctl = cluster.etcdctl
    assert ctl("put", "f/a", "1") == "OK\n"
    assert ctl("put", "f/a", "2", "--prev-kv") == "OK\nf/a\n1\n"
    ctl("put", "f/b", "1")
    ctl("put", "f/c", "0")
    assert ctl("get", "f/a", "--print-value-only") == "2\n"
    assert ctl("get", "f/", "--prefix", "--keys-only").split() == ["f/a", "f/b", "f/c"]
    assert ctl("get", "f/a", "f/c", "--keys-only").split() == ["f/a", "f/b"]
    assert ctl("get", "f/b", "--from-key", "--limit=1", "--keys-only").split() == ["f/b"]
    ordered = ctl("get", "f/", "--prefix", "--sort-by=VALUE", "--order=DESCEND", "--keys-only").split()
    assert ordered == ["f/a", "f/b", "f/c"]
    assert ctl("get", "f/", "--prefix", "--consistency=s", "--write-out=fields").count('"Count" : 3')
    assert ctl("del", "f/a", "--prev-kv") == "1\nf/a\n2\n"
    assert ctl("del", "f/", "--prefix").strip() == "2"


def test_txn(cluster: TestCluster) -> None:
    cluster.etcdctl("put", "t", "1")
    script = 'value("t") = "1"\nversion("t") > "0"\n\nput t 2\nget t\n\nget t\n\n'
    result = subprocess.run(
        cluster.etcdctl_command("txn"),
        input=script,
        text=True,
        capture_output=True,
        env={"ETCDCTL_API": "3"},
        timeout=20,
        check=True,
    )
    assert result.stdout.split() == ["SUCCESS", "OK", "t", "2"]


def test_watch(cluster: TestCluster, tmp_path: Path) -> None:
    cluster.etcdctl("put", "w/old", "1")
    fields = cluster.etcdctl("get", "w/old", "--write-out=fields")
    revision = int(re.findall(r'"ModRevision" : (\d+)', fields)[0])
    past = Running(cluster, tmp_path, "watch", "w/", "--prefix", f"--rev={revision}", "--prev-kv")
    interactive = Running(cluster, tmp_path, "watch", "-i")
    try:
        past.wait_for("PUT\nw/old\n1\n")
        cluster.etcdctl("put", "w/old", "2")
        past.wait_for("PUT\nw/old\n1\nw/old\n2\n")
        cluster.etcdctl("del", "w/old")
        past.wait_for("DELETE\nw/old\n2\nw/old\n")
        assert interactive.process.stdin is not None
        interactive.process.stdin.write(b"watch w/new\nprogress\n")
        interactive.process.stdin.flush()
        interactive.wait_for("progress notify")
        cluster.etcdctl("put", "w/new", "1")
        interactive.wait_for("PUT\nw/new\n1\n")
    finally:
        past.end()
        interactive.end()


def test_leases(cluster: TestCluster, tmp_path: Path) -> None:
    ctl = cluster.etcdctl
    lease = re.findall(r"lease (\w+) granted with TTL\(100s\)", ctl("lease", "grant", "100"))[0]
    ctl("put", "leased", "1", f"--lease={lease}")
    assert lease in ctl("lease", "list")
    assert re.search(
        r"granted with TTL\(100s\), remaining\(\d+s\), attached keys\(\[leased\]\)",
        ctl("lease", "timetolive", lease, "--keys"),
    )
    assert "keepalived with TTL(100)" in ctl("lease", "keep-alive", "--once", lease)
    assert "revoked" in ctl("lease", "revoke", lease)
    assert ctl("get", "leased") == ""
    assert "already expired" in ctl("lease", "timetolive", lease)


def test_lock_and_elect(cluster: TestCluster, tmp_path: Path) -> None:
    assert cluster.etcdctl("lock", "mutex", "echo", "held") == "held\n"
    winner = Running(cluster, tmp_path, "elect", "chair", "me")
    try:
        winner.wait_for("me")
        listener = Running(cluster, tmp_path, "elect", "-l", "chair")
        try:
            listener.wait_for("me")
        finally:
            listener.end()
    finally:
        winner.end()


def test_compaction(cluster: TestCluster) -> None:
    for number in range(5):
        cluster.etcdctl("put", "c", str(number))
    fields = cluster.etcdctl("get", "c", "--write-out=fields")
    revision = int(re.findall(r'"Revision" : (\d+)', fields)[0])
    assert f"compacted revision {revision}" in cluster.etcdctl("compaction", str(revision), "--physical")
    old = cluster.etcdctl("get", "c", f"--rev={revision - 2}", check=False)
    assert "required revision has been compacted" in old


def test_members_come_and_go(cluster: TestCluster) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    added = cluster.etcdctl("member", "add", "d", f"--peer-urls={url}", "--learner")
    number = re.findall(r"Member\s+(\w+) added to cluster", added)[0]

    def listed() -> str:
        # A member tells the others its name a moment after it begins to serve; "unstarted" counts too.
        members = cluster.etcdctl("member", "list")
        return members if members.count("started") == 4 else ""

    assert f"{number}, unstarted, , {url}, , true" in eventually_sync(listed)
    moved = f"https://127.0.0.1:{free_port()}"
    cluster.etcdctl("member", "update", number, f"--peer-urls={moved}")
    assert moved in cluster.etcdctl("member", "list")
    assert re.search(rf"Member\s+{number} removed", cluster.etcdctl("member", "remove", number))
    assert number not in cluster.etcdctl("member", "list")


def test_looking_at_members(cluster: TestCluster) -> None:
    status = cluster.etcdctl("endpoint", "status", "--write-out=json")
    assert status.count('"leader"') == 3
    eventually_sync(lambda: len(set(re.findall(r", (\d+)", cluster.etcdctl("endpoint", "hashkv")))) == 1, 10)
    assert cluster.etcdctl("endpoint", "health", "--cluster").count("is healthy") == 3
    assert "Finished defragmenting" in cluster.etcdctl("defrag")
    assert cluster.etcdctl("alarm", "list") == ""
    assert cluster.etcdctl("alarm", "disarm") == ""


def test_leadership_moves(cluster: TestCluster) -> None:
    table = cluster.etcdctl("endpoint", "status", "--write-out=simple").splitlines()
    rows = [[cell.strip() for cell in line.split(",")] for line in table]
    follower = next(row[1] for row in rows if row[4] == "false")
    assert "Leadership transferred from" in cluster.etcdctl("move-leader", follower)
    rows = [
        [cell.strip() for cell in line.split(",")]
        for line in cluster.etcdctl("endpoint", "status", "--write-out=simple").splitlines()
    ]
    assert next(row[1] for row in rows if row[4] == "true") == follower


def test_snapshot_save(cluster: TestCluster, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    endpoint = f"https://{cluster.members['a'].target}"
    assert "Snapshot saved" in cluster.etcdctl("snapshot", "save", str(file), endpoints=endpoint)
    assert file.stat().st_size % 512 == 32


@pytest.mark.long
@pytest.mark.parametrize("load", ["s", "m"])
def test_check_perf(cluster: TestCluster, load: str) -> None:
    output = cluster.etcdctl("check", "perf", f"--load={load}", timeout=120, check=False)
    assert "PASS: Throughput" in output, output
