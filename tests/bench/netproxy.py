"""What rules cost: compiling, printing and comparing them for 5,000 Services with two endpoints each.

build/venv/bin/python -m tests.bench.netproxy
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netproxy import transaction
from netproxy.compiler import Compiler, Options
from netproxy.transaction import Found
from tests.netproxy.objects import service, slice_of

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = 5000

Row = dict[str, Any]


def best_ms(work: Callable[[], object], times: int = 5) -> float:
    """The shortest of several runs, in milliseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1000


def run() -> list[Row]:
    """All figures; also written to build/bench/netproxy.json."""
    services = [service(f"s{n}", f"10.96.{n // 250}.{n % 250 + 1}", 80) for n in range(SERVICES)]
    slices = [
        slice_of(f"s{n}", [f"10.244.{n // 250}.{n % 250 + 1}", f"10.245.{n // 250}.{n % 250 + 1}"], 8080)
        for n in range(SERVICES)
    ]
    options = Options("n1", "10.244.0.0/15")
    compiler = Compiler(options)
    first = compiler.compile(services, slices, [])
    nothing = {"filter": Found(), "nat": Found()}
    changed = [slice_of("s7", ["10.244.200.1"], 8080), slices[7]]

    def one_change() -> None:
        changed.reverse()
        slices[7] = changed[0]
        compiler.compile(services, slices, [])

    second = compiler.compile(services, [*slices[:7], slice_of("s7", ["10.244.200.1"], 8080), *slices[8:]], [])
    figures = [
        ("compile 5000 Services afresh", best_ms(lambda: Compiler(options).compile(services, slices, [])), 1000),
        ("compile after one change", best_ms(one_change), None),
        ("print all rules", best_ms(lambda: transaction.complete(first.rules, nothing)), None),
        ("compare after one change", best_ms(lambda: transaction.difference(second.rules, first.rules)), None),
    ]
    rows = [
        {
            "figure": figure,
            "value": round(value, 1),
            "unit": "ms",
            "aim": aim,
            "peer": None,
            "peer_value": None,
            "ratio": None,
        }
        for figure, value, aim in figures
    ]
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "netproxy.json").write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    for row in run():
        print(f"{row['figure']:<40} {row['value']:>8} {row['unit']}  {'aim ' + str(row['aim']) if row['aim'] else ''}")
