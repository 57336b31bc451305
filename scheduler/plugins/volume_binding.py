"""VolumeBinding: a pod goes where its volumes are, or where they can be had.

Claims that are bound hold the pod to nodes that reach their volumes. Claims that wait for their first consumer get, on
each node, the smallest volume that suits, or one that is made for them; the choice is promised when the pod is placed
and written before the pod is bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from steersman.selectors import IN

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.node_affinity import any_term, satisfied
from scheduler.plugins.plugin import CLUSTER, NODE_CHANGED, STORAGE_CHANGED, Plugin, mark, size
from scheduler.pod import Template
from scheduler.reasons import Codes, Reason, Reasons
from scheduler.volumes import Claim, StorageClass, Volume, VolumePlan

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int32]

BIND_TIMEOUT_S = 600
NONE = -1
_LAST = np.iinfo(np.int32).max

UNBOUND_IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"


@dataclass
class Wishes:
    """A pod's claims, sorted by what they need.

    Attributes:
        refusal: (code, text) why no node will do; None: some may.
        bound: volumes that are bound to the pod's claims.
        missing: a claim is bound to a volume that does not exist.
        placed: (claim, node): claims whose volume is being made for a node.
        open: claims that need a volume.
    """

    refusal: tuple[str, str] | None = None
    bound: list[Volume] = field(default_factory=list)
    missing: bool = False
    placed: list[tuple[Claim, str]] = field(default_factory=list)
    open: list[Claim] = field(default_factory=list)


class VolumeBinding(Plugin):
    """See the module."""

    name = "VolumeBinding"
    reads = CLUSTER
    filters = True
    helped_by = frozenset({NODE_CHANGED, STORAGE_CHANGED})

    def __init__(self, reasons: Reasons, *, timeout_s: int = BIND_TIMEOUT_S) -> None:
        """Makes the plugin.

        Args:
            reasons: where reasons get their numbers.
            timeout_s: how long a pod that has a node waits for its volumes, seconds.
        """
        super().__init__(reasons)
        self.timeout_s = timeout_s

        def number(code: str, text: str) -> int:
            return reasons.number(Reason(self.name, code, text, resolvable=False))

        self._elsewhere = number("VOLUME_NODE_AFFINITY", "node(s) didn't match PersistentVolume's node affinity")
        self._nothing = number("NO_VOLUME", "node(s) didn't find available persistent volumes to bind")
        self._both = number(
            "VOLUME_NODE_AFFINITY_AND_NO_VOLUME",
            "node(s) didn't match PersistentVolume's node affinity and "
            "node(s) didn't find available persistent volumes to bind",
        )
        self._missing = number(
            "VOLUME_MISSING", "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
        )

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """Refuses nodes that do not reach the pod's volumes, or where it can get none."""
        if pod.volumes is None or not pod.volumes.claims:
            return None
        wishes = wishes_of(pod, cluster)
        if wishes.refusal is not None:
            code, text = wishes.refusal
            number = self.reasons.number(Reason(self.name, code, text, resolvable=False))
            return np.full(size(rows), number, np.int32)
        if wishes.missing:
            return np.full(size(rows), self._missing, np.int32)
        reached = np.ones(size(rows), np.bool_)
        for volume in wishes.bound:
            if volume.terms is not None:
                reached &= any_term(volume.terms, cluster, rows)
        had = to_be_had(wishes, cluster, rows)
        codes = np.array(((self._both, self._elsewhere), (self._nothing, 0)), np.int32)
        refused: Codes = codes[reached.astype(np.intp), had.astype(np.intp)]
        return refused

    def reserve(self, pod: Template, cluster: Cluster, row: int) -> VolumePlan | None:
        """What must be bound or made before the pod is bound to this node."""
        if pod.volumes is None or not pod.volumes.claims:
            return None
        wishes = wishes_of(pod, cluster)
        here = np.array([row], np.intp)
        matched = chosen_for(wishes.open, cluster, here)
        bindings, provisions = [], [claim for claim, _ in wishes.placed]
        for claim, volumes, numbers in matched:
            number = int(numbers[0])
            if number == NONE:
                provisions.append(claim)
            else:
                bindings.append((claim, volumes[number]))
        if not bindings and not provisions:
            return None
        return VolumePlan(cluster.node_name(row), tuple(bindings), tuple(provisions))


def wishes_of(pod: Template, cluster: Cluster) -> Wishes:
    """What a pod's claims need."""
    storage = cluster.storage
    wishes = Wishes()
    assert pod.volumes is not None
    immediate = False
    for use in pod.volumes.claims:
        key = pod.namespace, use.name
        claim = storage.claims.get(key)
        if claim is None:
            text = f'persistentvolumeclaim "{use.name}" not found'
            if use.owner:
                text = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{use.name}"'
            return Wishes(("CLAIM_NOT_FOUND", text))
        if use.owner and claim.owner != use.owner:
            return Wishes(("CLAIM_NOT_OWNED", f'persistentvolumeclaim "{use.name}" was not created for the pod'))
        if claim.lost:
            return Wishes(
                (
                    "CLAIM_LOST",
                    f'persistentvolumeclaim "{use.name}" bound to non-existent persistentvolume "{claim.volume}"',
                )
            )
        if claim.deleting:
            return Wishes(("CLAIM_DELETED", f'persistentvolumeclaim "{use.name}" is being deleted'))
        if claim.bound:
            volume = storage.volumes.get(claim.volume)
            if volume is None:
                wishes.missing = True
            else:
                wishes.bound.append(volume)
            continue
        if claim.volume or not claim.class_name:
            immediate = True
            continue
        made = storage.classes.get(claim.class_name)
        if made is None:
            return Wishes(("CLASS_NOT_FOUND", f'storageclass.storage.k8s.io "{claim.class_name}" not found'))
        if not made.delayed:
            immediate = True
            continue
        node = storage.selected_node(claim)
        if node:
            wishes.placed.append((claim, node))
        else:
            wishes.open.append(claim)
    if immediate:
        return Wishes(("UNBOUND_IMMEDIATE_CLAIMS", UNBOUND_IMMEDIATE))
    # The smallest claims choose first, so that large volumes are left for large claims.
    wishes.open.sort(key=lambda claim: claim.size)
    return wishes


