"""What the core raises: domain errors with their facts as fields. `rpc/errors.py` is the one place that knows gRPC."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.errors import FieldViolation


class ApiserverError(Exception):
    """Base of all domain errors."""


class ObjectNotFound(ApiserverError):
    """There is no such object."""

    def __init__(self, resource: str, name: str, namespace: str = "") -> None:
        where = f" in namespace {namespace!r}" if namespace else ""
        super().__init__(f"{resource} {name!r} not found{where}")
        self.resource, self.name, self.namespace = resource, name, namespace


class ObjectExists(ApiserverError):
    """The name is taken."""

    def __init__(self, resource: str, name: str, namespace: str = "") -> None:
        where = f" in namespace {namespace!r}" if namespace else ""
        super().__init__(f"{resource} {name!r} already exists{where}")
        self.resource, self.name, self.namespace = resource, name, namespace


class Conflicting(ApiserverError):
    """The write was made for another state of the object than the present one."""

    def __init__(self, resource: str, name: str, why: str) -> None:
        super().__init__(f"{resource} {name!r}: {why}")
        self.resource, self.name, self.why = resource, name, why


class FieldsOwned(ApiserverError):
    """Applied fields have another value by another manager; `owners` maps each manager to its fields."""

    def __init__(self, resource: str, name: str, owners: dict[str, list[str]]) -> None:
        listed = "; ".join(f"{', '.join(fields)} applied by {manager!r}" for manager, fields in owners.items())
        super().__init__(f"{resource} {name!r}: conflict over {listed}")
        self.resource, self.name, self.owners = resource, name, owners


class InvalidObject(ApiserverError):
    """The object breaks rules of its kind; `violations` says which and where."""

    def __init__(self, resource: str, name: str, violations: Sequence[FieldViolation]) -> None:
        super().__init__(f"{resource} {name!r} is invalid: " + "; ".join(map(str, violations)))
        self.resource, self.name, self.violations = resource, name, tuple(violations)


class BadRequest(ApiserverError):
    """The request itself makes no sense; `field` of it is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


class RevisionCompacted(ApiserverError):
    """The revision asked for is gone; the oldest one to be had is `oldest`."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted: the oldest that can be resumed from is {oldest}")
        self.revision, self.oldest = revision, oldest


class SlowWatcher(ApiserverError):
    """A watcher let more than `limit` events pile up."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the watcher reads too slowly: more than {limit} events were waiting for it")
        self.limit = limit


class NotAuthenticated(ApiserverError):
    """The caller did not prove who it is."""

    def __init__(self, why: str) -> None:
        super().__init__(why)


class NotAllowed(ApiserverError):
    """The caller may not do this."""

    def __init__(self, user: str, verb: str, resource: str, why: str) -> None:
        super().__init__(f"{user!r} may not {verb} {resource}: {why}")
        self.user, self.verb, self.resource, self.why = user, verb, resource, why


class Refused(ApiserverError):
    """A rule of the cluster or of the namespace forbids the object, whoever writes it; `rule` says which."""

    def __init__(self, rule: str, resource: str, name: str, why: str) -> None:
        super().__init__(f"{resource} {name!r} is forbidden by {rule}: {why}")
        self.rule, self.resource, self.name, self.why = rule, resource, name, why


class QuotaExceeded(ApiserverError):
    """A quota of the namespace is used up; `facts` maps each amount to (asked for, used, allowed)."""

    def __init__(self, resource: str, name: str, quota: str, facts: dict[str, tuple[str, str, str]]) -> None:
        told = "; ".join(f"{what}: {asked} more, {used} of {hard} used" for what, (asked, used, hard) in facts.items())
        super().__init__(f"{resource} {name!r} exceeds quota {quota!r}: {told}")
        self.resource, self.name, self.quota, self.facts = resource, name, quota, facts


class TooBusy(ApiserverError):
    """Too many calls of the same class wait already; `retry_s` says when to come again."""

    def __init__(self, level: str, retry_s: float) -> None:
        super().__init__(f"too many calls of priority level {level!r} are waiting: try again in {retry_s:g} s")
        self.level, self.retry_s = level, retry_s


class NotPossible(ApiserverError):
    """The object or the cluster is in no state for this."""


class NodeFull(ApiserverError):
    """A node has no room for a pod: too little of `resource` is free."""

    def __init__(self, pod: str, node: str, resource: str, asked: str, free: str) -> None:
        super().__init__(f"pod {pod!r} does not fit on node {node!r}: it asks for {asked} {resource}, {free} is free")
        self.pod, self.node, self.resource, self.asked, self.free = pod, node, resource, asked, free


class DisruptionRefused(ApiserverError):
    """A budget for disruption allows no eviction now; `retry_s` says when to ask again, 0: nobody knows."""

    def __init__(self, pod: str, budget: str, why: str, retry_s: float) -> None:
        super().__init__(f"pod {pod!r} cannot be evicted: PodDisruptionBudget {budget!r} allows none now: {why}")
        self.pod, self.budget, self.why, self.retry_s = pod, budget, why, retry_s


class RangeExhausted(ApiserverError):
    """Nothing is left of a range of addresses or ports."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no free {what} is left")
        self.what = what


class StorageUnavailable(ApiserverError):
    """The store does not answer; the write may or may not have happened."""


class Undecipherable(ApiserverError):
    """A stored value cannot be decrypted; `key` is where it is."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"what is stored at {key} cannot be decrypted: {why}")
        self.key, self.why = key, why


class StorageFull(ApiserverError):
    """The store is at its quota."""


class NodeUnreachable(ApiserverError):
    """The pod's node does not answer."""

    def __init__(self, node: str, why: str) -> None:
        super().__init__(f"node {node!r} cannot be reached: {why}")
        self.node, self.why = node, why


class Relayed(ApiserverError):
    """What a node answered, to be passed on as it is; `code` is the number of a gRPC status."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
