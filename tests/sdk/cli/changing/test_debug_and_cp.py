"""`steer debug` and the words of `steer cp`. What needs containers is in tests/e2e/test_changing.py."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.cli.commands.cp import Remote, remote
from steersman.cli.failures import CommandError
from steersman.cli.generators import debugging, message
from steersman.cli.generators.debugging import Copying, Tools
from steersman.client import Api
from steersman.core.v1 import Node

from tests.apiserver.objects import pod
from tests.sdk.cli.changing.conftest import Steer

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"a": "b"}},
    "spec": {
        "nodeName": "n1",
        "containers": [
            {"name": "web", "image": "a:1", "args": ["x"], "livenessProbe": {"exec": {"command": ["true"]}}},
            {"name": "side", "image": "b:1"},
        ],
        "ephemeralContainers": [{"name": "old", "image": "c:1"}],
    },
}


def test_a_copy_has_neither_the_labels_nor_the_probes() -> None:
    made = debugging.copied(POD, Copying("copy"), Tools("debugger", "t:1", stdin=True), "")
    assert made["metadata"] == {"name": "copy", "annotations": {"a": "b"}}
    assert [each["name"] for each in made["spec"]["containers"]] == ["web", "side", "debugger"]
    assert "livenessProbe" not in made["spec"]["containers"][0]
    assert made["spec"]["shareProcessNamespace"] is True
    assert not {"nodeName", "ephemeralContainers"} & made["spec"].keys()
    message(made)
    assert POD["spec"]["containers"][0]["livenessProbe"]


def test_what_a_copy_may_keep_and_change() -> None:
    how = Copying(
        "copy", same_node=True, share_processes=False, keep_labels=True, keep_probes=True, images={"*": "z:1"}
    )
    made = debugging.copied(POD, how, Tools("web", "", words=["sh"]), "web")
    first, second = made["spec"]["containers"]
    assert (first["image"], first["command"], "args" in first, "livenessProbe" in first) == ("z:1", ["sh"], False, True)
    assert second["image"] == "z:1"
    assert (made["metadata"]["labels"], made["spec"]["nodeName"]) == ({"app": "web"}, "n1")
    with pytest.raises(CommandError, match="no container 'nope'; there are side, web"):
        debugging.copied(POD, Copying("copy", images={"nope": "z"}), None, "")


@pytest.mark.parametrize("profile", list(debugging.PROFILES))
def test_what_is_added_is_valid(profile: str) -> None:
    tools = Tools("d", "t:1", words=["sh"], environment={"A": "b"}, stdin=True, tty=True, profile=profile)
    made = message(debugging.node_pod("p", "n1", tools))
    assert made.spec.host_pid
    extra = debugging.ephemeral(tools, "web")
    message({**POD, "spec": {"containers": [], "ephemeralContainers": [extra]}})


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("p:/x", Remote("", "p", "/x")),
        ("ns/p:x", Remote("ns", "p", "x")),
        ("p:C:/x", Remote("", "p", "C:/x")),
        ("file", None),
        ("./a:b", None),
        ("/a:b", None),
        ("-", None),
        (":x", None),
    ],
)
def test_what_a_path_in_a_pod_looks_like(word: str, found: Remote | None) -> None:
    assert remote(word) == found


@pytest.mark.parametrize("word", ["a/b/c:/x", "p:", "ns/:x"])
def test_what_is_no_path_at_all(word: str) -> None:
    with pytest.raises(CommandError):
        remote(word)


async def test_a_container_is_added_to_a_pod(api: Api, steer: Steer) -> None:
    await api.pods.create(pod("p", node="n1"))
    done = await steer("debug", "p", "--image", "t:1", "--target", "c", "--", "sh")
    assert done.code == 0, done
    [added] = (await api.pods.get("p")).spec.ephemeral_containers
    common = added.ephemeral_container_common
    assert (common.image, list(common.command), added.target_container_name) == ("t:1", ["sh"], "c")
    assert common.name in done.err
    await steer.ok("debug", "pod/p", "--image", "t:1", "-c", "mine")
    again = await steer("debug", "p", "--image", "t:1", "-c", "mine")
    assert (again.code, "has a container 'mine' already" in again.err) == (1, True)
    assert len((await api.pods.get("p")).spec.ephemeral_containers) == 2


async def test_a_pod_on_a_node(api: Api, steer: Steer) -> None:
    node = Node()
    node.metadata.name = "n1"
    await api.nodes.create(node)
    done = await steer("debug", "node/n1", "--image", "t:1")
    assert done.code == 0, done
    [made] = await api.pods.list()
    assert (made.spec.node_name, made.spec.host_network) == ("n1", True)
    assert made.spec.containers[0].security_context.privileged


async def test_a_copy_in_place_of_the_pod(api: Api, steer: Steer) -> None:
    await api.pods.create(pod("p", app="web"))
    done = await steer("debug", "p", "--copy-to", "q", "--set-image", "c=z:1", "--replace")
    assert done.code == 0, done
    [made] = await api.pods.list()
    assert (made.metadata.name, made.spec.containers[0].image, dict(made.metadata.labels)) == ("q", "z:1", {})


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("debug p", 2, "which image"),
        ("debug deploy/p --image t", 2, "deployments cannot be looked into"),
        ("debug p --image t --replace", 2, "go with --copy-to"),
        ("debug node/n --image t --target c", 2, "are for pods"),
        ("debug p --image t --env x", 2, "not KEY=VALUE"),
        ("debug nope --image t", 4, "nope"),
        ("debug p --copy-to q --set-image nope=t", 2, "no container 'nope'"),
        ("debug p --image t --profile god", 2, "god"),
        ("cp a b", 2, "one side is"),
        ("cp p:/a q:/b", 2, "by way of it"),
        ("cp p: b", 2, "names no path"),
        ("cp /nonexistent/x p:/a", 1, "there is no such file"),
        ("cp nope:/a /tmp", 4, "nope"),
    ],
)
async def test_words_that_make_no_sense(api: Api, steer: Steer, line: str, code: int, says: str) -> None:
    await api.pods.create(pod("p"))
    done = await steer(*line.split())
    assert done.code == code, done
    assert says in done.err, done
    assert done.err.count("\n") == 1, done
