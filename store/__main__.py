"""`python -m store`: flags, then `bootstrap`."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.service import flags, logs
from steersman.service.run import run

from store import bootstrap
from store.settings import Certificates, Endpoint, Settings, SettingsError, parse_initial_cluster, parse_retention

_EXAMPLES = """\
  python -m store --data-dir /tmp/one
      one member, on http://127.0.0.1:2379, for trials
  python -m store --name a --data-dir /var/lib/steersman/store \\
      --listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://127.0.0.1:2379 \\
      --cert-file store.crt --key-file store.key --trusted-ca-file ca.crt --client-cert-auth
"""


def parser() -> argparse.ArgumentParser:
    """The flags, named as etcd names them."""
    result = flags.parser("store", "The store: an etcd v3 server, replicated by PySyncObj.", examples=_EXAMPLES)
    group = result.add_argument_group("member")
    group.add_argument("--name", default="default", help="name of this member")
    group.add_argument(
        "--data-dir", type=Path, required=True, metavar="DIR", help="where log and snapshot are kept; made if missing"
    )
    group.add_argument("--heartbeat-interval", type=int, default=100, metavar="MS", help="milliseconds between beats")
    group.add_argument(
        "--election-timeout",
        type=int,
        default=600,
        metavar="MS",
        help="shortest silence of the leader, in milliseconds, after which another is elected; up to twice that",
    )
    group.add_argument(
        "--quota-backend-bytes",
        type=int,
        default=2 * 1024**3,
        metavar="BYTES",
        help="size of keys and history at which the store takes no more puts; 0: the default",
    )
    group.add_argument(
        "--auto-compaction-mode",
        choices=("periodic", "revision"),
        default="periodic",
        help="what --auto-compaction-retention counts",
    )
    group.add_argument(
        "--auto-compaction-retention",
        default="0",
        metavar="LENGTH",
        help="how much history is kept: hours or a duration like 30m (periodic), or a number of revisions; 0: all",
    )
    group.add_argument(
        "--max-request-bytes", type=int, default=1536 * 1024, metavar="BYTES", help="largest request that changes keys"
    )
    group.add_argument("--max-txn-ops", type=int, default=128, metavar="N", help="most operations in a transaction")
    group.add_argument(
        "--snapshot-catchup-entries",
        type=int,
        default=5_000,
        metavar="N",
        help="log entries kept behind a snapshot, so that members a little behind need no snapshot",
    )
    group.add_argument(
        "--watch-progress-notify-interval",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how often quiet watches hear how far history has come",
    )
    group = result.add_argument_group("clients")
    group.add_argument(
        "--listen-client-urls",
        default="http://127.0.0.1:2379",
        metavar="URLS",
        help="where clients are served, separated by commas",
    )
    group.add_argument(
        "--advertise-client-urls", metavar="URLS", help="what clients are told (default: what is listened on)"
    )
    group.add_argument("--cert-file", type=Path, metavar="FILE", help="PEM certificate for clients")
    group.add_argument("--key-file", type=Path, metavar="FILE", help="PEM private key of it")
    group.add_argument("--trusted-ca-file", type=Path, metavar="FILE", help="PEM authority of clients' certificates")
    group.add_argument("--client-cert-auth", action="store_true", help="serve only clients with a certificate")
    group.add_argument(
        "--listen-metrics-urls", default="", metavar="URLS", help="where /metrics is served; empty: nowhere"
    )
    group.add_argument(
        "--insecure", action="store_true", help="allow http:// urls between members, on loopback only, for trials"
    )
    group = result.add_argument_group("cluster")
    group.add_argument(
        "--listen-peer-urls",
        metavar="URLS",
        help="where other members are served (default: nowhere, for a member alone)",
    )
    group.add_argument(
        "--initial-advertise-peer-urls", metavar="URLS", help="what other members are told (default: listened on)"
    )
    group.add_argument(
        "--initial-cluster", metavar="NAME=URL,...", help="all first members, an odd number (default: this one alone)"
    )
    group.add_argument(
        "--initial-cluster-state",
        choices=("new", "existing"),
        default="new",
        help="existing: this member was added to a cluster that runs",
    )
    group.add_argument(
        "--initial-cluster-token",
        default="etcd-cluster",
        metavar="TEXT",
        help="tells clusters of equal addresses apart",
    )
    group.add_argument("--peer-cert-file", type=Path, metavar="FILE", help="PEM certificate between members")
    group.add_argument("--peer-key-file", type=Path, metavar="FILE", help="PEM private key of it")
    group.add_argument("--peer-trusted-ca-file", type=Path, metavar="FILE", help="PEM authority of members")
    group.add_argument("--peer-client-cert-auth", action="store_true", help="always so; accepted as etcd has it")
    return result


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the flags make. Raises SettingsError."""

    def urls(text: str | None) -> tuple[str, ...]:
        found = tuple(filter(None, (part.strip() for part in (text or "").split(","))))
        for url in found:
            Endpoint.parse(url)
        return found

    client_urls = urls(arguments.listen_client_urls)
    peer_urls = urls(arguments.listen_peer_urls) or ("http://127.0.0.1:2380",)
    advertised = tuple(sorted(urls(arguments.initial_advertise_peer_urls) or peer_urls))
    initial = arguments.initial_cluster
    return Settings(
        name=arguments.name,
        data_dir=arguments.data_dir,
        client_urls=client_urls,
        advertise_client_urls=urls(arguments.advertise_client_urls) or client_urls,
        peer_urls=peer_urls,
        advertise_peer_urls=advertised,
        initial_cluster=parse_initial_cluster(initial) if initial else {arguments.name: advertised},
        initial_state=arguments.initial_cluster_state,
        cluster_token=arguments.initial_cluster_token,
        metrics_urls=urls(arguments.listen_metrics_urls),
        client_tls=Certificates(
            arguments.cert_file, arguments.key_file, arguments.trusted_ca_file, arguments.client_cert_auth
        ),
        peer_tls=Certificates(arguments.peer_cert_file, arguments.peer_key_file, arguments.peer_trusted_ca_file, True),
        insecure=arguments.insecure,
        serve_peers=arguments.listen_peer_urls is not None
        or bool(initial and "," in initial)
        or arguments.initial_cluster_state == "existing",
        heartbeat_s=arguments.heartbeat_interval / 1000,
        election_s=arguments.election_timeout / 1000,
        quota_bytes=arguments.quota_backend_bytes or 2 * 1024**3,
        request_bytes_max=arguments.max_request_bytes,
        txn_operations_max=arguments.max_txn_ops,
        auto_compaction_mode=arguments.auto_compaction_mode,
        auto_compaction_retention=parse_retention(arguments.auto_compaction_mode, arguments.auto_compaction_retention),
        catchup_entries=arguments.snapshot_catchup_entries,
        progress_interval_s=arguments.watch_progress_notify_interval,
    )


def main() -> None:
    """Runs a member."""
    arguments = parser().parse_args()
    logs.configure("store", level=arguments.log_level, fmt=arguments.log_format)
    try:
        settings = settings_of(arguments)
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from error
    run(lambda stop: bootstrap.run(settings, stop))


if __name__ == "__main__":
    main()
