"""Messages between PySyncObj's members."""

from __future__ import annotations

from typing import Any, Protocol

from pysyncobj.node import Node
from pysyncobj.transport import Transport

Message = dict[str, Any]


class Outbox(Protocol):
    """What a member's driver needs of a transport, beside what PySyncObj needs.

    PySyncObj sends while it ticks; nothing leaves before the driver says so, since what is said may rest on what is
    not durable yet.
    """

    def take(self) -> list[tuple[Node, Message]]:
        """The messages that have arrived since the last call, in order for each sender."""
        ...

    def flush_entries(self) -> None:
        """Lets a leader's entries leave: others may store them while this member does."""
        ...

    def flush(self) -> None:
        """Lets everything leave; the journal is durable."""
        ...


class SoleTransport(Transport):  # type: ignore[misc]
    """The transport of a member that is alone: nothing to send, nobody to hear from."""

    def __init__(self) -> None:
        super().__init__(None, None, [])

    def send(self, node: Node, message: Message) -> bool:
        """Nobody is there."""
        return False

    def take(self) -> list[tuple[Node, Message]]:
        """Nothing arrives."""
        return []

    def flush_entries(self) -> None:
        """Nothing leaves."""

    def flush(self) -> None:
        """Nothing leaves."""
