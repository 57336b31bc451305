"""The difference between what the kernel has and what it should have, as one `iptables-restore` input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from netproxy import names
from netproxy.rules import TABLES, Jump, Rule, RuleSet, jump_line, table_text

_TARGET = re.compile(r"-j (\S+)")


@dataclass(frozen=True)
class Found:
    """What `iptables-save` shows of one table.

    Attributes:
        sizes: number of rules in each of our chains that exists.
        jumps: (built-in chain, our chain) for each jump that exists.
        commands: for each jump that exists, the text that deletes it after "-D ".
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    jumps: frozenset[tuple[str, str]] = frozenset()
    commands: tuple[str, ...] = ()


def parse(saved: str) -> Found:
    """Reads the output of `iptables-save -t <table>`."""
    sizes: dict[str, int] = {}
    found: set[tuple[str, str]] = set()
    commands: list[str] = []
    for line in saved.splitlines():
        if line.startswith(":"):
            chain = line[1:].split(" ", 1)[0]
            if names.is_own(chain):
                sizes[chain] = 0
        elif line.startswith("-A "):
            chain = line.split(" ", 2)[1]
            if chain in sizes:
                sizes[chain] += 1
            elif not names.is_own(chain):
                target = _TARGET.search(line)
                if target and names.is_own(target[1]):
                    found.add((chain, target[1]))
                    commands.append(line[3:])
    return Found(sizes, frozenset(found), tuple(commands))


def missing_jumps(table: str, wanted: RuleSet, found: Found) -> list[Jump]:
    """The jumps that are not there."""
    return [jump for jump in wanted.jumps if jump.table == table and (jump.chain, jump.rule.target) not in found.jumps]


def complete(wanted: RuleSet, found: Mapping[str, Found]) -> str:
    """Input that makes the kernel so, whatever it has: every chain is written, foreign leftovers of ours are deleted.

    Until COMMIT the old rules hold, so that taking over from an earlier process leaves no moment without rules.
    """
    parts = []
    for table in TABLES:
        chains = wanted.table(table)
        parts.append(
            table_text(
                table,
                chains,
                extra=[jump_line(jump) for jump in missing_jumps(table, wanted, found[table])],
                doomed=sorted(chain for chain in found[table].sizes if chain not in chains),
            )
        )
    return "".join(parts)


def difference(wanted: RuleSet, installed: RuleSet) -> str:
    """Input that leads from one rule set to another; only chains that differ are named. Empty: nothing to do."""
    parts = []
    for table in TABLES:
        old, new = installed.table(table), wanted.table(table)
        changed: dict[str, tuple[Rule, ...]] = {
            chain: rules for chain, rules in new.items() if chain not in old or old[chain] != rules
        }
        doomed = sorted(chain for chain in old if chain not in new)
        if changed or doomed:
            parts.append(table_text(table, changed, doomed=doomed))
    return "".join(parts)


def intact(wanted: RuleSet, found: Mapping[str, Found]) -> bool:
    """Whether every chain exists with as many rules as it should have, and every jump is there."""
    for table in TABLES:
        chains, present = wanted.table(table), found[table]
        if any(present.sizes.get(chain) != len(rules) for chain, rules in chains.items()):
            return False
        if missing_jumps(table, wanted, present):
            return False
    return True


def removal(found: Mapping[str, Found]) -> str:
    """Input that removes every chain and jump of ours; empty when there is none."""
    parts = []
    for table in TABLES:
        present = found[table]
        if present.sizes:
            parts.append(
                table_text(
                    table,
                    {},
                    extra=[f"-D {command}" for command in present.commands],
                    doomed=sorted(present.sizes),
                )
            )
    return "".join(parts)
