"""Rules of Ingresses, NetworkPolicies and Endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.kinds.table import GONE, Changes, created, refused, refused_update

NETWORKING = "networking.k8s.io/v1"
PATH = "spec/rules/0/http/paths/0"
SHOWN = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec": {}}, ["spec"]),
        ({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}, []),
        ({"spec/defaultBackend": {}}, ["spec.defaultBackend"]),
        ({"spec/defaultBackend/service": {"name": "s", "port": {"number": 1}}}, ["spec.defaultBackend"]),
        ({"spec/defaultBackend/resource/kind": ""}, ["spec.defaultBackend.resource.kind"]),
        ({"spec/tls/0/hosts/1": "*.*.example.org"}, ["spec.tls[0].hosts[1]"]),
        ({"spec/tls/0/secretName": "A b"}, ["spec.tls[0].secretName"]),
        ({"spec/rules/0/host": "192.0.2.1"}, ["spec.rules[0].host"]),
        ({"spec/rules/0/host": "Example.org"}, ["spec.rules[0].host"]),
        ({"spec/rules/0/host": "*"}, ["spec.rules[0].host"]),
        ({"spec/rules/0/host": "example.org:80"}, ["spec.rules[0].host"]),
        ({"spec/rules/0/http/paths": []}, ["spec.rules[0].http.paths"]),
        ({"spec/rules/0/http": GONE}, []),
        ({f"{PATH}/pathType": GONE}, [f"{SHOWN}.pathType"]),
        ({f"{PATH}/pathType": "Regex"}, [f"{SHOWN}.pathType"]),
        ({f"{PATH}/path": "api"}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": ""}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": "/a//b"}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": "/a/../b"}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": "/a/.."}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": "/a%2Fb"}, [f"{SHOWN}.path"]),
        ({f"{PATH}/path": "/a//b", f"{PATH}/pathType": "ImplementationSpecific"}, []),
        ({f"{PATH}/backend/service/name": "9"}, [f"{SHOWN}.backend.service.name"]),
        ({f"{PATH}/backend/service/port": {}}, [f"{SHOWN}.backend.service.port"]),
        ({f"{PATH}/backend/service/port": {"name": "a", "number": 1}}, [f"{SHOWN}.backend.service.port"]),
        ({f"{PATH}/backend/service/port": {"number": 65536}}, [f"{SHOWN}.backend.service.port.number"]),
        ({f"{PATH}/backend/service/port": {"name": "A"}}, [f"{SHOWN}.backend.service.port.name"]),
        ({"spec/ingressClassName": "A b"}, ["spec.ingressClassName"]),
        (
            {"metadata/annotations": {"kubernetes.io/ingress.class": "edge"}},
            ["metadata.annotations[kubernetes.io/ingress.class]"],
        ),
    ],
)
def test_ingresses(changes: Changes, fields: list[str]) -> None:
    assert refused(created(NETWORKING, "Ingress", changes)) == fields


def test_an_old_ingress_may_have_both_names_of_its_class() -> None:
    made = created(NETWORKING, "Ingress", {"metadata/annotations": {"kubernetes.io/ingress.class": "edge"}})
    assert refused_update(made, {"spec/rules/0/host": "example.net"}) == []


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec/controller": ""}, ["spec.controller"]),
        ({"spec/controller": "edge"}, ["spec.controller"]),
        ({"spec/controller": "example.org/" + "x" * 250}, ["spec.controller"]),
        ({"spec/parameters": GONE}, []),
        ({"spec/parameters/kind": "", "spec/parameters/name": ""}, ["spec.parameters.kind", "spec.parameters.name"]),
        ({"spec/parameters/scope": "Galaxy"}, ["spec.parameters.scope"]),
        ({"spec/parameters/namespace": GONE}, ["spec.parameters.namespace"]),
        ({"spec/parameters/scope": GONE}, ["spec.parameters.namespace"]),
        ({"spec/parameters/scope": GONE, "spec/parameters/namespace": GONE}, []),
    ],
)
def test_ingress_classes(changes: Changes, fields: list[str]) -> None:
    assert refused(created(NETWORKING, "IngressClass", changes)) == fields


def test_the_controller_of_a_class_stays() -> None:
    made = created(NETWORKING, "IngressClass")
    assert refused_update(made, {"spec/parameters/name": "other"}) == []
    assert refused_update(made, {"spec/controller": "example.org/other"}) == ["spec.controller"]


FROM = "spec/ingress/0/from"
PORTS = "spec/ingress/0/ports"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"spec": {}}, []),
        ({"spec/podSelector/matchLabels": {"a b": "c"}}, ["spec.podSelector.matchLabels"]),
        ({"spec/policyTypes": ["Sideways"]}, ["spec.policyTypes[0]"]),
        ({"spec/policyTypes": ["Ingress", "Egress", "Egress"]}, ["spec.policyTypes"]),
        ({f"{FROM}/0": {}}, ["spec.ingress[0].from[0]"]),
        ({f"{FROM}/1/podSelector": {}}, ["spec.ingress[0].from[1].ipBlock"]),
        ({f"{FROM}/1/ipBlock": {"cidr": "192.0.2.1"}}, ["spec.ingress[0].from[1].ipBlock.cidr"]),
        ({f"{FROM}/1/ipBlock": {"cidr": ""}}, ["spec.ingress[0].from[1].ipBlock.cidr"]),
        ({f"{FROM}/1/ipBlock/except": ["198.51.100.0/28"]}, ["spec.ingress[0].from[1].ipBlock.except[0]"]),
        ({f"{FROM}/1/ipBlock/except": ["192.0.2.0/24"]}, ["spec.ingress[0].from[1].ipBlock.except[0]"]),
        ({f"{FROM}/1/ipBlock/except": ["2001:db8::/64"]}, ["spec.ingress[0].from[1].ipBlock.except[0]"]),
        ({f"{FROM}/1/ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}, []),
        ({f"{PORTS}/0/protocol": "ICMP"}, ["spec.ingress[0].ports[0].protocol"]),
        ({f"{PORTS}/0/port": 0}, ["spec.ingress[0].ports[0].port"]),
        ({f"{PORTS}/0/port": "No Name"}, ["spec.ingress[0].ports[0].port"]),
        ({f"{PORTS}/0/endPort": 9}, ["spec.ingress[0].ports[0].endPort"]),
        ({f"{PORTS}/1/port": GONE}, ["spec.ingress[0].ports[1].endPort"]),
        ({f"{PORTS}/1/endPort": 6999}, ["spec.ingress[0].ports[1].endPort"]),
        ({f"{PORTS}/1/endPort": 70000}, ["spec.ingress[0].ports[1].endPort"]),
    ],
)
def test_network_policies(changes: Changes, fields: list[str]) -> None:
    assert refused(created(NETWORKING, "NetworkPolicy", changes)) == fields


def test_what_a_network_policy_says_nothing_about() -> None:
    assert list(created(NETWORKING, "NetworkPolicy", {"spec": {}}).spec.policy_types) == ["Ingress"]
    both = created(NETWORKING, "NetworkPolicy", {"spec/policyTypes": GONE})
    assert list(both.spec.policy_types) == ["Ingress", "Egress"]
    assert both.spec.ingress[0].ports[0].protocol == "TCP"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"subsets/0": {"ports": [{"port": 1}]}}, ["subsets[0]"]),
        ({"subsets/0/addresses/0/ip": "here"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "127.0.0.1"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "169.254.1.1"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "0.0.0.0"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "224.0.0.5"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "::1"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/ip": "224.1.2.3"}, []),
        ({"subsets/0/addresses/0/ip": "2001:db8::1%eth0"}, ["subsets[0].addresses[0].ip"]),
        ({"subsets/0/addresses/0/hostname": "a.b"}, ["subsets[0].addresses[0].hostname"]),
        ({"subsets/0/addresses/0/nodeName": "A b"}, ["subsets[0].addresses[0].nodeName"]),
        ({"subsets/0/notReadyAddresses/0/ip": "::"}, ["subsets[0].notReadyAddresses[0].ip"]),
        ({"subsets/0/ports/0/name": ""}, ["subsets[0].ports[0].name"]),
        ({"subsets/0/ports": [{"port": 80}]}, []),
        ({"subsets/0/ports/0/port": 0}, ["subsets[0].ports[0].port"]),
        ({"subsets/0/ports/1/protocol": "ICMP"}, ["subsets[0].ports[1].protocol"]),
        ({"subsets/0/ports/0/appProtocol": "a b"}, ["subsets[0].ports[0].appProtocol"]),
    ],
)
def test_endpoints(changes: Changes, fields: list[str]) -> None:
    assert refused(created("v1", "Endpoints", changes)) == fields


def test_a_port_of_endpoints_is_one_of_tcp() -> None:
    made: Any = created("v1", "Endpoints")
    assert [port.protocol for port in made.subsets[0].ports] == ["TCP", "UDP"]
