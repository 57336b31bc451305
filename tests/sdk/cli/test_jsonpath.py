"""kubectl's JSONPath, by the facts of client-go's own tests."""

from __future__ import annotations

from typing import Any

import pytest
from steersman.cli import jsonpath

TYPES: dict[str, Any] = {
    "bools": [True, False, True, False],
    "integers": [1, 2, 3, 4],
    "floats": [1.0, 2.2, 3.3, 4.0],
    "strings": ["one", "two", "three", "four"],
    "mixed": [True, "one", 1, 1.1],
    "maps": [{"name": "one", "value": 1}, {"name": "two", "value": 2.02}, {"name": "three", "value": 3.03}],
}
STORE: dict[str, Any] = {
    "name": "shop",
    "book": [
        {"category": "reference", "author": "A B", "price": 8.95},
        {"category": "fiction", "author": "C D", "price": 12.99},
        {"category": "fiction", "author": "E F", "price": 8.99},
    ],
    "bicycle": [{"color": "red", "price": 19.95, "new": True}, {"color": "green", "price": 20.01, "new": False}],
    "labels": {"engineer": 10, "web/html": 15, "k8s-app": 20},
}
NODES: dict[str, Any] = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
            "status": {
                "capacity": {"cpu": "4"},
                "ready": True,
                "addresses": [{"type": "Old", "address": "127.0.0.1"}],
            },
        },
        {
            "metadata": {"name": "n2", "labels": {"kubernetes.io/hostname": "n2"}},
            "status": {
                "capacity": {"cpu": "8"},
                "ready": False,
                "addresses": [{"type": "Old", "address": "127.0.0.2"}, {"type": "New", "address": "127.0.0.3"}],
            },
        },
    ],
    "users": [{"name": "myself", "user": {}}, {"name": "e2e", "user": {"username": "admin", "password": "secret"}}],
}
POINTS = [
    {"id": "i1", "x": 4, "y": -5},
    {"id": "i2", "x": -2, "y": -5, "z": 1},
    {"id": "i5", "x": 0, "y": 2, "z": 1},
]

FINDS: list[tuple[str, Any, str]] = [
    ("{ .bools }", TYPES, "[true,false,true,false]"),
    ("{ .bools[0] }", TYPES, "true"),
    ("{ .bools[-1] }", TYPES, "false"),
    ("{ .bools[0:2] }", TYPES, "true false"),
    ("{ .bools[:2] }", TYPES, "true false"),
    ("{ .bools[:4:2] }", TYPES, "true true"),
    ("{ .integers }", TYPES, "[1,2,3,4]"),
    ("{ .integers[-2] }", TYPES, "3"),
    ("{ .floats[0] }", TYPES, "1"),
    ("{ .floats[-2] }", TYPES, "3.3"),
    ("{ .strings }", TYPES, '["one","two","three","four"]'),
    ("{ .strings[:4:2] }", TYPES, "one three"),
    ("{ .mixed }", TYPES, '[true,"one",1,1.1]'),
    ("{ .maps[0] }", TYPES, '{"name":"one","value":1}'),
    ("{ .maps[1::2] }", TYPES, '{"name":"two","value":2.02}'),
    ("plain text", None, "plain text"),
    ("{[?(@<5)]}", [2, 6, 3, 7], "2 3"),
    ('{"{"}', None, "{"),
    ("{[1,3,4]}", [0, 1, 2, 3, 4], "1 3 4"),
    ("hello {.name}", STORE, "hello shop"),
    ("{$.labels.web/html}", STORE, "15"),
    ("{.labels.k8s-app}", STORE, "20"),
    ("{.bicycle[*].color}", STORE, "red green"),
    ("{.book[*].author}", STORE, "A B C D E F"),
    ('{range .bicycle[*]}{ "{" }{ @.* }{ "} " }{end}', STORE, "{red 19.95 true} {green 20.01 false} "),
    ("{..price}", STORE, "8.95 12.99 8.99 19.95 20.01"),
    ("{...price}", STORE, "8.95 12.99 8.99 19.95 20.01"),
    ("{.book[-1:].author}", STORE, "E F"),
    ("{..book[2].author}", STORE, "E F"),
    ("{.bicycle[?(@.new==true)].color}", STORE, "red"),
    ("{.bicycle[?(@.color=~'^g.*en.*')].color}", STORE, "green"),
    ("{.bicycle[?(@.price>=20)].color}", STORE, "green"),
    ("{.bicycle[?(@.color!='red')].color}", STORE, "green"),
    ("before-{.hello}after", STORE, "before-after"),
    ("{[?(@.z)].id}", POINTS, "i2 i5"),
    ("{[0]['id']}", POINTS, "i1"),
    ("{[?(@.x==-2)].id}", POINTS, "i2"),
    ("{range .items[*]}{.metadata.name}, {end}{.kind}", NODES, "n1, n2, List"),
    ('{range .items[*]}{.metadata.name}{"\\t"}{end}', NODES, "n1\tn2\t"),
    ("{.items[*].status.addresses[*].address}", NODES, "127.0.0.1 127.0.0.2 127.0.0.3"),
    (
        "{range .items[*]}{range .status.addresses[*]}{.address}, {end}{end}",
        NODES,
        "127.0.0.1, 127.0.0.2, 127.0.0.3, ",
    ),
    ("{.items[*]['metadata.name', 'status.capacity']}", NODES, 'n1 n2 {"cpu":"4"} {"cpu":"8"}'),
    (
        "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}",
        NODES,
        '[n1, {"cpu":"4"}] [n2, {"cpu":"8"}] ',
    ),
    ('{.users[?(@.name=="e2e")].user.password}', NODES, "secret"),
    (r"{.items[0].metadata.labels.kubernetes\.io/hostname}", NODES, "n1"),
    (r'{.items[?(@.metadata.labels.kubernetes\.io/hostname=="n2")].metadata.name}', NODES, "n2"),
    (r"{.items[0].metadata.labels['kubernetes\.io/hostname']}", NODES, "n1"),
    ("{.items[0].metadata.labels['kubernetes.io/hostname']}", NODES, "n1"),
    ("{.items[?(@..ready==true)].metadata.name}", NODES, "n1"),
    ('{.users[?(@.name=="a)b")].name}', NODES, ""),
    ("{range .items[*]}{.metadata.name}{end}", {"items": []}, ""),
    ("{range .items[*]}{range .a[*]}{.b}{end}:{end}", {"items": []}, ""),
    ("{range .items[*]}{.a}{range .nothing[*]}{.b}{end}:{end}", {"items": [{"a": 1}]}, "1:"),
    ("{true}{3}{-1.5}", {}, "true3-1.5"),
    ("{'it''s'}", {}, "s"),
    (r"{'it\'s'}", {}, "it's"),
]


