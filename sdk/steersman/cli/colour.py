"""Colour, where a person looks at it: on a terminal, unless NO_COLOR says otherwise."""

from __future__ import annotations

import os
import re
from typing import TextIO

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "bold": 1, "dim": 2}
_GOOD = frozenset({"Running", "Ready", "Active", "Bound", "Completed", "Succeeded", "Complete", "Available"}) | {
    "True",
    "Healthy",
    "Approved,Issued",
    "Normal",
}
_PENDING = frozenset({"Pending", "ContainerCreating", "PodInitializing", "Terminating", "Released", "Unknown"}) | {
    "NotReady",
    "Suspended",
    "Warning",
    "SchedulingGated",
    "Progressing",
}
_BAD = re.compile(r"Error|Failed|BackOff|Err|Evicted|OOMKilled|Lost|Denied|ExitCode|Invalid|Unhealthy|Degraded")
# Columns whose words say how something is doing.
COLUMNS = frozenset({"STATUS", "TYPE", "READY", "CONDITION"})


def enabled(stream: TextIO) -> bool:
    """Whether to write in colour there: NO_COLOR and FORCE_COLOR decide, or else whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """A text in a colour."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if text else text


def of_status(word: str) -> str:
    """The colour of a word that says how something is doing; "" for none."""
    first = word.partition(",")[0].removeprefix("Init:")
    if _BAD.search(word):
        return "red"
    if first in _GOOD or word in _GOOD:
        return "yellow" if "SchedulingDisabled" in word else "green"
    if first in _PENDING or re.fullmatch(r"\d+/\d+", first):
        return "yellow" if first == word and "/" not in word else _of_fraction(first)
    return ""


def _of_fraction(text: str) -> str:
    have, _, want = text.partition("/")
    return "" if have == want else "yellow"


def cell(heading: str, text: str) -> str:
    """A table's cell in the colour of what it says; the blanks around it stay."""
    if heading not in COLUMNS:
        return text
    word = text.strip()
    colour = of_status(word)
    return text.replace(word, painted(word, colour), 1) if colour else text
