"""Rules of roles: what one allows, and whether some rules cover others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from apiserver.authz.attributes import Attributes

ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """As the message PolicyRule."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()

    def allows(self, wanted: Attributes) -> bool:
        """Whether the rule allows a call."""
        if wanted.verb not in self.verbs and ALL not in self.verbs:
            return False
        if wanted.path:
            return any(_path_matches(path, wanted.path) for path in self.paths)
        return (
            (wanted.group in self.groups or ALL in self.groups)
            and self._is_about(wanted.full_resource, wanted.subresource)
            and (not self.names or wanted.name in self.names)
        )

    def _is_about(self, resource: str, subresource: str) -> bool:
        if resource in self.resources or ALL in self.resources:
            return True
        return bool(subresource) and f"{ALL}/{subresource}" in self.resources

    def _covers(self, atom: Rule) -> bool:
        """Whether everything that an atom allows is allowed by this rule; atoms have one of everything."""
        if not atom.verbs <= self.verbs and ALL not in self.verbs:
            return False
        if atom.paths:
            return all(any(_path_matches(mine, path) for mine in self.paths) for path in atom.paths)
        (resource,) = atom.resources
        return (
            (atom.groups <= self.groups or ALL in self.groups)
            and self._is_about(resource, resource.partition("/")[2])
            and (not self.names or (bool(atom.names) and atom.names <= self.names))
        )

    def atoms(self) -> Iterator[Rule]:
        """The same as rules that have one verb, one group, one resource and at most one name, or one path."""
        for verb in sorted(self.verbs):
            for path in sorted(self.paths):
                yield Rule(frozenset((verb,)), paths=frozenset((path,)))
            for group in sorted(self.groups):
                for resource in sorted(self.resources):
                    for names in [frozenset((name,)) for name in sorted(self.names)] or [frozenset[str]()]:
                        yield Rule(frozenset((verb,)), frozenset((group,)), frozenset((resource,)), names)

    def __str__(self) -> str:
        """For messages."""
        about = self.paths or {
            f"{resource}.{group}" if group else resource for resource in self.resources for group in self.groups
        }
        named = f" named {', '.join(sorted(self.names))}" if self.names else ""
        return f"{', '.join(sorted(self.verbs))} {', '.join(sorted(about))}{named}"


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith(ALL) and path.startswith(pattern[:-1]))


EVERYTHING = (
    Rule(frozenset((ALL,)), frozenset((ALL,)), frozenset((ALL,))),
    Rule(frozenset((ALL,)), paths=frozenset((ALL,))),
)


def of_message(message: Any) -> Rule:
    """The rule that a PolicyRule message means."""
    return Rule(
        frozenset(message.verbs),
        frozenset(message.api_groups),
        frozenset(message.resources),
        frozenset(message.resource_names),
        frozenset(message.non_resource_urls),
    )


def uncovered(wanted: Iterable[Rule], held: Iterable[Rule]) -> list[Rule]:
    """The parts of some rules that other rules do not allow."""
    mine = tuple(held)
    return [atom for rule in wanted for atom in rule.atoms() if not any(each._covers(atom) for each in mine)]
