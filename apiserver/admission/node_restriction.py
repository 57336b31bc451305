"""NodeRestriction: a node writes only what is its own (authz/nodes.py says what that is)."""

from __future__ import annotations

from apiserver.admission.port import STATUS, Admission
from apiserver.authz.nodes import check_write


class NodeRestriction:
    """Applies the rule to every write."""

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        verb = "update the status of" if write.operation == STATUS else write.operation
        check_write(write.user, verb, write.kind.qualified_plural, write.obj, write.old)
