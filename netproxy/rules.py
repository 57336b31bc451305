"""Rules, chains and rule sets as values, and their form as `iptables-restore` input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Chains = Mapping[str, tuple["Rule", ...]]

TABLES = ("filter", "nat")


class Rule(NamedTuple):
    """One rule: what it matches, in the order iptables tries it, and where a match goes.

    Attributes:
        target: chain or built-in target, with its options.
        comment: for people who read the kernel's rules.
        protocol: "tcp", "udp" or "sctp"; empty: any.
        source: network the packet comes from; empty: any.
        not_source: network the packet does not come from; empty: no such condition.
        destination: network it goes to; empty: any.
        not_destination: network it does not go to; empty: no such condition.
        port: destination port; 0: any.
        match: further match modules, as iptables writes them.
    """

    target: str
    comment: str = ""
    protocol: str = ""
    source: str = ""
    not_source: str = ""
    destination: str = ""
    not_destination: str = ""
    port: int = 0
    match: str = ""

    def __str__(self) -> str:
        words = []
        if self.comment:
            words.append(f'-m comment --comment "{self.comment}"')
        if self.protocol:
            words.append(f"-m {self.protocol} -p {self.protocol}")
        if self.source:
            words.append(f"-s {self.source}")
        if self.not_source:
            words.append(f"! -s {self.not_source}")
        if self.destination:
            words.append(f"-d {self.destination}")
        if self.not_destination:
            words.append(f"! -d {self.not_destination}")
        if self.port:
            words.append(f"--dport {self.port}")
        if self.match:
            words.append(self.match)
        words.append(f"-j {self.target}")
        return " ".join(words)


class Jump(NamedTuple):
    """A rule in a built-in chain that leads into one of ours.

    Attributes:
        table: table of both chains.
        chain: the built-in chain.
        rule: the rule; its target is our chain.
        last: it is appended, so that rules of others come first; otherwise it is put in front.
    """

    table: str
    chain: str
    rule: Rule
    last: bool = False


@dataclass(frozen=True)
class RuleSet:
    """Everything that netproxy wants in the kernel.

    Attributes:
        filter: chains of the filter table.
        nat: chains of the nat table.
        jumps: the ways from the built-in chains into these.
    """

    filter: Chains
    nat: Chains
    jumps: tuple[Jump, ...]

    def table(self, name: str) -> Chains:
        """The chains of a table."""
        return self.filter if name == "filter" else self.nat

    def count(self, table: str) -> int:
        """How many rules a table has, without jumps."""
        return sum(len(rules) for rules in self.table(table).values())

    def __str__(self) -> str:
        return "".join(
            table_text(
                table,
                self.table(table),
                extra=[jump_line(jump) for jump in self.jumps if jump.table == table],
            )
            for table in TABLES
        )


def jump_line(jump: Jump) -> str:
    """The command that puts a jump in its place."""
    return f"{'-A' if jump.last else '-I'} {jump.chain} {jump.rule}"


def table_text(table: str, chains: Chains, *, extra: Iterable[str] = (), doomed: Iterable[str] = ()) -> str:
    """Restore input for one table: declares (and so empties) the chains, fills them, runs the extra commands.

    Args:
        table: name of the table.
        chains: what to declare and fill.
        extra: commands after that.
        doomed: chains to empty and, last of all, to delete.
    """
    lines = [f"*{table}"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    doomed = list(doomed)
    lines += [f":{chain} - [0:0]" for chain in doomed]
    for chain, rules in chains.items():
        prefix = f"-A {chain} "
        lines += [f"{prefix}{rule}" for rule in rules]
    lines += extra
    lines += [f"-X {chain}" for chain in doomed]
    lines.append("COMMIT\n")
    return "\n".join(lines)