@pytest.mark.parametrize(("template", "data", "expected"), FINDS)
def test_what_a_template_finds(template: str, data: Any, expected: str) -> None:
    assert jsonpath.parse(template).render(data) == expected


WRONG: list[tuple[str, Any, str]] = [
    ("{hello}", STORE, "'hello' is neither a path"),
    ("{.labels[0]}", STORE, "is not a list"),
    ("{.book[?(@.price<>10)]}", STORE, "'<>' is not an operator"),
    ("{range .labels.*}{@}{end}{end}", STORE, "{end} without {range}"),
    ("{range .labels.*}{@}", STORE, "{range} without {end}"),
    ("{.....price}", STORE, "'..' stands twice"),
    ("{.bicycle[?(@.new=~'.*ue')]}", STORE, "=~ is for strings"),
    ("{.bicycle[?(@.price=='10')]}", STORE, "cannot compare 19.95, a number, with 10, a string: leave the quotes out"),
    ("{.book[3]}", STORE, "no element 3, the list has 3"),
    ("{.book[-4]}", STORE, "no element -1, the list has 3"),
    ("{.book[0:3:0]}", STORE, "step"),
    ("{.book[2:1]}", STORE, "begins at 2"),
    ("{.book[one]}", STORE, "[one] is no index"),
    ("{.book[0}", STORE, "] is missing"),
    ("{.book", STORE, "} is missing"),
    ('{"open}', STORE, "the quotation does not end"),
    ("{.book[?(@.price>1]}", STORE, "the filter does not end"),
    ("{.a#{}", STORE, ""),
]


@pytest.mark.parametrize(("template", "data", "expected"), WRONG)
def test_what_makes_no_sense_is_said(template: str, data: Any, expected: str) -> None:
    with pytest.raises(jsonpath.JsonPathError) as caught:
        jsonpath.parse(template).render(data)
    assert expected in str(caught.value)


def test_relaxed_expressions() -> None:
    for text in ("metadata.name", ".metadata.name", "{.metadata.name}", "{metadata.name}"):
        assert jsonpath.relaxed(text).find({"metadata": {"name": "x"}}) == ["x"]
    with pytest.raises(jsonpath.JsonPathError):
        jsonpath.relaxed("{.metadata")
