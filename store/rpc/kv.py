"""etcdserverpb.KV: reading and writing keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from etcd.rpc_pb2 import CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest

from store.errors import RequestTooLarge
from store.mvcc import check, ranges
from store.mvcc.txn import changes_nothing, is_serializable, puts_something
from store.quota import Quota
from store.raft import proposer as kinds
from store.raft.proposer import Proposer
from store.replica import Replica
from store.rpc.calls import Headers, UnaryMethod

SERVICE = "etcdserverpb.KV"


class KV:
    """Checks requests, has changes agreed on, and reads from this member's replica."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        headers: Headers,
        quota: Quota,
        *,
        request_bytes_max: int,
        txn_operations_max: int,
        scrubbed: Callable[[], Awaitable[None]],
    ) -> None:
        """Serves from `replica`.

        Args:
            replica: what is read from.
            proposer: what changes go through.
            headers: this member's response headers.
            quota: what it may take.
            request_bytes_max: size limit of a change.
            txn_operations_max: limit of steps in a transaction.
            scrubbed: returns when what was compacted is freed.
        """
        self._replica = replica
        self._proposer = proposer
        self._headers = headers
        self._quota = quota
        self._bytes_max = request_bytes_max
        self._operations_max = txn_operations_max
        self._scrubbed = scrubbed

    def methods(self) -> dict[str, UnaryMethod]:
        """The service's methods by name."""
        return {
            "Range": self.range,
            "Put": self.put,
            "DeleteRange": self.delete_range,
            "Txn": self.txn,
            "Compact": self.compact,
        }

    async def range(self, raw: bytes) -> bytes:
        """Reads keys; linearizable unless asked otherwise."""
        request = RangeRequest.FromString(raw)
        check.check_range(request)
        if not request.serializable:
            await self._proposer.barrier()
        keyspace = self._replica.machine.keyspace
        return ranges.answer(self._headers.encoded(keyspace.revision), ranges.read(keyspace, request))

    async def put(self, raw: bytes) -> bytes:
        """Writes a key."""
        check.check_put(PutRequest.FromString(raw))
        await self._quota.admit(len(raw))
        return await self._change(kinds.PUT, raw)

    async def delete_range(self, raw: bytes) -> bytes:
        """Deletes keys."""
        check.check_delete(DeleteRangeRequest.FromString(raw))
        return await self._change(kinds.DELETE_RANGE, raw)

    async def txn(self, raw: bytes) -> bytes:
        """Runs a transaction; one that changes nothing does not go through the log."""
        request = TxnRequest.FromString(raw)
        check.check_txn(request, self._operations_max)
        if not changes_nothing(request):
            if puts_something(request):
                await self._quota.admit(len(raw))
            return await self._change(kinds.TXN, raw)
        if not is_serializable(request):
            await self._proposer.barrier()
        machine = self._replica.machine
        return self._headers.answer(machine.read_txn(request), machine.keyspace.revision)

    async def compact(self, raw: bytes) -> bytes:
        """Forgets superseded versions."""
        request = CompactionRequest.FromString(raw)
        answer = await self._change(kinds.COMPACTION, raw)
        if request.physical:
            await self._scrubbed()
        return answer

    async def _change(self, kind: int, raw: bytes) -> bytes:
        if len(raw) > self._bytes_max:
            raise RequestTooLarge
        return self._headers.answer_outcome(await self._proposer.propose(kind, raw))
