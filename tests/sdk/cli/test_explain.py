"""`steer explain`: what the protos say of kinds and fields."""

from __future__ import annotations

import pytest
from steersman import kinds
from steersman.cli import fields

from tests.sdk.cli.conftest import Cluster


def test_a_kind(cluster: Cluster) -> None:
    said = cluster.steer("explain", "pods")
    assert said.startswith("KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    Pod is a group of containers")
    assert "  apiVersion\t<string>" in said
    assert "  spec\t<PodSpec>" in said
    # The protos speak of node_name; manifests do not.
    assert "nodeName by the scheduler" in said


def test_fields(cluster: Cluster) -> None:
    said = cluster.steer("explain", "pod.spec.containers")
    assert "FIELD: spec.containers <[]Container>" in said
    assert "  image\t<string>" in said
    said = cluster.steer("explain", "deployments.apps.spec.replicas")
    assert "FIELD: spec.replicas <integer>" in said
    assert "FIELDS:" not in said
    assert "FIELD: spec.containers.image <string>" in cluster.steer("explain", "pod.spec.containers[0].image")
    # Fields of inlined messages stand where manifests have them.
    assert "  httpGet\t<HTTPGetAction>" in cluster.steer("explain", "pod.spec.containers.livenessProbe")
    assert "<map[string]Quantity>" in cluster.steer("explain", "pod.spec.containers.resources")


def test_everything_below(cluster: Cluster) -> None:
    said = cluster.steer("explain", "deploy", "--recursive")
    assert "\n        containers\t<[]Container>\n          name\t<string>\n" in said
    assert len(said.splitlines()) > 500


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pod.spec.contaners"], "pod.spec has no field 'contaners'; did you mean 'containers'?"),
        (["pod.spec.nodeName.x"], "pod.spec.nodeName is a string, and has no fields"),
        (["podd"], "unknown kind 'podd'; did you mean 'pod'?"),
        (["pod.zzzz"], "pod has no field 'zzzz'; it has: metadata, spec, status"),
        (["deploy", "--api-version", "v1"], "Deployment is served as apps/v1, not as v1"),
        (["."], "explain what?"),
    ],
)
def test_what_is_not_there(cluster: Cluster, words: list[str], expected: str) -> None:
    done = cluster.run("explain", *words)
    assert done.code == 2
    assert expected in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("kind", list(kinds.every()), ids=lambda kind: kind.qualified_plural)
def test_something_is_said_of_every_field_of_every_kind(kind: kinds.Kind) -> None:
    assert fields.root_of(kind).text
    seen: set[str] = set()
    left = [(kind.kind, kind.message.DESCRIPTOR)]
    while left:
        way, descriptor = left.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        for field in fields.fields_of(descriptor):
            assert field.text, f"nothing is said of {way}.{field.name}"
            if field.message is not None:
                left.append((f"{way}.{field.name}", field.message))
