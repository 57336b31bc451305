"""What edits of labels, annotations and taints mean, without any cluster."""

from __future__ import annotations

from typing import Any

import click
import pytest
from steersman.cli import command, edits
from steersman.cli.edits import MapEdit, Taint
from steersman.cli.failures import CommandError


def test_names_stand_before_edits() -> None:
    assert edits.split(["pod", "a", "x=1", "y-"]) == (["pod", "a"], ["x=1", "y-"])
    assert edits.split(["node", "n1", "gpu:NoSchedule"]) == (["node", "n1"], ["gpu:NoSchedule"])
    assert edits.split(["pods"]) == (["pods"], [])
    with pytest.raises(CommandError, match="'b': all names stand before"):
        edits.split(["pod", "a", "x=1", "b"])


@pytest.mark.parametrize(
    ("words", "before", "patch"),
    [
        (["a=1"], {}, {"a": "1"}),
        (["a=1"], {"a": "1"}, {}),
        (["a=2"], {"a": "1"}, {"a": "2"}),
        (["a="], {}, {"a": ""}),
        (["a-"], {"a": "1"}, {"a": None}),
        (["a-"], {}, {}),
        (["a-", "b=2", "c=3"], {"a": "1", "c": "3"}, {"b": "2", "a": None}),
        (["example.com/a=1"], {}, {"example.com/a": "1"}),
    ],
)
def test_the_patch_of_labels(words: list[str], before: dict[str, str], patch: dict[str, Any]) -> None:
    assert edits.map_edit(words, labels=True).patch(before) == patch


def test_what_stands_in_the_way_of_an_edit() -> None:
    edit = edits.map_edit(["a=2", "b=2", "c-"], labels=True)
    assert edit.taken({"a": "1", "b": "2"}) == {"a": "1"}
    assert edit.missing({"a": "1"}) == ["c"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a b=1"], "not a qualified name"),
        (["=1"], "not a qualified name"),
        (["a=x y"], "not a label value"),
        (["a=1", "a=2"], "two values"),
        (["a=1", "a-"], "both to be set and to be removed"),
    ],
)
def test_edits_that_make_no_sense(words: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        edits.map_edit(words, labels=True)


def test_an_annotation_is_any_text() -> None:
    assert edits.map_edit(["a=x y = z: ä"], labels=False) == MapEdit({"a": "x y = z: ä"})


PRESENT = [Taint("a", "1", "NoSchedule"), Taint("a", "2", "NoExecute"), Taint("b", "", "NoSchedule")]


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["c=3:NoSchedule"], [*PRESENT, Taint("c", "3", "NoSchedule")]),
        (["c:NoExecute"], [*PRESENT, Taint("c", "", "NoExecute")]),
        (["a=9:NoSchedule"], [Taint("a", "9", "NoSchedule"), *PRESENT[1:]]),
        (["a:NoSchedule-"], PRESENT[1:]),
        (["a=1:NoSchedule-"], PRESENT[1:]),
        (["a-"], PRESENT[2:]),
        (["b-", "a:NoExecute-", "c:NoSchedule"], [PRESENT[0], Taint("c", "", "NoSchedule")]),
    ],
)
def test_taints_after_an_edit(words: list[str], after: list[Taint]) -> None:
    assert edits.taint_edit(words).applied(PRESENT) == after


def test_what_stands_in_the_way_of_taints() -> None:
    edit = edits.taint_edit(["a:NoSchedule", "z:NoExecute-", "y-"])
    assert edit.taken(PRESENT) == ["a:NoSchedule"]
    assert edit.missing(PRESENT) == ["y", "z:NoExecute"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a=1:Never"], "none of the effects NoSchedule"),
        (["a=1"], "names no effect"),
        (["a:NoSchedule", "a=2:NoSchedule"], "given twice"),
        (["a:NoSchedule", "a-"], "both to be set and to be removed"),
        (["a!:NoSchedule"], "not a qualified name"),
        (["a=?:NoSchedule"], "not a label value"),
    ],
)
def test_taints_that_make_no_sense(words: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        edits.taint_edit(words)


def test_flags_as_kubectl_takes_them() -> None:
    made = click.Command(
        "x",
        params=[
            click.Option(["--wait/--no-wait"]),
            click.Option(["--force"], is_flag=True),
            click.Option(["--dry-run"], is_flag=False, flag_value="server"),
        ],
    )

    def plain(*words: str) -> list[str]:
        return command.plain(made.params, words)

    assert plain("--wait=false", "--force=true", "a") == ["--no-wait", "--force", "a"]
    assert plain("--wait=true", "--force=false") == ["--wait"]
    assert plain("--dry-run", "pod") == ["--dry-run=server", "pod"]
    assert plain("--dry-run=client", "--", "--force=true") == ["--dry-run=client", "--", "--force=true"]
    with pytest.raises(click.BadParameter, match="neither true nor false"):
        plain("--force=perhaps")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1m30s", 90), ("1.5h", 5400), ("200ms", 0.2)])
def test_spans_of_time(text: str, seconds: float) -> None:
    assert command.SPAN.convert(text, None, None) == seconds


def test_what_is_no_span_of_time() -> None:
    with pytest.raises(click.BadParameter, match="not a span of time"):
        command.SPAN.convert("5 minutes", None, None)
