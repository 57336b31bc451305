"""Roles and bindings as they are now, and what follows from them. Fed with every change; answers without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from steersman.selectors import Selector, SelectorError, of_message

from apiserver.authn import User
from apiserver.authz import rules
from apiserver.authz.attributes import Attributes
from apiserver.authz.rules import Rule

DECISIONS_MAX = 16384
SERVICE_ACCOUNT = "system:serviceaccount:"

Key = tuple[str, str]
"""Namespace ("" for the cluster) and name."""


@dataclass(frozen=True)
class _Role:
    rules: tuple[Rule, ...]
    labels: dict[str, str]
    aggregates: tuple[Selector, ...]


@dataclass(frozen=True)
class _Binding:
    key: Key
    role: Key
    subjects: tuple[str, ...]

    @property
    def label(self) -> str:
        namespace, name = self.key
        return f"RoleBinding {namespace}/{name}" if namespace else f"ClusterRoleBinding {name}"


def subject_of_user(name: str) -> str:
    """How a user is written in the index."""
    return f"user {name}"


def subject_of_group(name: str) -> str:
    """How a group is written in the index."""
    return f"group {name}"


def _subject(message: Any) -> str:
    if message.kind == "Group":
        return subject_of_group(message.name)
    if message.kind == "ServiceAccount":
        return subject_of_user(f"{SERVICE_ACCOUNT}{message.namespace}:{message.name}")
    return subject_of_user(message.name)


class RoleBook:
    """Who is bound to what."""

    def __init__(self) -> None:
        self._roles: dict[Key, _Role] = {}
        self._bindings: dict[Key, _Binding] = {}
        self._by_subject: dict[str, set[Key]] = {}
        self._rules: dict[tuple[str, tuple[str, ...], str], tuple[tuple[Rule, str], ...]] = {}
        self._decided: dict[tuple[Any, ...], str | None] = {}

    # --- what changes -----------------------------------------------------------------------------------------------

    def put_role(self, namespace: str, name: str, message: Any | None) -> None:
        """Notes a Role or ClusterRole (of namespace ""); None: it is gone."""
        self._forget()
        if message is None:
            self._roles.pop((namespace, name), None)
            return
        selectors: list[Selector] = []
        if not namespace and message.HasField("aggregation_rule"):
            for each in message.aggregation_rule.cluster_role_selectors:
                try:
                    selectors.append(of_message(each))
                except SelectorError:
                    continue
        made = tuple(rules.of_message(rule) for rule in message.rules)
        self._roles[(namespace, name)] = _Role(made, dict(message.metadata.labels), tuple(selectors))

    def put_binding(self, namespace: str, name: str, message: Any | None) -> None:
        """Notes a RoleBinding or ClusterRoleBinding (of namespace ""); None: it is gone."""
        self._forget()
        key = (namespace, name)
        before = self._bindings.pop(key, None)
        for subject in before.subjects if before is not None else ():
            known = self._by_subject[subject]
            known.discard(key)
            if not known:
                del self._by_subject[subject]
        if message is None:
            return
        role = (namespace if message.role_ref.kind == "Role" else "", message.role_ref.name)
        binding = _Binding(key, role, tuple({_subject(each) for each in message.subjects}))
        self._bindings[key] = binding
        for subject in binding.subjects:
            self._by_subject.setdefault(subject, set()).add(key)

    def _forget(self) -> None:
        self._rules.clear()
        self._decided.clear()

    # --- what follows -----------------------------------------------------------------------------------------------

    def rules_of_role(self, key: Key) -> tuple[Rule, ...] | None:
        """Everything that a role allows, with the roles that it is the sum of; None when there is no such role."""
        if key not in self._roles:
            return None
        return tuple(self._collect(key, set()))

    def _collect(self, key: Key, seen: set[Key]) -> Iterator[Rule]:
        seen.add(key)
        role = self._roles[key]
        if not role.aggregates:
            yield from role.rules
        # The rules that a sum shows are written by a controller, a little later than they hold.
        for selector in role.aggregates:
            for other, candidate in self._roles.items():
                if not other[0] and other not in seen and selector.matches(candidate.labels):
                    yield from self._collect(other, seen)

    def rules_for(self, user: User, namespace: str) -> tuple[tuple[Rule, str], ...]:
        """Every rule that holds for a user in a namespace ("": only those that hold everywhere), and whence."""
        memo = (user.name, user.groups, namespace)
        known = self._rules.get(memo)
        if known is None:
            known = tuple(self._find(user, namespace))
            if len(self._rules) >= DECISIONS_MAX:
                self._rules.clear()
            self._rules[memo] = known
        return known

    def _find(self, user: User, namespace: str) -> Iterator[tuple[Rule, str]]:
        subjects = [subject_of_user(user.name), *map(subject_of_group, user.groups)]
        keys = {key for subject in subjects for key in self._by_subject.get(subject, ())}
        for key in sorted(keys):
            if key[0] and key[0] != namespace:
                continue
            binding = self._bindings[key]
            for rule in self.rules_of_role(binding.role) or ():
                yield rule, f"{binding.label} of {binding.role[1]}"

    def decide(self, user: User, wanted: Attributes) -> str | None:
        """Which binding allows a call; None when none does."""
        # Most rules do not depend on the object's name, so most answers are found without it.
        memo = (user.name, user.groups, wanted.verb, wanted.group, wanted.full_resource, wanted.namespace, wanted.path)
        if memo not in self._decided:
            if len(self._decided) >= DECISIONS_MAX:
                self._decided.clear()
            anything = Attributes(
                wanted.verb, wanted.resource, wanted.group, wanted.subresource, wanted.namespace, path=wanted.path
            )
            self._decided[memo] = self._search(user, anything)
        found = self._decided[memo]
        return self._search(user, wanted) if found is None and wanted.name else found

    def _search(self, user: User, wanted: Attributes) -> str | None:
        for rule, origin in self.rules_for(user, wanted.namespace):
            if rule.allows(wanted):
                return origin
        return None
