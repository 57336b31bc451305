"""Rules of what says where a pod may run."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, requirement
from steersman.validation import meta, names
from steersman.validation.meta import one_of
from steersman.validation.names import violation

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate(field: str, spec: Any) -> list[FieldViolation]:
    """What is wrong with a pod's node selector, tolerations, affinity and spreading."""
    found = names.labels(f"{field}.nodeSelector", spec.node_selector)
    for index, each in enumerate(spec.tolerations):
        found += toleration(f"{field}.tolerations[{index}]", each)
    if spec.HasField("affinity"):
        found += _affinity(f"{field}.affinity", spec.affinity)
    for index, constraint in enumerate(spec.topology_spread_constraints):
        here = f"{field}.topologySpreadConstraints[{index}]"
        if constraint.max_skew < 1:
            found += violation(f"{here}.maxSkew", f"{constraint.max_skew} is less than 1")
        if not constraint.topology_key:
            found += violation(f"{here}.topologyKey", "required")
        found += one_of(f"{here}.whenUnsatisfiable", constraint.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        found += meta.selector(f"{here}.labelSelector", constraint.label_selector)
    return found


def toleration(field: str, wanted: Any) -> list[FieldViolation]:
    """What is wrong with a wanted."""
    found: list[FieldViolation] = []
    if wanted.key:
        found += names.label_key(f"{field}.key", wanted.key)
    elif wanted.operator != "Exists":
        found += violation(f"{field}.operator", "must be Exists where the key is empty")
    operator = wanted.operator or "Equal"
    found += one_of(f"{field}.operator", operator, ("Equal", "Exists", "Lt", "Gt"))
    if operator == "Exists" and wanted.value:
        found += violation(f"{field}.value", "must be empty where the operator is Exists")
    if wanted.effect:
        found += one_of(f"{field}.effect", wanted.effect, EFFECTS)
    if wanted.HasField("toleration_seconds") and wanted.effect != "NoExecute":
        found += violation(f"{field}.effect", "must be NoExecute where tolerationSeconds is given")
    return found


def _affinity(field: str, affinity: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    node = affinity.node_affinity
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    if node.HasField("required_during_scheduling_ignored_during_execution"):
        here = f"{field}.nodeAffinity.{required}"
        found += node_selector(here, node.required_during_scheduling_ignored_during_execution)
    for index, weighted in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        here = f"{field}.nodeAffinity.{preferred}[{index}]"
        found += _weight(here, weighted.weight)
        found += _node_term(f"{here}.preference", weighted.preference)
    for name, shown in (("pod_affinity", "podAffinity"), ("pod_anti_affinity", "podAntiAffinity")):
        rules = getattr(affinity, name)
        for index, term in enumerate(rules.required_during_scheduling_ignored_during_execution):
            found += _pod_term(f"{field}.{shown}.{required}[{index}]", term)
        for index, weighted in enumerate(rules.preferred_during_scheduling_ignored_during_execution):
            here = f"{field}.{shown}.{preferred}[{index}]"
            found += _weight(here, weighted.weight)
            found += _pod_term(f"{here}.podAffinityTerm", weighted.pod_affinity_term)
    return found


def node_selector(field: str, selector: Any) -> list[FieldViolation]:
    """What is wrong with a choice of nodes."""
    terms = selector.node_selector_terms
    found = [] if terms else violation(f"{field}.nodeSelectorTerms", "required: at least one term")
    for index, term in enumerate(terms):
        found += _node_term(f"{field}.nodeSelectorTerms[{index}]", term)
    return found


def _weight(field: str, weight: int) -> list[FieldViolation]:
    return [] if 1 <= weight <= 100 else violation(f"{field}.weight", f"{weight} is not from 1 to 100")


def _node_term(field: str, term: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for index, expression in enumerate(term.match_expressions):
        try:
            requirement(expression.key, expression.operator, expression.values)
        except SelectorError as error:
            found += violation(f"{field}.matchExpressions[{index}]", f"{error.text!r}: {error.reason}")
    for index, match in enumerate(term.match_fields):
        if match.key != "metadata.name" or match.operator not in ("In", "NotIn") or len(match.values) != 1:
            found += violation(f"{field}.matchFields[{index}]", "only metadata.name In or NotIn one value")
    return found


def _pod_term(field: str, term: Any) -> list[FieldViolation]:
    found = [] if term.topology_key else violation(f"{field}.topologyKey", "required")
    found += meta.selector(f"{field}.labelSelector", term.label_selector)
    found += meta.selector(f"{field}.namespaceSelector", term.namespace_selector)
    return found
