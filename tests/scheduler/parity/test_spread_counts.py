"""How many pods PodTopologySpread counts in each domain of a hard constraint, also after one comes or leaves."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.columns.labels import add_up
from scheduler.plugins.pod_topology_spread import Eligibility, PodTopologySpread
from scheduler.pod import Template
from tests.scheduler.parity.harness import Case
from tests.scheduler.parity.rows import Row, a_node, a_pod, rows

CASES = rows("spread_counts")


def domains(case: Case, template: Template) -> dict[str, dict[str, int]]:
    """For each key of a hard constraint, the domains that are looked at and the pods counted there."""
    cluster, everything = case.cluster, slice(0, case.cluster.height)
    hard = [constraint for constraint in template.spreads if constraint.hard]
    columns = [cluster.labels.column(constraint.key) for constraint in hard]
    complete = np.logical_and.reduce([column.codes[everything] != 0 for column in columns])
    eligibility, found = Eligibility(template, cluster), {}
    for constraint, column in zip(hard, columns, strict=True):
        eligible = eligibility.of(constraint, complete)
        codes = column.codes[everything][eligible]
        numbers = cluster.pods.count(constraint.choice).by_row[everything][eligible]
        sums = add_up(codes, numbers, len(column.values))
        found[constraint.key] = {column.values[code]: int(sums[code]) for code in np.unique(codes).tolist()}
    return found


@pytest.mark.parametrize("row", [pytest.param(row, id=f"spread_counts-{number}") for number, row in enumerate(CASES)])
def test_counts(row: Row) -> None:
    pods = [a_pod(data) for data in row.get("pods", ())]
    case = Case(PodTopologySpread, [a_node(data) for data in row.get("nodes", ())], pods)
    template = case.reader.read(a_pod(row["pod"])).template
    # Whoever comes or leaves changes the numbers that are kept already.
    domains(case, template)
    if "comes" in row:
        info = case.reader.read(a_pod(row["comes"]))
        case.cluster.add_pod(info, info.node_name)
    if "leaves" in row:
        case.cluster.remove_pod(pods[row["leaves"]].metadata.uid)
    assert domains(case, template) == row["domains"], row["row"]
