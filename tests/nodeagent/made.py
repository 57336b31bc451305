"""Pods and what the runtime has of them, in few words, for tables of decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from steersman.core.v1 import Pod
from steersman.manifests.files import parse

from nodeagent.pod import labels
from nodeagent.pod.state import ContainerRecord, Life, PodRuntime, SandboxRecord

NOW = datetime(2026, 11, 20, 5, 0, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def pod(spec: str, *, status: str = "{}", metadata: str = "") -> Pod:
    """A pod from the text of its spec, in YAML's flow form."""
    [manifest] = parse(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: default, uid: u1{metadata}}},"
        f" spec: {spec}, status: {status}}}",
        "table",
    )
    made: Any = manifest.obj
    return made


def sandbox(attempt: int = 0, *, ready: bool = True) -> SandboxRecord:
    return SandboxRecord(f"s{attempt}", attempt, ready, ago(100 - attempt), ("10.0.0.5",) if ready else ())


def container(
    name: str, state: str = "running", attempt: int = 0, *, box: int = 0, at: float = 1, of: Pod | None = None
) -> ContainerRecord:
    """A container record: `state` is "running", "created", "unknown" or its exit code; it ended `at` seconds ago."""
    exited = state.isdigit()
    spec_hash = ""
    if of is not None:
        every = (*of.spec.init_containers, *of.spec.containers)
        spec_hash = labels.container_hash(next(each for each in every if each.name == name))
    return ContainerRecord(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        life=Life.EXITED if exited else Life(state),
        sandbox_id=f"s{box}",
        created_at=ago(50 - attempt),
        started_at=ago(50 - attempt),
        finished_at=ago(at) if exited else None,
        exit_code=int(state) if exited else 0,
        reason=("Completed" if state == "0" else "Error") if exited else "",
        image="busybox",
        image_id="sha256:1",
        spec_hash=spec_hash,
    )


def runtime(*found: SandboxRecord | ContainerRecord) -> PodRuntime:
    return PodRuntime.of(
        [each for each in found if isinstance(each, SandboxRecord)],
        [each for each in found if isinstance(each, ContainerRecord)],
    )
