"""What a person is told who mistypes."""

from __future__ import annotations

from tests.sdk.cli.conftest import Cluster


def test_a_kind_that_there_is_not(cluster: Cluster) -> None:
    done = cluster.run("get", "unicorns")
    assert (done.code, done.out) == (2, "")
    assert "unknown kind 'unicorns'" in done.err
