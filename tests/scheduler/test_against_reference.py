"""Every vectorised plugin says what the plain reference says, whatever the cluster, and however it came about."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Namespace, Node, Pod, Service

from scheduler.bootstrap import make_schedule
from scheduler.framework import Choice
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler import reference
from tests.scheduler.objects import node, pod
from tests.scheduler.reference import World

ZONE = "topology.kubernetes.io/zone"
KEYS = [ZONE, "kubernetes.io/hostname", "rack"]
WEIGHTS = {"TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2}

apps = st.sampled_from(["a", "b", "c"])
pod_labels = st.fixed_dictionaries({"app": apps}, optional={"tier": st.sampled_from(["x", "y"])})
label_selectors = st.one_of(
    st.fixed_dictionaries({"matchLabels": st.fixed_dictionaries({"app": apps})}),
    st.builds(
        lambda operator, values: {
            "matchExpressions": [
                {"key": "app", "operator": operator, **({"values": values} if "In" in operator else {})}
            ]
        },
        st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
        st.lists(apps, min_size=1, max_size=2, unique=True),
    ),
    st.just({}),
)


@st.composite
def terms(draw: Any) -> dict[str, Any]:
    term: dict[str, Any] = {"topologyKey": draw(st.sampled_from(KEYS)), "labelSelector": draw(label_selectors)}
    if draw(st.booleans()):
        term["namespaces"] = draw(st.lists(st.sampled_from(["one", "two"]), min_size=1, max_size=2, unique=True))
    if draw(st.integers(0, 3)) == 0:
        term["namespaceSelector"] = draw(st.sampled_from([{}, {"matchLabels": {"team": "red"}}]))
    return term


def affinity_of(required: str, preferred: str) -> Any:
    return st.fixed_dictionaries(
        {},
        optional={
            required: st.lists(terms(), min_size=1, max_size=2),
            preferred: st.lists(
                st.fixed_dictionaries({"weight": st.integers(1, 100), "podAffinityTerm": terms()}),
                min_size=1,
                max_size=2,
            ),
        },
    )


REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)

node_terms = st.fixed_dictionaries(
    {},
    optional={
        "matchExpressions": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "key": st.sampled_from([ZONE, "disk", "rack"]),
                        "operator": st.sampled_from(["In", "NotIn"]),
                        "values": st.lists(st.sampled_from(["z1", "z2", "ssd", "5"]), min_size=1, max_size=2),
                    }
                ),
                st.fixed_dictionaries(
                    {
                        "key": st.sampled_from(["disk", "rack"]),
                        "operator": st.sampled_from(["Exists", "DoesNotExist"]),
                    }
                ),
                st.fixed_dictionaries(
                    {"key": st.just("rack"), "operator": st.sampled_from(["Gt", "Lt"]), "values": st.just(["5"])}
                ),
            ),
            min_size=1,
            max_size=2,
        ),
        "matchFields": st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.just("metadata.name"),
                    "operator": st.sampled_from(["In", "NotIn"]),
                    "values": st.just(["n1"]),
                }
            ),
            min_size=1,
            max_size=1,
        ),
    },
)

taint_effects = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
tolerations = st.lists(
    st.one_of(
        st.fixed_dictionaries({"operator": st.just("Exists")}, optional={"effect": taint_effects}),
        st.fixed_dictionaries(
            {"key": st.sampled_from(["k1", "k2"]), "value": st.sampled_from(["v", "w"])},
            optional={"effect": taint_effects, "operator": st.sampled_from(["Equal", "Exists"])},
        ),
    ),
    max_size=2,
)

spreads = st.lists(
    st.fixed_dictionaries(
        {
            "maxSkew": st.integers(1, 2),
            "topologyKey": st.sampled_from(KEYS),
            "whenUnsatisfiable": st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
            "labelSelector": label_selectors,
        },
        optional={
            "minDomains": st.integers(1, 4),
            "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
            "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
            "matchLabelKeys": st.just(["tier"]),
        },
    ),
    max_size=2,
)

amounts = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from(["0", "250m", "1", "1500m", "4"]),
        "memory": st.sampled_from(["0", "100Mi", "1Gi", "3Gi"]),
        "ephemeral-storage": st.sampled_from(["1Gi", "5Gi"]),
        "example.com/gpu": st.sampled_from(["1", "2"]),
    },
)


@st.composite
def containers(draw: Any, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "image": draw(st.sampled_from(["web", "web:1", "registry/db"])),
        "resources": {"requests": draw(amounts)},
    }
    if draw(st.integers(0, 4)) == 0:
        made["ports"] = [
            {
                "containerPort": 80,
                "hostPort": draw(st.sampled_from([80, 81])),
                "hostIP": draw(st.sampled_from(["", "127.0.0.1", "10.0.0.1"])),
                "protocol": draw(st.sampled_from(["TCP", "UDP"])),
            }
        ]
    return made


@st.composite
def pods(draw: Any, placed: bool) -> Pod:
    spec: dict[str, Any] = {
        "containers": [draw(containers(f"c{number}")) for number in range(draw(st.integers(1, 2)))],
        "initContainers": [
            {
                **draw(containers(f"i{number}")),
                **({"restartPolicy": "Always"} if draw(st.booleans()) else {}),
                "ports": [],
            }
            for number in range(draw(st.integers(0, 2)))
        ],
        "tolerations": draw(tolerations),
        "topologySpreadConstraints": draw(spreads),
    }
    affinity: dict[str, Any] = {}
    if draw(st.booleans()):
        affinity["podAffinity"] = draw(affinity_of(REQUIRED, PREFERRED))
    if draw(st.booleans()):
        affinity["podAntiAffinity"] = draw(affinity_of(REQUIRED, PREFERRED))
    if draw(st.integers(0, 2)) == 0:
        affinity["nodeAffinity"] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    REQUIRED: st.fixed_dictionaries(
                        {"nodeSelectorTerms": st.lists(node_terms, min_size=1, max_size=2)}
                    ),
                    PREFERRED: st.lists(
                        st.fixed_dictionaries({"weight": st.integers(1, 100), "preference": node_terms}), max_size=2
                    ),
                },
            )
        )
    if affinity:
        spec["affinity"] = affinity
    if draw(st.integers(0, 4)) == 0:
        spec["nodeSelector"] = {"disk": "ssd"}
    if draw(st.integers(0, 4)) == 0:
        spec["overhead"] = {"cpu": "100m"}
    if placed:
        spec["nodeName"] = f"n{draw(st.integers(0, 5))}"
    made = pod(labels=draw(pod_labels), namespace=draw(st.sampled_from(["one", "two"])), **spec)
    if placed and draw(st.integers(0, 5)) == 0:
        made.metadata.deletion_timestamp.seconds = 1
    return made


@st.composite
def nodes(draw: Any) -> list[Node]:
    made = []
    for number in range(draw(st.integers(1, 5))):
        labels = {}
        for key, values in ((ZONE, ["z1", "z2"]), ("disk", ["ssd", "hdd"]), ("rack", ["4", "6", "six"])):
            if draw(st.integers(0, 3)):
                labels[key] = draw(st.sampled_from(values))
        made.append(
            node(
                f"n{number}",
                cpu=draw(st.sampled_from(["0", "1", "4", "8"])),
                memory=draw(st.sampled_from(["0", "2Gi", "8Gi"])),
                pods=draw(st.sampled_from(["1", "3", "10"])),
                labels=labels,
                taints=draw(
                    st.lists(
                        st.fixed_dictionaries(
                            {
                                "key": st.sampled_from(["k1", "k2"]),
                                "value": st.sampled_from(["v", "w"]),
                                "effect": taint_effects,
                            }
                        ),
                        max_size=2,
                    )
                ),
                unschedulable=draw(st.integers(0, 5)) == 0,
                images=draw(
                    st.dictionaries(
                        st.sampled_from(["web:latest", "web:1", "registry/db:latest"]),
                        st.sampled_from([10_000_000, 300_000_000, 3_000_000_000]),
                        max_size=2,
                    )
                ),
                **{"ephemeral-storage": "4Gi", "example.com/gpu": draw(st.sampled_from(["0", "2"]))},
            )
        )
    return made


def build(world: World, order: random.Random) -> Schedule:
    """The schedule of a world, by events in some order, with detours that must leave no trace."""
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(0))
    for namespace, labels in world.namespaces.items():
        schedule.namespace_changed(None, Namespace(metadata={"name": namespace, "labels": labels}), 0)
    for number, (namespace, selector) in enumerate(world.selectors):
        made = Service(metadata={"name": f"s{number}", "namespace": namespace}, spec={"selector": selector})
        schedule.service_changed(None, made)
    events: list[Node | Pod] = [*world.nodes, *world.pods]
    order.shuffle(events)
    for event in events:
        if isinstance(event, Node):
            detour = node(event.metadata.name, labels={ZONE: "z9"}, unschedulable=True)
            if order.random() < 0.3:
                schedule.node_changed(None, detour, 0)
                if order.random() < 0.5:
                    schedule.node_changed(detour, None, 0)
            schedule.node_changed(None, event, 0)
        else:
            schedule.pod_changed(None, event, 0)
            if order.random() < 0.3:
                schedule.pod_changed(event, None, 0)
                schedule.pod_changed(None, event, 0)
    return schedule


worlds = st.builds(
    World,
    nodes=nodes(),
    pods=st.lists(pods(placed=True), max_size=6),
    namespaces=st.just({"one": {"team": "red"}, "two": {"team": "blue"}}),
    selectors=st.lists(st.tuples(st.just("one"), st.fixed_dictionaries({"app": apps})), max_size=2),
)


def check(schedule: Schedule, world: World, incoming: Pod) -> None:
    info = schedule.read(incoming)
    framework = schedule.frameworks["default-scheduler"]
    verdicts = {verdict.node: verdict for verdict in framework.explain(info.template)}
    assert verdicts.keys() == {one.metadata.name for one in world.nodes}
    feasible = []
    for one in world.nodes:
        verdict = verdicts[one.metadata.name]
        expected = {name: text for name, rule in reference.FILTERS.items() if (text := rule(incoming, one, world))}
        assert {name: reason.text for name, reason in verdict.refusals} == expected, one.metadata.name
        if not expected:
            feasible.append(one)
    totals = dict.fromkeys((one.metadata.name for one in feasible), 0)
    for name, values in reference.scores(incoming, feasible, world).items():
        for one, value in zip(feasible, values, strict=True):
            weighted = value * WEIGHTS.get(name, 1)
            assert verdicts[one.metadata.name].scores[name] == weighted, (name, one.metadata.name)
            totals[one.metadata.name] += weighted
    outcome = framework.decide(info)
    if not feasible:
        assert not isinstance(outcome, Choice)
        assert sum(outcome.counts.values()) == outcome.nodes == len(world.nodes), "counts add up"
    else:
        assert isinstance(outcome, Choice)
        assert totals[outcome.node] == max(totals.values())


PATIENT = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@PATIENT
@given(worlds, pods(placed=False), st.randoms(use_true_random=False))
def test_verdicts_are_those_of_the_reference(world: World, incoming: Pod, order: random.Random) -> None:
    check(build(world, order), world, incoming)


@st.composite
def crowded(draw: Any) -> tuple[World, Pod]:
    """Few nodes, all labelled, and pods that differ in nothing but what they think of each other."""
    zones = draw(st.lists(st.sampled_from(["z1", "z2"]), min_size=2, max_size=4))
    made = [node(f"n{number}", labels={ZONE: zone}) for number, zone in enumerate(zones)]
    if draw(st.integers(0, 3)) == 0:
        del made[0].metadata.labels[ZONE]
    few = st.sampled_from(["a", "b"])
    selector = st.fixed_dictionaries({"matchLabels": st.fixed_dictionaries({"app": few})})
    term = st.fixed_dictionaries(
        {"topologyKey": st.sampled_from([ZONE, "kubernetes.io/hostname"]), "labelSelector": selector}
    )
    weighted = st.fixed_dictionaries({"weight": st.integers(1, 100), "podAffinityTerm": term})
    opinions = st.fixed_dictionaries(
        {},
        optional={
            REQUIRED: st.lists(term, min_size=1, max_size=2),
            PREFERRED: st.lists(weighted, min_size=1, max_size=2),
        },
    )
    spread = st.fixed_dictionaries(
        {
            "maxSkew": st.integers(1, 2),
            "topologyKey": st.sampled_from([ZONE, "kubernetes.io/hostname"]),
            "whenUnsatisfiable": st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
            "labelSelector": selector,
        },
        optional={"minDomains": st.integers(2, 4)},
    )

    def one(on: str, opinionated: bool) -> Pod:
        spec: dict[str, Any] = {}
        if opinionated:
            kind = draw(st.sampled_from(["podAffinity", "podAntiAffinity", "spread", "both"]))
            if kind in ("spread", "both"):
                spec["topologySpreadConstraints"] = draw(st.lists(spread, min_size=1, max_size=2))
            if kind != "spread":
                name = kind if kind != "both" else "podAffinity"
                spec["affinity"] = {name: draw(opinions)}
        result = pod(on=on, labels={"app": draw(few)}, **spec)
        if on and draw(st.integers(0, 6)) == 0:
            result.metadata.deletion_timestamp.seconds = 1
        return result

    names = [one.metadata.name for one in made]
    placed = [one(draw(st.sampled_from(names)), draw(st.integers(0, 3)) == 0) for _ in range(draw(st.integers(0, 8)))]
    return World(made, placed), one("", True)


@PATIENT
@given(crowded(), st.randoms(use_true_random=False))
def test_opinions_about_other_pods_are_those_of_the_reference(drawn: tuple[World, Pod], order: random.Random) -> None:
    world, incoming = drawn
    check(build(world, order), world, incoming)


@PATIENT
@given(
    worlds,
    st.lists(pods(placed=False), min_size=1, max_size=2),
    st.lists(pods(placed=True), max_size=4),
    nodes(),
    st.randoms(use_true_random=False),
)
def test_verdicts_that_were_kept_follow_every_event(
    world: World, incoming: list[Pod], arriving: list[Pod], later: list[Node], order: random.Random
) -> None:
    schedule = build(world, order)
    for one in incoming:
        check(schedule, world, one)
    for arrival in arriving:
        schedule.pod_changed(None, arrival, 0)
        world.pods.append(arrival)
        check(schedule, world, incoming[0])
    while world.pods and order.random() < 0.7:
        leaving = world.pods.pop(order.randrange(len(world.pods)))
        schedule.pod_changed(leaving, None, 0)
        check(schedule, world, incoming[-1])
    for changed in later:
        schedule.node_changed(None, changed, 0)
        world.nodes = [one for one in world.nodes if one.metadata.name != changed.metadata.name] + [changed]
        check(schedule, world, incoming[0])
    if len(world.nodes) > 1:
        gone = world.nodes.pop()
        schedule.node_changed(gone, None, 0)
        check(schedule, world, incoming[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_gives_the_same_decisions_again(seed: int) -> None:
    def decide() -> list[str]:
        schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(seed))
        for number in range(10):
            schedule.node_changed(None, node(f"n{number}"), 0)
        chosen = []
        for number in range(20):
            made = pod(f"p{number}", cpu="100m")
            made.metadata.uid = f"u{number}"
            schedule.pod_changed(None, made, 0)
            attempt: Any = schedule.attempt(0)
            chosen.append(attempt.node)
        return chosen

    assert decide() == decide()
