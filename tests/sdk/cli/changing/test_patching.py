"""Merge patches, what is edited and how states differ, without any cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman.cli import differing, editing, patching
from steersman.cli.commands.patch import parse
from steersman.cli.failures import CommandError

LEAVES = st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
TREES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6),
    max_size=3,
)


@given(TREES, TREES)
def test_the_patch_between_two_states_makes_one_of_the_other(before: Any, after: Any) -> None:
    assert patching.merged(before, patching.between(before, after)) == after
    assert patching.between(before, before) == {}


@pytest.mark.parametrize(
    ("patch", "before", "now", "both"),
    [
        ({"a": 2}, {"a": 1}, {"a": 1}, []),
        ({"a": 2}, {"a": 1}, {"a": 1, "b": 5}, []),
        ({"a": 2}, {"a": 1}, {"a": 3}, [("a",)]),
        ({"a": 2}, {"a": 1}, {"a": 2}, []),
        ({"a": None}, {"a": 1}, {"a": 3}, [("a",)]),
        ({"a": None}, {"a": 1}, {}, []),
        ({"a": {"x": 1}}, {"a": {"y": 0}}, {"a": {"y": 5}}, []),
        ({"a": {"x": 1}}, {"a": {"x": 0}}, {"a": {"x": 7}}, [("a", "x")]),
        ({"a": {"x": 1}}, {}, {"a": {"y": 1}}, [("a",)]),
    ],
)
def test_what_a_patch_would_overwrite(patch: Any, before: Any, now: Any, both: Any) -> None:
    assert patching.overwritten(patch, before, now) == both


def test_a_patch_is_json_or_yaml() -> None:
    assert parse('{"a": null}', "merge") == {"a": None}
    assert parse("a: {b: 1}", "strategic") == {"a": {"b": 1}}
    assert parse('[{"op": "remove", "path": "/a"}]', "json")[0]["op"] == "remove"
    for text, kind in (("[]", "merge"), ("{}", "json"), ("a: [", "merge"), ("", "merge"), ("a: 1\n---\nb: 2", "merge")):
        with pytest.raises(CommandError):
            parse(text, kind)


OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "d"}, "data": {"x": "# 1"}}


def test_an_object_survives_being_edited() -> None:
    for fmt in ("yaml", "json"):
        text = editing.annotated(editing.text_of(OBJECT, fmt), ["wrong:\n  here"])
        assert "# wrong:\n#   here\n" in text
        assert editing.read(editing.without_notes(text), OBJECT) == OBJECT


def test_what_an_edit_may_not_be() -> None:
    assert editing.read("# nothing\n\n", OBJECT) is None
    with pytest.raises(CommandError, match=r"metadata\.name may not change: it was 'a' and is 'b'"):
        editing.read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: d}\n", OBJECT)
    with pytest.raises(CommandError, match="there are 2 now"):
        one = editing.text_of(OBJECT, "yaml")
        editing.read(f"{one}---\n{one}", OBJECT)


def test_how_states_differ() -> None:
    before, after = differing.shown({"a": 1, "metadata": {"managedFields": []}}, {"a": 2, "metadata": {}})
    assert list(differing.unified("x", before, after)) == [
        "--- x (live)",
        "+++ x (merged)",
        "@@ -1,2 +1,2 @@",
        "-a: 1",
        "+a: 2",
        " metadata: {}",
    ]
    assert list(differing.unified("x", before, before)) == []
    assert all(
        line.endswith("\x1b[0m") or line.startswith(" ") for line in differing.unified("x", "a", "b", colour=True)
    )


def test_the_values_of_a_secret_are_hidden() -> None:
    before = {"kind": "Secret", "data": {"same": "s1", "old": "s2", "changed": "s3"}}
    after = {"kind": "Secret", "data": {"same": "s1", "new": "s4", "changed": "s5"}}
    texts = differing.shown(before, after)
    assert not any(value in text for text in texts for value in ("s1", "s2", "s3", "s4", "s5"))
    lines = list(differing.unified("s", *texts))
    assert "-  changed: '*** (before)'" in lines
    assert "+  changed: '*** (after)'" in lines
    assert "+  new: '***'" in lines
