"""Rules about a node itself: nodeunschedulable, nodename, tainttoleration, nodeaffinity, nodeports, imagelocality."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.plugins.image_locality import ImageLocality
from scheduler.plugins.node_affinity import NodeAffinity
from scheduler.plugins.node_name import NodeName
from scheduler.plugins.node_ports import NodePorts
from scheduler.plugins.node_unschedulable import NodeUnschedulable
from scheduler.plugins.taint_toleration import TaintToleration
from scheduler.terms import NodeTerm
from tests.scheduler.objects import node, pod
from tests.scheduler.parity.harness import Case

REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


# NodeUnschedulable.


@pytest.mark.parametrize(
    ("cordoned", "tolerations", "suits"),
    [
        (True, [], False),
        (False, [], True),
        (True, [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "operator": "Exists"}], True),
        (True, [{"operator": "Exists"}], True),
        (True, [{"key": "node.kubernetes.io/unschedulable", "effect": "NoExecute", "operator": "Exists"}], False),
    ],
)
def test_cordoned(cordoned: bool, tolerations: list[Any], suits: bool) -> None:
    case = Case(NodeUnschedulable, [node("n1", unschedulable=cordoned)])
    assert bool(case.suited(pod(tolerations=tolerations))) is suits


# NodeName.


@pytest.mark.parametrize(("named", "suits"), [("", True), ("foo", True), ("bar", False)])
def test_named(named: str, suits: bool) -> None:
    case = Case(NodeName, [node("foo")])
    template = replace(case.reader.read(pod()).template, node_name=named)
    codes = case.plugin.filter(template, case.cluster, slice(0, 1))
    assert (codes is None or not codes.any()) is suits


# TaintToleration.


def taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, "value": value, "effect": effect}


def tolerated(key: str = "", value: str = "", effect: str = "", operator: str = "") -> dict[str, str]:
    given = {"key": key, "value": value, "effect": effect, "operator": operator}
    return {name: text for name, text in given.items() if text}


HARD, SOFT = "NoSchedule", "PreferNoSchedule"
TAINTS: list[tuple[list[dict[str, str]], list[dict[str, str]], str]] = [
    ([], [taint("dedicated", "user1", HARD)], "{dedicated: user1}"),
    ([tolerated("dedicated", "user1", HARD)], [taint("dedicated", "user1", HARD)], ""),
    ([tolerated("dedicated", "user2", HARD, "Equal")], [taint("dedicated", "user1", HARD)], "{dedicated: user1}"),
    ([tolerated("foo", "", HARD, "Exists")], [taint("foo", "bar", HARD)], ""),
    (
        [tolerated("dedicated", "user2", HARD, "Equal"), tolerated("foo", "", HARD, "Exists")],
        [taint("dedicated", "user2", HARD), taint("foo", "bar", HARD)],
        "",
    ),
    ([tolerated("foo", "bar", SOFT, "Equal")], [taint("foo", "bar", HARD)], "{foo: bar}"),
    ([tolerated("foo", "bar", "", "Equal")], [taint("foo", "bar", HARD)], ""),
    ([tolerated("dedicated", "user2", HARD, "Equal")], [taint("dedicated", "user1", SOFT)], ""),
    ([], [taint("dedicated", "user1", SOFT)], ""),
    ([tolerated("level", "950", HARD, "Gt")], [taint("level", "800", HARD)], "{level: 800}"),
    ([tolerated("sla", "750", HARD, "Gt")], [taint("sla", "950", HARD)], ""),
    ([tolerated("level", "800", HARD, "Lt")], [taint("level", "950", HARD)], "{level: 950}"),
    ([tolerated("level", "950", HARD, "Lt")], [taint("level", "800", HARD)], ""),
    ([tolerated("level", "950", HARD, "Gt")], [taint("level", "high", HARD)], "{level: high}"),
    ([tolerated(operator="Exists")], [taint("any", "thing", "NoExecute")], ""),
]


@pytest.mark.parametrize(("tolerations", "taints", "refused"), TAINTS)
def test_taints(tolerations: list[Any], taints: list[Any], refused: str) -> None:
    case = Case(TaintToleration, [node("n1", taints=taints)])
    incoming = pod(tolerations=tolerations)
    assert case.refusals(incoming)["n1"] == (f"node(s) had untolerated taint {refused}" if refused else "")
    if refused:
        assert not case.resolvable(incoming)


CPU, DISK = taint("cpu-type", "arm64", SOFT), taint("disk-type", "ssd", SOFT)
TAINT_SCORES: list[tuple[list[Any], list[list[Any]], list[int]]] = [
    ([tolerated("foo", "bar", SOFT, "Equal")], [[taint("foo", "bar", SOFT)], [taint("foo", "blah", SOFT)]], [100, 0]),
    (
        [tolerated("cpu-type", "arm64", SOFT, "Equal"), tolerated("disk-type", "ssd", SOFT, "Equal")],
        [[], [CPU], [CPU, DISK]],
        [100, 100, 100],
    ),
    ([tolerated("foo", "bar", SOFT, "Equal")], [[], [CPU], [CPU, DISK]], [100, 50, 0]),
    (
        [tolerated("cpu-type", "arm64", HARD, "Equal"), tolerated("disk-type", "ssd", HARD, "Equal")],
        [[], [taint("cpu-type", "arm64", HARD)], [CPU, DISK]],
        [100, 100, 0],
    ),
    ([], [[], [CPU]], [100, 0]),
    ([tolerated("sla", "950", SOFT, "Gt")], [[taint("sla", "800", SOFT)], [taint("sla", "999", SOFT)]], [0, 100]),
    ([tolerated("sla", "800", SOFT, "Lt")], [[taint("sla", "950", SOFT)], [taint("sla", "700", SOFT)]], [0, 100]),
    ([tolerated("sla", "950", SOFT, "Gt")], [[], [taint("sla", "high", SOFT)]], [100, 0]),
]


@pytest.mark.parametrize(("tolerations", "taints", "expected"), TAINT_SCORES)
def test_taint_scores(tolerations: list[Any], taints: list[list[Any]], expected: list[int]) -> None:
    case = Case(TaintToleration, [node(f"n{number}", taints=some) for number, some in enumerate(taints)])
    assert list(case.scores(pod(tolerations=tolerations)).values()) == expected


# NodeAffinity.


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def requiring(*alternatives: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(alternatives)}}}}


def labelled(*expressions: dict[str, Any]) -> dict[str, Any]:
    return {"matchExpressions": list(expressions)}


def called(*expressions: dict[str, Any]) -> dict[str, Any]:
    return {"matchFields": list(expressions)}


NAME = "metadata.name"
# (pod, labels of the node n1, whether it suits)
AFFINITY: list[tuple[dict[str, Any], dict[str, str], bool]] = [
    ({}, {}, True),
    ({"nodeSelector": {"foo": "bar"}}, {}, False),
    ({"nodeSelector": {"foo": "bar"}}, {"foo": "bar"}, True),
    ({"nodeSelector": {"foo": "bar"}}, {"foo": "bar", "baz": "blah"}, True),
    ({"nodeSelector": {"foo": "bar", "baz": "blah"}}, {"foo": "bar"}, False),
    (requiring(labelled(expression("foo", "In", "bar", "value2"))), {"foo": "bar"}, True),
    (requiring(labelled(expression("kernel-version", "Gt", "0204"))), {"kernel-version": "0206"}, True),
    (requiring(labelled(expression("kernel-version", "Lt", "0204"))), {"kernel-version": "0206"}, False),
    (requiring(labelled(expression("mem-type", "NotIn", "DDR", "DDR2"))), {"mem-type": "DDR3"}, True),
    (requiring(labelled(expression("GPU", "Exists"))), {"GPU": "NVIDIA-GRID-K1"}, True),
    (requiring(labelled(expression("foo", "In", "value1", "value2"))), {"foo": "bar"}, False),
    (requiring(), {"foo": "bar"}, False),
    (requiring({}), {"foo": "bar"}, False),
    ({"affinity": {}}, {"foo": "bar"}, True),
    ({"affinity": {"nodeAffinity": {}}}, {"foo": "bar"}, True),
    (
        requiring(labelled(expression("GPU", "Exists"), expression("GPU", "NotIn", "AMD", "INTER"))),
        {"GPU": "NVIDIA-GRID-K1"},
        True,
    ),
    (
        requiring(labelled(expression("GPU", "Exists"), expression("GPU", "In", "AMD", "INTER"))),
        {"GPU": "NVIDIA-GRID-K1"},
        False,
    ),
    (
        requiring(labelled(expression("foo", "In", "bar", "value2")), labelled(expression("diffkey", "In", "wrong"))),
        {"foo": "bar"},
        True,
    ),
    (
        {**requiring(labelled(expression("foo", "Exists"))), "nodeSelector": {"foo": "bar"}},
        {"foo": "bar"},
        True,
    ),
    (
        {**requiring(labelled(expression("foo", "Exists"))), "nodeSelector": {"foo": "bar"}},
        {"foo": "barrrrrr"},
        False,
    ),
    (requiring(labelled(expression("foo", "NotIn", "invalid value: ___@#$%^"))), {"foo": "bar"}, False),
    (requiring(called(expression(NAME, "In", "n1"))), {}, True),
    (requiring(called(expression(NAME, "In", "n2"))), {}, False),
    (requiring(called(expression(NAME, "In", "n2")), labelled(expression("foo", "In", "bar"))), {"foo": "bar"}, True),
    (
        requiring({**called(expression(NAME, "In", "n1")), **labelled(expression("foo", "In", "bar"))}),
        {},
        False,
    ),
    (
        requiring({**called(expression(NAME, "In", "n1")), **labelled(expression("foo", "In", "bar"))}),
        {"foo": "bar"},
        True,
    ),
    (
        requiring(called(expression(NAME, "In", "n2")), labelled(expression("foo", "In", "not-bar"))),
        {"foo": "bar"},
        False,
    ),
    (requiring(called(expression(NAME, "NotIn", "n1"))), {}, False),
    (requiring(labelled(expression("foo", "DoesNotExist"))), {}, True),
    (requiring(labelled(expression("foo", "DoesNotExist"))), {"foo": ""}, False),
    (requiring(labelled(expression("foo", "Gt", "1"))), {"foo": "many"}, False),
]


@pytest.mark.parametrize(("spec", "labels", "suits"), AFFINITY)
def test_affinity(spec: dict[str, Any], labels: dict[str, str], suits: bool) -> None:
    case = Case(NodeAffinity, [node("n1", labels=labels)])
    incoming = pod(**spec)
    assert bool(case.suited(incoming)) is suits
    if not suits:
        assert case.refusals(incoming)["n1"] == "node(s) didn't match Pod's node affinity/selector"
        assert not case.resolvable(incoming)
    few = case.plugin.candidates(case.reader.read(incoming).template, case.cluster)
    assert few is None or not suits or 0 in few, "candidates leave out nothing that suits"


def test_affinity_that_the_operator_adds() -> None:
    case = Case(NodeAffinity, [node("n1", labels={"zone": "foo"}), node("n2")], added=())
    added = case.reader.read(pod(**requiring(labelled(expression("zone", "In", "foo"))))).template.required_nodes
    assert added == (NodeTerm(added[0].labels),) if added else False
    case = Case(NodeAffinity, [node("n1", labels={"zone": "foo"}), node("n2")], added=added)
    assert case.refusals(pod()) == {"n1": "", "n2": "node(s) didn't match scheduler-enforced node affinity"}
    assert case.suited(pod(nodeSelector={"zone": "foo"})) == {"n1"}


def preferring(*weighted: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    preferences = [{"weight": weight, "preference": preference} for weight, preference in weighted]
    return {"affinity": {"nodeAffinity": {PREFERRED: preferences}}}


L1, L2, L3 = {"foo": "bar"}, {"key": "value"}, {"az": "az1"}
LIKES_FOO = (2, labelled(expression("foo", "In", "bar")))
LIKES_ALL = (
    (2, LIKES_FOO[1]),
    (4, labelled(expression("key", "In", "value"))),
    (5, labelled(expression("foo", "In", "bar"), expression("key", "In", "value"), expression("az", "In", "az1"))),
)
AFFINITY_SCORES: list[tuple[dict[str, Any], list[dict[str, str]], list[int]]] = [
    ({}, [L1, L2, L3], [0, 0, 0]),
    (preferring(LIKES_FOO), [{}, L2, L3], [0, 0, 0]),
    (preferring(LIKES_FOO), [L1, L2, L3], [100, 0, 0]),
    (preferring(*LIKES_ALL), [L1, {**L1, **L2, **L3}, L2], [18, 100, 36]),
    (preferring((0, labelled(expression("foo", "In", "bar")))), [L1, L2], [0, 0]),
    (preferring((10, {})), [L1, L2], [0, 0]),
]


@pytest.mark.parametrize(("spec", "labels", "expected"), AFFINITY_SCORES)
def test_affinity_scores(spec: dict[str, Any], labels: list[dict[str, str]], expected: list[int]) -> None:
    case = Case(NodeAffinity, [node(f"n{number}", labels=some) for number, some in enumerate(labels)])
    assert list(case.scores(pod(**spec)).values()) == expected


# NodePorts.


def using(*ports: str, on: str = "") -> Any:
    """A pod with host ports such as "UDP/127.0.0.1/8080"."""
    listed = []
    for port in ports:
        protocol, address, number = port.split("/")
        listed.append({"containerPort": int(number), "hostPort": int(number), "hostIP": address, "protocol": protocol})
    return pod(on=on, containers=[{"name": "c", "ports": listed}])


PORTS: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = [
    ((), (), True),
    (("UDP/127.0.0.1/8080",), ("UDP/127.0.0.1/9090",), True),
    (("UDP/127.0.0.1/8080",), ("UDP/127.0.0.1/8080",), False),
    (("TCP/127.0.0.1/8080",), ("TCP/127.0.0.1/8080",), False),
    (("TCP/127.0.0.1/8080",), ("TCP/127.0.0.2/8080",), True),
    (("UDP/127.0.0.1/8080",), ("TCP/127.0.0.1/8080",), True),
    (("UDP/127.0.0.1/8000", "UDP/127.0.0.1/8080"), ("UDP/127.0.0.1/8080",), False),
    (("TCP/127.0.0.1/8001", "UDP/127.0.0.1/8080"), ("TCP/127.0.0.1/8001", "UDP/127.0.0.1/8081"), False),
    (("TCP/0.0.0.0/8001",), ("TCP/127.0.0.1/8001",), False),
    (("TCP/10.0.10.10/8001", "TCP/0.0.0.0/8001"), ("TCP/127.0.0.1/8001",), False),
    (("TCP/127.0.0.1/8001",), ("TCP/0.0.0.0/8001",), False),
    (("UDP/127.0.0.1/8001",), ("TCP/0.0.0.0/8001",), True),
    (("UDP/127.0.0.1/8001",), ("TCP/0.0.0.0/8001", "UDP/0.0.0.0/8001"), False),
]


@pytest.mark.parametrize(("wanted", "taken", "suits"), PORTS)
def test_ports(wanted: tuple[str, ...], taken: tuple[str, ...], suits: bool) -> None:
    case = Case(NodePorts, [node("n1")], [using(*taken, on="n1")])
    assert bool(case.suited(using(*wanted))) is suits


# ImageLocality.

MIB = 1024 * 1024
N1 = {"gcr.io/40:latest": 40 * MIB, "gcr.io/300:latest": 300 * MIB, "gcr.io/2000:latest": 2000 * MIB}
N2 = {"gcr.io/250:latest": 250 * MIB, "gcr.io/10:v1": 10 * MIB}
N3 = {"gcr.io/600:latest": 600 * MIB, "gcr.io/40:latest": 40 * MIB, "gcr.io/900:latest": 900 * MIB}
N4 = {"gcr.io/300:latest": 300 * MIB, "gcr.io/600:latest": 600 * MIB, "gcr.io/900:latest": 900 * MIB}
N5 = {"gcr.io/30:latest": 30 * MIB, "gcr.io/20:latest": 20 * MIB, "gcr.io/400:latest": 400 * MIB}

IMAGES: list[tuple[list[str], list[dict[str, int]], list[int]]] = [
    # 40/2 MiB is less than the 23 MiB that count; 250/2 of 2 x 1000.
    (["gcr.io/40", "gcr.io/250"], [N1, N2], [0, 5]),
    # Twice 300/2; 40/2 alone is too little.
    (["gcr.io/40", "gcr.io/300"], [N1, N2], [7, 0]),
    # 2000/2 of 2 x 1000; 10/2 too little.
    (["gcr.io/10:v1", "gcr.io/2000"], [N1, N2], [49, 0]),
    # A node without the image does not count towards its spread.
    (["gcr.io/10:v1", "gcr.io/2000"], [N1, N2, {}], [32, 0, 0]),
    (["gcr.io/300", "gcr.io/600", "gcr.io/900"], [N3, N4, N5], [32, 36, 0]),
]


@pytest.mark.parametrize(("images", "nodes", "expected"), IMAGES)
def test_images(images: list[str], nodes: list[dict[str, int]], expected: list[int]) -> None:
    case = Case(ImageLocality, [node(f"n{number}", images=some) for number, some in enumerate(nodes)])
    incoming = pod(containers=[{"name": f"c{number}", "image": image} for number, image in enumerate(images)])
    assert list(case.scores(incoming).values()) == expected
