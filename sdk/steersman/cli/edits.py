"""Edits of labels, annotations and taints as people write them: `a=b`, `a-`, `a=b:NoSchedule`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from steersman.cli.failures import USAGE, CommandError
from steersman.validation import names

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class MapEdit:
    """What is to be changed in a map of texts.

    Attributes:
        put: values by key.
        remove: keys that go.
    """

    put: Mapping[str, str] = field(default_factory=dict)
    remove: frozenset[str] = frozenset()

    def taken(self, present: Mapping[str, str]) -> dict[str, str]:
        """The keys that have another value than the one to be put, with the value that they have."""
        return {key: present[key] for key in self.put if key in present and present[key] != self.put[key]}

    def missing(self, present: Mapping[str, str]) -> list[str]:
        """The keys to be removed that are not there."""
        return sorted(key for key in self.remove if key not in present)

    def patch(self, present: Mapping[str, str]) -> dict[str, str | None]:
        """What a merge patch says of the map; empty when nothing would change."""
        changed: dict[str, str | None] = {key: value for key, value in self.put.items() if present.get(key) != value}
        return changed | {key: None for key in sorted(self.remove) if key in present}


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words of kinds and names, and the edits behind them.

    Raises:
        CommandError: a name stands behind an edit.
    """
    for index, word in enumerate(words):
        if is_edit(word):
            for later in words[index:]:
                if not is_edit(later):
                    raise CommandError(f"{later!r}: all names stand before the first KEY=VALUE or KEY-", USAGE)
            return list(words[:index]), list(words[index:])
    return list(words), []


def is_edit(word: str) -> bool:
    """Whether a word is an edit; no name has these forms."""
    return "=" in word or word.endswith("-") or (":" in word and word.rpartition(":")[2] in EFFECTS)


def map_edit(words: Sequence[str], *, labels: bool) -> MapEdit:
    """What `a=b c- ...` mean.

    Args:
        words: the edits.
        labels: whether values follow the rules of labels; those of annotations are free.

    Raises:
        CommandError: a word is no edit, a key or a value breaks the rules, or a key is both put and removed.
    """
    put: dict[str, str] = {}
    remove: set[str] = set()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            key = word.removesuffix("-")
        _check(word, names.label_key("", key if labels else key.lower()))
        if equals:
            _check(word, names.label_value("", value) if labels else [])
            if put.get(key, value) != value:
                raise CommandError(f"{key!r} is given two values: {put[key]!r} and {value!r}", USAGE)
            put[key] = value
        else:
            remove.add(key)
    both = remove & put.keys()
    if both:
        raise CommandError(f"{min(both)!r} is both to be set and to be removed", USAGE)
    return MapEdit(put, frozenset(remove))


def _check(word: str, violations: Sequence[Any]) -> None:
    if violations:
        raise CommandError(f"{word!r}: {violations[0].description}", USAGE)


# --- taints ---------------------------------------------------------------------------------------------------------


class Taint(NamedTuple):
    """A taint; one is known by its key and its effect."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class TaintEdit:
    """What is to be changed in a node's taints.

    Attributes:
        put: taints to be there.
        remove: (key, effect) of those that go; an empty effect means every one of the key.
    """

    put: tuple[Taint, ...] = ()
    remove: frozenset[tuple[str, str]] = frozenset()

    def taken(self, present: Sequence[Taint]) -> list[str]:
        """The taints to be put that are there already, as `key:Effect`."""
        there = {(taint.key, taint.effect) for taint in present}
        return [f"{taint.key}:{taint.effect}" for taint in self.put if (taint.key, taint.effect) in there]

    def missing(self, present: Sequence[Taint]) -> list[str]:
        """What is to be removed and is not there."""
        return sorted(
            f"{key}:{effect}" if effect else key
            for key, effect in self.remove
            if not any(taint.key == key and effect in ("", taint.effect) for taint in present)
        )

    def applied(self, present: Sequence[Taint]) -> list[Taint]:
        """The taints as they are to be: those that stay in their order, then the new ones."""
        new = {(taint.key, taint.effect): taint for taint in self.put}
        kept = [
            new.pop((taint.key, taint.effect), taint)
            for taint in present
            if not {(taint.key, ""), (taint.key, taint.effect)} & self.remove
        ]
        return [*kept, *new.values()]


def taint_edit(words: Sequence[str]) -> TaintEdit:
    """What `key=value:Effect`, `key:Effect`, `key:Effect-` and `key-` mean.

    Raises:
        CommandError: a word is none of these, names no effect that there is, or is there twice.
    """
    put: dict[tuple[str, str], Taint] = {}
    remove: set[tuple[str, str]] = set()
    for word in words:
        removes = word.endswith("-")
        left, colon, effect = word.removesuffix("-").partition(":")
        key, _, value = left.partition("=")
        _check(word, names.label_key("", key))
        _check(word, names.label_value("", value))
        if colon and effect not in EFFECTS:
            raise CommandError(f"{word!r}: {effect!r} is none of the effects {', '.join(EFFECTS)}", USAGE)
        if removes:
            remove.add((key, effect))
        elif not colon:
            raise CommandError(f"{word!r} names no effect: KEY=VALUE:EFFECT, or KEY- to remove", USAGE)
        elif (key, effect) in put:
            raise CommandError(f"{key}:{effect} is given twice", USAGE)
        else:
            put[key, effect] = Taint(key, value, effect)
    for key, effect in put:
        if {(key, effect), (key, "")} & remove:
            raise CommandError(f"{key}:{effect} is both to be set and to be removed", USAGE)
    return TaintEdit(tuple(put.values()), frozenset(remove))
