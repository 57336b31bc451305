"""What to wait for, as values that can be put together.

    from steersman import until

    pod = await api.pods.wait("web-0", until.condition("Ready") | until.field("status.phase", "Failed"), timeout_s=60)
    await api.pods.wait("web-0", until.gone())

Any function of an object (None where there is none) that says yes or no will do in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

Predicate = Callable[[Any], bool]


class WaitTimeout(TimeoutError):
    """What was waited for did not come about in time.

    Attributes:
        what: the object, "pod/web-0".
        wanted: what was waited for, in words.
        timeout_s: for how many seconds.
        last: the object as last seen; None where there was none.
    """

    def __init__(self, what: str, wanted: str, timeout_s: float, last: Any) -> None:
        seen = "there is no such object" if last is None else "it has not come about"
        super().__init__(f"waited {timeout_s:g} s for {what} to be {wanted}; {seen}")
        self.what = what
        self.wanted = wanted
        self.timeout_s = timeout_s
        self.last = last


@dataclass(frozen=True)
class Until:
    """A state of one object to wait for; `a | b` is either, `a & b` is both.

    Attributes:
        text: the state in words, as they follow "to be".
        holds: whether an object is in it; called with None where there is no object.
    """

    text: str
    holds: Predicate

    def __call__(self, obj: Any) -> bool:
        """Whether the object is in this state."""
        return self.holds(obj)

    def __or__(self, other: Until | Predicate) -> Until:
        return any_of(self, other)

    def __and__(self, other: Until | Predicate) -> Until:
        return all_of(self, other)

    def __str__(self) -> str:
        return self.text


def as_until(predicate: Until | Predicate) -> Until:
    """A state, given as one or as a function of an object."""
    if isinstance(predicate, Until):
        return predicate
    return Until(f"as {getattr(predicate, '__name__', 'the function')} wants it", predicate)


def any_of(*states: Until | Predicate) -> Until:
    """At least one of several states."""
    known = [as_until(state) for state in states]
    return Until(" or ".join(map(str, known)), lambda obj: any(state(obj) for state in known))


def all_of(*states: Until | Predicate) -> Until:
    """All of several states at once."""
    known = [as_until(state) for state in states]
    return Until(" and ".join(map(str, known)), lambda obj: all(state(obj) for state in known))


def exists() -> Until:
    """There is such an object."""
    return Until("there", lambda obj: obj is not None)


def gone() -> Until:
    """There is no such object, or no longer."""
    return Until("gone", lambda obj: obj is None)


def condition(type: str, status: str = "True") -> Until:
    """A condition of the object's status has a value, and was judged of the object as it is now.

    Args:
        type: type of the condition, "Ready"; in any case.
        status: "True", "False" or "Unknown"; in any case.
    """

    def holds(obj: Any) -> bool:
        if obj is None:
            return False
        for each in getattr(getattr(obj, "status", None), "conditions", ()):
            if each.type.casefold() == type.casefold():
                return bool(each.status.casefold() == status.casefold()) and not _is_outdated(obj, each)
        return False

    return Until(type if status == "True" else f"{type}={status}", holds)


def _is_outdated(obj: Any, judged: Any) -> bool:
    """Whether a condition, or the status as a whole, is of an older object: as its writer says, if it says so."""
    observed = getattr(judged, "observed_generation", 0) or getattr(obj.status, "observed_generation", 0)
    return bool(observed and observed < obj.metadata.generation)


def field(path: str, value: str) -> Until:
    """A field has a value, compared as text.

    Args:
        path: "status.phase", in the names of manifests or of Python.
        value: the value; enumerations by their names, booleans as "true" and "false".
    """
    steps = path.removeprefix(".").split(".")
    return Until(f"{path}={value}", lambda obj: obj is not None and value in _values(obj, steps))


def _values(node: Any, steps: list[str]) -> list[str]:
    """The values at the end of a path; several where it leads through a list."""
    for position, step in enumerate(steps):
        if not isinstance(node, Message):
            # A map's keys may have dots in them.
            rest = ".".join(steps[position:])
            return [_text(node[rest])] if hasattr(node, "keys") and rest in node else []
        field_of = next((f for f in node.DESCRIPTOR.fields if step in (f.json_name, f.name)), None)
        if field_of is None or (field_of.has_presence and not node.HasField(field_of.name)):
            return []
        node = getattr(node, field_of.name)
        if field_of.is_repeated and not hasattr(node, "keys"):
            rest_steps = steps[position + 1 :]
            return [value for item in node for value in (_values(item, rest_steps) if rest_steps else [_text(item)])]
    return [_text(node)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Message):
        wrapped = getattr(value, "value", None)
        return str(wrapped if wrapped is not None else value)
    return str(value)
