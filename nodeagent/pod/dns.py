"""The resolv.conf of a pod, from its DNS policy and the node's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.core.v1.pod_pb2 import Pod

SERVERS_MAX = 3
SEARCHES_MAX = 32
SEARCHES_CHARS_MAX = 2048


@dataclass(frozen=True)
class Resolver:
    """Contents of a resolv.conf."""

    servers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: Sequence[str] = ()


def parse(text: str) -> Resolver:
    """Reads a resolv.conf; unknown lines are passed over, and the last `search` line counts."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        match words:
            case ["nameserver", address, *_]:
                servers.append(address)
            case ["search", *domains]:
                searches = [domain for domain in domains if domain != "."]
            case ["options", *given]:
                options += given
    return Resolver(servers, searches, options)


def needs_cluster_dns(pod: Pod) -> bool:
    """Whether the pod asks to resolve the cluster's names."""
    policy = pod.spec.dns_policy or "ClusterFirst"
    return policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.spec.host_network)


def resolver_of(pod: Pod, node: Resolver, cluster_dns: Sequence[str], cluster_domain: str) -> Resolver:
    """The pod's resolver. Without a cluster DNS, ClusterFirst falls back to the node's."""
    if pod.spec.dns_policy == "None":
        base = Resolver()
    elif needs_cluster_dns(pod) and cluster_dns:
        domains = [f"{pod.metadata.namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        base = Resolver(list(cluster_dns), [*domains, *node.searches], ["ndots:5"])
    else:
        base = node
    extra = pod.spec.dns_config
    options: dict[str, str] = {}
    for option in base.options:
        name, _, value = option.partition(":")
        options[name] = value
    for given in extra.options:
        options[given.name] = given.value
    searches = list(dict.fromkeys([*base.searches, *extra.searches]))[:SEARCHES_MAX]
    while len(" ".join(searches)) > SEARCHES_CHARS_MAX:
        searches.pop()
    return Resolver(
        list(dict.fromkeys([*base.servers, *extra.nameservers]))[:SERVERS_MAX],
        searches,
        [f"{name}:{value}" if value else name for name, value in options.items()],
    )


def hosts_file(pod: Pod, hostname: str, full_name: str, ips: Sequence[str]) -> str:
    """The /etc/hosts that all containers of the pod share."""
    lines = [
        "# Written by Steersman.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    names = f"{full_name}\t{hostname}" if full_name else hostname
    lines += [f"{ip}\t{names}" for ip in ips]
    lines += [f"{alias.ip}\t" + "\t".join(alias.hostnames) for alias in pod.spec.host_aliases]
    return "\n".join(lines) + "\n"
