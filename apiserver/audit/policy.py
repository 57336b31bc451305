"""The audit policy: which calls are written down, and how much of them. Kubernetes' audit.k8s.io/v1 Policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import yaml

from apiserver.authn import User
from apiserver.authz.attributes import Attributes


class Level(IntEnum):
    """How much is written of a call."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAMES = {level: name for name, level in LEVELS.items()}
STARTED, COMPLETE = "ResponseStarted", "ResponseComplete"
STAGES = ("RequestReceived", STARTED, COMPLETE, "Panic")


class PolicyFileError(Exception):
    """The policy cannot be used; the message says where and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use the audit policy {path}: {reason}")
        self.path = path


@dataclass(frozen=True)
class ResourceRule:
    """Resources of one group that a rule is about; none: all of the group."""

    group: str
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def matches(self, wanted: Attributes) -> bool:
        """Whether a call is about one of them."""
        if self.group not in ("*", wanted.group) or (self.names and wanted.name not in self.names):
            return False
        if not self.resources:
            return True
        names = {"*", wanted.full_resource}
        if wanted.subresource:
            names |= {f"{wanted.resource}/*", f"*/{wanted.subresource}"}
        return bool(names & self.resources)


@dataclass(frozen=True)
class Rule:
    """One rule; what is empty does not matter.

    Attributes:
        level: how much is written of the calls that match.
        users: names of callers.
        groups: groups of callers.
        verbs: verbs, as RBAC has them.
        resources: what the call is about.
        namespaces: where; "" is what is in no namespace.
        omit_stages: stages of which nothing is written.
        omit_managed_fields: whether objects are written without who owns which field.
    """

    level: Level
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    resources: tuple[ResourceRule, ...] = ()
    namespaces: frozenset[str] = frozenset()
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    def matches(self, user: User | None, wanted: Attributes) -> bool:
        """Whether the rule is about a call; a caller that nobody knows is None."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        return (
            (not self.verbs or wanted.verb in self.verbs or "*" in self.verbs)
            and (not self.namespaces or wanted.namespace in self.namespaces)
            and (not self.resources or any(each.matches(wanted) for each in self.resources))
        )


_NOTHING = Rule(Level.NONE)


@dataclass(frozen=True)
class Policy:
    """Rules in their order; the first that matches decides, and where none does nothing is written."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, user: User | None, wanted: Attributes) -> Rule:
        """The rule that decides about a call."""
        return next((rule for rule in self.rules if rule.matches(user, wanted)), _NOTHING)


def read(path: Path) -> Policy:
    """The policy of a file.

    Raises:
        PolicyFileError: the file is missing or makes no sense.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyFileError(path, str(error)) from error
    if not isinstance(document, dict) or document.get("kind") != "Policy":
        raise PolicyFileError(path, "its kind is not Policy")
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        raise PolicyFileError(path, "rules must be a list that is not empty")
    whole = _names(path, "omitStages", document.get("omitStages"))
    no_fields = bool(document.get("omitManagedFields", False))
    return Policy(tuple(_rule(path, f"rules[{i}]", rule, whole, no_fields) for i, rule in enumerate(rules)))


_KNOWN = frozenset(
    {
        "level",
        "users",
        "userGroups",
        "verbs",
        "resources",
        "namespaces",
        "nonResourceURLs",
        "omitStages",
        "omitManagedFields",
    }
)


def _rule(path: Path, at: str, given: Any, omitted: frozenset[str], no_fields: bool) -> Rule:
    if not isinstance(given, dict) or given.get("level") not in LEVELS:
        raise PolicyFileError(path, f"{at}.level must be one of {', '.join(LEVELS)}")
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise PolicyFileError(path, f"{at}.{unknown[0]} is not known")
    resources: list[ResourceRule] = []
    for index, each in enumerate(given.get("resources") or ()):
        place = f"{at}.resources[{index}]"
        if not isinstance(each, dict):
            raise PolicyFileError(path, f"{place} must say a group")
        resources.append(
            ResourceRule(
                str(each.get("group", "")),
                _names(path, f"{place}.resources", each.get("resources")),
                _names(path, f"{place}.resourceNames", each.get("resourceNames")),
            )
        )
    if given.get("nonResourceURLs") and not resources:
        # Nothing is served at paths: such a rule is about no call.
        resources.append(ResourceRule("\0"))
    stages = _names(path, f"{at}.omitStages", given.get("omitStages")) | omitted
    if stages - set(STAGES):
        raise PolicyFileError(path, f"{at}.omitStages: {sorted(stages - set(STAGES))[0]!r} is no stage")
    return Rule(
        LEVELS[given["level"]],
        _names(path, f"{at}.users", given.get("users")),
        _names(path, f"{at}.userGroups", given.get("userGroups")),
        _names(path, f"{at}.verbs", given.get("verbs")),
        tuple(resources),
        _names(path, f"{at}.namespaces", given.get("namespaces")),
        stages,
        bool(given.get("omitManagedFields", no_fields)),
    )


def _names(path: Path, at: str, given: Any) -> frozenset[str]:
    if given is None:
        return frozenset()
    if not isinstance(given, list):
        raise PolicyFileError(path, f"{at} must be a list")
    return frozenset(map(str, given))
