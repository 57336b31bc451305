"""Routes to other nodes' pods."""

from __future__ import annotations

from netproxy.routes import PROTOCOL, Route, batch, wanted
from tests.netproxy.objects import node

ONE, TWO = Route("10.244.1.0/24", "192.0.2.11"), Route("10.244.2.0/24", "192.0.2.12")


def test_one_route_for_each_other_node_that_has_pods_and_an_address() -> None:
    nodes = [
        node("n1", "192.0.2.11", "10.244.1.0/24"),
        node("n2", "192.0.2.12", "10.244.2.0/24"),
        node("no-network-yet", "192.0.2.13", ""),
        node("no-address-yet", "", "10.244.4.0/24"),
        node("nonsense", "192.0.2.15", "10.244.5.0/99"),
    ]
    assert wanted(nodes, "n1") == {TWO}


def test_two_networks_and_the_first_ipv4_address_count() -> None:
    both = node("n2", "fd00::2", "")
    both.status.addresses.add(type="InternalIP", address="192.0.2.12")
    both.spec.pod_cidrs.extend(["10.244.2.0/24", "fd00:2::/64"])
    assert wanted([both], "n1") == {TWO}


def test_of_two_nodes_that_claim_one_network_the_elder_has_it() -> None:
    elder, younger = node("b", "192.0.2.12", "10.244.2.0/24"), node("a", "192.0.2.13", "10.244.2.0/24")
    elder.metadata.creation_timestamp.seconds, younger.metadata.creation_timestamp.seconds = 1, 2
    assert wanted([younger, elder], "n1") == {TWO}
    assert wanted([younger, elder], "b") == set(), "this node's own network is never routed away"


def test_only_what_differs_is_changed() -> None:
    moved = Route(TWO.destination, "192.0.2.99")
    assert batch(frozenset({ONE, TWO}), frozenset({ONE, TWO})) == []
    assert batch(frozenset({moved}), frozenset({ONE, TWO})) == [
        f"route replace 10.244.2.0/24 via 192.0.2.99 proto {PROTOCOL}",
        f"route del 10.244.1.0/24 via 192.0.2.11 proto {PROTOCOL}",
    ]
