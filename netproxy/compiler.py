"""Services, EndpointSlices and Nodes in, the rule set of one node out.

The path of a packet through the chains, as in kube-proxy:

    PREROUTING, OUTPUT -> KUBE-SERVICES -> KUBE-SVC-* (or -SVL-*, -EXT-*, -FW-*) -> KUBE-SEP-* -> DNAT
                                        -> KUBE-NODEPORTS -> KUBE-EXT-* -> ...
    KUBE-MARK-MASQ marks what must leave with this node's address; KUBE-POSTROUTING masquerades what is marked.
    filter: KUBE-SERVICES and KUBE-EXTERNAL-SERVICES refuse what has no endpoints.

Pure. A `Compiler` remembers what it made of each message and each Service port, so that a change costs little more
than the change; the outcome never depends on what it remembers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from steersman.core.v1 import Node, Service
from steersman.discovery.v1 import EndpointSlice

from netproxy import names
from netproxy.endpoints import ZONE_LABEL, Choice, Endpoint, Here, choose, merge, read_slice
from netproxy.names import ServicePortName
from netproxy.rules import Jump, Rule, RuleSet
from netproxy.services import ServicePort, is_ipv4, service_ports

NEW = "-m conntrack --ctstate NEW"
LOCAL_DESTINATION = "-m addrtype --dst-type LOCAL"
LOCAL_SOURCE = "-m addrtype --src-type LOCAL"
REFUSE = "REJECT"
DROP = "DROP"


@dataclass(frozen=True)
class Options:
    """What the operator chose.

    Attributes:
        node_name: the node the rules are for.
        cluster_cidr: network of all pods; empty: not known, and then nothing is treated as pod traffic.
        masquerade_bit: bit of the packet mark that asks for masquerading, 0 to 31.
        masquerade_all: masquerade all traffic to cluster addresses, also that of pods.
        masquerade_egress: masquerade what pods send out of the cluster, so that answers find their way back.
        localhost_node_ports: node ports also answer at 127.0.0.1 of the node.
        node_port_addresses: networks whose addresses of this node serve node ports; empty: all addresses.
    """

    node_name: str
    cluster_cidr: str = ""
    masquerade_bit: int = 14
    masquerade_all: bool = False
    masquerade_egress: bool = True
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """The masquerading mark, as iptables writes it."""
        return f"{1 << self.masquerade_bit:#x}"


class Health(NamedTuple):
    """What a health check port tells.

    Attributes:
        namespace: namespace of the Service.
        name: its name.
        endpoints: how many endpoints on this node take its traffic.
    """

    namespace: str
    name: str
    endpoints: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Portal(NamedTuple):
    """What one Service port contributes.

    Attributes:
        chains: its own chains of the nat table.
        services: rules of KUBE-SERVICES, nat table.
        node_ports: rules of KUBE-NODEPORTS, nat table.
        refused_inside: rules of KUBE-SERVICES, filter table.
        refused_outside: rules of KUBE-EXTERNAL-SERVICES, filter table.
        firewall: rules of KUBE-PROXY-FIREWALL, filter table.
        health_check: rules of KUBE-NODEPORTS, filter table.
        endpoints: the endpoints it uses.
        local: how many of them are on this node, where that matters.
    """

    chains: dict[str, tuple[Rule, ...]]
    services: tuple[Rule, ...]
    node_ports: tuple[Rule, ...]
    refused_inside: tuple[Rule, ...]
    refused_outside: tuple[Rule, ...]
    firewall: tuple[Rule, ...]
    health_check: tuple[Rule, ...]
    endpoints: tuple[Endpoint, ...]
    local: int


@dataclass(frozen=True)
class Compiled:
    """The outcome of a compilation.

    Attributes:
        rules: what is to be in the kernel.
        ports: the Service ports that were compiled.
        endpoints: the endpoints in use, by Service port and protocol.
        health: what health check ports tell, by port.
    """

    rules: RuleSet
    ports: dict[tuple[ServicePortName, str], ServicePort]
    endpoints: dict[tuple[ServicePortName, str], tuple[Endpoint, ...]]
    health: dict[int, Health]


def probability(remaining: int) -> str:
    """The chance of the next endpoint when so many are left, as the statistic module reads it."""
    return f"{1 / remaining:.10f}"


def balance(name: str, targets: list[tuple[str, Endpoint]], affinity_s: int) -> tuple[Rule, ...]:
    """Rules that spread new connections evenly over endpoint chains, a returning client to its former one first."""
    rules = []
    if affinity_s:
        rules = [
            Rule(
                chain,
                comment=f"{name} -> {endpoint}",
                match=f"-m recent --name {chain} --rcheck --seconds {affinity_s} --reap",
            )
            for chain, endpoint in targets
        ]
    for position, (chain, endpoint) in enumerate(targets):
        remaining = len(targets) - position
        match = f"-m statistic --mode random --probability {probability(remaining)}" if remaining > 1 else ""
        rules.append(Rule(chain, comment=f"{name} -> {endpoint}", match=match))
    return tuple(rules)


def portal(port: ServicePort, choice: Choice, options: Options, node_addresses: tuple[str, ...]) -> Portal:
    """The rules of one Service port."""
    name = str(port.name)
    protocol = port.protocol
    suffix = names.digest(name, protocol)
    cluster_chain = names.CLUSTER_POLICY_PREFIX + suffix
    local_chain = names.LOCAL_POLICY_PREFIX + suffix
    external_chain = names.EXTERNAL_PREFIX + suffix
    firewall_chain = names.LOAD_BALANCER_PREFIX + suffix

    reachable = bool(choice.reachable)
    inside_chain = local_chain if port.internal_local else cluster_chain
    inside = bool(choice.local) if port.internal_local else reachable
    outside = bool(choice.local) if port.external_local else reachable
    outside_target = local_chain if port.external_local else cluster_chain
    guarded = reachable and bool(port.load_balancer_ips) and bool(port.source_ranges)
    balancer_chain = firewall_chain if guarded else external_chain

    def why(has: bool) -> tuple[str, str]:
        """How to refuse, and the reason: another node may have endpoints, then the packet came to the wrong place."""
        if not choice.any_anywhere:
            return REFUSE, f"{name} has no endpoints"
        assert not has
        return DROP, f"{name} has no local endpoints"

    services: list[Rule] = []
    node_ports: list[Rule] = []
    refused_inside: list[Rule] = []
    refused_outside: list[Rule] = []
    firewall: list[Rule] = []
    health_check: list[Rule] = []
    chains: dict[str, tuple[Rule, ...]] = {}

    if inside:
        services.append(Rule(inside_chain, f"{name} cluster IP", protocol, destination=port.cluster_ip, port=port.port))
    else:
        target, reason = why(inside)
        refused_inside.append(Rule(target, reason, protocol, destination=port.cluster_ip, port=port.port))

    for address in port.external_ips:
        if reachable:
            services.append(Rule(external_chain, f"{name} external IP", protocol, destination=address, port=port.port))
        if not outside:
            target, reason = why(outside)
            refused_outside.append(Rule(target, reason, protocol, destination=address, port=port.port))

    for address in port.load_balancer_ips:
        if reachable:
            services.append(
                Rule(balancer_chain, f"{name} loadbalancer IP", protocol, destination=address, port=port.port)
            )
        if guarded:
            firewall.append(
                Rule(
                    DROP,
                    f"{name} traffic not accepted by {firewall_chain}",
                    protocol,
                    destination=address,
                    port=port.port,
                )
            )
        if not outside:
            target, reason = why(outside)
            refused_outside.append(Rule(target, reason, protocol, destination=address, port=port.port))

    if port.node_port:
        if reachable:
            node_ports.append(Rule(external_chain, name, protocol, port=port.node_port))
        if not outside:
            target, reason = why(outside)
            refused_outside.append(Rule(target, reason, protocol, port=port.node_port, match=LOCAL_DESTINATION))

    if port.health_check_node_port and port.external_local:
        health_check.append(Rule("ACCEPT", f"{name} health check node port", "tcp", port=port.health_check_node_port))

    # The chains that spread traffic, each beginning with who among its visitors is masqueraded.
    visitors: tuple[Rule, ...] = ()
    if inside and (options.masquerade_all or options.cluster_cidr):
        visitors = (
            Rule(
                names.MARK_MASQ,
                f"{name} cluster IP",
                protocol,
                not_source="" if options.masquerade_all else options.cluster_cidr,
                destination=port.cluster_ip,
                port=port.port,
            ),
        )
    targets = {
        endpoint: names.ENDPOINT_PREFIX + names.digest(name, protocol, str(endpoint)) for endpoint in choice.reachable
    }
    for chain, endpoints in ((cluster_chain, choice.cluster), (local_chain, choice.local)):
        if endpoints:
            spread = balance(name, [(targets[endpoint], endpoint) for endpoint in endpoints], port.affinity_s)
            chains[chain] = (*(visitors if chain == inside_chain else ()), *spread)

    if reachable and port.externally_accessible:
        arrivals = []
        if port.external_local:
            if choice.cluster:
                if options.cluster_cidr:
                    arrivals.append(
                        Rule(
                            cluster_chain, f"pod traffic for {name} external destinations", source=options.cluster_cidr
                        )
                    )
                arrivals += [
                    Rule(
                        names.MARK_MASQ,
                        f"masquerade LOCAL traffic for {name} external destinations",
                        match=LOCAL_SOURCE,
                    ),
                    Rule(cluster_chain, f"route LOCAL traffic for {name} external destinations", match=LOCAL_SOURCE),
                ]
        else:
            arrivals.append(Rule(names.MARK_MASQ, f"masquerade traffic for {name} external destinations"))
        if outside:
            arrivals.append(Rule(outside_target))
        chains[external_chain] = tuple(arrivals)

    if guarded:
        admitted = [Rule(external_chain, f"{name} loadbalancer IP", source=cidr) for cidr in port.source_ranges]
        # A node that may use the address does so from that address itself.
        if any(within(address, port.source_ranges) for address in node_addresses):
            admitted += [
                Rule(external_chain, f"{name} loadbalancer IP", source=address) for address in port.load_balancer_ips
            ]
        chains[firewall_chain] = tuple(admitted)

    for endpoint, chain in targets.items():
        remember = f"-m recent --name {chain} --set" if port.affinity_s else ""
        chains[chain] = (
            Rule(names.MARK_MASQ, name, source=endpoint.address),
            Rule(f"DNAT --to-destination {endpoint}", name, protocol, match=remember),
        )

    return Portal(
        chains,
        tuple(services),
        tuple(node_ports),
        tuple(refused_inside),
        tuple(refused_outside),
        tuple(firewall),
        tuple(health_check),
        choice.reachable,
        len(choice.local),
    )


def health_of(portals: Iterable[tuple[ServicePort, tuple[Endpoint, ...], Portal]]) -> dict[int, Health]:
    """What health check ports tell; of a Service with several ports, the most endpoints that one of them has."""
    found: dict[int, Health] = {}
    for port, _, made in portals:
        if port.health_check_node_port and port.external_local:
            known = found.get(port.health_check_node_port)
            number = max(made.local, known.endpoints if known else 0)
            found[port.health_check_node_port] = Health(port.name.namespace, port.name.name, number)
    return found


def within(address: str, cidrs: Iterable[str]) -> bool:
    """Whether an address is in one of the networks; a text that is no network contains nothing."""
    for cidr in cidrs:
        try:
            if ipaddress.ip_address(address) in ipaddress.ip_network(cidr, strict=False):
                return True
        except ValueError:
            continue
    return False


def internal_addresses(node: Node) -> tuple[str, ...]:
    """A node's InternalIP addresses of version 4."""
    return tuple(
        entry.address for entry in node.status.addresses if entry.type == "InternalIP" and is_ipv4(entry.address)
    )


