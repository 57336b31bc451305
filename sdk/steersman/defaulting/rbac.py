"""Defaults of bindings."""

from __future__ import annotations

from typing import Any

from steersman.validation.rbac import GROUP


def binding(obj: Any) -> None:
    """The groups of the role and of the subjects."""
    if obj.HasField("role_ref") and not obj.role_ref.api_group:
        obj.role_ref.api_group = GROUP
    for subject in obj.subjects:
        if subject.kind in ("User", "Group") and not subject.api_group:
            subject.api_group = GROUP
