"""`python -m tests.bench [NAME...]`: runs benchmarks one after the other, prints tables, keeps figures."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import tests.bench
from tests.bench.figures import Figure, keep, table

_NOT_BENCHMARKS = {"__main__", "clusters", "figures"}


def names() -> list[str]:
    """The benchmarks that there are."""
    found = (module.name for module in pkgutil.iter_modules(tests.bench.__path__))
    return sorted(name for name in found if name not in _NOT_BENCHMARKS)


def main() -> None:
    """Runs what the command line names, or everything."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names())} (default: all)")
    wanted = parser.parse_args().names or names()
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(names())}")
    for name in wanted:
        print(f"{name}: running", file=sys.stderr, flush=True)
        measured = importlib.import_module(f"tests.bench.{name}").run()
        figures = [one if isinstance(one, Figure) else Figure(**one) for one in measured]
        path = keep(name, figures)
        print(f"\n{name}\n{table(figures)}\n({path.relative_to(path.parent.parent.parent)})\n", flush=True)


if __name__ == "__main__":
    main()