def to_be_had(wishes: Wishes, cluster: Cluster, rows: Rows) -> Mask:
    """Whether every claim that has no volume can get one on a row."""
    result = np.ones(size(rows), np.bool_)
    for claim, node in wishes.placed:
        row = cluster.rows.get(node)
        result &= mark(rows, set() if row is None else {row})
        result &= provisionable(cluster.storage.classes.get(claim.class_name), cluster, rows)
    for claim, _, numbers in chosen_for(wishes.open, cluster, rows):
        without = numbers == NONE
        if without.any():
            result &= ~without | provisionable(cluster.storage.classes.get(claim.class_name), cluster, rows)
    return result


def provisionable(made: StorageClass | None, cluster: Cluster, rows: Rows) -> Mask:
    """Whether a class can make volumes for a row."""
    if made is None or not made.provisions:
        return np.zeros(size(rows), np.bool_)
    if not made.topologies:
        return np.ones(size(rows), np.bool_)
    result = np.zeros(size(rows), np.bool_)
    for term in made.topologies:
        if term:
            result |= np.logical_and.reduce([satisfied(requirement, cluster, rows) for requirement in term])
    return result


def chosen_for(claims: list[Claim], cluster: Cluster, rows: Rows) -> list[tuple[Claim, list[Volume], Numbers]]:
    """For each claim, the volumes that it could get, and which of them it gets on each row (NONE: none of them).

    On a row no volume is given to two claims; the earlier claim gets the better one.
    """
    result: list[tuple[Claim, list[Volume], Numbers]] = []
    known: dict[str, int] = {}
    taken: list[Numbers] = []
    for claim in claims:
        candidates = cluster.storage.candidates(claim)
        # One more than were taken before suffices: some one of them is free.
        layers = best_layers(candidates, len(taken) + 1, cluster, rows)
        # Numbers that are the same for all claims, so that they can be compared.
        common = np.array([known.setdefault(volume.name, len(known)) for volume in candidates] or [0], np.int32)
        chosen = np.full(size(rows), NONE, np.int32)
        for layer in layers:
            there = layer != _LAST
            number = np.where(there, common[np.where(there, layer, 0)], NONE)
            free = there & (chosen == NONE)
            for other in taken:
                free &= other != number
            chosen = np.where(free, layer, chosen)
        taken.append(np.where(chosen == NONE, NONE - 1, common[np.where(chosen == NONE, 0, chosen)]).astype(np.int32))
        result.append((claim, candidates, chosen.astype(np.int32)))
    return result


def best_layers(candidates: list[Volume], depth: int, cluster: Cluster, rows: Rows) -> NDArray[np.int32]:
    """For each row, the positions of the `depth` first candidates that the row reaches; _LAST where there are fewer.

    Most volumes belong to one value of one label; those are sorted into a table by value, and only the others are
    compared with the rows one by one.
    """
    number = size(rows)
    anywhere: list[int] = []
    by_key: dict[str, dict[int, list[int]]] = {}
    merged = np.full((depth, number), _LAST, np.int32)
    for position, volume in enumerate(candidates):
        if volume.terms is None:
            if len(anywhere) < depth:
                anywhere.append(position)
            continue
        requirement = None
        if len(volume.terms) == 1 and not volume.terms[0].names and len(volume.terms[0].labels) == 1:
            requirement = volume.terms[0].labels[0]
        if requirement is None or requirement.operator != IN:
            mask = any_term(volume.terms, cluster, rows)
            merged = _merge(merged, np.where(mask, position, _LAST)[np.newaxis].astype(np.int32))
            continue
        column = cluster.labels.column(requirement.key)
        table = by_key.setdefault(requirement.key, {})
        for value in requirement.values:
            code = column.number(value)
            if code is not None:
                here = table.setdefault(code, [])
                if len(here) < depth:
                    here.append(position)
    if anywhere:
        merged = _merge(merged, np.repeat(np.array(anywhere, np.int32)[:, np.newaxis], number, axis=1))
    for key, table in by_key.items():
        column = cluster.labels.column(key)
        by_code = np.full((depth, len(column.values)), _LAST, np.int32)
        for code, positions in table.items():
            by_code[: len(positions), code] = positions
        merged = _merge(merged, by_code[:, column.codes[rows]])
    return merged


def _merge(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    if len(one) == 1 and len(other) == 1:
        return np.minimum(one, other)
    return np.sort(np.concatenate((one, other)), axis=0)[: len(one)]