def jumps(options: Options) -> tuple[Jump, ...]:
    """The ways from the built-in chains into ours; of those put in front, the last one ends up first."""
    portals = Rule(names.SERVICES, "kubernetes service portals")
    portals_new = portals._replace(match=NEW)
    external_new = Rule(names.EXTERNAL_SERVICES, "kubernetes externally-visible service portals", match=NEW)
    guard_new = Rule(names.PROXY_FIREWALL, "kubernetes load balancer firewall", match=NEW)
    guard_local = Rule(names.LOCALHOST_FIREWALL)
    result = [
        Jump("filter", "INPUT", external_new),
        Jump("filter", "FORWARD", external_new),
        Jump("filter", "INPUT", Rule(names.NODE_PORTS, "kubernetes health check service ports")),
        Jump("filter", "FORWARD", portals_new),
        Jump("filter", "OUTPUT", portals_new),
        Jump("filter", "FORWARD", Rule(names.FORWARD, "kubernetes forwarding rules")),
        Jump("filter", "INPUT", guard_new),
        Jump("filter", "OUTPUT", guard_new),
        Jump("filter", "FORWARD", guard_new),
        Jump("filter", "INPUT", guard_local),
        Jump("filter", "OUTPUT", guard_local),
        Jump("nat", "OUTPUT", portals),
        Jump("nat", "PREROUTING", portals),
    ]
    if options.cluster_cidr:
        result.append(Jump("filter", "FORWARD", Rule(names.POD_NETWORK, "pod network between nodes"), last=True))
        if options.masquerade_egress:
            result.append(Jump("nat", "POSTROUTING", Rule(names.POD_NETWORK, "pod traffic out of the cluster")))
    result.append(Jump("nat", "POSTROUTING", Rule(names.POSTROUTING, "kubernetes postrouting rules")))
    return tuple(result)


