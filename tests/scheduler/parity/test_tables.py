"""kube-scheduler's cases, plugin by plugin: the same verdicts, and the same scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
from steersman.core.v1 import Pod

from scheduler.plugins.registry import CLASSES
from tests.scheduler.parity.harness import Case
from tests.scheduler.parity.rows import Row, a_node, a_pod, a_service, arguments, rows, stored, tables

CASES = [(name, number, row) for name in tables() for number, row in enumerate(rows(name)) if "plugin" in row]


def case_of(row: Row) -> Case:
    """The row's cluster, seen by its plugin."""
    return Case(
        CLASSES[row["plugin"]],
        [a_node(data) for data in row["nodes"]],
        [a_pod(data) for data in row.get("pods", ())],
        namespaces=row.get("namespaces"),
        services=[a_service(data) for data in row.get("services", ())],
        stored=stored(row),
        **arguments(row),
    )


def check_plan(case: Case, incoming: Pod, row: Row) -> None:
    """The volumes that the pod's claims get on the one node, and those that are made for it."""
    plan = case.plugin.reserve(case.reader.read(incoming).template, case.cluster, 0)
    bindings = {claim.key[1]: volume.name for claim, volume in plan.bindings} if plan else {}
    assert bindings == row["bindings"], row["row"]
    if "provisions" in row:
        assert [claim.key[1] for claim in plan.provisions] == row["provisions"] if plan else not row["provisions"]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{number}") for name, number, row in CASES])
def test_row(row: Row) -> None:
    case, incoming = case_of(row), a_pod(row["pod"])
    if "scores" in row:
        assert case.scores(incoming, row.get("among")) == row["scores"], row["row"]
        return
    if "bindings" in row:
        check_plan(case, incoming, row)
    template = case.reader.read(incoming).template
    if incoming.spec.node_name and row["plugin"] == "NodeName":
        template = replace(template, node_name=incoming.spec.node_name)
    found, resolvable = case.verdicts(template)
    for node, text in row["verdicts"].items():
        # Where upstream's attempt ends in an error, any reason will do.
        assert found[node] == text if text != "*" else found[node], row["row"]
    if "unresolvable" in row:
        assert row["unresolvable"] not in resolvable.values(), row["row"]
