"""What a caller wants to do, as authorization sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attributes:
    """One call.

    Attributes:
        verb: RBAC's verb, "get", "list", "create"; "*" asks for all.
        resource: plural of the kind; empty for a call about a path.
        group: API group of the kind, "" for the core group.
        subresource: the part of the object, "status"; empty: the object.
        namespace: where; empty: all namespaces, or a kind without one.
        name: which object; empty: all, or one whose name is not known yet.
        node: for pods, the node whose pods are selected; empty: none is.
        path: what a call is about that is not about objects.
    """

    verb: str
    resource: str = ""
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    node: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """The resource as rules name it, "pods/log"."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def qualified(self) -> str:
        """The resource as messages name it, "deployments.apps/status"."""
        if self.path:
            return self.path
        whole = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{whole}/{self.subresource}" if self.subresource else whole

    @property
    def where(self) -> str:
        """The place, for messages."""
        return f"in namespace {self.namespace!r}" if self.namespace else "in the whole cluster"
