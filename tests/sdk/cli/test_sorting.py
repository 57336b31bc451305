"""Orders and columns that a person chooses."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.cli import custom_columns, sorting


def ordered(path: str, *values: Any) -> list[Any]:
    return sorting.by_path(path, values, [{} if value is None else {"v": value} for value in values])


def test_what_is_sorted_by() -> None:
    assert ordered(".v", 10, 9, 2.5) == [2.5, 9, 10]
    assert ordered("v", "web-10", "web-9", "db") == ["db", "web-9", "web-10"]
    assert ordered("{.v}", "2Gi", "500Mi", "1G") == ["500Mi", "1G", "2Gi"]
    assert ordered(".v", True, False) == [False, True]
    assert ordered(".v", "b", None, "a") == [None, "a", "b"]
    assert ordered(".v", "2026-01-02T00:00:00Z", "2025-12-31T00:00:00Z")[0].startswith("2025")
    assert sorting.by_path(".v", [], []) == []


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        (".nothing", {"v": 1}, "no object has such a field"),
        (".v[*]", {"v": [1, 2]}, "2 values"),
        (".v[", {"v": [1]}, "] is missing"),
    ],
)
def test_orders_that_make_no_sense(path: str, data: Any, expected: str) -> None:
    with pytest.raises(sorting.SortError) as caught:
        sorting.by_path(path, [1], [data])
    assert expected in str(caught.value)


def test_custom_columns() -> None:
    columns = custom_columns.of_spec("NAME:.metadata.name,TAGS:tags[*],FIRST:{.tags[0]},UNION:.tags[0,1]")
    assert [column.heading for column in columns] == ["NAME", "TAGS", "FIRST", "UNION"]
    data = [{"metadata": {"name": "a"}, "tags": ["x", "y"]}, {"metadata": {}, "tags": ["z", "z"]}]
    assert custom_columns.rows(columns, data) == [["a", "x,y", "x", "x,y"], ["<none>", "z,z", "z", "z,z"]]
    columns = custom_columns.of_template("NAME   NODE\nmetadata.name .spec.nodeName\n")
    assert custom_columns.rows(columns, data) == [["a", "<none>"], ["<none>", "<none>"]]


@pytest.mark.parametrize("spec", ["", "NAME", "NAME:", ":.x", "A:.x[", "A:.b,"])
def test_columns_that_make_no_sense(spec: str) -> None:
    with pytest.raises(custom_columns.CustomColumnsError):
        custom_columns.of_spec(spec)


@pytest.mark.parametrize("text", ["", "A B\n.x", "A\n.x\n.y", "A\n.x[\n"])
def test_templates_that_make_no_sense(text: str) -> None:
    with pytest.raises(custom_columns.CustomColumnsError):
        custom_columns.of_template(text)
