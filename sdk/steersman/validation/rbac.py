"""Rules of roles and of what binds them."""

from __future__ import annotations

from typing import Any

from steersman.errors import FieldViolation
from steersman.selectors import SelectorError, of_message
from steersman.validation.names import label_1123, show, subdomain, violation

GROUP = "rbac.authorization.k8s.io"
SUBJECT_KINDS = ("User", "Group", "ServiceAccount")


def name(field: str, value: str) -> list[FieldViolation]:
    """A name of a role or binding: anything that can be one part of a path, as "system:node"."""
    if value in ("", ".", "..") or "/" in value or "%" in value:
        return violation(field, f"{show(value)} is not a name: '.', '..' and names with '/' or '%' are not possible")
    return []


def rules(field: str, given: Any, *, paths: bool) -> list[FieldViolation]:
    """The rules of a role; `paths` says whether they may be about paths."""
    found: list[FieldViolation] = []
    for index, rule in enumerate(given):
        at = f"{field}[{index}]"
        if not rule.verbs:
            found += violation(f"{at}.verbs", "required: at least one")
        if rule.non_resource_urls:
            if not paths:
                found += violation(f"{at}.nonResourceURLs", "a Role is about objects in a namespace, not about paths")
            if rule.api_groups or rule.resources or rule.resource_names:
                found += violation(f"{at}.nonResourceURLs", "a rule is about paths or about resources, not both")
            continue
        if not rule.api_groups:
            found += violation(f"{at}.apiGroups", 'required: at least one, "" for the core group')
        if not rule.resources:
            found += violation(f"{at}.resources", "required: at least one")
    return found


def aggregation(field: str, rule: Any) -> list[FieldViolation]:
    """The rule that makes a role the sum of others."""
    found: list[FieldViolation] = []
    if not rule.cluster_role_selectors:
        found += violation(f"{field}.clusterRoleSelectors", "required: at least one")
    for index, selector in enumerate(rule.cluster_role_selectors):
        try:
            of_message(selector)
        except SelectorError as error:
            found += violation(f"{field}.clusterRoleSelectors[{index}]", f"{error.text!r}: {error.reason}")
    return found


def binding(obj: Any, *, namespaced: bool) -> list[FieldViolation]:
    """A RoleBinding or ClusterRoleBinding."""
    found: list[FieldViolation] = []
    role = obj.role_ref
    if role.api_group != GROUP:
        found += violation("roleRef.apiGroup", f"{show(role.api_group)} is not {GROUP!r}")
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if role.kind not in kinds:
        found += violation("roleRef.kind", f"{show(role.kind)} is not one of {', '.join(kinds)}")
    found += name("roleRef.name", role.name)
    for index, subject in enumerate(obj.subjects):
        found += _subject(f"subjects[{index}]", subject)
    return found


def _subject(at: str, subject: Any) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if not subject.name:
        found += violation(f"{at}.name", "required")
    if subject.kind == "ServiceAccount":
        if subject.name:
            found += subdomain(f"{at}.name", subject.name)
        if subject.api_group:
            found += violation(f"{at}.apiGroup", f"{show(subject.api_group)}: service accounts are of the core group")
        if not subject.namespace:
            found += violation(f"{at}.namespace", "required for a service account")
        else:
            found += label_1123(f"{at}.namespace", subject.namespace)
    elif subject.kind in SUBJECT_KINDS:
        if subject.api_group != GROUP:
            found += violation(f"{at}.apiGroup", f"{show(subject.api_group)} is not {GROUP!r}")
        if subject.namespace:
            found += violation(f"{at}.namespace", "users and groups live in no namespace")
    else:
        found += violation(f"{at}.kind", f"{show(subject.kind)} is not one of {', '.join(SUBJECT_KINDS)}")
    return found
