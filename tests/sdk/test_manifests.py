"""YAML to messages and back."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman.apps.v1 import Deployment
from steersman.core.v1 import ConfigMap, ContainerStatus, Pod, Secret, Service
from steersman.manifests import codec, files, text

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_examples_survive_the_way_to_bytes_and_back(path: Path) -> None:
    manifests = files.read([str(path)])
    assert manifests
    for manifest in manifests:
        again = type(manifest.obj).FromString(manifest.obj.SerializeToString())
        [back] = files.parse(files.to_yaml([again]), "again")
        assert back.obj == manifest.obj


def test_inline_messages_stand_in_their_parents() -> None:
    data = {"spec": {"volumes": [{"name": "v", "configMap": {"name": "c", "defaultMode": 0o400}}]}}
    pod = codec.decode(Pod, data)
    source = pod.spec.volumes[0].volume_source.config_map
    assert (source.local_object_reference.name, source.default_mode) == ("c", 0o400)
    assert codec.encode(pod)["spec"]["volumes"] == data["spec"]["volumes"]


def test_special_values() -> None:
    service = codec.decode(
        Service, {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}]}}
    )
    assert [codec.encode(port)["targetPort"] for port in service.spec.ports] == ["http", 8081]
    limits = {"cpu": 1, "memory": "64Mi", "example.org/x": 0.5}
    pod = codec.decode(Pod, {"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}})
    assert {k: v.value for k, v in pod.spec.containers[0].resources.limits.items()} == {
        "cpu": "1",
        "memory": "64Mi",
        "example.org/x": "0.5",
    }
    secret = codec.decode(Secret, {"data": {"k": base64.b64encode(b"\xff\0").decode()}})
    assert secret.data["k"] == b"\xff\0"
    pod = codec.decode(Pod, {"metadata": {"creationTimestamp": "2026-01-31T12:00:00+01:00"}})
    assert codec.encode(pod)["metadata"]["creationTimestamp"] == "2026-01-31T11:00:00Z"


def test_keys_that_yaml_takes_for_numbers_are_texts() -> None:
    pages = codec.decode(ConfigMap, {"data": {404: "not here", True: "yes"}})
    assert dict(pages.data) == {"404": "not here", "true": "yes"}


def test_presence_tells_zero_from_nothing() -> None:
    assert not codec.decode(Deployment, {"spec": {}}).spec.HasField("replicas")
    zero = codec.decode(Deployment, {"spec": {"replicas": 0}})
    assert zero.spec.HasField("replicas")
    assert codec.encode(zero)["spec"]["replicas"] == 0
    empty = codec.decode(Pod, {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}})
    assert empty.spec.volumes[0].volume_source.HasField("empty_dir")
    assert codec.encode(ContainerStatus(name="c"))["restartCount"] == 0


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"spec": {"containers": [{"nam": "c"}]}}, "spec.containers[0].nam", "did you mean 'name'?"),
        ({"spec": {"containers": {}}}, "spec.containers", "expected a list, got a mapping"),
        ({"spec": []}, "spec", "expected a mapping, got a list"),
        ({"spec": {"hostNetwork": "yes"}}, "spec.hostNetwork", "expected true or false, got the string 'yes'"),
        ({"spec": {"terminationGracePeriodSeconds": "5"}}, "spec.terminationGracePeriodSeconds", "expected an integer"),
        (
            {"spec": {"terminationGracePeriodSeconds": 2**63}},
            "spec.terminationGracePeriodSeconds",
            "from -9223372036854775808",
        ),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a", "got the number 1; put it in quotes"),
        ({"metadata": {"labels": {1.5: "a"}}}, "metadata.labels[1.5]", "expected a string as the key"),
        ({"metadata": {"creationTimestamp": "yesterday"}}, "metadata.creationTimestamp", "expected a time such as"),
        (
            {"spec": {"containers": [{"resources": {"limits": {"cpu": True}}}]}},
            "spec.containers[0].resources.limits.cpu",
            "quantity",
        ),
        (
            {"spec": {"containers": [{"livenessProbe": {"tcpSocket": {"port": 1.5}}}]}},
            "spec.containers[0].livenessProbe.tcpSocket.port",
            "expected an integer or a string",
        ),
    ],
)
def test_every_problem_says_where_and_what(data: object, path: str, words: str) -> None:
    with pytest.raises(codec.DecodeError) as caught:
        codec.decode(Pod, data)
    [problem] = caught.value.problems
    assert codec.show_path(problem.path) == path
    assert words in problem.text


def test_all_problems_of_all_documents_are_told_with_their_lines() -> None:
    content = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: 7
---
# a comment
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    data:
      k: "not base64!"
  - {apiVersion: v1, kind: Unicorn}
"""
    with pytest.raises(files.ManifestError) as caught:
        files.parse(content, "x.yaml")
    assert [(place.line, what.partition(":")[0]) for place, what in caught.value.problems if place] == [
        (4, "metadata.name"),
        (13, "data.k"),
        (14, "kind"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "stands twice"),
        ("a: [1\nb: 2\n", 2, ""),
        ("? [1, 2]\n: 3\n", 1, "must be a scalar"),
        ("a: " + "[" * 300 + "]" * 300, 1, "nested deeper"),
        ("a: !!python/object:os.system {}\n", 1, ""),
        ("a: \x00\n", 1, ""),
    ],
)
def test_text_that_is_no_manifest(content: str, line: int, words: str) -> None:
    with pytest.raises(text.SyntaxProblem) as caught:
        list(text.documents(content))
    assert caught.value.line == line
    assert words in caught.value.reason


def test_aliases_are_followed_and_cannot_explode() -> None:
    [document] = text.documents("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}
    bomb = "a: &a [x]\n" + "".join(
        f"{c}: &{c} [{', '.join(['*' + p] * 20)}]\n" for p, c in zip("abcdef", "bcdefg", strict=True)
    )
    with pytest.raises(text.SyntaxProblem, match="more than"):
        list(text.documents(bomb))


def test_dates_stay_strings() -> None:
    [document] = text.documents("a: 2026-01-31\n")
    assert document.data == {"a": "2026-01-31"}


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
    (tmp_path / "a.yaml").write_text(one % "a")
    (tmp_path / "b.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.yml").write_text(one % "c")

    def names(*given: str, recursive: bool = False) -> list[str]:
        return [m.obj.metadata.name for m in files.read(given, recursive=recursive)]

    assert names(str(tmp_path)) == ["a", "b"]
    assert names(str(tmp_path), recursive=True) == ["a", "b", "c"]
    assert names(str(tmp_path / "*.json"), str(tmp_path / "a.yaml")) == ["b", "a"]
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(files.ManifestError) as caught:
        names(str(tmp_path), str(tmp_path / "none.yaml"), str(tmp_path / "*.toml"))
    assert [what.rpartition("/")[2] for _, what in caught.value.problems] == [
        "d.yaml: not UTF-8 text (byte 0)",
        "none.yaml: No such file or directory",
        "*.toml: no file matches",
    ]


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=5))
def test_any_text_in_a_config_map_survives_yaml(data: dict[str, str]) -> None:
    made = ConfigMap(data={k: v for k, v in data.items() if k.isprintable() and not (set(v) & _CONTROL)})
    [back] = files.parse(files.to_yaml([made]), "x")
    assert back.obj == made


# YAML cannot carry these unescaped, and next-line characters are folded by it.
_CONTROL = {chr(c) for c in (*range(9), *range(11, 32), 0x7F, 0x85, 0x2028, 0x2029, 0xFEFF)} | {
    chr(c) for c in (*range(0x80, 0xA0), 0xFFFE, 0xFFFF)
}
