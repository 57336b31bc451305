"""What the compiler makes of Services: golden scenarios, and what must hold of any rule set."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Node, Service
from steersman.discovery.v1 import EndpointSlice
from steersman.manifests import codec

from netproxy import names, transaction
from netproxy.compiler import Compiled, Compiler, Options
from netproxy.rules import TABLES
from netproxy.transaction import Found
from tests.netproxy.objects import service, slice_of

GOLDEN = Path(__file__).parent / "golden"


def compile_scenario(text: str) -> Compiled:
    options = Options(node_name="n1")
    objects = []
    for document in yaml.safe_load_all(text):
        if document["kind"] == "Options":
            document.pop("kind")
            options = Options(**document)
        else:
            objects.append(codec.decode_object(document))

    def of(kind: type) -> list:
        return [obj for obj in objects if isinstance(obj, kind)]

    return Compiler(options).compile(of(Service), of(EndpointSlice), of(Node))


@pytest.mark.parametrize("scenario", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_scenario(scenario: str) -> None:
    actual = str(compile_scenario((GOLDEN / f"{scenario}.yaml").read_text()).rules)
    expected = GOLDEN / f"{scenario}.rules"
    if os.environ.get("STEER_REWRITE"):
        expected.write_text(actual)
    assert actual == expected.read_text()


def test_chain_names_are_those_of_kube_proxy() -> None:
    assert names.digest("ns1/svc1:p80", "tcp") == "XPGD46QRK7WJZT7O"
    assert names.digest("ns1/svc1:p80", "tcp", "10.180.0.1:80") == "SXIVWICOYRO3J4NJ"


CLUSTERS = st.lists(
    st.tuples(
        st.sampled_from(["TCP", "UDP", "SCTP"]),
        st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        st.sampled_from(["Cluster", "Local"]),
        st.sampled_from(["Cluster", "Local"]),
        st.sampled_from(["None", "ClientIP"]),
        st.lists(
            st.tuples(st.integers(1, 250), st.sampled_from(["n1", "n2"]), st.booleans(), st.booleans()), max_size=4
        ),
        st.booleans(),
    ),
    max_size=5,
)


def build(cluster: list) -> tuple[list[Service], list[EndpointSlice]]:
    services, slices = [], []
    for number, (protocol, kind, external, internal, affinity, endpoints, guarded) in enumerate(cluster):
        name = f"s{number}"
        services.append(
            service(
                name,
                f"10.96.1.{number + 1}",
                80,
                protocol=protocol,
                type=kind,
                node_port=0 if kind == "ClusterIP" else 30000 + number,
                external_traffic_policy=external,
                internal_traffic_policy=internal,
                session_affinity=affinity,
                load_balancer_source_ranges=["192.0.2.0/24"] if guarded else [],
                ingress=["203.0.113.9"] if kind == "LoadBalancer" else [],
            )
        )
        piece = slice_of(name, [], 8080, protocol=protocol)
        for host, node, ready, terminating in endpoints:
            endpoint = piece.endpoints.add(addresses=[f"10.244.1.{host}"], node_name=node)
            endpoint.conditions.ready = ready
            endpoint.conditions.serving = True
            endpoint.conditions.terminating = terminating
        slices.append(piece)
    return services, slices


@settings(deadline=None)
@given(CLUSTERS)
def test_every_jump_leads_to_a_chain_that_exists_and_every_chain_is_reached(cluster: list) -> None:
    compiled = Compiler(Options("n1", "10.244.0.0/16")).compile(*build(cluster), [])
    for table in TABLES:
        chains = compiled.rules.table(table)
        targets = {rule.target for rules in chains.values() for rule in rules}
        targets |= {jump.rule.target for jump in compiled.rules.jumps if jump.table == table}
        assert {target for target in targets if target.startswith("KUBE-")} - chains.keys() == set()
        assert chains.keys() - targets <= {names.CANARY, names.MARK_MASQ, names.NODE_PORTS}
        assert all(len(chain) <= 28 for chain in chains)


@settings(deadline=None)
@given(CLUSTERS, CLUSTERS)
def test_a_change_leads_to_the_same_rules_as_starting_afresh(before: list, after: list) -> None:
    options = Options("n1", "10.244.0.0/16")
    compiler = Compiler(options)
    first = compiler.compile(*build(before), [])
    second = compiler.compile(*build(after), [])
    assert second.rules == Compiler(options).compile(*build(after), []).rules
    replayed = apply(str(first.rules), {})
    assert apply(transaction.difference(second.rules, first.rules), replayed) == apply(str(second.rules), {})


@settings(deadline=None)
@given(CLUSTERS, CLUSTERS)
def test_taking_over_from_any_earlier_rules_leaves_nothing_of_them(before: list, after: list) -> None:
    options = Options("n1", "10.244.0.0/16")
    old = Compiler(options).compile(*build(before), []).rules
    new = Compiler(options).compile(*build(after), []).rules
    found = {
        table: Found(
            {chain: len(rules) for chain, rules in old.table(table).items()},
            frozenset((jump.chain, jump.rule.target) for jump in old.jumps if jump.table == table),
        )
        for table in TABLES
    }
    assert apply(transaction.complete(new, found), apply(str(old), {})) == apply(str(new), {})


def apply(text: str, state: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """What iptables-restore --noflush does to our chains, checking what the kernel checks."""
    result = {table: {chain: list(rules) for chain, rules in chains.items()} for table, chains in state.items()}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = result.setdefault(
                line[1:], {"INPUT": [], "FORWARD": [], "OUTPUT": [], "PREROUTING": [], "POSTROUTING": []}
            )
        elif line.startswith(":"):
            chains[line[1:].split()[0]] = []
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains[chain].append(rule)
        elif line.startswith("-I "):
            _, chain, rule = line.split(" ", 2)
            chains[chain].insert(0, rule)
        elif line.startswith("-X "):
            assert not chains[line[3:]], "a chain with rules cannot be deleted"
            del chains[line[3:]]
        elif line == "COMMIT":
            targets = {
                target for rules in chains.values() for rule in rules for target in re.findall(r"-j (KUBE-\S+)", rule)
            }
            assert targets <= chains.keys(), "a jump leads nowhere"
    return {table: chains for table, chains in result.items() if any(chains.values())}


def test_thousands_of_services_compile_within_a_second() -> None:
    services = [service(f"s{n}", f"10.{96 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}", 80) for n in range(5000)]
    slices = [
        slice_of(f"s{n}", [f"10.244.{n // 250}.{n % 250 + 1}", f"10.245.{n // 250}.{n % 250 + 1}"], 8080)
        for n in range(5000)
    ]
    compiler = Compiler(Options("n1", "10.244.0.0/16"))
    started = time.process_time()
    first = compiler.compile(services, slices, [])
    assert time.process_time() - started < 5, "an order of magnitude over what it takes"
    assert len(first.rules.nat) > 15_000
    services[7] = service("s7", "10.96.0.8", 81)
    second = compiler.compile(services, slices, [])
    changed = transaction.difference(second.rules, first.rules)
    assert len([line for line in changed.splitlines() if line.startswith(":")]) == 2, "KUBE-SERVICES and one KUBE-SVC"
