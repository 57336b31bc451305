"""The example that a new cluster is greeted with: apply it, wait for it, and ask its Service a few times."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.client import connect_to
from steersman.manifests import files

from lab import network
from lab.certificates import admin_context
from lab.layout import Lab
from lab.programs import ProgramFailed, run
from lab.up import LabFailed

MANIFEST = Path(__file__).resolve().parent.parent / "examples" / "web.yaml"
READY_DEADLINE_S = 60.0
REQUESTS = 6
REQUESTS_MAX = 60

# Run in a node's network namespace: one HTTP request, its answer's body on standard output.
_ASK = "import sys,urllib.request as r; print(r.urlopen(sys.argv[1], timeout=2).read().decode().strip())"


@dataclass(frozen=True)
class Example:
    """What was applied and what came of it.

    Attributes:
        service: "address:port" of the Service.
        pods: the pods of the Deployment.
        nodes: the cluster's nodes.
    """

    service: str
    pods: list[Any]
    nodes: list[Any]


async def apply(lab: Lab, manifest: Path = MANIFEST) -> Example:
    """Applies the example and waits until all of its pods are ready.

    Raises:
        LabFailed: they are not ready in time.
        ManifestError: the example cannot be read.
    """
    manifests = files.read([str(manifest)])
    async with connect_to(admin_context(lab)) as api:
        applied = [await api.resource(type(m.obj)).apply(m.obj, field_manager="steer", force=True) for m in manifests]
        deployment = next(obj for obj in applied if type(obj).__name__ == "Deployment")
        service = next(obj for obj in applied if type(obj).__name__ == "Service")
        name, namespace = deployment.metadata.name, deployment.metadata.namespace
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                async for event in api.deployments.watch(namespace=namespace, name=name):
                    if event.object is not None and event.object.status.available_replicas >= deployment.spec.replicas:
                        break
        except TimeoutError as error:
            raise LabFailed(
                f"the example's pods are not ready within {READY_DEADLINE_S:g} s: steer describe pods"
            ) from error
        selector = ",".join(f"{k}={v}" for k, v in deployment.spec.selector.match_labels.items())
        pods = await api.pods.list(namespace=namespace, label_selector=selector)
        nodes = await api.nodes.list()
    return Example(f"{service.spec.cluster_ip}:{service.spec.ports[0].port}", pods, nodes)


def ask(lab: Lab, url: str) -> str:
    """Sends one request from the first node and returns the answer.

    Raises:
        ProgramFailed: there was none.
    """
    namespace = network.NAMESPACES / lab.nodes[0].namespace
    return run("nsenter", f"--net={namespace}", sys.executable, "-c", _ASK, url, timeout_s=10).strip()


def answers(lab: Lab, example: Example) -> list[str]:
    """Answers of several requests to the Service's address; goes on, within a bound, until every pod has answered."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    while len(found) < REQUESTS or (len(seen) < len(example.pods) and len(found) < REQUESTS_MAX):
        try:
            answer = ask(lab, f"http://{example.service}/")
        except ProgramFailed:
            # Rules of the newest endpoints may be a moment behind their readiness; the bound ends this.
            found.append("")
            continue
        found.append(answer)
        seen[answer] += 1
    return [answer for answer in found if answer]
