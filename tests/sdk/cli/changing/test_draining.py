"""Which pods go when a node is drained, without any cluster."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.cli.draining import MIRROR, Rules, plan
from steersman.core.v1 import Pod

SETS = {("default", "agent")}


def pod(name: str, owner: str = "ReplicaSet/web", *, phase: str = "Running", empty_dir: bool = False) -> Pod:
    made = Pod()
    made.metadata.name, made.metadata.namespace = name, "default"
    made.status.phase = phase
    if owner:
        kind, _, owner_name = owner.partition("/")
        made.metadata.owner_references.add(kind=kind, name=owner_name, api_version="apps/v1", controller=True)
    if empty_dir:
        made.spec.volumes.add(name="data").volume_source.empty_dir.SetInParent()
    return made


def mirror() -> Pod:
    made = pod("static", "")
    made.metadata.annotations[MIRROR] = "x"
    return made


AGREED = Rules(ignore_daemon_sets=True, delete_empty_dirs=True, force=True)


@pytest.mark.parametrize(
    ("made", "rules", "goes", "forbidden", "warning"),
    [
        (pod("p"), Rules(), True, "", ""),
        (mirror(), Rules(), False, "", ""),
        (pod("p", "DaemonSet/agent"), Rules(), False, "--ignore-daemonsets", ""),
        (pod("p", "DaemonSet/agent"), Rules(ignore_daemon_sets=True), False, "", "stay"),
        (pod("p", "DaemonSet/agent", empty_dir=True), Rules(ignore_daemon_sets=True), False, "", "stay"),
        (pod("p", "DaemonSet/gone"), Rules(ignore_daemon_sets=True), False, "--force", ""),
        (pod("p", "DaemonSet/gone"), AGREED, True, "", "nobody makes them again"),
        (pod("p", "DaemonSet/agent", phase="Succeeded"), Rules(), True, "", ""),
        (pod("p", ""), Rules(), False, "--force", ""),
        (pod("p", ""), Rules(force=True), True, "", "nobody makes them again"),
        (pod("p", "", phase="Failed"), Rules(), True, "", ""),
        (pod("p", empty_dir=True), Rules(), False, "--delete-emptydir-data", ""),
        (pod("p", empty_dir=True), Rules(delete_empty_dirs=True), True, "", ""),
        (pod("p", empty_dir=True, phase="Succeeded"), Rules(), True, "", ""),
        (pod("p", "", empty_dir=True), Rules(force=True), False, "--delete-emptydir-data", "nobody"),
    ],
)
def test_what_becomes_of_a_pod(made: Any, rules: Rules, goes: bool, forbidden: str, warning: str) -> None:
    decided = plan([made], SETS, rules)
    assert bool(decided.go) is goes
    assert len(decided.forbidden) == bool(forbidden)
    assert all(forbidden in text for text in decided.forbidden)
    assert any(warning in text for text in decided.warnings) is bool(warning)


def test_pods_of_one_reason_are_named_together() -> None:
    decided = plan([pod("a", ""), pod("b", ""), pod("c")], SETS, Rules())
    assert list(decided.forbidden.values()) == [["default/a", "default/b"]]
    assert [each.metadata.name for each in decided.go] == ["c"]
