"""Label and field selectors: parsing, and whether they match.

The grammar is Kubernetes': `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, and for node affinity
`a>1`, `a<1`; parts are joined by commas and all must hold. `!=` and `notin` also hold for objects without the label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

IN, NOT_IN, EXISTS, DOES_NOT_EXIST, GREATER, LESS = "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"

_TOKEN = re.compile(r"\s*(?:(?P<op>!=|==|=|>|<|!|\(|\)|,)|(?P<word>[^\s=!<>(),]+))")
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(
    r"(?:(?=.{1,253}/)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


class SelectorError(ValueError):
    """A selector makes no sense.

    Attributes:
        text: the selector, or the part of it that is wrong.
        reason: why, in words.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"selector {text!r}: {reason}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True)
class Requirement:
    """One part of a selector."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy it."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        try:
            number, bound = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return number > bound if self.operator == GREATER else number < bound

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case "In":
                return f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
            case "NotIn":
                return f"{self.key} notin ({values})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key}{'>' if self.operator == GREATER else '<'}{values}"


@dataclass(frozen=True)
class Selector:
    """Requirements that must all hold; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy all requirements."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        """The text that `parse` makes this selector of."""
        return ",".join(map(str, sorted(self.requirements, key=lambda each: (each.key, each.operator))))

    def exact(self, key: str) -> str | None:
        """The one value that a key must have, when the selector says so."""
        for requirement in self.requirements:
            if requirement.key == key and requirement.operator == IN and len(requirement.values) == 1:
                return next(iter(requirement.values))
        return None


EVERYTHING = Selector()


def requirement(key: str, operator: str, values: Iterable[str] = ()) -> Requirement:
    """A checked requirement.

    Raises:
        SelectorError: the key, the operator or the number of values is wrong.
    """
    given = frozenset(values)
    if not LABEL_KEY.fullmatch(key):
        raise SelectorError(key, "not a label key")
    if operator in (IN, NOT_IN):
        if not given:
            raise SelectorError(key, f"{operator} needs at least one value")
    elif operator in (EXISTS, DOES_NOT_EXIST):
        if given:
            raise SelectorError(key, f"{operator} takes no values")
    elif operator in (GREATER, LESS):
        if len(given) != 1 or not re.fullmatch(r"-?\d+", next(iter(given))):
            raise SelectorError(key, f"{operator} takes one integer")
    else:
        raise SelectorError(key, f"unknown operator {operator!r}")
    for value in given:
        if operator in (IN, NOT_IN) and not LABEL_VALUE.fullmatch(value):
            raise SelectorError(value, "not a label value")
    return Requirement(key, operator, given)


def parse(text: str) -> Selector:
    """Reads a label selector in its text form; empty matches everything.

    Raises:
        SelectorError: it does not follow the grammar.
    """
    if not text.strip():
        return EVERYTHING
    tokens = _tokens(text)
    requirements: list[Requirement] = []
    position = 0

    def take() -> str:
        nonlocal position
        if position >= len(tokens):
            raise SelectorError(text, "it ends too early")
        position += 1
        return tokens[position - 1]

    while True:
        token = take()
        if token == "!":
            requirements.append(requirement(take(), DOES_NOT_EXIST))
        else:
            requirements.append(_rest(text, token, take, lambda: tokens[position : position + 1]))
        if position == len(tokens):
            return Selector(tuple(requirements))
        if take() != ",":
            raise SelectorError(text, f"expected a comma before {tokens[position - 1]!r}")


def _rest(text: str, key: str, take: Any, peek: Any) -> Requirement:
    following = peek()
    if not following or following == [","]:
        return requirement(key, EXISTS)
    operator = take()
    if operator in ("=", "=="):
        return requirement(key, IN, [_value(take, peek)])
    if operator == "!=":
        return requirement(key, NOT_IN, [_value(take, peek)])
    if operator in (">", "<"):
        return requirement(key, GREATER if operator == ">" else LESS, [take()])
    if operator in ("in", "notin"):
        if take() != "(":
            raise SelectorError(text, f"expected ( after {operator}")
        values = [_value(take, peek)]
        while (separator := take()) == ",":
            values.append(_value(take, peek))
        if separator != ")":
            raise SelectorError(text, f"expected ) before {separator!r}")
        return requirement(key, IN if operator == "in" else NOT_IN, values)
    raise SelectorError(text, f"unknown operator {operator!r}")


def _value(take: Any, peek: Any) -> str:
    """A value; it may be empty, as in `a=` or `a in (b,)`."""
    return "" if peek() in ([], [","], [")"]) else str(take())


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise SelectorError(text, f"unexpected {stripped[position]!r}")
        tokens.append(match["op"] or match["word"])
        position = match.end()
    return tokens


def of_message(message: Any) -> Selector:
    """The selector that a `LabelSelector` message means; an empty one matches everything.

    Raises:
        SelectorError: a key, an operator or the number of values is wrong.
    """
    requirements = [Requirement(k, IN, frozenset((v,))) for k, v in message.match_labels.items()]
    requirements += [requirement(e.key, e.operator, e.values) for e in message.match_expressions]
    return Selector(tuple(requirements))


def of_map(labels: Mapping[str, str]) -> Selector:
    """The selector that wants exactly these labels, as Services have it."""
    return Selector(tuple(Requirement(k, IN, frozenset((v,))) for k, v in labels.items()))


def parse_fields(text: str, known: Iterable[str]) -> Selector:
    """Reads a field selector: `a.b=c`, `a.b==c`, `a.b!=c`, joined by commas; `\\` escapes a comma or an equals sign.

    Raises:
        SelectorError: it does not follow the grammar, or names a field that cannot be selected by.
    """
    fields = frozenset(known)
    requirements: list[Requirement] = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        match = re.fullmatch(r"([^\s=!]+)\s*(!=|==|=)(.*)", part.strip(), re.DOTALL)
        if match is None:
            raise SelectorError(text, f"{part.strip()!r} is not FIELD=VALUE or FIELD!=VALUE")
        name, operator, value = match.groups()
        if name not in fields:
            choices = ", ".join(sorted(fields))
            raise SelectorError(text, f"objects of this kind cannot be selected by {name!r}; possible: {choices}")
        value = re.sub(r"\\([,=\\])", r"\1", value.strip())
        requirements.append(Requirement(name, NOT_IN if operator == "!=" else IN, frozenset((value,))))
    return Selector(tuple(requirements))
