"""May they: the authorizers, one after the other. What none of them allows is refused; nothing denies."""

from __future__ import annotations

from apiserver import errors
from apiserver.authn import MASTERS, User
from apiserver.authz import node_rules
from apiserver.authz.attributes import Attributes
from apiserver.authz.graph import NodeGraph
from apiserver.authz.roles import RoleBook
from apiserver.authz.rules import EVERYTHING, Rule


class Authorizer:
    """Masters may do everything, nodes what their pods need, and everybody what roles allow."""

    def __init__(self, book: RoleBook, graph: NodeGraph) -> None:
        self.book = book
        self.graph = graph

    def decide(self, user: User, wanted: Attributes) -> str | None:
        """What allows a call, in words; None when nothing does."""
        if MASTERS in user.groups:
            return f"group {MASTERS} may do everything"
        if user.node is not None and node_rules.allows(user.node, wanted, self.graph):
            return "a node may do this for itself and its pods"
        return self.book.decide(user, wanted)

    def authorize(self, user: User, wanted: Attributes) -> str:
        """Allows a call and says what allows it, or raises.

        Raises:
            NotAllowed: nothing allows it.
        """
        reason = self.decide(user, wanted)
        if reason is None:
            why = f"no rule allows it {wanted.where}"
            if user.node is not None:
                why = f"no rule allows it, and no pod of node {user.node!r} needs it"
            raise errors.NotAllowed(user.name, wanted.verb, wanted.qualified, why)
        return reason

    def rules_for(self, user: User, namespace: str) -> tuple[Rule, ...]:
        """Every rule that holds for a user in a namespace; what a node may do beside is not among them."""
        if MASTERS in user.groups:
            return EVERYTHING
        return tuple(rule for rule, _ in self.book.rules_for(user, namespace))
