"""kube-scheduler's cases of preemption: who may, where it helps, the same victims, one of the same nodes in the end."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from steersman.manifests import codec
from steersman.policy.v1 import PodDisruptionBudget

from scheduler.bootstrap import make_schedule
from scheduler.framework import Choice
from scheduler.outcomes import Refusal
from scheduler.plugins import default_preemption
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.scheduler.parity.rows import Row, a_node, a_pod, rows

CASES = rows("preemption")


def schedule_of(row: Row, seed: int) -> Schedule:
    """The row's cluster."""
    schedule = make_schedule(("default-scheduler",), Reasons(), random.Random(seed))
    for data in row["nodes"]:
        schedule.node_changed(None, a_node(data), 0)
    for data in row.get("pods", ()):
        schedule.pod_changed(None, a_pod(data), 0)
    for data in row.get("budgets", ()):
        made: Any = codec.decode(
            PodDisruptionBudget, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", **data}
        )
        schedule.budget_changed(None, made)
    return schedule


def ids(kind: str) -> list[Any]:
    """The rows of a kind, each under its number."""
    return [pytest.param(row, id=f"preemption-{number}") for number, row in enumerate(CASES) if row["kind"] == kind]


@pytest.mark.parametrize("by_resources", [False, True])
@pytest.mark.parametrize("row", ids("victims"))
def test_victims(row: Row, by_resources: bool) -> None:
    schedule = schedule_of(row, 1)
    framework, cluster = schedule.frameworks["default-scheduler"], schedule.cluster
    info = schedule.read(a_pod(row["pod"]))
    if by_resources and framework.depends_on_others(info.template):
        # More than resources decides, which the shorter way does not look at.
        return
    for name, expected in row["on"].items():
        number = cluster.rows.get(name)
        assert number is not None
        found = default_preemption.plan(
            info.template,
            cluster,
            np.array([number], np.intp),
            suits=lambda one: framework.suits_row(info.template, one, late=True),
            by_resources_alone=by_resources,
            spared=lambda _: False,
        )
        if expected is None:
            assert found is None, (row["row"], name)
        else:
            assert found is not None, (row["row"], name)
            assert {victim.name for victim in found.victims} == set(expected["pods"]), (row["row"], name)
            assert found.violations == expected["violations"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("row", ids("best"))
def test_node(row: Row, seed: int) -> None:
    schedule = schedule_of(row, seed)
    framework = schedule.frameworks["default-scheduler"]
    info = schedule.read(a_pod(row["pod"]))
    assert not isinstance(framework.decide(info), Choice), row["row"]
    found, _ = framework.preempt(info.template, spared=lambda _: False)
    if not row["any_of"]:
        assert found is None, row["row"]
        return
    assert found is not None, row["row"]
    assert found.node in row["any_of"], row["row"]
    if "victims" in row:
        assert {victim.name for victim in found.victims} == set(row["victims"]), row["row"]


@pytest.mark.parametrize("row", ids("eligible"))
def test_who_may(row: Row) -> None:
    schedule = schedule_of(row, 1)
    schedule.pod_changed(None, a_pod(row["pod"]), 0)
    attempt = schedule.attempt(1.0)
    assert isinstance(attempt, Refusal), row["row"]
    assert (attempt.preemption is not None) == row["eligible"], row["row"]
    if attempt.preemption is not None:
        assert attempt.preemption.node == row["node"]


@pytest.mark.parametrize("row", ids("helps"))
def test_where_it_helps(row: Row) -> None:
    schedule = schedule_of(row, 1)
    framework, rows_of = schedule.frameworks["default-scheduler"], schedule.cluster.rows
    assert not isinstance(framework.decide(schedule.read(a_pod(row["pod"]))), Choice), row["row"]
    names = [data["metadata"]["name"] for data in row["nodes"]]
    numbers = {name: number for name in names if (number := rows_of.get(name)) is not None}
    assert len(numbers) == len(names)
    assert [name for name in names if framework.may_be_resolved(numbers[name])] == row["helps"], row["row"]
