"""One figure of a benchmark, and how figures are shown and kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "build" / "bench"


@dataclass
class Figure:
    """A measured value.

    Attributes:
        figure: what was measured.
        value: the result.
        unit: its unit.
        aim: what it should be, "<= 10"; empty: no aim.
        peer: what was measured beside it in the same run; empty: nothing.
        peer_value: the peer's result.
        ratio: value / peer_value.
    """

    figure: str
    value: float
    unit: str
    aim: str = ""
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None


def table(figures: list[Figure]) -> str:
    """Figures as a table for people."""
    head = ["FIGURE", "VALUE", "UNIT", "AIM", "PEER", "PEER'S", "RATIO"]
    rows = [
        [
            f.figure,
            _number(f.value),
            f.unit,
            f.aim or "-",
            f.peer or "-",
            _number(f.peer_value),
            _number(f.ratio),
        ]
        for f in figures
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [head, *rows])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def keep(name: str, figures: list[Figure]) -> Path:
    """Writes the figures of a benchmark to build/bench/NAME.json."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps([asdict(f) for f in figures], indent=1) + "\n")
    return path
