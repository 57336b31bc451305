"""The kernel's rules, through `iptables-restore` and `iptables-save`.

A node has one of two iptables: the older one and the one on top of nf_tables. Rules of both are in force at the same
time, so the one that is used must not change under way; `detect` takes the one that has our rules already.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from netproxy import commands
from netproxy.commands import CommandError
from netproxy.rules import TABLES
from netproxy.transaction import Found, parse

log = structlog.get_logger(__name__)

CANDIDATES = ("iptables", "iptables-nft", "iptables-legacy")
LOCK_WAIT_S = 5


class NoIptablesError(Exception):
    """No iptables of this node works.

    Attributes:
        failures: what each one that was tried said.
    """

    def __init__(self, failures: Mapping[str, str]) -> None:
        tried = "; ".join(f"{prefix}: {reason}" for prefix, reason in failures.items())
        super().__init__(f"no working iptables on this node ({tried}); install it and run as root")
        self.failures = dict(failures)


class Iptables:
    """One iptables of the node, named by the prefix of its programs ("iptables-nft" has "iptables-nft-restore")."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    async def restore(self, text: str) -> None:
        """Runs one input; each table changes as a whole or not at all.

        Raises:
            CommandError: the input was refused, or the lock that programs share was not free in time.
        """
        arguments = [f"{self.prefix}-restore", "-w", str(LOCK_WAIT_S), "--noflush", "--counters"]
        await commands.run(arguments, text=text)

    async def found(self) -> dict[str, Found]:
        """What the kernel has, by table.

        Raises:
            CommandError: it cannot be read.
        """
        return {table: parse(await commands.run([f"{self.prefix}-save", "-t", table])) for table in TABLES}

    async def has_rules_in(self, chain: str) -> bool:
        """Whether the chain exists in every table and has a rule; cheap.

        Raises:
            CommandError: iptables is missing or not permitted.
        """
        for table in TABLES:
            try:
                listing = await commands.run([self.prefix, "-w", str(LOCK_WAIT_S), "-t", table, "-S", chain])
            except CommandError as error:
                if error.code == 1:
                    return False
                raise
            if f"-A {chain} " not in listing:
                return False
        return True


async def detect(prefix: str) -> Iptables:
    """The iptables to use: the named one, or for "auto" the one that has rules of ours, or else the first that works.

    Raises:
        NoIptablesError: none works.
    """
    failures: dict[str, str] = {}
    working: list[tuple[int, Iptables]] = []
    for candidate in CANDIDATES if prefix == "auto" else (prefix,):
        iptables = Iptables(candidate)
        try:
            found = await iptables.found()
        except CommandError as error:
            failures[candidate] = error.stderr.strip()
            continue
        working.append((sum(len(table.sizes) for table in found.values()), iptables))
    if not working:
        raise NoIptablesError(failures)
    chains, chosen = max(working, key=lambda entry: entry[0])
    log.info("iptables chosen", prefix=chosen.prefix, chains_present=chains)
    return chosen
