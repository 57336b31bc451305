"""Objects of access control for tests, as short as they may be."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from steersman.certificates.v1 import CertificateSigningRequest
from steersman.core.v1 import LimitRange, Pod, ResourceQuota, ServiceAccount
from steersman.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from steersman.scheduling.v1 import PriorityClass


def role(name: str, verbs: str, resources: str, *, namespace: str = "default", group: str = "", only: str = "") -> Role:
    made = Role()
    made.metadata.name, made.metadata.namespace = name, namespace
    made.rules.add(verbs=verbs.split(), api_groups=[group], resources=resources.split(), resource_names=only.split())
    return made


def cluster_role(name: str, verbs: str, resources: str, *, group: str = "", **labels: str) -> ClusterRole:
    made = ClusterRole()
    made.metadata.name = name
    made.metadata.labels.update(labels)
    made.rules.add(verbs=verbs.split(), api_groups=[group], resources=resources.split())
    return made


def binding(name: str, role_name: str, user: str, *, kind: str = "Role", namespace: str = "default") -> RoleBinding:
    made = RoleBinding()
    made.metadata.name, made.metadata.namespace = name, namespace
    made.role_ref.kind, made.role_ref.name = kind, role_name
    made.subjects.add(kind="User", name=user)
    return made


def cluster_binding(name: str, role_name: str, *, user: str = "", group: str = "") -> ClusterRoleBinding:
    made = ClusterRoleBinding()
    made.metadata.name = name
    made.role_ref.kind, made.role_ref.name = "ClusterRole", role_name
    made.subjects.add(kind="User" if user else "Group", name=user or group)
    return made


def service_account(name: str, namespace: str = "default") -> ServiceAccount:
    made = ServiceAccount()
    made.metadata.name, made.metadata.namespace = name, namespace
    return made


def quota(name: str = "q", namespace: str = "default", **hard: str) -> ResourceQuota:
    """Underscores in names stand for dots: requests_cpu."""
    made = ResourceQuota()
    made.metadata.name, made.metadata.namespace = name, namespace
    for resource, amount in hard.items():
        made.spec.hard[resource.replace("_", ".")].value = amount
    return made


def limit_range(name: str = "l", type: str = "Container", **parts: dict[str, str]) -> LimitRange:
    made = LimitRange()
    made.metadata.name, made.metadata.namespace = name, "default"
    item = made.spec.limits.add(type=type)
    for part, amounts in parts.items():
        for resource, amount in amounts.items():
            getattr(item, part)[resource].value = amount
    return made


def priority_class(name: str, value: int, *, default: bool = False) -> PriorityClass:
    made = PriorityClass(value=value, global_default=default)
    made.metadata.name = name
    return made


def asking(pod: Pod, *, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> Pod:
    """The pod, whose first container asks for these resources."""
    resources = pod.spec.containers[0].resources
    for name, amount in (requests or {}).items():
        resources.requests[name].value = amount
    for name, amount in (limits or {}).items():
        resources.limits[name].value = amount
    return pod


def certificate_request(
    name: str,
    *,
    user: str = "someone",
    organizations: tuple[str, ...] = (),
    signer: str = "example.org/signer",
    usages: tuple[str, ...] = ("client auth",),
    hosts: tuple[str, ...] = (),
) -> CertificateSigningRequest:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), critical=False)
    made = CertificateSigningRequest()
    made.metadata.name = name
    made.spec.request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    made.spec.signer_name = signer
    made.spec.usages.extend(usages)
    return made
