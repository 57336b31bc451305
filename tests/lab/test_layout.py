"""The pure parts of a lab: names, addresses, texts."""

from __future__ import annotations

import configparser
import io
from pathlib import Path

import pytest

from lab import containerd, supervision
from lab.layout import Lab, LayoutError


def test_names_and_addresses_follow_from_the_name() -> None:
    lab = Lab("a", 3, Path("/x"))
    assert [str(machine.address) for machine in lab.machines] == [
        "172.31.0.1",
        "172.31.0.11",
        "172.31.0.12",
        "172.31.0.13",
    ]
    assert [machine.namespace for machine in lab.machines] == [
        "steer-a.control",
        "steer-a.n1",
        "steer-a.n2",
        "steer-a.n3",
    ]
    assert not Lab("ab").control.namespace.startswith(lab.namespace_prefix)


@pytest.mark.parametrize("name", ["", "A", "a.b", "a/b", "-a", "a" * 30, "../x"])
def test_names_that_would_not_do_are_refused(name: str) -> None:
    with pytest.raises(LayoutError):
        Lab(name)


def test_a_lab_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(LayoutError, match="1 to 32"):
        Lab("a", 33)
    with pytest.raises(LayoutError, match="too long a path"):
        Lab("a", 1, Path("/" + "x" * 80))


def test_every_service_is_supervised_and_started_again() -> None:
    lab = Lab("a", 1, Path("/x"))
    for machine, programs in (
        (lab.control, supervision.control_programs(lab, node_grace_s=40)),
        (lab.nodes[0], supervision.node_programs(lab, lab.nodes[0])),
    ):
        parsed = configparser.RawConfigParser()
        parsed.read_file(io.StringIO(supervision.configuration(machine, programs)))
        for program in programs:
            section = parsed[f"program:{program.name}"]
            assert section["autorestart"] == "true"
            words = section["command"].replace("%%", "%").split()
            assert words[: len(program.command)] == program.command
            assert words[len(program.command) :] in ([], ["--log-level=info"])
    names = [p.name for p in supervision.control_programs(lab, node_grace_s=40)]
    assert names == ["store", "apiserver", "scheduler", "controllers"]


@pytest.mark.parametrize(
    ("lower", "text"), [(True, "restrict_oom_score_adj = false"), (False, "restrict_oom_score_adj = true")]
)
def test_containerd_is_told_what_the_machine_allows(lower: bool, text: str) -> None:
    import tomllib

    node = Lab("a", 1, Path("/x")).nodes[0]
    configuration = containerd.configuration(node, lower_oom_score=lower)
    assert text in configuration
    assert tomllib.loads(configuration)["grpc"]["address"] == str(node.containerd_socket)
