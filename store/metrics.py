"""What Prometheus reads. Values are read when it asks; nothing is counted twice on the way of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from store.raft.proposer import Proposer
from store.raft.wal import WriteAheadLog
from store.replica import Replica
from store.rpc.calls import CallCounts
from store.watch.hub import WatchHub


class StoreMetrics(Collector):
    """The store's metrics, named as etcd names them where it has them."""

    def __init__(
        self,
        *,
        replica: Replica,
        proposer: Proposer,
        wal: WriteAheadLog,
        hub: WatchHub,
        watch_streams: Callable[[], int],
        calls: CallCounts,
        quota_bytes: int,
        disk_bytes: Callable[[], int],
        dropped: Mapping[str, int],
    ) -> None:
        self._replica = replica
        self._proposer = proposer
        self._wal = wal
        self._hub = hub
        self._watch_streams = watch_streams
        self._calls = calls
        self._quota_bytes = quota_bytes
        self._disk_bytes = disk_bytes
        self._dropped = dropped

    def collect(self) -> Iterable[Metric]:
        """Reads everything."""
        status = self._proposer.status()
        machine = self._replica.machine
        keyspace = machine.keyspace
        gauges = [
            ("etcd_server_has_leader", "Whether a leader is known.", float(bool(status.leader))),
            ("etcd_server_is_leader", "Whether this member leads.", float(status.is_leader)),
            ("etcd_server_proposals_committed_total", "Log entries known to be agreed on.", status.index),
            ("etcd_server_proposals_applied_total", "Log entries applied.", status.applied),
            ("etcd_server_raft_term", "Term of this member.", status.term),
            ("etcd_server_quota_backend_bytes", "Size at which the store takes no more, in bytes.", self._quota_bytes),
            ("etcd_mvcc_db_total_size_in_bytes", "Log and snapshot on the disk, in bytes.", self._disk_bytes()),
            ("etcd_mvcc_db_total_size_in_use_in_bytes", "Keys with their history, in bytes.", keyspace.size),
            ("etcd_debugging_mvcc_keys_total", "Keys that exist.", len(keyspace.live)),
            ("etcd_debugging_mvcc_current_revision", "Newest revision.", keyspace.revision),
            ("etcd_debugging_mvcc_compact_revision", "Revision of the last compaction.", keyspace.compact_revision),
            ("etcd_debugging_mvcc_watcher_total", "Watches.", len(self._hub)),
            ("etcd_debugging_mvcc_watch_stream_total", "Streams of watches.", self._watch_streams()),
            ("etcd_debugging_lease_total", "Leases.", len(machine.leases)),
        ]
        for name, text, value in gauges:
            yield GaugeMetricFamily(name, text, value=float(value))
        yield CounterMetricFamily(
            "etcd_disk_wal_write_bytes", "Bytes written to the log.", value=self._wal.bytes_written
        )
        yield CounterMetricFamily("etcd_disk_wal_syncs", "Syncs of the log to the disk.", value=self._wal.syncs)
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls by how they ended.", labels=["grpc_service", "grpc_method", "grpc_code"]
        )
        for labels, count in list(self._calls.counts.items()):
            handled.add_metric(list(labels), count)
        yield handled
        dropped = CounterMetricFamily("store_peer_messages_dropped", "Messages not believed.", labels=["reason"])
        for reason, number in list(self._dropped.items()):
            dropped.add_metric([reason], number)
        yield dropped
