"""A new cluster from a backup."""

from __future__ import annotations

import hashlib
from pathlib import Path

from etcd.log_pb2 import Identity
from etcd.rpc_pb2 import Member

from store import members as membership
from store.directory import DataDirectory
from store.members import Members
from store.raft import snapshot
from store.raft.files import DataCorrupt
from store.raft.frame import SECTOR_BYTES
from store.raft.snapshot import SnapshotFile

DIGEST_BYTES = hashlib.sha256().digest_size
# Revisions that clients of the old cluster may have seen after the backup was taken; none has made so many.
BUMP = 1_000_000_000
# The log of a restored member begins behind entries that nobody has.
FIRST_INDEX = 3
FIRST_TERM = 1


def checked(path: Path) -> bytes:
    """The backup in `path` without its digest, which must be there and right.

    Raises:
        DataCorrupt: it is not, or the backup is not whole.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    if len(data) % SECTOR_BYTES != DIGEST_BYTES:
        raise DataCorrupt(path, len(data), "there is no SHA-256 at its end: it is not a whole backup")
    content, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise DataCorrupt(path, 0, "its SHA-256 does not match its content")
    return content


def restore(
    file: Path,
    data_dir: Path,
    *,
    name: str,
    cluster: dict[str, tuple[str, ...]],
    token: str,
    bump: int = BUMP,
) -> Identity:
    """Makes `data_dir` the directory of member `name` of a new cluster that begins with the backup in `file`.

    Each member of the new cluster is restored from the same file with the same `cluster` and `token`. The cluster's
    number is new, so that nothing of the old one is taken for its own. The revision is moved ahead by `bump` and
    everything before is compacted, so that no client that knew the old cluster can see time go back.

    Args:
        file: a backup, with its SHA-256.
        data_dir: a directory in which no member lives.
        name: the member whose directory it becomes.
        cluster: peer addresses of all members by name.
        token: tells clusters of equal addresses apart.
        bump: revisions to move ahead.

    Raises:
        DataCorrupt: the backup is damaged.
        FileExistsError: a member lives in the directory.
        OSError: a file cannot be read or written.
    """
    content = checked(file)
    _, machine = snapshot.parse(content, file)
    salt = token + hashlib.sha256(content).hexdigest()
    members: list[Member] = [Member(ID=membership.member_id(urls, salt), peerURLs=urls) for urls in cluster.values()]
    members.sort(key=lambda member: member.ID)
    identity = Identity(
        cluster_id=membership.cluster_id(members, salt),
        member_id=membership.member_id(cluster[name], salt),
        members=members,
        name=name,
        first_revision=1,
    )
    keyspace = machine.keyspace
    revision = keyspace.revision + bump
    keyspace.load(list(keyspace.live.values()), revision, revision)
    machine.members = Members(members)
    machine.alarms = set()
    machine.applied = FIRST_INDEX
    directory = DataDirectory(data_dir)
    try:
        if not directory.is_new:
            raise FileExistsError(f"{data_dir} has a member in it already")
        # First the state, then the log that makes the directory a member's.
        head = snapshot.head_of(machine, identity.cluster_id, FIRST_TERM, FIRST_TERM)
        SnapshotFile(directory.member_folder).write(snapshot.frames(keyspace, head))
        directory.create(identity)
        # The log is brought into agreement with the state here and not at the first start.
        directory.recover().wal.close()
    finally:
        directory.close()
    return identity
