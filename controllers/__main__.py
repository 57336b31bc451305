"""`python -m controllers`: flags to settings."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path

from steersman.service import flags, logs
from steersman.service.run import StartError, run

EXAMPLES = """\
  python -m controllers --config controllers.config --cluster-cidr 10.244.0.0/16 \\
      --tls-cert-file controllers.crt --tls-private-key-file controllers.key --client-ca-file ca.crt

  # notice a dead node sooner (nodes renew their leases every 10 s unless told otherwise)
  python -m controllers ... --node-monitor-grace-period 15 --node-monitor-period 1
"""


def main() -> None:
    """Parses flags and runs all control loops until SIGTERM."""
    parser = flags.parser(
        "controllers",
        "Makes the world match the specs: Deployments, ReplicaSets, EndpointSlices, nodes, garbage, namespaces.",
        examples=EXAMPLES,
    )
    flags.add_serving(parser, bind="127.0.0.1:10257", metrics="127.0.0.1:10252")
    flags.add_apiserver(parser)
    nodes = parser.add_argument_group("nodes")
    nodes.add_argument("--cluster-cidr", default="10.244.0.0/16", metavar="CIDR", help="pod addresses of the cluster")
    nodes.add_argument(
        "--node-cidr-mask-size", type=int, default=24, metavar="BITS", help="prefix length of each node's pod range"
    )
    nodes.add_argument(
        "--node-monitor-period", type=float, default=5.0, metavar="S", help="how often nodes are looked at"
    )
    nodes.add_argument(
        "--node-monitor-grace-period",
        type=float,
        default=40.0,
        metavar="S",
        help="how long a node may be silent before it counts as unreachable and its pods as not ready",
    )
    events = parser.add_argument_group("events")
    events.add_argument("--event-ttl", type=float, default=3600.0, metavar="S", help="how long events are kept")
    trust = parser.add_argument_group("trust")
    trust.add_argument(
        "--root-ca-file",
        type=Path,
        metavar="FILE",
        help="PEM authority of the apiserver's certificate, published to pods of every namespace",
    )
    trust.add_argument(
        "--cluster-signing-cert-file",
        type=Path,
        metavar="FILE",
        help="PEM authority that signs certificates of nodes and clients on request; without it nothing is signed",
    )
    trust.add_argument("--cluster-signing-key-file", type=Path, metavar="FILE", help="PEM key of that authority")
    parser.add_argument_group("leader election").add_argument(
        "--leader-elect", action="store_true", help="work only while no other such process does, and take over from it"
    )
    arguments = parser.parse_args()
    logs.configure("controllers", level=arguments.log_level, fmt=arguments.log_format)

    from steersman import config
    from steersman.client import connect
    from steersman.election import Terms

    from controllers.bootstrap import Settings, serve
    from controllers.certificates.controller import Signer
    from controllers.node.controller import Settings as NodeSettings

    try:
        network = ipaddress.ip_network(arguments.cluster_cidr)
    except ValueError as error:
        raise SystemExit(f"error: --cluster-cidr: {error}") from None
    if not network.prefixlen <= arguments.node_cidr_mask_size <= network.max_prefixlen - 2:
        raise SystemExit(f"error: --node-cidr-mask-size: no range of that size fits into {network}")
    tls = flags.serving_tls(arguments)
    if tls is None:
        raise SystemExit("error: --tls-cert-file, --tls-private-key-file and --client-ca-file are required")
    signing = (arguments.cluster_signing_cert_file, arguments.cluster_signing_key_file)
    if any(signing) and not all(signing):
        raise SystemExit("error: --cluster-signing-cert-file and --cluster-signing-key-file must be given together")
    try:
        root_ca = arguments.root_ca_file.read_text() if arguments.root_ca_file else ""
        signer = Signer.read(*signing) if all(signing) else None
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: cannot read an authority: {error}") from None
    settings = Settings(
        node=NodeSettings(
            cluster_cidr=arguments.cluster_cidr,
            node_mask_size=arguments.node_cidr_mask_size,
            monitor_period_s=arguments.node_monitor_period,
            monitor_grace_s=arguments.node_monitor_grace_period,
        ),
        event_ttl_s=arguments.event_ttl,
        root_ca=root_ca,
        signer=signer,
        election=Terms() if arguments.leader_elect else None,
    )

    async def start(stop: asyncio.Event) -> None:
        try:
            api = connect(arguments.config)
        except config.ConfigError as error:
            raise StartError(str(error)) from error
        await serve(api, settings, arguments.bind_address, arguments.metrics_address, tls, stop)

    run(start)


if __name__ == "__main__":
    main()
