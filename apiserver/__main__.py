"""`python -m apiserver`: flags to settings."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

from steersman.service import flags, logs
from steersman.service.run import StartError, run

ISSUER = "https://kubernetes.default.svc.cluster.local"

EXAMPLES = """\
  # one store member and this machine's certificates
  python -m apiserver --etcd-servers https://127.0.0.1:2379 --etcd-cafile ca.crt \\
      --etcd-certfile apiserver.crt --etcd-keyfile apiserver.key \\
      --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key --client-ca-file ca.crt

  # also on a unix socket, for the command line on this machine
  python -m apiserver ... --socket /run/steersman/apiserver.sock
"""


def main() -> None:
    """Parses flags and serves until SIGTERM."""
    parser = flags.parser(
        "apiserver",
        "The API of the cluster: authenticates, authorizes, defaults, validates, stores, and streams watches.",
        examples=EXAMPLES,
    )
    flags.add_serving(parser, bind="0.0.0.0:6443", metrics="127.0.0.1:6442")
    parser.add_argument("--socket", default="", metavar="PATH", help="also serve on this unix socket")
    store = parser.add_argument_group("store")
    store.add_argument(
        "--etcd-servers",
        default="https://127.0.0.1:2379",
        metavar="URL,URL",
        help="the store's client urls: our own store or a real etcd",
    )
    store.add_argument("--etcd-cafile", type=Path, metavar="FILE", help="PEM authority of the store's certificate")
    store.add_argument("--etcd-certfile", type=Path, metavar="FILE", help="PEM certificate to show to the store")
    store.add_argument("--etcd-keyfile", type=Path, metavar="FILE", help="PEM key of that certificate")
    store.add_argument(
        "--etcd-compaction-interval",
        type=float,
        default=300.0,
        metavar="S",
        help="how long the store keeps history at least; 0: it is never told to forget",
    )
    store.add_argument(
        "--encryption-provider-config",
        type=Path,
        metavar="FILE",
        help="which values are encrypted in the store, and with what keys (Kubernetes' EncryptionConfiguration with "
        "aesgcm and identity); read again when it changes, and then everything is encrypted anew with the first key",
    )
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--service-cluster-ip-range", default="10.96.0.0/16", metavar="CIDR", help="addresses of Services"
    )
    cluster.add_argument(
        "--service-node-port-range", default="30000-32767", metavar="LOW-HIGH", help="node ports of Services"
    )
    cluster.add_argument(
        "--advertise-address",
        default="",
        metavar="IP",
        help="where pods reach this apiserver, through the Service default/kubernetes; empty: they are not told",
    )
    cluster.add_argument(
        "--default-not-ready-toleration-seconds",
        type=int,
        default=300,
        metavar="S",
        help="how long pods stay on a node that is not ready or not reachable, unless they say so themselves",
    )
    load = parser.add_argument_group("load")
    load.add_argument(
        "--max-requests-inflight",
        type=int,
        default=400,
        metavar="N",
        help="calls that are served at once, shared out among priority levels; administrators' are not counted",
    )
    audit = parser.add_argument_group("audit")
    audit.add_argument(
        "--audit-policy-file",
        type=Path,
        metavar="FILE",
        help="which calls are written down and how much of them (Kubernetes' audit.k8s.io/v1 Policy)",
    )
    audit.add_argument(
        "--audit-log-path", type=Path, metavar="FILE", help="where they are written, a line of JSON each"
    )
    audit.add_argument(
        "--audit-log-maxsize", type=int, default=100, metavar="MB", help="size at which the file is turned over"
    )
    audit.add_argument("--audit-log-maxbackup", type=int, default=10, metavar="N", help="older files that are kept")
    tokens = parser.add_argument_group("tokens of service accounts")
    tokens.add_argument(
        "--service-account-issuer", default=ISSUER, metavar="URL", help="who signs tokens, in their own words"
    )
    tokens.add_argument(
        "--service-account-signing-key-file",
        type=Path,
        metavar="FILE",
        help="PEM private key (RSA, or ECDSA on P-256 or P-384) that tokens are signed with; without one none are "
        "issued, and pods get none",
    )
    tokens.add_argument(
        "--service-account-key-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="PEM key of tokens that are good; may be given several times, and the key to the signing key always is",
    )
    tokens.add_argument(
        "--api-audiences", default="", metavar="NAME,NAME", help="who this apiserver is, to tokens; empty: the issuer"
    )
    arguments = parser.parse_args()
    logs.configure("apiserver", level=arguments.log_level, fmt=arguments.log_format)

    from apiserver.audit.policy import PolicyFileError
    from apiserver.bootstrap import AuditSettings, Settings, TokenSettings, serve
    from apiserver.encryption import EncryptionFileError
    from apiserver.strategy import ServiceRange
    from apiserver.tokens.signing import KeyFileError

    tls = flags.serving_tls(arguments)
    if tls is None:
        raise SystemExit("error: --tls-cert-file, --tls-private-key-file and --client-ca-file are required")
    store_tls = None
    given = (arguments.etcd_cafile, arguments.etcd_certfile, arguments.etcd_keyfile)
    if any(given):
        if not all(given):
            raise SystemExit("error: --etcd-cafile, --etcd-certfile and --etcd-keyfile must be given together")
        store_tls = given
    addresses = [arguments.bind_address, *([f"unix:{arguments.socket}"] if arguments.socket else [])]
    try:
        ipaddress.ip_network(arguments.service_cluster_ip_range)
        low, _, high = arguments.service_node_port_range.partition("-")
        ranges = ServiceRange(arguments.service_cluster_ip_range, int(low), int(high))
        port = flags.host_port(arguments.bind_address)[1]
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    audit_files = (arguments.audit_policy_file, arguments.audit_log_path)
    if any(audit_files) and not all(audit_files):
        raise SystemExit("error: --audit-policy-file and --audit-log-path must be given together")
    if arguments.max_requests_inflight < 1:
        raise SystemExit("error: --max-requests-inflight must be 1 or more")
    audit_settings = None
    if all(audit_files):
        audit_settings = AuditSettings(
            *audit_files, arguments.audit_log_maxsize * 1024 * 1024, arguments.audit_log_maxbackup
        )
    settings = Settings(
        addresses=addresses,
        tls=tls,
        metrics_address=arguments.metrics_address,
        ranges=ranges,
        advertise_address=arguments.advertise_address,
        advertise_port=port,
        default_toleration_s=arguments.default_not_ready_toleration_seconds,
        compaction_interval_s=arguments.etcd_compaction_interval,
        encryption=arguments.encryption_provider_config,
        audit=audit_settings,
        seats=arguments.max_requests_inflight,
        tokens=TokenSettings(
            issuer=arguments.service_account_issuer,
            signing_key=arguments.service_account_signing_key_file,
            keys=arguments.service_account_key_file,
            audiences=[each for each in arguments.api_audiences.split(",") if each],
        ),
    )

    async def start(stop: asyncio.Event) -> None:
        try:
            await serve(settings, arguments.etcd_servers.split(","), store_tls, stop)
        except (ValueError, OSError, KeyFileError, EncryptionFileError, PolicyFileError) as error:
            raise StartError(str(error)) from error

    run(start)


if __name__ == "__main__":
    main()
