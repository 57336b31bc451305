"""`steer run expose autoscale` on a real apiserver. What needs containers is in tests/e2e/test_changing.py."""

from __future__ import annotations

import pytest
import yaml
from steersman.cli.attaching import status_of, waits_for
from steersman.client import Api
from steersman.core.v1 import Pod

from tests.apiserver.objects import config_map, deployment, pod, service
from tests.sdk.cli.changing.conftest import Steer


async def test_a_pod_is_run_with_all_that_was_said(api: Api, steer: Steer) -> None:
    line = "run web --image a:1 --env A=1 --env B=x=y --port 80 --labels app=web,tier=front --restart Never"
    assert (
        await steer.ok(*line.split(), "--expose", "--", "serve", "--fast") == "service/web created\npod/web created\n"
    )
    made = await api.pods.get("web")
    container = made.spec.containers[0]
    assert (container.name, container.image, list(container.args)) == ("web", "a:1", ["serve", "--fast"])
    assert [(each.name, each.value) for each in container.env] == [("A", "1"), ("B", "x=y")]
    assert dict(made.metadata.labels) == {"app": "web", "tier": "front"}
    assert made.spec.restart_policy == "Never"
    assert dict((await api.services.get("web")).spec.selector) == {"app": "web", "tier": "front"}


async def test_a_pod_as_a_manifest(steer: Steer) -> None:
    nowhere = Steer(steer.folder / "absent", steer.folder)
    line = ["run", "p", "--image", "a:1", "--dry-run=client", "-o", "yaml", "-it", "--command"]
    overrides = '{"spec":{"nodeName":"n1","containers":[{"name":"q","image":"b:1"}]}}'
    made = yaml.safe_load(await nowhere.ok(*line, "--", "sh"))
    assert made["spec"]["containers"][0] == {
        "name": "p",
        "image": "a:1",
        "command": ["sh"],
        "stdin": True,
        "stdinOnce": True,
        "tty": True,
    }
    assert made["metadata"]["labels"] == {"run": "p"}
    changed = yaml.safe_load(await nowhere.ok(*line, "--overrides", overrides))
    assert changed["spec"]["nodeName"] == "n1"
    assert changed["spec"]["containers"][0]["name"] == "q"


async def test_a_pod_that_does_not_start_is_taken_away_again(api: Api, steer: Steer) -> None:
    done = await steer(
        "run", "p", "--image", "a:1", "--rm", "--attach", "--restart=Never", "--pod-running-timeout", "300ms"
    )
    assert done.code == 1
    assert "pod/p did not start within 0.3 s" in done.err
    assert "pod/p deleted" in done.err
    assert not await api.pods.list()


def test_why_a_container_does_not_run_yet() -> None:
    made = Pod()
    assert waits_for(made, "c") == "not seen by its node yet"
    made.status.conditions.add(type="PodScheduled", status="False", message="no node fits")
    assert waits_for(made, "c") == "no node fits"
    waiting = made.status.ephemeral_container_statuses.add(name="c").state.waiting
    waiting.reason, waiting.message = "ErrImagePull", "no such image"
    assert waits_for(made, "c") == "ErrImagePull: no such image"
    assert status_of(made, "d") is None


