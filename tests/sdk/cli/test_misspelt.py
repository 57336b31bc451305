"""Names of fields that a kind does not have are told of, with those that were probably meant."""

from __future__ import annotations

import pytest
from steersman import kinds
from steersman.cli import jsonpath, misspelt

from tests.apiserver.objects import pod
from tests.sdk.cli.conftest import Cluster

PODS = kinds.by_name("pods")


@pytest.mark.parametrize(
    "template",
    [
        "{.metadata.name}",
        "{.apiVersion} {.kind}",
        "{.metadata.labels.whatever}",
        "{.metadata.annotations['a/b']}",
        "{.spec.containers[*].image}",
        "{.spec.containers[0].livenessProbe.httpGet.path}",
        '{.status.conditions[?(@.type=="Ready")].status}',
        "{..anything}",
        "{.spec.containers[*]['name', 'nowhere']}",
        "{.spec.containers[0].resources.requests.cpu}",
        "{range .spec.containers[*]}{.name}{end}",
        "plain text",
    ],
)
def test_what_is_there(template: str) -> None:
    assert misspelt.complaints(PODS, jsonpath.parse(template)) == []


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{.spec.nodName}", "pod.spec has no field 'nodName'; did you mean 'nodeName'?"),
        ("{.spec.containers[*].imag}", "pod.spec.containers has no field 'imag'; did you mean 'image'?"),
        ('{.status.conditions[?(@.typ=="Ready")].status}', "pod.status.conditions has no field 'typ'"),
        ("{range .spec.containers[*]}{.nam}{end}", "pod.spec.containers has no field 'nam'; did you mean 'name'?"),
        ("{.spce}", "pod has no field 'spce'; did you mean 'spec'?"),
    ],
)
def test_what_is_not(template: str, expected: str) -> None:
    [found] = misspelt.complaints(PODS, jsonpath.parse(template))
    assert found.startswith(expected)


def test_lists() -> None:
    assert misspelt.complaints(PODS, jsonpath.parse("{.items[*].metadata.name}{.kind}"), of_list=True) == []
    [found] = misspelt.complaints(PODS, jsonpath.parse("{.items[*].metadta.name}"), of_list=True)
    assert "did you mean 'metadata'?" in found
    [found] = misspelt.complaints(PODS, jsonpath.parse("{.spec.nodeName}"), of_list=True)
    assert found == "a list has no field 'spec'; of each pod it is .items[*].spec"


def test_the_command_warns_and_goes_on(cluster: Cluster, namespace: str) -> None:
    cluster.create(pod("p", namespace))
    done = cluster.run("get", "pods", "-n", namespace, "-o", "custom-columns=N:.metadata.name,X:.spec.nodName")
    assert (done.code, done.out) == (0, "N   X\np   <none>\n")
    assert done.err == "warning: pod.spec has no field 'nodName'; did you mean 'nodeName'?\n"
    done = cluster.run("get", "pods", "-n", namespace, "--sort-by", ".metadata.nam")
    assert done.code == 1
    assert "did you mean 'name'?" in done.err
    done = cluster.run("get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}")
    assert (done.code, done.out, done.err) == (0, "p", "")
