"""What `steer up` promises, and that nothing but the lab is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.world import REPOSITORY, World, world
from tests.waiting import eventually_sync

pytestmark = [pytest.mark.root, pytest.mark.e2e]


def of_the_machine() -> dict[str, str]:
    """The network of the machine itself, as far as a lab could disturb it."""
    commands = {
        "links": ["ip", "-o", "link"],
        "addresses": ["ip", "-o", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        "rules": ["iptables-save"],
    }
    seen = {}
    for name, command in commands.items():
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # Counters and times of generation change by themselves.
        seen[name] = re.sub(r"^#.*\n|\[\d+:\d+\]|valid_lft \S+|preferred_lft \S+|expires \S+", "", text, flags=re.M)
    return seen


def test_up_shows_nodes_pods_and_answers_of_different_pods_on_different_nodes(started: tuple[World, str]) -> None:
    _, printed = started
    for node in ("n1", "n2", "n3"):
        assert re.search(rf"^{node} +Ready ", printed, re.M)
    answers = re.findall(r"Hello from (\S+) on (\S+)", printed)
    assert len(answers) >= 6
    assert len({pod for pod, _ in answers}) >= 2
    assert len({node for _, node in answers}) >= 2
    for pod, node in answers:
        assert re.search(rf"^{pod} +1/1 +Running .* {node} ", printed, re.M)
    assert "Next:" in printed


def test_a_second_up_says_that_it_runs_and_changes_nothing(started: tuple[World, str]) -> None:
    made, _ = started
    before = [made.process_of(machine, "nodeagent") for machine in made.lab.nodes]
    printed = made.steer("up", "--name", made.name)
    assert "running already; nothing was changed" in printed
    assert [made.process_of(machine, "nodeagent") for machine in made.lab.nodes] == before


def test_status_shows_every_service_running(started: tuple[World, str]) -> None:
    made, _ = started
    rows = made.steer("status", "--name", made.name).splitlines()[1:]
    services = [(row.split()[0], row.split()[2], row.split()[3]) for row in rows]
    expected = [("control", s) for s in ("apiserver", "controllers", "scheduler", "store")]
    expected += [(node, s) for node in ("n1", "n2", "n3") for s in ("containerd", "netproxy", "nodeagent")]
    assert services == [(machine, service, "RUNNING") for machine, service in expected]


def test_the_machines_own_network_is_left_alone() -> None:
    before = of_the_machine()
    with world(nodes=1) as made:
        made.steer("up", "--name", made.name, "--nodes", "1")
        assert of_the_machine() == before
        made.steer("down", "--name", made.name)
        assert of_the_machine() == before


def test_down_removes_what_a_crash_in_the_middle_of_up_has_left() -> None:
    mounts = Path("/proc/self/mountinfo")
    with world(nodes=2) as made:
        command = [sys.executable, "-m", "steersman.cli.main", "up", "--name", made.name, "--nodes", "2"]
        starting = subprocess.Popen(
            command, env=made.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY
        )
        try:
            eventually_sync(lambda: made.process_of(made.lab.nodes[1], "containerd"), 30)
        finally:
            starting.kill()
            starting.wait()
        assert made.steer("down", "--name", made.name) == ""
        assert not made.lab.base.exists()
        assert made.name not in mounts.read_text()
        assert "There is no cluster" in made.steer("down", "--name", made.name)


def test_up_after_a_crash_starts_afresh() -> None:
    with world(nodes=1) as made:
        made.steer("up", "--name", made.name, "--nodes", "1")
        first = made.process_of(made.lab.control, "store")
        # The machine "loses power": every process is gone, files and namespaces are still there.
        from lab import machines

        machines.end_all([m.namespace for m in made.lab.machines], grace_s=0)
        done = made.run("up", "--name", made.name, "--nodes", "1")
        assert done.code == 0, done.err
        assert "what is left of an earlier run" in done.err
        assert made.process_of(made.lab.control, "store") not in (0, first)
        nodes = json.loads(made.steer("get", "nodes", "-o", "json"))["items"]
        assert [node["metadata"]["name"] for node in nodes] == ["n1"]