async def test_a_service_for_pods_of_all_sorts(api: Api, steer: Steer) -> None:
    wanted = deployment("web")
    wanted.spec.template.spec.containers[0].ports.add(container_port=8080, protocol="TCP")
    wanted.spec.template.spec.containers[0].ports.add(container_port=53, protocol="UDP")
    wanted.metadata.labels["team"] = "shop"
    await api.deployments.create(wanted)
    assert await steer.ok("expose", "deploy/web") == "service/web exposed\n"
    made = await api.services.get("web")
    assert [(p.name, p.port, p.protocol) for p in made.spec.ports] == [("port-1", 8080, "TCP"), ("port-2", 53, "UDP")]
    assert (dict(made.spec.selector), made.metadata.labels["team"]) == ({"app": "web"}, "shop")
    line = "expose deploy web --port 80 --target-port http --name outside --type NodePort --session-affinity ClientIP"
    await steer.ok(*line.split(), "--selector", "app=web,tier=front", "-l", "x=y")
    outside = await api.services.get("outside")
    assert (outside.spec.type, outside.spec.ports[0].target_port.str_val) == ("NodePort", "http")
    assert dict(outside.spec.selector) == {"app": "web", "tier": "front"}
    assert dict(outside.metadata.labels) == {"x": "y"}
    await steer.ok("expose", "service/outside", "--name", "again", "--port", "443")
    assert dict((await api.services.get("again")).spec.selector) == {"app": "web", "tier": "front"}
    await api.pods.create(pod("p", app="p"))
    await steer.ok("expose", "pod", "p", "--port=80")
    assert (await steer.json("expose", "pod/p", "--port=80", "--dry-run=client"))["spec"]["selector"] == {"app": "p"}


async def test_what_cannot_be_exposed(api: Api, steer: Steer) -> None:
    await api.pods.create(pod("bare"))
    await api.configmaps.create(config_map("c"))
    picky = deployment("picky")
    picky.spec.selector.match_expressions.add(key="app", operator="Exists")
    await api.deployments.create(picky)
    await api.services.create(service("s"))
    for words, says in (
        ("pod/bare --port 80", "no labels"),
        ("cm/c --port 80", "configmaps cannot be exposed"),
        ("deploy/picky --port 80", "by expressions"),
        ("deploy/picky --selector app=picky", "names no ports"),
        ("svc/s --port 80 --name t", "selects no pods"),
        ("deploy/picky --port http", "is not a port"),
        ("deploy/nope --port 80", "nope"),
    ):
        done = await steer("expose", *words.split())
        assert done.code in (1, 2, 4), done
        assert says in done.err, done
        assert done.err.count("\n") == 1, done


async def test_an_autoscaler(api: Api, steer: Steer) -> None:
    await api.deployments.create(deployment("web"))
    line = "autoscale deploy/web --min 2 --max 5 --cpu-percent 80"
    assert await steer.ok(*line.split()) == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    made = await api.horizontalpodautoscalers.get("web")
    assert (made.spec.min_replicas, made.spec.max_replicas, made.spec.scale_target_ref.kind) == (2, 5, "Deployment")
    assert made.spec.metrics[0].resource.target.average_utilization == 80
    line = "autoscale deploy web --max 3 --cpu 500m --name other --dry-run=client"
    shown = await steer.json(*line.split())
    assert shown["spec"]["metrics"][0]["resource"]["target"] == {"type": "AverageValue", "averageValue": "500m"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run p", "--image"),
        ("run p --image a --rm", "--rm goes with"),
        ("run p --image a -t", "-t goes with -i"),
        ("run p --image a --expose", "--expose goes with --port"),
        ("run p --image a --env X", "not NAME=VALUE"),
        ("run p --image a --overrides {", "not JSON"),
        ("run p --image a --overrides []", "a mapping"),
        ("run p --image a --restart Sometimes", "Sometimes"),
        ("run p --image a --labels x", "not KEY=VALUE"),
        ("run Bad_Name --image a", "metadata.name"),
        ("expose", "expose what?"),
        ("autoscale deploy/web", "--max"),
        ("autoscale deploy/web --min 5 --max 3", "more than --max"),
        ("autoscale deploy/web --max 3 --cpu 5 --cpu-percent 5", "not both"),
        ("autoscale pod/p --max 3", "no replicas"),
    ],
)
async def test_words_that_make_no_sense(api: Api, steer: Steer, line: str, says: str) -> None:
    await api.deployments.create(deployment("web"))
    await api.pods.create(pod("p"))
    done = await steer(*line.split())
    assert done.code in (1, 2), done
    assert says in done.err, done