def fixed_filter(options: Options) -> dict[str, tuple[Rule, ...]]:
    """Chains of the filter table that do not depend on Services."""
    chains = {
        names.CANARY: (Rule("RETURN", "gone when somebody flushed the rules"),),
        names.FORWARD: (
            # What conntrack cannot place must not reach a pod with an untranslated address.
            Rule(DROP, match="-m conntrack --ctstate INVALID"),
            Rule(
                "ACCEPT",
                "kubernetes forwarding rules",
                match=f"-m mark --mark {options.mark}/{options.mark}",
            ),
            Rule(
                "ACCEPT",
                "kubernetes forwarding conntrack rule",
                match="-m conntrack --ctstate RELATED,ESTABLISHED",
            ),
        ),
        # With node ports at 127.0.0.1 the kernel routes loopback addresses; neighbours must not reach them so.
        names.LOCALHOST_FIREWALL: (
            Rule(
                DROP,
                "block incoming localnet connections",
                not_source="127.0.0.0/8",
                destination="127.0.0.0/8",
                match="-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT",
            ),
        ),
    }
    if options.cluster_cidr:
        chains[names.POD_NETWORK] = (
            Rule("ACCEPT", "from pods", source=options.cluster_cidr),
            Rule("ACCEPT", "to pods", destination=options.cluster_cidr),
        )
    return chains


