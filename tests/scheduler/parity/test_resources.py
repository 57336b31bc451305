"""NodeResourcesFit and NodeResourcesBalancedAllocation: noderesources/{fit,least_allocated,most_allocated,
requested_to_capacity_ratio,balanced_allocation}_test.go."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from steersman.core.v1 import Pod

from scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from scheduler.plugins.node_resources_fit import LEAST, MOST, RATIO, NodeResourcesFit, Strategy, curve
from scheduler.requests import demand_of
from tests.scheduler.objects import node, pod
from tests.scheduler.parity.harness import Case

A, B, GPU = "example.com/aaa", "example.com/bbb", "nvidia.com/gpu"


def asking(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), on: str = "", **spec: Any) -> Pod:
    """A pod with one container per map of requests; cpu in thousandths."""

    def container(name: str, asked: dict[str, Any]) -> dict[str, Any]:
        amounts = {k: f"{v}m" if k == "cpu" else str(v) for k, v in asked.items() if k != "sidecar"}
        made: dict[str, Any] = {"name": name, "resources": {"requests": amounts}}
        if asked.get("sidecar"):
            made["restartPolicy"] = "Always"
        return made

    return pod(
        on=on,
        containers=[container(f"c{number}", asked) for number, asked in enumerate(containers)],
        initContainers=[container(f"i{number}", asked) for number, asked in enumerate(init)],
        **spec,
    )


def amount(cpu: int = 0, memory: int = 0, **more: int) -> dict[str, Any]:
    return {"cpu": cpu, "memory": memory, **more}


# (the pod, what is used already, what is lacking) on a node with 10m cpu, 20 bytes, 32 pods, 5 of aaa, 20 of storage
# and 5 huge pages.
FIT: list[tuple[str, Pod, dict[str, Any], str]] = [
    ("asks for nothing", pod(), amount(10, 20), ""),
    ("two lacking", asking(amount(1, 1)), amount(10, 20), "Insufficient cpu and Insufficient memory"),
    ("init cpu", asking(amount(1, 1), init=(amount(3, 1),)), amount(8, 19), "Insufficient cpu"),
    ("highest init cpu", asking(amount(1, 1), init=(amount(3, 1), amount(2, 1))), amount(8, 19), "Insufficient cpu"),
    ("init memory", asking(amount(1, 1), init=(amount(1, 3),)), amount(9, 19), "Insufficient memory"),
    (
        "highest init memory",
        asking(amount(1, 1), init=(amount(1, 3), amount(1, 2))),
        amount(9, 19),
        "Insufficient memory",
    ),
    ("init is a maximum", asking(amount(1, 1), init=(amount(1, 1),)), amount(9, 19), ""),
    ("several inits are a maximum", asking(amount(1, 1), init=(amount(1, 1), amount(1, 1))), amount(9, 19), ""),
    ("both fit", asking(amount(1, 1)), amount(5, 5), ""),
    ("memory fits, cpu does not", asking(amount(2, 1)), amount(9, 5), "Insufficient cpu"),
    ("cpu fits, memory does not", asking(amount(1, 2)), amount(5, 19), "Insufficient memory"),
    ("just enough", asking(amount(5, 1)), amount(5, 19), ""),
    ("just enough for init", asking(amount(4, 1), init=(amount(5, 1),)), amount(5, 19), ""),
    ("extended", asking({A: 1}), {}, ""),
    ("extended in init", asking({}, init=({A: 1},)), {}, ""),
    ("extended above capacity", asking(amount(1, 1, **{A: 10})), {A: 0}, f"Insufficient {A}"),
    ("extended above capacity in init", asking({}, init=(amount(1, 1, **{A: 10}),)), {A: 0}, f"Insufficient {A}"),
    ("extended used up", asking(amount(1, 1, **{A: 1})), {A: 5}, f"Insufficient {A}"),
    ("extended used up, init", asking({}, init=(amount(1, 1, **{A: 1}),)), {A: 5}, f"Insufficient {A}"),
    ("extended of containers adds up", asking({A: 3}, {A: 3}), {A: 2}, f"Insufficient {A}"),
    ("extended of inits does not", asking({}, init=({A: 3}, {A: 3})), {A: 2}, ""),
    ("extended of the largest init", asking({}, init=({A: 6}, {A: 3})), {A: 2}, f"Insufficient {A}"),
    ("extended unknown to the node", asking({B: 1}), {}, f"Insufficient {B}"),
    ("extended unknown, init", asking({}, init=({B: 1},)), {}, f"Insufficient {B}"),
    ("huge pages above capacity", asking({"hugepages-2Mi": 10}), {}, "Insufficient hugepages-2Mi"),
    ("huge pages used up", asking({"hugepages-2Mi": 1}), {"hugepages-2Mi": 5}, "Insufficient hugepages-2Mi"),
    (
        "huge pages of containers add up",
        asking({"hugepages-2Mi": 3}, {"hugepages-2Mi": 3}),
        {"hugepages-2Mi": 2},
        "Insufficient hugepages-2Mi",
    ),
    ("overhead fits", asking(amount(1, 1), overhead={"cpu": "3m", "memory": "13"}), amount(5, 5), ""),
    (
        "overhead does not fit",
        asking(amount(1, 1), overhead={"cpu": "1m", "memory": "15"}),
        amount(5, 5),
        "Insufficient memory",
    ),
    ("storage fits", asking({"ephemeral-storage": 10}), {"ephemeral-storage": 10}, ""),
    (
        "storage used up",
        asking({"ephemeral-storage": 10}),
        {"ephemeral-storage": 20},
        "Insufficient ephemeral-storage",
    ),
    (
        "storage of containers adds up",
        asking({"ephemeral-storage": 5}, {"ephemeral-storage": 5}),
        {"ephemeral-storage": 11},
        "Insufficient ephemeral-storage",
    ),
    (
        "sidecar adds to containers",
        asking(amount(1, 1), init=(amount(2, 1, sidecar=1),)),
        amount(8, 5),
        "Insufficient cpu",
    ),
    ("sidecar fits", asking(amount(1, 1), init=(amount(2, 1, sidecar=1),)), amount(7, 5), ""),
    (
        "sidecar runs beside a later init",
        asking(amount(1, 1), init=(amount(2, 1, sidecar=1), amount(3, 1))),
        amount(6, 5),
        "Insufficient cpu",
    ),
    (
        "sidecar after an init does not",
        asking(amount(1, 1), init=(amount(3, 1), amount(2, 1, sidecar=1))),
        amount(7, 5),
        "",
    ),
]


@pytest.mark.parametrize(("incoming", "used", "lacking"), [row[1:] for row in FIT], ids=[row[0] for row in FIT])
def test_fit(incoming: Pod, used: dict[str, Any], lacking: str) -> None:
    host = node("n1", cpu="10m", memory="20", pods="32", **{A: "5", "ephemeral-storage": "20", "hugepages-2Mi": "5"})
    case = Case(NodeResourcesFit, [host], [asking(used, on="n1")])
    assert case.refusals(incoming)["n1"] == lacking


def test_a_node_that_is_full_of_pods() -> None:
    host = node("n1", cpu="10m", memory="20", pods="1")
    case = Case(NodeResourcesFit, [host], [asking(amount(5, 5), on="n1")])
    assert case.refusals(asking(amount(1, 1)))["n1"] == "Too many pods"
    assert case.refusals(asking(amount(6, 1)))["n1"] == "Too many pods and Insufficient cpu"
    assert case.resolvable(asking(amount(1, 1)))


@pytest.mark.parametrize(("cpu", "resolvable"), [(8, True), (11, False)])
def test_more_than_a_node_has_is_beyond_help(cpu: int, resolvable: bool) -> None:
    case = Case(NodeResourcesFit, [node("n1", cpu="10m")], [asking(amount(5), on="n1")])
    assert case.resolvable(asking(amount(cpu))) is resolvable


@pytest.mark.parametrize(
    ("arguments", "suits"),
    [({}, False), ({"ignored": frozenset({B})}, True), ({"ignored_groups": frozenset({"example.com"})}, True)],
)
def test_resources_that_are_ignored(arguments: dict[str, Any], suits: bool) -> None:
    case = Case(NodeResourcesFit, [node("n1")], **arguments)
    assert bool(case.suited(asking({B: 1}))) is suits


def two(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[Any]:
    """Two nodes: (cpu in thousandths, memory, extended resources)."""
    made = []
    for name, (cpu, memory, *extended) in zip(("n1", "n2"), (one, other), strict=True):
        more = {resource: str(value) for entry in extended for resource, value in entry.items()}
        made.append(node(name, cpu=f"{cpu}m", memory=str(memory), **more))
    return made


WEB = (amount(1000, 2000), amount(2000, 3000))
CPU_ONLY = (amount(1000, 0), amount(2000, 0))
CPU_MEMORY = (("cpu", 1), ("memory", 1))
WITH_GPU = (*CPU_MEMORY, (GPU, 1))

SCORES: list[tuple[str, str, Any, list[Any], list[Pod], Pod, tuple[int, int]]] = [
    ("least: nothing asked", LEAST, CPU_MEMORY, two((4000, 10000), (4000, 10000)), [], asking(), (100, 100)),
    ("least: sizes differ", LEAST, CPU_MEMORY, two((4000, 10000), (6000, 10000)), [], asking(*WEB), (37, 50)),
    (
        "least: nothing asked, pods there",
        LEAST,
        CPU_MEMORY,
        two((10000, 20000), (10000, 20000)),
        [asking(amount(3000), on="n1")] * 1
        + [asking(amount(3000), on="n1"), asking(amount(3000), on="n2"), asking(amount(3000, 5000), on="n2")],
        asking(),
        (70, 57),
    ),
    (
        "least: asked, pods there",
        LEAST,
        CPU_MEMORY,
        two((10000, 20000), (10000, 20000)),
        [asking(amount(3000), on="n1"), asking(amount(3000, 5000), on="n2")],
        asking(*WEB),
        (57, 45),
    ),
    (
        "least: asked, pods there, sizes differ",
        LEAST,
        CPU_MEMORY,
        two((10000, 20000), (10000, 50000)),
        [asking(amount(3000), on="n1"), asking(amount(3000, 5000), on="n2")],
        asking(*WEB),
        (57, 60),
    ),
    (
        "least: more than there is",
        LEAST,
        CPU_MEMORY,
        two((4000, 10000), (4000, 10000)),
        [asking(amount(3000), on="n1"), asking(amount(3000, 5000), on="n2")],
        asking(amount(3000)),
        (50, 25),
    ),
    (
        "least: nodes without anything",
        LEAST,
        CPU_MEMORY,
        two((0, 0), (0, 0)),
        [asking(amount(3000), on="n1"), asking(amount(3000, 5000), on="n2")],
        asking(),
        (0, 0),
    ),
    (
        "least: weights",
        LEAST,
        (("memory", 2), ("cpu", 1)),
        two((4000, 10000), (6000, 10000)),
        [],
        asking(*WEB),
        (41, 50),
    ),
    (
        "least: extended not asked for",
        LEAST,
        WITH_GPU,
        two((6000, 10000), (6000, 10000, {GPU: 4})),
        [],
        asking(*WEB),
        (50, 50),
    ),
    (
        "least: extended asked for",
        LEAST,
        WITH_GPU,
        two((6000, 10000, {GPU: 4}), (6000, 10000, {GPU: 10})),
        [],
        asking(amount(1000, 2000), amount(2000, 3000, **{GPU: 2})),
        (50, 60),
    ),
    ("most: nothing asked", MOST, CPU_MEMORY, two((4000, 10000), (4000, 10000)), [], asking(), (0, 0)),
    ("most: sizes differ", MOST, CPU_MEMORY, two((4000, 10000), (6000, 10000)), [], asking(*WEB), (62, 50)),
    (
        "most: nothing asked, pods there",
        MOST,
        CPU_MEMORY,
        two((10000, 20000), (10000, 20000)),
        [
            asking(amount(3000), on="n1"),
            asking(amount(3000), on="n1"),
            asking(amount(3000), on="n2"),
            asking(amount(3000, 5000), on="n2"),
        ],
        asking(),
        (30, 42),
    ),
    (
        "most: asked, pods there",
        MOST,
        CPU_MEMORY,
        two((10000, 20000), (10000, 20000)),
        [asking(amount(3000), on="n1"), asking(amount(3000, 5000), on="n2")],
        asking(*WEB),
        (42, 55),
    ),
    (
        "most: weights",
        MOST,
        (("memory", 2), ("cpu", 1)),
        two((4000, 10000), (6000, 10000)),
        [],
        asking(*WEB),
        (58, 50),
    ),
    ("ratio: nothing asked", RATIO, CPU_MEMORY, two((4000, 10000), (4000, 10000)), [], asking(), (100, 100)),
    ("ratio: sizes differ", RATIO, CPU_MEMORY, two((4000, 10000), (6000, 10000)), [], asking(*WEB), (38, 50)),
    (
        "ratio: pods there",
        RATIO,
        CPU_MEMORY,
        two((4000, 10000), (6000, 10000)),
        [asking(*WEB, on="n1"), asking(*WEB, on="n2")],
        asking(),
        (38, 50),
    ),
]


@pytest.mark.parametrize(
    ("kind", "weights", "nodes", "pods", "incoming", "expected"),
    [row[1:] for row in SCORES],
    ids=[row[0] for row in SCORES],
)
def test_score(
    kind: str, weights: Any, nodes: list[Any], pods: list[Pod], incoming: Pod, expected: tuple[int, int]
) -> None:
    # The ratio's cases prefer empty nodes: 10 at no utilisation, 0 at full.
    strategy = Strategy(kind, weights, ((0, 10), (100, 0)))
    case = Case(NodeResourcesFit, nodes, pods, strategy=strategy)
    assert tuple(case.scores(incoming).values()) == expected


CPU_ONLY_1, CPU_ONLY_2 = asking(*CPU_ONLY, on="n1"), asking(*CPU_ONLY, on="n2")
WEB_2 = asking(*WEB, on="n2")
BALANCED: list[tuple[str, Any, list[Any], list[Pod], Pod, tuple[int, int]]] = [
    ("sizes differ", CPU_MEMORY, two((4000, 10000), (6000, 10000)), [], asking(*WEB), (68, 75)),
    ("pods there", CPU_MEMORY, two((10000, 20000), (10000, 20000)), [CPU_ONLY_1, WEB_2], asking(*WEB), (73, 74)),
    (
        "pods there, sizes differ",
        CPU_MEMORY,
        two((10000, 20000), (10000, 50000)),
        [CPU_ONLY_1, WEB_2],
        asking(*WEB),
        (73, 70),
    ),
    ("at capacity", CPU_MEMORY, two((6000, 10000), (6000, 10000)), [CPU_ONLY_1, WEB_2], asking(*CPU_ONLY), (62, 62)),
    (
        "three resources",
        WITH_GPU,
        two((3500, 40000, {GPU: 8}), (3500, 40000, {GPU: 8})),
        [
            asking(amount(1000, 2000), amount(2000, 3000, **{GPU: 3}), on="n1"),
            WEB_2,
        ],
        asking({"memory": 0, GPU: 1}),
        (75, 76),
    ),
    (
        "a node without the third",
        WITH_GPU,
        two((3500, 40000, {GPU: 8}), (3500, 40000)),
        [],
        asking(*WEB),
        (56, 56),
    ),
]


@pytest.mark.parametrize(
    ("resources", "nodes", "pods", "incoming", "expected"),
    [row[1:] for row in BALANCED],
    ids=[row[0] for row in BALANCED],
)
def test_balanced(resources: Any, nodes: list[Any], pods: list[Pod], incoming: Pod, expected: tuple[int, int]) -> None:
    case = Case(NodeResourcesBalancedAllocation, nodes, pods, resources=tuple(name for name, _ in resources))
    assert tuple(case.scores(incoming).values()) == expected


def test_balance_plays_no_part_for_pods_that_ask_for_nothing() -> None:
    case = Case(NodeResourcesBalancedAllocation, two((4000, 10000), (4000, 10000)))
    assert set(case.scores(asking()).values()) == {0}


def test_a_pod_for_nothing_that_is_weighed_leaves_the_balance_as_it_is() -> None:
    case = Case(NodeResourcesBalancedAllocation, two((4000, 10000), (6000, 10000)), resources=("example.com/none",))
    assert set(case.scores(asking({"example.com/none": 1})).values()) == {75}


def test_the_balance_of_one_node_is_the_same_whether_it_is_judged_alone_or_among_many() -> None:
    source = random.Random(7)
    many = [
        node(
            f"n{number}", cpu=f"{source.choice((0, 300, 1000, 4000))}m", memory=str(source.choice((0, 500, 3000, 7000)))
        )
        for number in range(60)
    ]
    there = [
        asking(amount(source.randrange(900), source.randrange(2000)), on=f"n{source.randrange(60)}") for _ in range(90)
    ]
    case = Case(NodeResourcesBalancedAllocation, many, there)
    incoming = asking(amount(170, 410))
    together = case.scores(incoming)
    assert len(set(together.values())) > 5
    assert {name: case.scores(incoming, [name])[name] for name in together} == together


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            ((10, 1), (90, 9)),
            {-10: 1, 0: 1, 9: 1, 10: 1, 15: 1, 19: 1, 20: 2, 89: 8, 90: 9, 99: 9, 100: 9, 110: 9},
        ),
        (((0, 2), (40, 10), (100, 0)), {-10: 2, 0: 2, 20: 6, 30: 8, 40: 10, 70: 5, 100: 0, 110: 0}),
        (((0, 2), (40, 2), (100, 2)), {-10: 2, 0: 2, 20: 2, 30: 2, 40: 2, 70: 2, 100: 2, 110: 2}),
    ],
)
def test_the_curve_of_a_shape(shape: tuple[tuple[int, int], ...], expected: dict[int, int]) -> None:
    # The curve's scores reach to 100, those of the cases to 10.
    found = curve(shape, np.array(list(expected), np.int64)) // 10
    assert dict(zip(expected, found.tolist(), strict=True)) == expected


SMALL_CPU, SMALL_MEMORY, MIB = 100, 200 * 1024 * 1024, 1024 * 1024
LARGE, TINY, LITTLE = amount(1000, MIB), amount(1, 1), amount(3, 3)
OVERHEAD = {"cpu": "1", "memory": "1Mi"}
ASSUMED: list[tuple[str, Pod, tuple[int, int]]] = [
    ("overhead alone", pod(containers=[], overhead=OVERHEAD), (1000, MIB)),
    ("a container that asks for nothing", asking({}), (SMALL_CPU, SMALL_MEMORY)),
    ("two that ask for nothing", asking({}, {}), (2 * SMALL_CPU, 2 * SMALL_MEMORY)),
    ("one that asks, one that does not", asking(LARGE, {}), (1000 + SMALL_CPU, MIB + SMALL_MEMORY)),
    ("and overhead", asking(LARGE, {}, overhead=OVERHEAD), (2000 + SMALL_CPU, 2 * MIB + SMALL_MEMORY)),
    (
        "and an init container",
        asking(LARGE, {}, init=({"cpu": 3000},), overhead=OVERHEAD),
        (4000, 2 * MIB + SMALL_MEMORY),
    ),
    ("an init container that asks for nothing", asking(LITTLE, init=({}, TINY)), (SMALL_CPU, SMALL_MEMORY)),
    (
        "init containers and containers",
        asking(LITTLE, {}, init=({}, TINY)),
        (3 + SMALL_CPU, 3 + SMALL_MEMORY),
    ),
]


@pytest.mark.parametrize(("incoming", "expected"), [row[1:] for row in ASSUMED], ids=[row[0] for row in ASSUMED])
def test_what_scores_assume_of_a_pod(incoming: Pod, expected: tuple[int, int]) -> None:
    demand = demand_of(incoming.spec)
    assert (demand.assumed_cpu, demand.assumed_memory) == expected
