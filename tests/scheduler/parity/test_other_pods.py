"""Rules about other pods: the kinds of cases in interpodaffinity/ and podtopologyspread/{filtering,scoring}_test.go."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.core.v1 import Node, Pod, Service

from scheduler.plugins.inter_pod_affinity import InterPodAffinity
from scheduler.plugins.pod_topology_spread import PodTopologySpread
from tests.scheduler.objects import node, pod
from tests.scheduler.parity.harness import Case

REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
NEAR = "node(s) didn't match pod affinity rules"
AWAY = "node(s) didn't match pod anti-affinity rules"
REPELLED = "node(s) didn't satisfy existing pods anti-affinity rules"


def selecting(*expressions: tuple[str, str, list[str]], **labels: str) -> dict[str, Any]:
    return {
        "matchLabels": labels,
        "matchExpressions": [
            {"key": key, "operator": operator, **({"values": values} if values else {})}
            for key, operator, values in expressions
        ],
    }


def term(selector: dict[str, Any] | None, key: str, **more: Any) -> dict[str, Any]:
    return {**({} if selector is None else {"labelSelector": selector}), "topologyKey": key, **more}


def near(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAffinity": {REQUIRED: list(terms)}}


def away(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"podAntiAffinity": {REQUIRED: list(terms)}}


def likes(*weighted: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"podAffinity": {PREFERRED: [{"weight": w, "podAffinityTerm": t} for w, t in weighted]}}


def dislikes(*weighted: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"podAntiAffinity": {PREFERRED: [{"weight": w, "podAffinityTerm": t} for w, t in weighted]}}


WEB = {"service": "securityscan"}
OTHER = {"security": "S1"}
BY_WEB = selecting(("service", "In", ["securityscan", "value2"]))
NOT_WEB = selecting(("service", "NotIn", ["securityscan3", "value3"]))
HAS_SERVICE, NO_SERVICE = selecting(("service", "Exists", [])), selecting(("service", "DoesNotExist", []))

# One node with region=r1 and zone=z11; (the pod's labels and affinity, the pod that is there, the reason to refuse).
SINGLE: list[tuple[str, dict[str, str], dict[str, Any], Pod | None, str]] = [
    ("nothing there, nothing wanted", {}, {}, None, ""),
    ("near a pod by In", WEB, near(term(BY_WEB, "region")), pod(labels=WEB, on="n1"), ""),
    ("near a pod by NotIn", WEB, near(term(NOT_WEB, "region")), pod(labels=WEB, on="n1"), ""),
    (
        "near a pod of another namespace",
        WEB,
        near(term(selecting(("service", "In", ["nobody"])), "region", namespaces=["DiffNameSpace"])),
        pod(labels=WEB, on="n1", namespace="ns"),
        NEAR,
    ),
    (
        "near a pod that does not match",
        OTHER,
        near(term(selecting(("service", "In", ["antivirusscan", "value2"])), "region")),
        pod(labels=WEB, on="n1"),
        NEAR,
    ),
    (
        "several terms that all hold",
        WEB,
        near(
            term(selecting(("service", "Exists", []), ("wrongkey", "DoesNotExist", [])), "region"),
            term(selecting(("service", "In", ["securityscan"]), ("service", "NotIn", ["WrongValue"])), "region"),
        ),
        pod(labels=WEB, on="n1"),
        "",
    ),
    (
        "several terms of which one does not",
        OTHER,
        near(
            term(selecting(("service", "Exists", []), ("wrongkey", "DoesNotExist", [])), "region"),
            term(selecting(("service", "In", ["securityscan2"]), ("service", "NotIn", ["WrongValue"])), "region"),
        ),
        pod(labels=WEB, on="n1"),
        NEAR,
    ),
    (
        "near one, away from another",
        WEB,
        {**near(term(BY_WEB, "region")), **away(term(selecting(("service", "In", ["antivirusscan"])), "node"))},
        pod(labels=WEB, on="n1"),
        "",
    ),
    (
        "near, while the other minds somebody else",
        WEB,
        {**near(term(BY_WEB, "region")), **away(term(selecting(("service", "In", ["antivirusscan"])), "node"))},
        pod(labels=WEB, on="n1", affinity=away(term(selecting(("service", "In", ["antivirusscan"])), "node"))),
        "",
    ),
    (
        "near and away from the same",
        WEB,
        {**near(term(BY_WEB, "region")), **away(term(BY_WEB, "zone"))},
        pod(labels=WEB, on="n1"),
        AWAY,
    ),
    (
        "near, but the other minds it",
        WEB,
        {**near(term(BY_WEB, "region")), **away(term(selecting(("service", "In", ["antivirusscan"])), "zone"))},
        pod(labels=WEB, on="n1", affinity=away(term(BY_WEB, "zone"))),
        REPELLED,
    ),
    (
        "the node lacks the topology key",
        WEB,
        near(term(NOT_WEB, "region2")),
        pod(labels=WEB, on="n1"),
        NEAR,
    ),
    (
        "the other minds, by Exists",
        WEB,
        {},
        pod(labels=WEB, on="n1", affinity=away(term(HAS_SERVICE, "region"))),
        REPELLED,
    ),
    (
        "the other minds pods without the label",
        WEB,
        {},
        pod(labels=WEB, on="n1", affinity=away(term(NO_SERVICE, "region"))),
        "",
    ),
    (
        "both mind each other",
        WEB,
        away(term(HAS_SERVICE, "region")),
        pod(labels=WEB, on="n1", affinity=away(term(HAS_SERVICE, "region"))),
        AWAY,
    ),
    (
        "neither minds",
        WEB,
        away(term(NO_SERVICE, "region")),
        pod(labels=WEB, on="n1", affinity=away(term(NO_SERVICE, "region"))),
        "",
    ),
    ("a term without a selector means nobody", WEB, near(term(None, "region")), pod(labels=WEB, on="n1"), NEAR),
    (
        "the first of its kind",
        WEB,
        near(term(BY_WEB, "region")),
        pod(labels={"app": "else"}, on="n1"),
        "",
    ),
    (
        "the first of its kind, where the key is missing",
        WEB,
        near(term(BY_WEB, "nowhere")),
        pod(labels={"app": "else"}, on="n1"),
        NEAR,
    ),
]


@pytest.mark.parametrize(
    ("labels", "affinity", "there", "reason"), [row[1:] for row in SINGLE], ids=[row[0] for row in SINGLE]
)
def test_affinity_on_one_node(labels: dict[str, str], affinity: dict[str, Any], there: Pod | None, reason: str) -> None:
    case = Case(InterPodAffinity, [node("n1", labels={"region": "r1", "zone": "z11"})], [there] if there else [])
    assert case.refusals(pod(labels=labels, affinity=affinity))["n1"] == reason


FOO, BAR, ABC = selecting(foo="bar"), selecting(("bar", "Exists", [])), selecting(foo="abc")
RED = {"namespaceSelector": selecting(team="red")}
CHINA, CHINA_HZ, INDIA = {"region": "China"}, {"region": "China", "az": "az1"}, {"region": "India"}

# (labels of the nodes, pods there as (node, labels, affinity), the pod's labels and affinity, nodes that suit)
SEVERAL: list[tuple[str, list[dict[str, str]], list[tuple[Any, ...]], dict[str, str], dict[str, Any], list[int]]] = [
    (
        "near: the domain counts, not the node",
        [CHINA, CHINA_HZ, INDIA],
        [(0, {"foo": "bar"}, {})],
        {},
        near(term(FOO, "region")),
        [0, 1],
    ),
    (
        "near itself: the first goes anywhere with the labels",
        [{"zone": "az1", "host": "h1"}, {"zone": "az2", "host": "h2"}],
        [],
        {"foo": "bar", "service": "securityscan"},
        near(term(FOO, "zone"), term(selecting(service="securityscan"), "zone")),
        [0, 1],
    ),
    (
        "away: none of the domain",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z1"}],
        [(0, {"foo": "abc"}, {})],
        {},
        away(term(ABC, "zone")),
        [],
    ),
    (
        "away: of one domain, not of the other",
        [CHINA, CHINA_HZ, INDIA],
        [(0, {"foo": "abc"}, {})],
        {},
        away(term(ABC, "region")),
        [2],
    ),
    (
        "away: a pod of another namespace does not count",
        [CHINA, INDIA],
        [(0, {"foo": "abc"}, {}, "elsewhere")],
        {},
        away(term(ABC, "region")),
        [0, 1],
    ),
    (
        "away: two terms, each against another pod",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z2"}],
        [(0, {"foo": "abc"}, {}), (1, {"foo": "bar"}, {})],
        {},
        away(term(ABC, "zone"), term(FOO, "zone")),
        [],
    ),
    (
        "others mind: their domain",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z2"}, {"region": "r2"}],
        [(0, {"bar": ""}, away(term(FOO, "region")))],
        {"foo": "bar"},
        {},
        [2],
    ),
    (
        "others mind: all of their terms are separate",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z2"}],
        [(0, {}, away(term(FOO, "zone"), term(BAR, "zone"))), (1, {}, away(term(ABC, "zone")))],
        {"foo": "bar", "bar": ""},
        {},
        [1],
    ),
    (
        "near: one pod must meet all terms",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z1"}],
        [(0, {"foo": "bar"}, {}), (1, {"bar": ""}, {})],
        {},
        near(term(FOO, "region"), term(BAR, "zone")),
        [],
    ),
    (
        "near: one pod meets all terms",
        [{"region": "r1", "zone": "z1"}, {"region": "r1", "zone": "z2"}],
        [(0, {"foo": "bar", "bar": ""}, {})],
        {},
        near(term(FOO, "region"), term(BAR, "zone")),
        [0],
    ),
    (
        "near: namespaces by their labels",
        [CHINA, INDIA],
        [(0, {"foo": "bar"}, {}, "red1"), (1, {"foo": "bar"}, {}, "blue1")],
        {},
        near(term(FOO, "region", **RED)),
        [0],
    ),
    (
        "away: namespaces by their labels",
        [CHINA, INDIA],
        [(0, {"foo": "bar"}, {}, "red1"), (1, {"foo": "bar"}, {}, "blue1")],
        {},
        away(term(FOO, "region", **RED)),
        [1],
    ),
    (
        "away: an empty namespace selector means all",
        [CHINA, INDIA],
        [(0, {"foo": "bar"}, {}, "red1"), (1, {"foo": "bar"}, {}, "blue1")],
        {},
        away(term(FOO, "region", namespaceSelector={})),
        [],
    ),
    (
        "match label keys: only pods of the same version",
        [CHINA, INDIA],
        [(0, {"foo": "bar", "v": "1"}, {}), (1, {"foo": "bar", "v": "2"}, {})],
        {"v": "2"},
        away(term(FOO, "region", matchLabelKeys=["v"])),
        [0],
    ),
    (
        "mismatch label keys: only pods of another version",
        [CHINA, INDIA],
        [(0, {"foo": "bar", "v": "1"}, {}), (1, {"foo": "bar", "v": "2"}, {})],
        {"v": "2"},
        away(term(FOO, "region", mismatchLabelKeys=["v"])),
        [1],
    ),
]


def cluster(plugin: Any, labels: list[dict[str, str]], there: list[tuple[Any, ...]], **arguments: Any) -> Case:
    nodes: list[Node] = [node(f"n{number}", labels=some) for number, some in enumerate(labels)]
    pods = []
    for number, pod_labels, affinity, *namespace in there:
        pods.append(
            pod(
                labels=pod_labels,
                on=f"n{number}",
                namespace=namespace[0] if namespace else "default",
                **({"affinity": affinity} if affinity else {}),
            )
        )
    namespaces = {"red1": {"team": "red"}, "blue1": {"team": "blue"}}
    return Case(plugin, nodes, pods, namespaces=namespaces, **arguments)


@pytest.mark.parametrize(
    ("labels", "there", "own", "affinity", "suits"), [row[1:] for row in SEVERAL], ids=[row[0] for row in SEVERAL]
)
def test_affinity_on_several_nodes(
    labels: list[dict[str, str]],
    there: list[tuple[Any, ...]],
    own: dict[str, str],
    affinity: dict[str, Any],
    suits: list[int],
) -> None:
    case = cluster(InterPodAffinity, labels, there)
    assert case.suited(pod(labels=own, affinity=affinity)) == {f"n{number}" for number in suits}


S1, S2 = selecting(("security", "In", ["S1"])), selecting(("security", "In", ["S2"]))
SEC1, SEC2 = {"security": "S1"}, {"security": "S2"}
AZ1, AZ2 = {"az": "az1"}, {"az": "az2"}
STAY_REGION = likes((5, term(S2, "region")))
REGIONS = [CHINA, INDIA, CHINA_HZ]

ATTRACTION: list[tuple[str, list[dict[str, str]], list[tuple[Any, ...]], dict[str, str], dict[str, Any], list[int]]] = [
    ("nothing wanted", REGIONS, [], {}, {}, [0, 0, 0]),
    ("an empty affinity", REGIONS, [], SEC1, {}, [0, 0, 0]),
    (
        "likes what is in two of three",
        [CHINA, INDIA, AZ1],
        [(0, SEC1, {}), (1, SEC2, {}), (2, SEC1, {})],
        SEC1,
        likes((5, term(selecting(("security", "In", ["S1"])), "region"))),
        [100, 0, 0],
    ),
    (
        "a whole region counts",
        [CHINA, CHINA_HZ, INDIA],
        [(0, SEC1, {})],
        SEC1,
        likes((5, term(S1, "region"))),
        [100, 100, 0],
    ),
    (
        "more pods count more",
        [CHINA, INDIA, INDIA],
        [(0, SEC1, {}), (1, SEC1, {}), (1, SEC1, {}), (2, SEC1, {})],
        SEC2,
        likes((5, term(S1, "region"))),
        [0, 100, 100],
    ),
    (
        "several terms, for and against",
        REGIONS,
        [(0, SEC1, {}), (1, SEC1, {}), (2, SEC2, {})],
        SEC1,
        {**likes((8, term(S1, "region"))), **dislikes((5, term(S2, "az")))},
        [100, 100, 0],
    ),
    (
        "those who are there like it",
        REGIONS,
        [(0, SEC1, STAY_REGION), (1, SEC2, {})],
        SEC2,
        {},
        [100, 0, 100],
    ),
    (
        "those who are there need it: the hard weight",
        REGIONS,
        [(0, SEC1, near(term(S2, "region"))), (1, SEC2, {})],
        SEC2,
        {},
        [100, 0, 100],
    ),
    (
        "dislikes",
        [{"az": "az1"}, {"az": "az2"}],
        [(0, SEC1, {}), (1, SEC2, {})],
        SEC1,
        dislikes((5, term(S1, "az"))),
        [0, 100],
    ),
    (
        "those who are there dislike it",
        [{"az": "az1"}, {"az": "az2"}],
        [(0, SEC1, dislikes((5, term(S2, "az")))), (1, SEC2, {})],
        SEC2,
        {},
        [0, 100],
    ),
    (
        "for and against meet",
        [{"region": "China", "az": "az1"}, {"region": "India", "az": "az2"}],
        [(0, SEC1, {}), (1, SEC2, {})],
        SEC1,
        {**likes((8, term(S1, "region"))), **dislikes((5, term(S2, "az")))},
        [100, 0],
    ),
    (
        "namespaces by their labels",
        [CHINA, INDIA],
        [(0, SEC1, {}, "red1"), (1, SEC1, {}, "blue1")],
        {},
        likes((5, term(S1, "region", **RED))),
        [100, 0],
    ),
]


@pytest.mark.parametrize(
    ("labels", "there", "own", "affinity", "expected"),
    [row[1:] for row in ATTRACTION],
    ids=[row[0] for row in ATTRACTION],
)
def test_attraction(
    labels: list[dict[str, str]],
    there: list[tuple[Any, ...]],
    own: dict[str, str],
    affinity: dict[str, Any],
    expected: list[int],
) -> None:
    case = cluster(InterPodAffinity, labels, there)
    assert list(case.scores(pod(labels=own, affinity=affinity)).values()) == expected


@pytest.mark.parametrize(("weight", "expected"), [(1, [100, 0]), (0, [0, 0])])
def test_the_hard_weight_can_be_set(weight: int, expected: list[int]) -> None:
    case = cluster(InterPodAffinity, [CHINA, INDIA], [(0, SEC1, near(term(S2, "region")))], hard_weight=weight)
    assert list(case.scores(pod(labels=SEC2)).values()) == expected


def test_preferences_of_those_who_are_there_can_be_ignored() -> None:
    case = cluster(InterPodAffinity, [CHINA, INDIA], [(0, SEC1, STAY_REGION)], ignore_preferred_of_existing=True)
    assert list(case.scores(pod(labels=SEC2)).values()) == [0, 0]
    wish = likes((1, term(S1, "nowhere")))
    assert list(case.scores(pod(labels=SEC2, affinity=wish)).values()) == [100, 0]


# PodTopologySpread.

HOST = "kubernetes.io/hostname"
ANY_FOO = selecting(("foo", "Exists", []))
ANY_BAR = selecting(("bar", "Exists", []))
HARD, SOFT = "DoNotSchedule", "ScheduleAnyway"


def spread(
    skew: int, key: str, selector: dict[str, Any] | None = None, when: str = HARD, **more: Any
) -> dict[str, Any]:
    return {
        "maxSkew": skew,
        "topologyKey": key,
        "whenUnsatisfiable": when,
        "labelSelector": ANY_FOO if selector is None else selector,
        **more,
    }


ZONES = [{"zone": "zone1"}, {"zone": "zone1"}, {"zone": "zone2"}, {"zone": "zone2"}]
SKEWED = "node(s) didn't match pod topology spread constraints"
UNLABELLED = "node(s) didn't match pod topology spread constraints (missing required label)"


def foos(*numbers: int) -> list[tuple[Any, ...]]:
    """So many pods with the label foo on each node."""
    return [(row, {"foo": ""}, {}) for row, number in enumerate(numbers) for _ in range(number)]


# (labels of the nodes, pods there, constraints, the pod's labels, nodes that suit)
SPREADS: list[
    tuple[str, list[dict[str, str]], list[tuple[Any, ...]], list[dict[str, Any]], dict[str, str], list[int]]
] = [
    ("nothing there", ZONES, [], [spread(1, "zone")], {"foo": ""}, [0, 1, 2, 3]),
    ("fuller zone is refused", ZONES, foos(1, 0, 0, 0), [spread(1, "zone")], {"foo": ""}, [2, 3]),
    (
        "the pod does not count itself",
        ZONES,
        foos(1, 0, 0, 0),
        [spread(1, "zone")],
        {"bar": ""},
        [0, 1, 2, 3],
    ),
    ("zones 3 and 2", ZONES, foos(2, 1, 2, 0), [spread(1, "zone")], {"foo": ""}, [2, 3]),
    ("hosts 2 1 0 3", ZONES, foos(2, 1, 0, 3), [spread(1, HOST)], {"foo": ""}, [2]),
    ("hosts 2 1 0 3, larger skew", ZONES, foos(2, 1, 0, 3), [spread(2, HOST)], {"foo": ""}, [1, 2]),
    (
        "zone and host: the intersection",
        ZONES,
        foos(2, 1, 0, 3),
        [spread(1, "zone"), spread(1, HOST)],
        {"foo": ""},
        [2],
    ),
    (
        "zone and host: nothing in common",
        ZONES,
        foos(2, 1, 2, 2),
        [spread(1, "zone"), spread(1, HOST)],
        {"foo": ""},
        [1],
    ),
    (
        "a node without the key",
        [{"zone": "zone1"}, {"zone": "zone2"}, {}],
        foos(0, 0, 0),
        [spread(1, "zone")],
        {"foo": ""},
        [0, 1],
    ),
    (
        "pods on a node without the key do not count",
        [{"zone": "zone1"}, {"zone": "zone1"}, {}],
        foos(1, 1, 3),
        [spread(1, "zone")],
        {"foo": ""},
        [0, 1],
    ),
    (
        "too few domains: the emptiest is empty",
        ZONES,
        foos(2, 1, 2, 1),
        [spread(1, "zone", minDomains=3)],
        {"foo": ""},
        [],
    ),
    (
        "too few domains, room below the skew",
        ZONES,
        foos(1, 0, 0, 0),
        [spread(2, "zone", minDomains=3)],
        {"foo": ""},
        [0, 1, 2, 3],
    ),
    ("enough domains", ZONES, foos(2, 1, 2, 1), [spread(1, "zone", minDomains=2)], {"foo": ""}, [0, 1, 2, 3]),
    (
        "two selectors",
        ZONES,
        [*foos(1, 0, 0, 0), (2, {"bar": ""}, {})],
        [spread(1, "zone", ANY_FOO), spread(1, HOST, ANY_BAR)],
        {"foo": "", "bar": ""},
        [3],
    ),
    (
        "match label keys: each version by itself",
        ZONES,
        [(0, {"foo": "", "v": "1"}, {}), (0, {"foo": "", "v": "1"}, {}), (2, {"foo": "", "v": "2"}, {})],
        [spread(1, "zone", matchLabelKeys=["v"])],
        {"foo": "", "v": "2"},
        [0, 1],
    ),
    (
        "soft constraints refuse nothing",
        ZONES,
        foos(9, 0, 0, 0),
        [spread(1, "zone", when=SOFT)],
        {"foo": ""},
        [0, 1, 2, 3],
    ),
]


@pytest.mark.parametrize(
    ("labels", "there", "constraints", "own", "suits"), [row[1:] for row in SPREADS], ids=[row[0] for row in SPREADS]
)
def test_spread(
    labels: list[dict[str, str]],
    there: list[tuple[Any, ...]],
    constraints: list[dict[str, Any]],
    own: dict[str, str],
    suits: list[int],
) -> None:
    case = cluster(PodTopologySpread, labels, there)
    incoming = pod(labels=own, topologySpreadConstraints=constraints)
    refusals = case.refusals(incoming)
    assert {name for name, reason in refusals.items() if not reason} == {f"n{number}" for number in suits}
    for number, some in enumerate(labels):
        if "zone" not in some and any(c["topologyKey"] == "zone" for c in constraints):
            assert refusals[f"n{number}"] == UNLABELLED


def test_terminating_pods_and_other_namespaces_do_not_count() -> None:
    leaving = pod(labels={"foo": ""}, on="n0")
    leaving.metadata.deletion_timestamp.seconds = 1
    nodes = [node(f"n{number}", labels=some) for number, some in enumerate(ZONES)]
    case = Case(PodTopologySpread, nodes, [leaving, pod(labels={"foo": ""}, on="n0", namespace="elsewhere")])
    assert len(case.suited(pod(labels={"foo": ""}, topologySpreadConstraints=[spread(1, "zone")]))) == 4


@pytest.mark.parametrize(
    ("policy", "suits"), [("Honor", {"n0", "n1", "n2", "n3"}), ("Ignore", {"n2", "n3"})], ids=["honor", "ignore"]
)
def test_nodes_that_the_pod_cannot_use_are_counted_or_not(policy: str, suits: set[str]) -> None:
    labels = [{**some, "disk": "ssd" if number < 2 else "hdd"} for number, some in enumerate(ZONES)]
    case = cluster(PodTopologySpread, labels, foos(1, 0, 0, 0))
    incoming = pod(
        labels={"foo": ""},
        nodeSelector={"disk": "ssd"},
        topologySpreadConstraints=[spread(1, "zone", nodeAffinityPolicy=policy)],
    )
    assert case.suited(incoming) == suits


@pytest.mark.parametrize(("policy", "suits"), [("Honor", 4), ("Ignore", 2)])
def test_tainted_nodes_are_counted_or_not(policy: str, suits: int) -> None:
    taint = [{"key": "a", "value": "b", "effect": "NoSchedule"}]
    nodes = [node(f"n{number}", labels=some, taints=taint if number > 1 else []) for number, some in enumerate(ZONES)]
    case = Case(PodTopologySpread, nodes, [pod(labels={"foo": ""}, on="n0")])
    incoming = pod(labels={"foo": ""}, topologySpreadConstraints=[spread(1, "zone", nodeTaintsPolicy=policy)])
    assert len(case.suited(incoming)) == suits


SOFT_SCORES: list[
    tuple[str, list[dict[str, str]], list[tuple[Any, ...]], list[dict[str, Any]], list[int], list[int]]
] = [
    ("nothing there", ZONES[:2], [], [spread(1, HOST, when=SOFT)], [0, 1], [100, 100]),
    ("one of two hosts", ZONES[:2], foos(1, 0), [spread(1, HOST, when=SOFT)], [0, 1], [0, 100]),
    ("one candidate", ZONES[:2], foos(1, 0), [spread(1, HOST, when=SOFT)], [0], [100]),
    ("hosts 2 1 0 3", ZONES, foos(2, 1, 0, 3), [spread(1, HOST, when=SOFT)], [0, 1, 2, 3], [20, 60, 100, 0]),
    (
        "larger skew waters down",
        ZONES,
        foos(2, 1, 0, 3),
        [spread(2, HOST, when=SOFT)],
        [0, 1, 2, 3],
        [33, 66, 100, 16],
    ),
    (
        "hosts 4 2 1 3, three candidates",
        ZONES,
        foos(4, 2, 1, 3),
        [spread(1, HOST, when=SOFT)],
        [0, 1, 2],
        [33, 83, 100],
    ),
    (
        "hosts 4 3 2 1 with labels of zones: zones 7 and 3",
        ZONES,
        foos(4, 3, 2, 1),
        [spread(1, "zone", when=SOFT)],
        [0, 1, 2, 3],
        [40, 40, 100, 100],
    ),
]


@pytest.mark.parametrize(
    ("labels", "there", "constraints", "among", "expected"),
    [row[1:] for row in SOFT_SCORES],
    ids=[row[0] for row in SOFT_SCORES],
)
def test_soft_spread(
    labels: list[dict[str, str]],
    there: list[tuple[Any, ...]],
    constraints: list[dict[str, Any]],
    among: list[int],
    expected: list[int],
) -> None:
    case = cluster(PodTopologySpread, labels, there)
    incoming = pod(labels={"foo": ""}, topologySpreadConstraints=constraints)
    assert list(case.scores(incoming, [f"n{number}" for number in among]).values()) == expected


def test_replicas_of_a_service_spread_by_default() -> None:
    nodes = [node(f"n{number}") for number in range(3)]
    service = Service(metadata={"name": "web", "namespace": "default"}, spec={"selector": {"app": "web"}})
    there = [
        pod(labels={"app": "web"}, on="n0"),
        pod(labels={"app": "web"}, on="n1"),
        pod(labels={"app": "x"}, on="n2"),
    ]
    case = Case(PodTopologySpread, nodes, there, services=[service])
    scores = case.scores(pod(labels={"app": "web"}))
    assert scores["n2"] > scores["n0"] == scores["n1"]
    assert set(case.scores(pod(labels={"app": "unserved"})).values()) == {0}
