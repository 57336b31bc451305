"""What runs in a pod proves itself with a token of its own, made for it and replaced in time."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from steersman import errors, reviews
from steersman.authentication.v1 import SelfSubjectReview
from steersman.client import connect_to
from steersman.config import Context

from tests.e2e.world import World

pytestmark = [pytest.mark.root, pytest.mark.e2e]

PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"


def in_pod(cluster: World, pod: str, file: str) -> str:
    return cluster.steer("exec", pod, "--", "cat", f"{PLACE}/{file}")


async def test_a_pods_token_is_its_own_and_ends_with_it(cluster: World) -> None:
    pod = cluster.pods()[0]["metadata"]["name"]
    token = in_pod(cluster, pod, "token").strip()
    assert in_pod(cluster, pod, "namespace") == "default"
    assert in_pod(cluster, pod, "ca.crt") == (cluster.lab.pki / "ca.crt").read_text()
    context = Context(
        "pod",
        f"unix:{cluster.lab.apiserver_socket}",
        server_name="apiserver",
        authority=cluster.lab.pki / "ca.crt",
        token=token,
    )
    async with connect_to(context) as api:
        api.patient = False
        info = (await reviews.ask(api, SelfSubjectReview())).status.user_info
        assert info.username == "system:serviceaccount:default:default"
        assert list(info.extra["authentication.kubernetes.io/pod-name"].items) == [pod]
        assert info.extra["authentication.kubernetes.io/node-name"].items[0].startswith("n")
        with pytest.raises(errors.Forbidden, match="system:serviceaccount:default:default"):
            await api.secrets.list(namespace="default")
        cluster.steer("delete", "pod", pod)
        for _ in range(500):
            try:
                await reviews.ask(api, SelfSubjectReview())
            except errors.Unauthenticated as error:
                assert "is gone" in error.message
                break
            await asyncio.wait([asyncio.create_task(reached(cluster))])
        else:
            pytest.fail("the token outlives its pod")


async def reached(cluster: World) -> None:
    """One round trip to the cluster: what is waited for happens there."""
    await asyncio.to_thread(cluster.items, "pods")


def test_a_program_in_a_pod_finds_the_apiserver_and_is_its_account(cluster: World, tmp_path: Path) -> None:
    """The SDK's own way, with the files and variables of a pod, from the network of a node."""
    pod = cluster.pods()[0]
    name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
    for file in ("token", "ca.crt", "namespace"):
        (tmp_path / file).write_text(in_pod(cluster, name, file))
    variables = dict(
        line.partition("=")[::2] for line in cluster.steer("exec", name, "--", "env").splitlines() if "=" in line
    )
    script = """
import asyncio, json, sys
from pathlib import Path
from steersman import config, reviews
from steersman.authentication.v1 import SelfSubjectReview
from steersman.client import connect_to
context = config.in_pod(json.loads(sys.argv[1]), Path(sys.argv[2]))
async def main():
    async with connect_to(context) as api:
        print(context.namespace, (await reviews.ask(api, SelfSubjectReview())).status.user_info.username)
asyncio.run(main())
"""
    machine = next(each for each in cluster.lab.nodes if each.name == node)
    done = cluster.inside(machine, sys.executable, "-c", script, json.dumps(variables), str(tmp_path))
    assert done.out.split() == ["default", "system:serviceaccount:default:default"], done.err
