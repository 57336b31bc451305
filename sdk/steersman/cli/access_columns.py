"""What tables show of the kinds about rights, limits and certificates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.cli.cells import AGE, NAME, Column, duration
from steersman.clock import from_timestamp


def _created(obj: Any, _now: datetime) -> str:
    return f"{from_timestamp(obj.metadata.creation_timestamp):%Y-%m-%dT%H:%M:%SZ}"


def _subjects(kind: str) -> Any:
    def cell(binding: Any, _now: datetime) -> str:
        names = [f"{each.namespace}/{each.name}".lstrip("/") for each in binding.subjects if each.kind == kind]
        return ", ".join(names)

    return cell


def _amounts(quota: Any, *, limits: bool) -> str:
    hard, used = quota.status.hard or quota.spec.hard, quota.status.used
    return ", ".join(
        f"{name}: {used[name].value if name in used else '?'}/{hard[name].value}"
        for name in sorted(hard)
        if name.startswith("limits.") == limits
    )


def request_state(request: Any, _now: datetime) -> str:
    """How far a request for a certificate has come."""
    types = [each.type for each in request.status.conditions]
    found = [word for word in ("Approved", "Denied", "Failed") if word in types] or ["Pending"]
    return ",".join([*found, *(["Issued"] if request.status.certificate else [])])


def _asked_for(request: Any, _now: datetime) -> str:
    if not request.spec.HasField("expiration_seconds"):
        return "<none>"
    return duration(int(request.spec.expiration_seconds))


_BINDING = [
    NAME,
    Column("ROLE", lambda b, _: f"{b.role_ref.kind}/{b.role_ref.name}"),
    AGE,
    Column("USERS", _subjects("User"), wide=True),
    Column("GROUPS", _subjects("Group"), wide=True),
    Column("SERVICEACCOUNTS", _subjects("ServiceAccount"), wide=True),
]
_ROLE = [NAME, Column("CREATED AT", _created)]

ACCESS: dict[str, list[Column]] = {
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "ServiceAccount": [NAME, Column("SECRETS", lambda a, _: str(len(a.secrets))), AGE],
    "LimitRange": [NAME, Column("CREATED AT", _created)],
    "ResourceQuota": [
        NAME,
        Column("REQUEST", lambda q, _: _amounts(q, limits=False)),
        Column("LIMIT", lambda q, _: _amounts(q, limits=True)),
        AGE,
    ],
    "PriorityClass": [
        NAME,
        Column("VALUE", lambda p, _: str(p.value)),
        Column("GLOBAL-DEFAULT", lambda p, _: str(bool(p.global_default)).lower()),
        AGE,
        Column("PREEMPTIONPOLICY", lambda p, _: p.preemption_policy),
    ],
    "CertificateSigningRequest": [
        NAME,
        AGE,
        Column("SIGNERNAME", lambda r, _: r.spec.signer_name),
        Column("REQUESTOR", lambda r, _: r.spec.username or "<none>"),
        Column("REQUESTEDDURATION", _asked_for),
        Column("CONDITION", request_state),
    ],
}
