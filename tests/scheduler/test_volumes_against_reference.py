"""The volume plugins say what the plain reference says, whatever is there, and however it came about."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steersman.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from steersman.storage.v1 import CSINode, StorageClass

from scheduler.bootstrap import make_schedule
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler import reference_storage
from tests.scheduler.objects import node, pod
from tests.scheduler.reference_storage import StoredWorld
from tests.scheduler.storage_objects import HOSTNAME, claim, drivers, storage_class, using, volume

ZONE, BETA = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
SIZES = st.sampled_from(["1Gi", "2Gi", "3Gi"])
CLASSES = st.sampled_from(["wait"] * 6 + ["make", "make", "zoned", "now", "gone"])
NODES = ["n0", "n1", "n2"]
ALL_MODES = st.lists(
    st.sampled_from(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]), min_size=1, max_size=2, unique=True
)

affinities = st.one_of(
    st.none(),
    st.lists(st.sampled_from(NODES), min_size=1, max_size=2, unique=True).map(
        lambda names: [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": names}]}]
    ),
    st.sampled_from(["In", "NotIn"]).map(
        lambda operator: [{"matchExpressions": [{"key": ZONE, "operator": operator, "values": ["z1"]}]}]
    ),
    st.just(
        [
            {"matchExpressions": [{"key": ZONE, "operator": "Exists"}, {"key": "disk", "operator": "Exists"}]},
            {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": ["n0"]}]},
        ]
    ),
)


@st.composite
def stored_volumes(draw: Any) -> list[PersistentVolume]:
    made = []
    for number in range(draw(st.integers(2, 6))):
        labels = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    ZONE: st.sampled_from(["z1", "z2", "z1__z2"]),
                    BETA: st.just("z1"),
                    "tier": st.sampled_from(["a", "b"]),
                },
            )
        )
        made.append(
            volume(
                f"pv{number}",
                storage=draw(CLASSES),
                size=draw(SIZES),
                modes=draw(ALL_MODES),
                terms=draw(affinities),
                of=draw(st.sampled_from(["", "", "", "c0", "c1"])),
                labels=labels,
                driver=draw(st.sampled_from(["", "disk.example.com"])),
                handle=draw(st.sampled_from(["", "shared"])),
                mode=draw(st.sampled_from(["Filesystem"] * 4 + ["Block"])),
            )
        )
    return made


@st.composite
def stored_claims(draw: Any) -> list[PersistentVolumeClaim]:
    made = []
    for number in range(draw(st.sampled_from([2, 4, 4, 4]))):
        kind = draw(st.sampled_from(["open", "open", "open", "bound", "half", "placed", "lost", "once"]))
        more: dict[str, Any] = {}
        if kind in ("bound", "half", "lost"):
            more = {"volume": f"pv{draw(st.integers(0, 5))}", "bound": kind == "bound"}
            if kind == "lost":
                more["phase"] = "Lost"
        if kind == "placed":
            more["node"] = draw(st.sampled_from([*NODES, "elsewhere"]))
        modes = ["ReadWriteOncePod"] if kind == "once" else draw(ALL_MODES)[:1]
        if draw(st.integers(0, 4)) == 0:
            more["selector"] = {"matchLabels": {"tier": "a"}}
        made.append(claim(f"c{number}", storage=draw(CLASSES), size=draw(SIZES), modes=modes, **more))
    return made


inline = st.one_of(
    st.builds(
        lambda kind, same, read_only: {
            "gce": {"gcePersistentDisk": {"pdName": same, "readOnly": read_only}},
            "ebs": {"awsElasticBlockStore": {"volumeID": same, "readOnly": read_only}},
            "iscsi": {
                "iscsi": {"targetPortal": "a", "iqn": same, "lun": 0, "readOnly": read_only},
            },
            "rbd": {"rbd": {"monitors": ["a", same], "image": "i", "pool": "p", "readOnly": read_only}},
        }[kind],
        st.sampled_from(["gce", "ebs", "iscsi", "rbd"]),
        st.sampled_from(["x", "y"]),
        st.booleans(),
    )
)


@st.composite
def users(draw: Any, placed: bool) -> Pod:
    names = draw(st.lists(st.sampled_from(["c0", "c1", "c2", "c3"]), max_size=3, unique=True))
    volumes = using(*names)
    if draw(st.integers(0, 2)) == 0:
        volumes.append({"name": "inline", **draw(inline)})
    return pod(volumes=volumes, **({"on": draw(st.sampled_from(NODES))} if placed else {}))


@st.composite
def stored_nodes(draw: Any) -> tuple[list[Node], list[CSINode]]:
    nodes, said = [], []
    for name in NODES[: draw(st.integers(1, 3))]:
        labels = draw(
            st.fixed_dictionaries(
                {}, optional={ZONE: st.sampled_from(["z1", "z2"]), BETA: st.just("z1"), "disk": st.just("ssd")}
            )
        )
        nodes.append(node(name, labels=labels))
        if draw(st.booleans()):
            limit = st.one_of(st.none(), st.integers(0, 2))
            said.append(drivers(name, {"disk.example.com": draw(limit), "make.example.com": draw(limit)}))
    return nodes, said


@st.composite
def stored_worlds(draw: Any) -> StoredWorld:
    nodes, said = draw(stored_nodes())
    return StoredWorld(
        nodes,
        draw(st.lists(users(placed=True), max_size=5)),
        claims=draw(stored_claims()),
        volumes=draw(stored_volumes()),
        classes=[
            storage_class("wait"),
            storage_class("make", provisioner="make.example.com"),
            storage_class("zoned", provisioner="disk.example.com", topologies=[[{"key": ZONE, "values": ["z1"]}], []]),
            storage_class("now", delayed=False),
        ],
        drivers=said,
    )


def tell(schedule: Schedule, event: object, *, gone: bool = False) -> None:
    """Reports an object as new, or as gone."""
    change = {
        Node: schedule.node_changed,
        Pod: schedule.pod_changed,
        PersistentVolumeClaim: schedule.claim_changed,
        PersistentVolume: schedule.volume_changed,
        StorageClass: schedule.class_changed,
        CSINode: schedule.drivers_changed,
    }[type(event)]
    change(event if gone else None, None if gone else event, 0)  # type: ignore[operator]


def build(world: StoredWorld, order: random.Random) -> Schedule:
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(0))
    events = [*world.nodes, *world.pods, *world.claims, *world.volumes, *world.classes, *world.drivers]
    order.shuffle(events)
    for event in events:
        tell(schedule, event)
        if order.random() < 0.2:
            tell(schedule, event, gone=True)
            tell(schedule, event)
    return schedule


def check(schedule: Schedule, world: StoredWorld, incoming: Pod) -> None:
    template = schedule.read(incoming).template
    framework = schedule.frameworks["default-scheduler"]
    for verdict in framework.explain(template):
        one = next(one for one in world.nodes if one.metadata.name == verdict.node)
        expected = {
            name: text for name, rule in reference_storage.FILTERS.items() if (text := rule(incoming, one, world))
        }
        found = {name: reason.text for name, reason in verdict.refusals if name in reference_storage.FILTERS}
        assert found == expected, verdict.node


PATIENT = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@PATIENT
@given(stored_worlds(), st.lists(users(placed=False), min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_verdicts_on_volumes_are_those_of_the_reference(
    world: StoredWorld, incoming: list[Pod], order: random.Random
) -> None:
    schedule = build(world, order)
    for one in incoming:
        check(schedule, world, one)
    for leaving in (world.pods, world.volumes, world.claims, world.drivers):
        if leaving and order.random() < 0.5:
            gone = leaving.pop(order.randrange(len(leaving)))  # type: ignore[attr-defined]
            tell(schedule, gone, gone=True)
            check(schedule, world, incoming[0])
