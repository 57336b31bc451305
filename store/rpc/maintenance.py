"""etcdserverpb.Maintenance: looking after one member."""

from __future__ import annotations

from collections.abc import Callable

from etcd.rpc_pb2 import AlarmRequest, AlarmType, StatusRequest, StatusResponse

from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, UnaryMethod

SERVICE = "etcdserverpb.Maintenance"
# The release of etcd whose protocol this is.
VERSION = "3.5.21"


class Maintenance:
    """Tells how a member is."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        headers: Headers,
        *,
        quota_bytes: int,
        disk_bytes: Callable[[], int],
    ) -> None:
        """Serves from `replica`; `disk_bytes` measures what this member takes on its disk."""
        self._replica = replica
        self._proposer = proposer
        self._headers = headers
        self._quota_bytes = quota_bytes
        self._disk_bytes = disk_bytes

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {"Status": self.status, "Alarm": self.alarm}

    async def status(self, raw: bytes) -> bytes:
        """Tells version, size, leader and place in the log, of this member alone."""
        StatusRequest.FromString(raw)
        status = self._proposer.status()
        machine = self._replica.machine
        response = StatusResponse(
            version=VERSION,
            dbSize=self._disk_bytes(),
            dbSizeInUse=machine.keyspace.size,
            dbSizeQuota=self._quota_bytes,
            storageVersion="3.5.0",
            leader=status.leader,
            raftIndex=status.index,
            raftTerm=status.term,
            raftAppliedIndex=status.applied,
            isLearner=status.member in machine.members and machine.members.get(status.member).isLearner,
            errors=[f"memberID:{member} alarm:{AlarmType.Name(alarm)} " for member, alarm in sorted(machine.alarms)],
        )
        if not status.leader:
            response.errors.append("etcdserver: no leader")
        return self._headers.answer(response, machine.keyspace.revision)

    async def alarm(self, raw: bytes) -> bytes:
        """Reads, raises or clears alarms."""
        AlarmRequest.FromString(raw)
        return self._headers.answer_outcome(await self._proposer.propose(kinds.ALARM, raw))
