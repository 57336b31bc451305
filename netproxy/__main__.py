"""`python -m netproxy`: flags."""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
from collections.abc import Sequence

from steersman.service import flags, logs
from steersman.service.run import run

from netproxy import bootstrap
from netproxy.compiler import Options
from netproxy.sync import Periods

MODES = ("iptables",)

EXAMPLES = """\
  python -m netproxy --node-name n1 --config n1.config --cluster-cidr 10.244.0.0/16
  python -m netproxy --cleanup
  curl http://127.0.0.1:10249/proxyMode
"""


def duration_s(text: str) -> float:
    """Seconds from "30s", "100ms", "1m", "1m30s", or a plain number of seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * units[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30s or 100ms") from None


def network(text: str) -> str:
    """An IPv4 network in CIDR form; of a dual-stack list the IPv4 one; empty stays empty."""
    if not text:
        return ""
    for part in text.split(","):
        try:
            parsed = ipaddress.ip_network(part.strip())
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        if parsed.version == 4:
            return str(parsed)
    raise argparse.ArgumentTypeError(f"{text!r} has no IPv4 network")


def bit(text: str) -> int:
    """A bit of the packet mark."""
    if not text.isdigit() or int(text) > 31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 31")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The flags of netproxy."""
    result = flags.parser(
        "netproxy",
        "Makes Services work on this node (kube-proxy): turns Services and EndpointSlices into kernel rules, and keeps "
        "routes to the pods of the other nodes. Rules stay in force while it is stopped.",
        examples=EXAMPLES,
    )
    flags.add_apiserver(result)
    flags.add_serving(result, bind="127.0.0.1:10256", metrics="127.0.0.1:10249")
    node = result.add_argument_group("node")
    node.add_argument(
        "--node-name",
        "--hostname-override",
        dest="node_name",
        default=socket.gethostname(),
        metavar="NAME",
        help="name of this node's Node object",
    )
    node.add_argument(
        "--cluster-cidr",
        type=network,
        default="",
        metavar="CIDR",
        help="network of all pods; what comes from elsewhere to a cluster address is masqueraded",
    )
    node.add_argument(
        "--pod-routes",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep a route to every other node's pods by way of that node's InternalIP",
    )
    rules = result.add_argument_group("rules")
    rules.add_argument(
        "--proxy-mode", default="iptables", metavar="MODE", help=f"how rules are made; one of: {', '.join(MODES)}"
    )
    rules.add_argument(
        "--iptables-prefix",
        default="auto",
        metavar="PREFIX",
        help="which iptables: iptables, iptables-nft, iptables-legacy or a path up to there; "
        "auto: the one that has our rules already, else the node's default",
    )
    rules.add_argument(
        "--iptables-sync-period",
        type=duration_s,
        default="30s",
        metavar="DURATION",
        help="how often all rules and routes are compared with what they should be, and repaired",
    )
    rules.add_argument(
        "--iptables-min-sync-period",
        type=duration_s,
        default="100ms",
        metavar="DURATION",
        help="least time between two changes of the rules; also at least as long as the last change took",
    )
    rules.add_argument(
        "--canary-period",
        type=duration_s,
        default="5s",
        metavar="DURATION",
        help="how often a chain of ours is looked for, to notice that somebody flushed the rules",
    )
    rules.add_argument(
        "--iptables-masquerade-bit",
        type=bit,
        default=14,
        metavar="BIT",
        help="bit of the packet mark that asks for masquerading",
    )
    rules.add_argument(
        "--masquerade-all",
        action="store_true",
        help="masquerade all traffic to cluster addresses, also that of pods",
    )
    rules.add_argument(
        "--masquerade-egress",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="masquerade what pods send to addresses outside of the cluster CIDR",
    )
    rules.add_argument(
        "--iptables-localhost-nodeports",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let node ports also answer at 127.0.0.1 of the node",
    )
    rules.add_argument(
        "--nodeport-addresses",
        default="",
        metavar="CIDRS",
        help="networks, separated by commas, whose addresses of this node serve node ports; "
        '"primary": the node\'s InternalIP; empty: all addresses',
    )
    result.add_argument("--cleanup", action="store_true", help="remove all rules and routes of netproxy, and exit")
    return result


def node_port_addresses(text: str) -> tuple[str, ...]:
    """The networks of `--nodeport-addresses`.

    Raises:
        SystemExit: one is not a network.
    """
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in chosen:
        if part != "primary":
            try:
                ipaddress.IPv4Network(part)
            except ValueError as error:
                raise SystemExit(f"error: --nodeport-addresses: {error}") from None
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the flags and runs."""
    given = parser().parse_args(arguments)
    logs.configure("netproxy", level=given.log_level, fmt=given.log_format)
    if given.cleanup:
        run(lambda _stop: bootstrap.clean_up(given.iptables_prefix))
        return
    if given.proxy_mode not in MODES:
        raise SystemExit(f"error: --proxy-mode {given.proxy_mode}: there is only {', '.join(MODES)}")
    settings = bootstrap.Settings(
        config=given.config,
        options=Options(
            node_name=given.node_name,
            cluster_cidr=given.cluster_cidr,
            masquerade_bit=given.iptables_masquerade_bit,
            masquerade_all=given.masquerade_all,
            masquerade_egress=given.masquerade_egress,
            localhost_node_ports=given.iptables_localhost_nodeports,
            node_port_addresses=node_port_addresses(given.nodeport_addresses),
        ),
        periods=Periods(
            sync_min_s=given.iptables_min_sync_period,
            sync_s=given.iptables_sync_period,
            canary_s=given.canary_period,
        ),
        iptables_prefix=given.iptables_prefix,
        pod_routes=given.pod_routes,
        bind_address=given.bind_address,
        metrics_address=given.metrics_address,
        tls=flags.serving_tls(given),
    )
    run(lambda stop: bootstrap.serve(settings, stop))


if __name__ == "__main__":
    main()
