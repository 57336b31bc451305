"""Times in cron's form, as Kubernetes takes them: five fields, or a name such as "@daily"."""

from __future__ import annotations

import re
from functools import cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, lowest, highest, names of values.
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_NAMED = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every (?=[0-9])(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+(?:[.][0-9]+)?s)?")


class ScheduleError(ValueError):
    """Text is not a schedule; its text says why."""


def check(text: str) -> None:
    """Looks at a schedule.

    Raises:
        ScheduleError: it is none.
    """
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise ScheduleError("a schedule has no time zone in it: that is what timeZone is for")
    if text.startswith("@"):
        if text not in _NAMED and not _EVERY.fullmatch(text):
            raise ScheduleError(f"{text!r} is not one of {', '.join(sorted(_NAMED))}")
        return
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(
            f"{len(parts)} fields, {len(_FIELDS)} are needed: minute, hour, day, month, day of the week"
        )
    for part, (name, low, high, known) in zip(parts, _FIELDS, strict=True):
        for each in part.split(","):
            _check_range(each, name, low, high, known)


def _check_range(text: str, name: str, low: int, high: int, known: dict[str, int]) -> None:
    values, slash, step = text.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        raise ScheduleError(f"{step!r} is not a step of the {name}")
    if values in ("*", "?"):
        return
    first, dash, last = values.partition("-")
    numbers = [_number(each, name, low, high, known) for each in ((first, last) if dash else (first,))]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ScheduleError(f"{values!r} is no range of the {name}: it begins after its end")


def _number(text: str, name: str, low: int, high: int, known: dict[str, int]) -> int:
    number = known.get(text.lower())
    if number is None:
        if not (text.isascii() and text.isdigit() and len(text) <= 4):
            raise ScheduleError(f"{text!r} is not a {name}")
        number = int(text)
    if not low <= number <= high:
        raise ScheduleError(f"{text!r} is not a {name}: {low} to {high}")
    return number


@cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether a time zone goes by this name here; "Local" is none, since nobody knows whose."""
    return name in _zones() and name.lower() != "local"
