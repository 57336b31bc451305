"""Which UDP flows are forgotten."""

from __future__ import annotations

from netproxy.conntrack import Flows, stale, stale_in
from netproxy.endpoints import Endpoint
from netproxy.names import ServicePortName
from netproxy.services import ServicePort

NAME = ServicePortName("default", "dns", "")
KEY = (NAME, "udp")
PORT = ServicePort(NAME, "udp", "10.96.0.10", 53, node_port=30053)
A, B = Endpoint("10.244.1.5", 5353), Endpoint("10.244.1.6", 5353)


def test_flows_to_an_endpoint_that_went() -> None:
    assert stale({KEY: PORT}, {KEY: (A, B)}, {KEY: PORT}, {KEY: (B,)}) == [
        Flows("10.96.0.10", 53, "10.244.1.5"),
        Flows("", 30053, "10.244.1.5"),
    ]


def test_flows_that_went_nowhere_before_the_first_endpoint() -> None:
    assert stale({KEY: PORT}, {}, {KEY: PORT}, {KEY: (A,)}) == [Flows("10.96.0.10", 53), Flows("", 30053)]


def test_flows_of_a_service_that_went() -> None:
    assert Flows("10.96.0.10", 53, "10.244.1.5") in stale({KEY: PORT}, {KEY: (A,)}, {}, {})


def test_tcp_and_endpoints_that_stay_are_left_alone() -> None:
    tcp = ServicePort(NAME, "tcp", "10.96.0.10", 53)
    assert stale({(NAME, "tcp"): tcp}, {(NAME, "tcp"): (A,)}, {}, {}) == []
    assert stale({KEY: PORT}, {KEY: (A,)}, {KEY: PORT}, {KEY: (A, B)}) == []


def test_arguments_select_what_is_meant() -> None:
    words = " ".join(Flows("10.96.0.10", 53, "10.244.1.5").arguments())
    assert words == "-p udp --orig-dst 10.96.0.10 --orig-port-dst 53 --dst-nat 10.244.1.5"


LISTING = """\
udp 17 29 src=10.244.1.7 dst=10.96.0.10 sport=4444 dport=53 src=10.244.1.5 dst=10.244.1.7 sport=5353 dport=4444
udp 17 29 src=10.244.1.8 dst=10.96.0.10 sport=4445 dport=53 src=10.244.1.6 dst=10.244.1.8 sport=5353 dport=4445
udp 17 9 src=10.244.1.9 dst=10.96.0.10 sport=4446 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.244.1.9 sport=53 dport=4446
udp 17 9 src=10.244.1.9 dst=8.8.8.8 sport=4446 dport=53 src=8.8.8.8 dst=10.244.1.9 sport=53 dport=4446 [ASSURED]
"""


def test_what_changed_before_the_start_is_found_in_the_kernel() -> None:
    assert stale_in(LISTING, {KEY: PORT}, {KEY: (A,)}) == [
        Flows("10.96.0.10", 53, "10.244.1.6"),
        Flows("10.96.0.10", 53),
    ]
    assert stale_in(LISTING, {}, {}) == []
