r"""kubectl's dialect of JSONPath: templates of text and of expressions in braces. Pure: plain data in, text out.

    {.metadata.name}                                     a field; also {$.metadata.name} and {@.metadata.name}
    {.metadata.labels.kubernetes\.io/hostname}           a dot that is part of a name; also {['kubernetes.io/hostname']}
    {.items[0]} {.items[-1]} {.items[0:4:2]} {.items[*]} one, the last, a slice with a step, all
    {.items[*]['metadata.name', 'status.phase']}         several, one after the other
    {..name}                                             fields of this name at any depth
    {.items[?(@.status.phase=="Running")].metadata.name} those for which it is true: == != < <= > >= =~, or just @.field
    {range .items[*]}{.metadata.name}{"\n"}{end}         for each; text in quotes knows \n, \t and the like

What is not there is nothing, and no error; an index beyond the end is one. Several values are joined by blanks; maps
and lists come out as JSON. The rules are those of k8s.io/client-go/util/jsonpath.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Characters that end a name.
_ENDS = frozenset(" \t\r\n.,[]$@{}")
_SLICE = re.compile(r"(-?\d*)(?::(-?\d*))?(?::(-?\d*))?")
_KEY = re.compile(r"'([^']*)'")
_FILTER = re.compile(r"([^!<>=]+)([!<>=~]+)(.+)", re.DOTALL)
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "=~")


class JsonPathError(ValueError):
    """A template makes no sense, or not for this data; the message says what."""


# --- what a template is made of -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """The value of a name."""

    name: str


@dataclass(frozen=True)
class Wildcard:
    """All values of a map or a list."""


@dataclass(frozen=True)
class Recursive:
    """A value and all maps and lists within it."""


@dataclass(frozen=True)
class Slice:
    """Some elements of a list; `single` is one of them alone."""

    start: int | None
    stop: int | None
    step: int | None
    single: bool


@dataclass(frozen=True)
class Union:
    """What several expressions find, one after the other."""

    parts: tuple[Steps, ...]


@dataclass(frozen=True)
class Filter:
    """The elements of a list for which something holds; without an operator: that the left side finds something."""

    left: Steps
    operator: str
    right: Steps


@dataclass(frozen=True)
class Literal:
    """A text, a number or a boolean."""

    value: Any


@dataclass(frozen=True)
class Key:
    """What stands in brackets and quotes: a name as it is where there is such a one, or else a path."""

    name: str
    path: Steps


Step = Field | Key | Wildcard | Recursive | Slice | Union | Filter | Literal
Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Range:
    """A part that is repeated for each value that the steps find."""

    over: Steps
    body: tuple[Part, ...]


Part = Steps | Range


@dataclass(frozen=True)
class Template:
    """A template that was understood."""

    parts: tuple[Part, ...]

    def render(self, data: Any) -> str:
        """The text for plain data.

        Raises:
            JsonPathError: the template does not fit the data.
        """
        return "".join(" ".join(map(show, found)) for found in _run(self.parts, data))

    def results(self, data: Any) -> list[list[Any]]:
        """What each expression finds.

        Raises:
            JsonPathError: the template does not fit the data.
        """
        return list(_run(self.parts, data))

    def find(self, data: Any) -> list[Any]:
        """What all expressions find together.

        Raises:
            JsonPathError: the template does not fit the data.
        """
        return [value for found in self.results(data) for value in found]


# --- reading --------------------------------------------------------------------------------------------------------


def parse(text: str) -> Template:
    """Reads a template.

    Raises:
        JsonPathError: it makes no sense.
    """
    reader = _Reader(text)
    parts = reader.template(inside_range=False)
    return Template(parts)


def relaxed(text: str) -> Template:
    """Reads one expression of which braces and the dot in front may be left out: "metadata.name".

    Raises:
        JsonPathError: it makes no sense.
    """
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}"):
        raise JsonPathError(f"{text!r}: the braces do not match")
    inner = inner[1:-1] if inner.startswith("{") else inner
    if not inner:
        raise JsonPathError("empty")
    return parse("{" + (inner if inner[0] in ".[$@" else f".{inner}") + "}")


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def template(self, *, inside_range: bool) -> tuple[Part, ...]:
        parts: list[Part] = []
        while self.at < len(self.text):
            brace = self.text.find("{", self.at)
            if brace != self.at:
                plain = self.text[self.at : brace if brace >= 0 else len(self.text)]
                parts.append((Literal(plain),))
                self.at += len(plain)
                continue
            self.at += 1
            word = self._word()
            if word == "end":
                self._close()
                if not inside_range:
                    raise JsonPathError("{end} without {range}")
                return tuple(parts)
            if word == "range":
                over = self.steps()
                self._close()
                parts.append(Range(over, self.template(inside_range=True)))
                continue
            if word:
                raise JsonPathError(f"{word!r} is neither a path (.{word}) nor range or end")
            parts.append(self.steps())
            self._close()
        if inside_range:
            raise JsonPathError("{range} without {end}")
        return tuple(parts)

    def _word(self) -> str:
        """The word that an expression begins with, "" when it begins with something else or is true or false."""
        match = re.compile(r"[ \t]*([^\W\d]\w*)").match(self.text, self.at)
        if match is None or match[1] in ("true", "false"):
            return ""
        self.at = match.end()
        return match[1]

    def _close(self) -> None:
        if not self.text.startswith("}", self.at):
            raise JsonPathError(f"{self.text[max(0, self.at - 20) :]!r}: }} is missing")
        self.at += 1

    def steps(self) -> Steps:
        """The steps up to the brace that closes, or the end."""
        steps: list[Step] = []
        text = self.text
        while self.at < len(text) and text[self.at] != "}":
            char = text[self.at]
            if char in " \t@$":
                self.at += 1
            elif text.startswith("..", self.at):
                if steps and isinstance(steps[-1], Recursive):
                    raise JsonPathError("'..' stands twice in a row")
                steps.append(Recursive())
                self.at += 2
                if self.at < len(text) and (text[self.at].isalnum() or text[self.at] == "_"):
                    steps.append(self._field())
            elif char == ".":
                self.at += 1
                steps.append(self._field())
            elif text.startswith("[?(", self.at):
                steps.append(self._filter())
            elif char == "[":
                steps.extend(self._brackets())
            elif char in "\"'":
                steps.append(Literal(self._quoted(char)))
            elif char.isdigit() or char in "+-":
                steps.append(self._number())
            elif match := re.compile(r"(true|false)\b").match(text, self.at):
                steps.append(Literal(match[1] == "true"))
                self.at = match.end()
            else:
                raise JsonPathError(f"{char!r} is not understood in {text!r}")
        return tuple(steps)

    def _field(self) -> Step:
        name = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and self.at + 1 < len(self.text):
                name += self.text[self.at + 1]
                self.at += 2
                continue
            if char in _ENDS:
                break
            name += char
            self.at += 1
        return Wildcard() if name == "*" else Field(name)

    def _number(self) -> Literal:
        match = re.compile(r"[+-]?[\d.]*").match(self.text, self.at)
        word = match[0] if match else ""
        self.at += len(word)
        try:
            return Literal(int(word) if "." not in word else float(word))
        except ValueError:
            raise JsonPathError(f"{word!r} is not a number") from None

    def _quoted(self, quote: str) -> str:
        match = re.compile(rf"{quote}((?:[^{quote}\\\n]|\\.)*){quote}").match(self.text, self.at)
        if match is None:
            raise JsonPathError(f"{self.text[self.at :]!r}: the quotation does not end")
        self.at = match.end()
        return _unescaped(match[1])

    def _brackets(self) -> Iterator[Step]:
        close = self.text.find("]", self.at)
        if close < 0:
            raise JsonPathError(f"{self.text[self.at :]!r}: ] is missing")
        inner = self.text[self.at + 1 : close]
        self.at = close + 1
        parts = inner.split(",")
        if len(parts) > 1:
            yield Union(tuple(tuple(_bracket(part.strip())) for part in parts))
        else:
            yield from _bracket(inner)

    def _filter(self) -> Filter:
        begin = self.at + 3
        at, quote = begin, ""
        while at < len(self.text):
            char = self.text[at]
            if quote:
                if char == "\\":
                    at += 1
                elif char == quote:
                    quote = ""
            elif char in "\"'":
                quote = char
            elif char == ")":
                break
            at += 1
        if not self.text.startswith(")]", at):
            raise JsonPathError(f"{self.text[self.at :]!r}: the filter does not end in )]")
        inner = self.text[begin:at]
        self.at = at + 2
        match = _FILTER.fullmatch(inner)
        if match is None:
            return Filter(_expression(inner), "", ())
        if match[2] not in _OPERATORS:
            raise JsonPathError(f"{match[2]!r} is not an operator: {' '.join(_OPERATORS)}")
        return Filter(_expression(match[1]), match[2], _expression(match[3]))


def _expression(text: str) -> Steps:
    reader = _Reader(text)
    steps = reader.steps()
    if reader.at < len(text):
        raise JsonPathError(f"{text!r}: unexpected {text[reader.at]!r}")
    return steps


def _bracket(text: str) -> Iterator[Step]:
    """What one thing in brackets means: a name in quotes, an index or a slice."""
    if text == "*":
        yield Slice(None, None, None, single=False)
    elif match := _KEY.fullmatch(text):
        yield Key(match[1].replace("\\", ""), _expression(f".{match[1]}"))
    elif text and (match := _SLICE.fullmatch(text)):
        start, stop, step = (int(part) if part not in (None, "", "-") else None for part in match.groups())
        yield Slice(start, stop, step, single=match[2] is None)
    else:
        raise JsonPathError(f"[{text}] is no index, no slice and no name in single quotes")


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1][1:], 16))
        return _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|(.))", one, text)


# --- finding --------------------------------------------------------------------------------------------------------


def _run(parts: tuple[Part, ...], data: Any) -> Iterator[list[Any]]:
    for part in parts:
        if isinstance(part, Range):
            for value in walk(part.over, [data]):
                yield from _run(part.body, value)
        else:
            yield walk(part, [data])


def walk(steps: Steps, values: list[Any]) -> list[Any]:
    """What the steps find in values.

    Raises:
        JsonPathError: they do not fit.
    """
    for step in steps:
        values = _take(step, values)
    return values


def _take(step: Step, values: list[Any]) -> list[Any]:
    match step:
        case Field(name):
            return [value[name] for value in values if isinstance(value, Mapping) and name in value]
        case Key(name, path):
            return [found for value in values for found in _keyed(value, name, path)]
        case Wildcard():
            return [inner for value in values for inner in _inside(value)]
        case Recursive():
            return [inner for value in values for inner in _deep(value)]
        case Literal(value):
            return [value]
        case Union(parts):
            return [found for part in parts for found in walk(part, values)]
        case Slice():
            return [found for value in values for found in _slice(step, value)]
        case Filter():
            return [found for value in values for found in _filtered(step, value)]


def _keyed(value: Any, name: str, path: Steps) -> list[Any]:
    return [value[name]] if isinstance(value, Mapping) and name in value else walk(path, [value])


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _deep(value: Any) -> Iterator[Any]:
    inside = _inside(value)
    if inside:
        yield value
        for inner in inside:
            yield from _deep(inner)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise JsonPathError(f"{show(value)[:60]} is not a list")
    return value


def _slice(step: Slice, value: Any) -> list[Any]:
    items = _list(value)
    count = len(items)
    start = step.start or 0
    start += count if start < 0 else 0
    stop = start + 1 if step.single else count if step.stop is None else step.stop
    stop += count if stop < 0 else 0
    if step.step is not None and step.step <= 0:
        raise JsonPathError("the step of a slice must be above 0")
    if start == stop:
        return []
    for index in (start, stop - 1):
        if not 0 <= index < count:
            raise JsonPathError(f"there is no element {index}, the list has {count}")
    if start > stop:
        raise JsonPathError(f"the slice begins at {start}, after its end {stop}")
    return items[start : stop : step.step or 1]


def _filtered(step: Filter, value: Any) -> Iterator[Any]:
    for item in _list(value):
        left = walk(step.left, [item])
        if not step.operator:
            if left:
                yield item
            continue
        right = walk(step.right, [item])
        if not left or not right:
            continue
        if len(left) > 1 or len(right) > 1:
            raise JsonPathError("a filter compares one value with one other")
        if _holds(left[0], step.operator, right[0]):
            yield item


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _sort_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a string" if isinstance(value, str) else "no simple value"


def _holds(left: Any, operator: str, right: Any) -> bool:
    kinds = _sort_of(left), _sort_of(right)
    if operator == "=~":
        if kinds != ("a string", "a string"):
            raise JsonPathError(f"=~ is for strings, and {show(left)[:60]} is {kinds[0]}")
        try:
            return re.search(right, left) is not None
        except re.error as error:
            raise JsonPathError(f"{right!r} is not a regular expression: {error}") from error
    if kinds[0] != kinds[1] or "no simple value" in kinds:
        raise JsonPathError(
            f"cannot compare {show(left)[:60]}, {kinds[0]}, with {show(right)[:60]}, {kinds[1]}"
            + (": leave the quotes out" if kinds[1] == "a string" else "")
            + (": put it in quotes" if kinds[0] == "a string" else "")
        )
    return _COMPARE[operator](left, right)


def show(value: Any) -> str:
    """A value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
