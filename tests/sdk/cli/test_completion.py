"""What a shell offers after the tab key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.apiserver.objects import config_map, pod
from tests.sdk.cli.conftest import Cluster


def offered(cluster: Cluster, *words: str, config: str = "") -> list[str]:
    """What bash would offer for the last word."""
    environment = {
        **os.environ,
        "STEERCONFIG": config or str(cluster.config),
        "_STEER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["steer", *words]),
        "COMP_CWORD": str(len(words)),
    }
    if words and not words[-1]:
        environment["COMP_WORDS"] += " "
    done = subprocess.run(
        [sys.executable, "-m", "steersman.cli.main"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.fixture
def shop(cluster: Cluster, namespace: str) -> str:
    two = pod("web-1", namespace)
    two.spec.containers.add(name="sidecar", image="s:1")
    cluster.create(two, pod("web-2", namespace), pod("db", namespace), config_map("settings", namespace))
    return namespace


def test_commands_kinds_and_names(cluster: Cluster, shop: str) -> None:
    assert "get" in offered(cluster, "g")
    assert "why" in offered(cluster, "")
    assert {"pods", "poddisruptionbudgets"} <= set(offered(cluster, "get", "po"))
    assert offered(cluster, "-n", shop, "get", "pods", "web") == ["web-1", "web-2"]
    assert offered(cluster, "get", "-n", shop, "pod/w") == ["pod/web-1", "pod/web-2"]
    assert offered(cluster, "get", "-n", shop, "pods", "web-1", "web") == ["web-2"]
    assert offered(cluster, "get", "pods,servi") == ["pods,serviceaccounts", "pods,services"]
    assert offered(cluster, "why", "-n", shop, "cm/s") == ["cm/settings"]
    assert offered(cluster, "get", "unicorns", "a") == []


def test_words_of_commands_about_pods(cluster: Cluster, shop: str) -> None:
    assert offered(cluster, "logs", "-n", shop, "web") == ["web-1", "web-2"]
    assert offered(cluster, "logs", "-n", shop, "web-1", "-c", "") == ["c", "sidecar"]


def test_values_of_flags(cluster: Cluster, shop: str) -> None:
    assert shop in offered(cluster, "get", "pods", "-n", shop[:1])
    assert offered(cluster, "get", "pods", "--context", "t") == ["test"]
    assert "custom-columns=" in offered(cluster, "get", "pods", "-o", "cus")
    assert "--field-selector" in offered(cluster, "get", "pods", "--fie")
    assert offered(cluster, "config", "use-context", "t") == ["test"]
    assert "view" in offered(cluster, "config", "v")


def test_fields(cluster: Cluster) -> None:
    assert offered(cluster, "explain", "pod.spec.cont") == ["pod.spec.containers"]
    assert offered(cluster, "explain", "deplo") == ["deployments"]


def test_nothing_is_offered_where_nothing_is_known(cluster: Cluster) -> None:
    assert offered(cluster, "get", "pods", "a", config="/nowhere") == []
    assert offered(cluster, "get", "pods", "--context", "a", config="/nowhere") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(cluster: Cluster, shell: str) -> None:
    script = cluster.steer("completion", shell)
    assert f"_STEER_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    assert cluster.run("completion", "tcsh").code == 2
