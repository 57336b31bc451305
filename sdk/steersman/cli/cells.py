"""What tables of all kinds are made of: columns, and the cells that many of them have. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from steersman.clock import from_timestamp


class Column(NamedTuple):
    """A column: its heading, how a cell is made, and whether it is shown only with `-o wide`."""

    heading: str
    cell: Callable[[Any, datetime], str]
    wide: bool = False


def age(moment: Any, now: datetime) -> str:
    """How long ago a timestamp is, in one or two units: "45s", "3m12s", "5h", "12d"."""
    if not moment.seconds:
        return "<unknown>"
    return duration(max(0, int((now - from_timestamp(moment)).total_seconds())))


def duration(seconds: int) -> str:
    """A span of time as kubectl writes it."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def pairs(labels: Any) -> str:
    """Labels as one text, `a=b,c=d`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def containers(spec: Any) -> str:
    """Names of the containers of a pod's spec."""
    return ",".join(container.name for container in spec.containers)


def images(spec: Any) -> str:
    """Images of the containers of a pod's spec."""
    return ",".join(container.image for container in spec.containers)


NAME = Column("NAME", lambda obj, _: str(obj.metadata.name))
AGE = Column("AGE", lambda obj, now: age(obj.metadata.creation_timestamp, now))