def fixed_nat(options: Options) -> dict[str, tuple[Rule, ...]]:
    """Chains of the nat table that do not depend on Services."""
    chains = {
        names.CANARY: (Rule("RETURN", "gone when somebody flushed the rules"),),
        names.MARK_MASQ: (Rule(f"MARK --or-mark {options.mark}"),),
        names.POSTROUTING: (
            Rule("RETURN", match=f"-m mark ! --mark {options.mark}/{options.mark}"),
            # Without the mark, a packet that is encapsulated and comes through here again is left alone.
            Rule(f"MARK --xor-mark {options.mark}"),
            Rule("MASQUERADE --random-fully", "kubernetes service traffic requiring SNAT"),
        ),
    }
    if options.cluster_cidr and options.masquerade_egress:
        chains[names.POD_NETWORK] = (
            Rule("RETURN", "pod to pod", source=options.cluster_cidr, destination=options.cluster_cidr),
            Rule("RETURN", "multicast", destination="224.0.0.0/4"),
            Rule("MASQUERADE --random-fully", "pod to the world", source=options.cluster_cidr),
        )
    return chains


@dataclass
class Compiler:
    """Compiles for one node.

    Attributes:
        options: what the operator chose.
    """

    options: Options
    _services: dict[tuple[str, str], tuple[Service, tuple[ServicePort, ...]]] = field(default_factory=dict)
    _slices: dict[tuple[str, str], tuple[EndpointSlice, list[tuple[ServicePortName, str, Endpoint]]]] = field(
        default_factory=dict
    )
    _portals: dict[tuple[ServicePortName, str], tuple[ServicePort, tuple[Endpoint, ...], Portal]] = field(
        default_factory=dict
    )
    _surroundings: tuple[Here, tuple[str, ...]] | None = None

    def compile(self, services: Iterable[Service], slices: Iterable[EndpointSlice], nodes: Iterable[Node]) -> Compiled:
        """The rule set for these objects. Objects must not be changed after they were passed in."""
        ports = self._read_services(services)
        endpoints = self._read_slices(slices)
        here, addresses = self._surround(nodes)

        portals: dict[tuple[ServicePortName, str], tuple[ServicePort, tuple[Endpoint, ...], Portal]] = {}
        for key in sorted(ports):
            port, candidates = ports[key], endpoints.get(key, ())
            known = self._portals.get(key)
            if known is None or known[0] != port or known[1] != candidates:
                known = (
                    port,
                    candidates,
                    portal(port, choose(port, candidates, here), self.options, addresses),
                )
            portals[key] = known
        self._portals = portals
        made = [entry[2] for entry in portals.values()]

        nat = fixed_nat(self.options)
        nat[names.SERVICES] = (*(rule for one in made for rule in one.services), *self._node_port_rules(addresses))
        nat[names.NODE_PORTS] = tuple(rule for one in made for rule in one.node_ports)
        for one in made:
            nat.update(one.chains)
        filtered = fixed_filter(self.options)
        filtered[names.SERVICES] = tuple(rule for one in made for rule in one.refused_inside)
        filtered[names.EXTERNAL_SERVICES] = tuple(rule for one in made for rule in one.refused_outside)
        filtered[names.PROXY_FIREWALL] = tuple(rule for one in made for rule in one.firewall)
        filtered[names.NODE_PORTS] = tuple(rule for one in made for rule in one.health_check)
        return Compiled(
            RuleSet(filter=filtered, nat=nat, jumps=jumps(self.options)),
            ports,
            {key: entry[2].endpoints for key, entry in portals.items()},
            health_of(portals.values()),
        )

    def _node_port_rules(self, addresses: tuple[str, ...]) -> list[Rule]:
        """The end of KUBE-SERVICES: what goes to this node itself may be for a node port."""
        comment = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
        rule = Rule(names.NODE_PORTS, comment, match=LOCAL_DESTINATION)
        chosen = self.options.node_port_addresses
        if chosen:
            networks = [*(cidr for cidr in chosen if cidr != "primary"), *(addresses if "primary" in chosen else ())]
            return [rule._replace(destination=network) for network in networks]
        return [rule if self.options.localhost_node_ports else rule._replace(not_destination="127.0.0.0/8")]

    def _read_services(self, services: Iterable[Service]) -> dict[tuple[ServicePortName, str], ServicePort]:
        seen: dict[tuple[str, str], tuple[Service, tuple[ServicePort, ...]]] = {}
        ports: dict[tuple[ServicePortName, str], ServicePort] = {}
        for service in services:
            key = (service.metadata.namespace, service.metadata.name)
            known = self._services.get(key)
            if known is None or known[0] is not service:
                known = (service, tuple(service_ports(service)))
            seen[key] = known
            for port in known[1]:
                ports[port.name, port.protocol] = port
        self._services = seen
        return ports

    def _read_slices(self, slices: Iterable[EndpointSlice]) -> dict[tuple[ServicePortName, str], tuple[Endpoint, ...]]:
        seen: dict[tuple[str, str], tuple[EndpointSlice, list[tuple[ServicePortName, str, Endpoint]]]] = {}
        for piece in slices:
            key = (piece.metadata.namespace, piece.metadata.name)
            known = self._slices.get(key)
            if known is None or known[0] is not piece:
                known = (piece, read_slice(piece))
            seen[key] = known
        self._slices = seen
        return merge(entry[1] for entry in seen.values())

    def _surround(self, nodes: Iterable[Node]) -> tuple[Here, tuple[str, ...]]:
        own = next((node for node in nodes if node.metadata.name == self.options.node_name), None)
        here = Here(self.options.node_name, own.metadata.labels.get(ZONE_LABEL, "") if own else "")
        surroundings = (here, internal_addresses(own) if own else ())
        if surroundings != self._surroundings:
            self._portals.clear()
            self._surroundings = surroundings
        return surroundings
