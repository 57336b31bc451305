"""The roles and bindings that every cluster has, with Kubernetes' names and meanings.

Made at start, and mended then: what is missing of a role or binding comes back, what somebody added stays. One with the
annotation rbac.authorization.kubernetes.io/autoupdate: "false" is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from steersman.rbac.v1.cluster_role_binding_pb2 import ClusterRoleBinding
from steersman.rbac.v1.cluster_role_pb2 import ClusterRole
from steersman.rbac.v1.rule_pb2 import PolicyRule

LABEL = ("kubernetes.io/bootstrapping", "rbac-defaults")
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
CONTROLLER = "system:controller:"
CONTROLLER_MANAGER = "system:kube-controller-manager"

READ = "get list watch"
WRITE = "create update patch delete deletecollection"
BOTH = f"{READ} {WRITE}"

_AUTHN, _AUTHZ, _CERTIFICATES = "authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io"
_RBAC, _STORAGE, _NETWORK = "rbac.authorization.k8s.io", "storage.k8s.io", "networking.k8s.io"
_LEASES, _DISCOVERY, _PRIORITY = "coordination.k8s.io", "discovery.k8s.io", "scheduling.k8s.io"
_CORE = ""

Row = tuple[str, str, str]
"""Verbs, groups ("core" is the core group, "*" all) and resources, each separated by blanks."""


def rule(verbs: str, groups: str, resources: str, names: str = "") -> PolicyRule:
    """A rule about objects."""
    return PolicyRule(
        verbs=verbs.split(),
        api_groups=["" if group == "core" else group for group in (groups or "core").split()],
        resources=resources.split(),
        resource_names=names.split(),
    )


def _paths(verbs: str, paths: str) -> PolicyRule:
    return PolicyRule(verbs=verbs.split(), non_resource_urls=paths.split())


_EVENTS = rule("create update patch", "core events.k8s.io", "events")

_POD_PARTS = "pods/attach pods/exec pods/portforward pods/proxy"
_SCALABLE = (
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
    "statefulsets/scale"
)
_PLAIN = "configmaps endpoints persistentvolumeclaims replicationcontrollers replicationcontrollers/scale services"


def _user_facing() -> Iterator[ClusterRole]:
    """What people are given: admin includes edit, edit includes view."""
    for name, selected in (("admin", "admin"), ("edit", "edit"), ("view", "view")):
        made = ClusterRole()
        made.metadata.name = name
        if name != "admin":
            made.metadata.labels[AGGREGATE + {"edit": "admin", "view": "edit"}[name]] = "true"
        made.aggregation_rule.cluster_role_selectors.add(match_labels={AGGREGATE + selected: "true"})
        yield made
    parts: dict[str, list[PolicyRule]] = {
        "admin": [
            rule("create", _AUTHZ, "localsubjectaccessreviews"),
            rule(BOTH, _RBAC, "roles rolebindings"),
        ],
        "edit": [
            rule("get list watch", _CORE, f"{_POD_PARTS} secrets services/proxy"),
            rule("impersonate", _CORE, "serviceaccounts"),
            rule(WRITE, _CORE, f"pods {_POD_PARTS} {_PLAIN} services/proxy secrets serviceaccounts"),
            rule("create", _CORE, "pods/eviction serviceaccounts/token"),
            rule("update patch", _CORE, "pods/ephemeralcontainers pods/resize"),
            rule("create update patch delete deletecollection", "core events.k8s.io", "events"),
            rule(WRITE, "apps", _SCALABLE),
            rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
            rule(WRITE, "batch", "cronjobs jobs"),
            rule(WRITE, "policy", "poddisruptionbudgets"),
            rule(WRITE, _NETWORK, "ingresses networkpolicies"),
            rule(BOTH, _LEASES, "leases"),
        ],
        "view": [
            rule(READ, _CORE, f"pods pods/status pods/log {_PLAIN} services/status serviceaccounts"),
            rule(READ, _CORE, "persistentvolumeclaims/status replicationcontrollers/status"),
            rule(READ, _CORE, "limitranges resourcequotas resourcequotas/status namespaces namespaces/status bindings"),
            rule(READ, "core events.k8s.io", "events"),
            rule(READ, _DISCOVERY, "endpointslices"),
            rule(READ, "apps", f"controllerrevisions {_SCALABLE}"),
            rule(READ, "apps", "daemonsets/status deployments/status replicasets/status statefulsets/status"),
            rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
            rule(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
            rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
            rule(READ, _NETWORK, "ingresses ingresses/status networkpolicies"),
            rule(READ, "metrics.k8s.io", "pods nodes"),
        ],
    }
    for name, rules in parts.items():
        made = ClusterRole(rules=rules)
        made.metadata.name = f"system:aggregate-to-{name}"
        made.metadata.labels[AGGREGATE + name] = "true"
        yield made


_SYSTEM: dict[str, list[PolicyRule]] = {
    "cluster-admin": [rule("*", "*", "*"), _paths("*", "*")],
    "system:discovery": [
        _paths("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version")
    ],
    "system:public-info-viewer": [_paths("get", "/healthz /livez /readyz /version")],
    "system:monitoring": [_paths("get", "/healthz /healthz/* /livez /livez/* /metrics /readyz /readyz/*")],
    "system:basic-user": [
        rule("create", _AUTHZ, "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("create", _AUTHN, "selfsubjectreviews"),
    ],
    "system:auth-delegator": [
        rule("create", _AUTHN, "tokenreviews"),
        rule("create", _AUTHZ, "subjectaccessreviews"),
    ],
    # Bound to nobody: nodes are judged one by one by what their pods need. For those who want the old ways.
    "system:node": [
        rule("create", _AUTHN, "tokenreviews"),
        rule("create", _AUTHZ, "subjectaccessreviews localsubjectaccessreviews"),
        rule(READ, _CORE, "services"),
        rule(f"{READ} create update patch", _CORE, "nodes"),
        rule("update patch", _CORE, "nodes/status pods/status"),
        _EVENTS,
        rule(f"{READ} create delete", _CORE, "pods"),
        rule("create", _CORE, "pods/eviction serviceaccounts/token"),
        rule(READ, _CORE, "configmaps secrets"),
        rule("get", _CORE, "persistentvolumeclaims persistentvolumes serviceaccounts"),
        rule("get update patch", _CORE, "persistentvolumeclaims/status"),
        rule(f"{READ} create", _CERTIFICATES, "certificatesigningrequests"),
        rule("get create update patch delete", _LEASES, "leases"),
        rule(READ, _STORAGE, "csidrivers volumeattachments"),
        rule("get create update patch delete", _STORAGE, "csinodes"),
        rule(READ, "node.k8s.io", "runtimeclasses"),
    ],
    "system:node-bootstrapper": [rule(f"{READ} create", _CERTIFICATES, "certificatesigningrequests")],
    "system:node-proxier": [
        rule(READ, _CORE, "services endpoints nodes"),
        rule(READ, _DISCOVERY, "endpointslices"),
        rule(READ, _NETWORK, "networkpolicies servicecidrs"),
        _EVENTS,
    ],
    "system:kube-dns": [
        rule("list watch", _CORE, "services endpoints namespaces pods"),
        rule("list watch", _DISCOVERY, "endpointslices"),
        rule("get", _CORE, "nodes"),
    ],
    "system:kube-scheduler": [
        rule(READ, _CORE, "nodes namespaces pods services replicationcontrollers persistentvolumes configmaps"),
        rule("get list watch update patch", _CORE, "persistentvolumeclaims"),
        rule("update patch", _CORE, "persistentvolumes"),
        rule("delete", _CORE, "pods"),
        rule("create", _CORE, "pods/binding bindings"),
        rule("update patch", _CORE, "pods/status"),
        rule(READ, "apps", "replicasets statefulsets daemonsets"),
        rule(READ, "policy", "poddisruptionbudgets"),
        rule(READ, _STORAGE, "csinodes csidrivers storageclasses csistoragecapacities volumeattachments"),
        rule(READ, _PRIORITY, "priorityclasses"),
        rule("get list watch create update patch delete", _LEASES, "leases"),
        rule("create", _AUTHN, "tokenreviews"),
        rule("create", _AUTHZ, "subjectaccessreviews"),
        _EVENTS,
    ],
    "system:volume-scheduler": [
        rule("get list watch update patch", _CORE, "persistentvolumes persistentvolumeclaims"),
        rule(READ, _STORAGE, "storageclasses"),
    ],
    "system:persistent-volume-provisioner": [
        rule("get list watch create delete", _CORE, "persistentvolumes"),
        rule("get list watch update", _CORE, "persistentvolumeclaims"),
        rule(READ, _STORAGE, "storageclasses"),
        rule("get", _CORE, "nodes"),
        _EVENTS,
    ],
    CONTROLLER_MANAGER: [
        rule(READ, "*", "*"),
        rule("create update patch delete", _LEASES, "leases"),
        rule("create", _CORE, "serviceaccounts serviceaccounts/token secrets"),
        rule("create", _AUTHN, "tokenreviews"),
        rule("create", _AUTHZ, "subjectaccessreviews"),
        _EVENTS,
    ],
}
for _name, _resource in (
    ("nodeclient", "certificatesigningrequests/nodeclient"),
    ("selfnodeclient", "certificatesigningrequests/selfnodeclient"),
    ("selfnodeserver", "certificatesigningrequests/selfnodeserver"),
):
    _SYSTEM[f"system:certificates.k8s.io:certificatesigningrequests:{_name}"] = [
        rule("create", _CERTIFICATES, _resource)
    ]
for _name in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown"):
    _SYSTEM[f"system:certificates.k8s.io:{_name}-approver"] = [
        rule("approve", _CERTIFICATES, "signers", f"kubernetes.io/{_name}")
    ]

_ALL_WORKLOADS = "deployments replicasets statefulsets daemonsets"

# What each control loop needs. All of them run as one user here, which has them all; service accounts of the same names
# have each its own.
_CONTROLLERS: dict[str, list[Row]] = {
    "attachdetach-controller": [
        ("list watch get", _CORE, "persistentvolumes persistentvolumeclaims nodes pods"),
        ("update patch", _CORE, "nodes/status"),
        ("get list watch create update patch delete", _STORAGE, "volumeattachments"),
        (READ, _STORAGE, "csidrivers csinodes"),
    ],
    "certificate-controller": [
        ("get list watch delete", _CERTIFICATES, "certificatesigningrequests"),
        ("update", _CERTIFICATES, "certificatesigningrequests/status certificatesigningrequests/approval"),
    ],
    "clusterrole-aggregation-controller": [("get list watch update patch escalate", _RBAC, "clusterroles")],
    "cronjob-controller": [
        ("get list watch update patch", "batch", "cronjobs"),
        ("get list watch create update patch delete", "batch", "jobs"),
        ("update patch", "batch", "cronjobs/status cronjobs/finalizers"),
        ("list watch delete", _CORE, "pods"),
    ],
    "daemon-set-controller": [
        (READ, "apps", "daemonsets"),
        ("update patch", "apps", "daemonsets/status daemonsets/finalizers"),
        (READ, _CORE, "nodes"),
        ("get list watch create delete patch", _CORE, "pods"),
        ("create", _CORE, "pods/binding"),
        ("get list watch create delete update patch", "apps", "controllerrevisions"),
    ],
    "deployment-controller": [
        ("get list watch update patch", "apps", "deployments"),
        ("update patch", "apps", "deployments/status deployments/finalizers"),
        ("get list watch create update patch delete", "apps", "replicasets"),
        ("get list watch update", _CORE, "pods"),
    ],
    "disruption-controller": [
        (READ, "apps", _ALL_WORKLOADS),
        (READ, _CORE, "pods replicationcontrollers"),
        (READ, "policy", "poddisruptionbudgets"),
        ("update patch", "policy", "poddisruptionbudgets/status"),
        ("update patch", _CORE, "pods/status"),
        ("get", "*", "*/scale"),
    ],
    "endpoint-controller": [
        (READ, _CORE, "services pods"),
        ("get list watch create update patch delete", _CORE, "endpoints"),
        ("create", _CORE, "endpoints/restricted"),
    ],
    "endpointslice-controller": [
        (READ, _CORE, "services pods nodes endpoints"),
        ("update", _CORE, "services/finalizers endpoints/finalizers"),
        ("get list watch create update patch delete", _DISCOVERY, "endpointslices"),
    ],
    "ephemeral-volume-controller": [
        (READ, _CORE, "pods"),
        ("update", _CORE, "pods/finalizers"),
        ("get list watch create", _CORE, "persistentvolumeclaims"),
    ],
    "expand-controller": [
        ("get list watch update patch", _CORE, "persistentvolumes persistentvolumeclaims"),
        ("update patch", _CORE, "persistentvolumeclaims/status"),
    ],
    "generic-garbage-collector": [("get list watch patch update delete", "*", "*")],
    "horizontal-pod-autoscaler": [
        (READ, "autoscaling", "horizontalpodautoscalers"),
        ("update patch", "autoscaling", "horizontalpodautoscalers/status"),
        ("get update patch", "*", "*/scale"),
        (READ, "core metrics.k8s.io", "pods"),
        (READ, "custom.metrics.k8s.io external.metrics.k8s.io", "*"),
    ],
    "job-controller": [
        ("get list watch update patch delete", "batch", "jobs"),
        ("update patch", "batch", "jobs/status jobs/finalizers"),
        ("get list watch create delete patch update", _CORE, "pods"),
    ],
    "namespace-controller": [
        ("get list watch update patch delete", _CORE, "namespaces"),
        ("update patch", _CORE, "namespaces/status namespaces/finalize"),
        ("get list delete deletecollection", "*", "*"),
    ],
    "node-controller": [
        ("get list watch update patch delete", _CORE, "nodes"),
        ("update patch", _CORE, "nodes/status pods/status"),
        ("get list watch delete", _CORE, "pods"),
        ("get list watch create update patch delete", _LEASES, "leases"),
    ],
    "persistent-volume-binder": [
        ("get list watch create update patch delete", _CORE, "persistentvolumes"),
        ("update patch", _CORE, "persistentvolumes/status persistentvolumeclaims/status"),
        ("get list watch update patch", _CORE, "persistentvolumeclaims"),
        ("get list watch create delete", _CORE, "pods"),
        (READ, _STORAGE, "storageclasses"),
        ("get list", _CORE, "nodes"),
    ],
    "pod-garbage-collector": [
        ("get list watch delete", _CORE, "pods"),
        ("get list", _CORE, "nodes"),
        ("update patch", _CORE, "pods/status"),
    ],
    "pv-protection-controller": [("get list watch update patch", _CORE, "persistentvolumes")],
    "pvc-protection-controller": [
        ("get list watch update patch", _CORE, "persistentvolumeclaims"),
        (READ, _CORE, "pods"),
    ],
    "replicaset-controller": [
        ("get list watch update patch", "apps", "replicasets"),
        ("update patch", "apps", "replicasets/status replicasets/finalizers"),
        ("get list watch create delete patch update", _CORE, "pods"),
    ],
    "replication-controller": [
        ("get list watch update patch", _CORE, "replicationcontrollers"),
        ("update patch", _CORE, "replicationcontrollers/status replicationcontrollers/finalizers"),
        ("get list watch create delete patch update", _CORE, "pods"),
    ],
    "resourcequota-controller": [
        ("get list watch", "*", "*"),
        ("update patch", _CORE, "resourcequotas/status"),
    ],
    "root-ca-cert-publisher": [("get list watch create update", _CORE, "configmaps"), (READ, _CORE, "namespaces")],
    "service-account-controller": [("get list watch create", _CORE, "serviceaccounts"), (READ, _CORE, "namespaces")],
    "service-controller": [
        ("get list watch update patch", _CORE, "services"),
        ("update patch", _CORE, "services/status"),
        (READ, _CORE, "nodes"),
    ],
    "statefulset-controller": [
        (READ, _CORE, "pods"),
        (READ, "apps", "statefulsets"),
        ("update patch", "apps", "statefulsets/status statefulsets/finalizers"),
        ("get list watch create delete update patch", _CORE, "pods persistentvolumeclaims"),
        ("get list watch create delete update patch", "apps", "controllerrevisions"),
    ],
    "token-cleaner": [("get list watch delete", _CORE, "secrets")],
    "ttl-after-finished-controller": [("get list watch delete", "batch", "jobs")],
    "ttl-controller": [("get list watch update patch", _CORE, "nodes")],
}
# Signers that the certificate controller may approve and sign for.
_SIGNERS = (
    "kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/kube-apiserver-client"
)


def _controllers() -> Iterator[ClusterRole]:
    for name, rows in _CONTROLLERS.items():
        made = ClusterRole(rules=[*(rule(*row) for row in rows), _EVENTS])
        if name == "certificate-controller":
            made.rules.append(rule("approve sign", _CERTIFICATES, "signers", _SIGNERS))
        made.metadata.name = CONTROLLER + name
        yield made


def cluster_roles() -> list[ClusterRole]:
    """Every default ClusterRole."""
    found = list(_user_facing())
    for name, rules in _SYSTEM.items():
        made = ClusterRole(rules=rules)
        made.metadata.name = name
        found.append(made)
    found += _controllers()
    for each in found:
        each.metadata.labels[LABEL[0]] = LABEL[1]
        each.metadata.annotations[AUTOUPDATE] = "true"
    return found


# Role, and the users and groups that have it from the start.
_BINDINGS: list[tuple[str, str, str]] = [
    ("cluster-admin", "", "system:masters"),
    ("system:discovery", "", "system:authenticated"),
    ("system:public-info-viewer", "", "system:authenticated system:unauthenticated"),
    ("system:basic-user", "", "system:authenticated"),
    ("system:monitoring", "", "system:monitoring"),
    ("system:node", "", ""),
    ("system:node-proxier", "system:kube-proxy", ""),
    ("system:node-bootstrapper", "", "system:bootstrappers"),
    ("system:certificates.k8s.io:certificatesigningrequests:nodeclient", "", "system:bootstrappers"),
    ("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "", "system:nodes"),
    ("system:certificates.k8s.io:certificatesigningrequests:selfnodeserver", "", "system:nodes"),
    ("system:kube-scheduler", "system:kube-scheduler", ""),
    ("system:volume-scheduler", "system:kube-scheduler", ""),
    (CONTROLLER_MANAGER, CONTROLLER_MANAGER, ""),
]


def cluster_role_bindings() -> list[ClusterRoleBinding]:
    """Every default ClusterRoleBinding; it is named as its role."""
    found: list[ClusterRoleBinding] = []
    for role, users, groups in _BINDINGS:
        made = _binding(role)
        for user in users.split():
            made.subjects.add(kind="User", api_group=_RBAC, name=user)
        for group in groups.split():
            made.subjects.add(kind="Group", api_group=_RBAC, name=group)
        found.append(made)
    dns = _binding("system:kube-dns")
    dns.subjects.add(kind="ServiceAccount", name="kube-dns", namespace="kube-system")
    found.append(dns)
    for name in _CONTROLLERS:
        made = _binding(CONTROLLER + name)
        made.subjects.add(kind="ServiceAccount", name=name, namespace="kube-system")
        made.subjects.add(kind="User", api_group=_RBAC, name=CONTROLLER_MANAGER)
        found.append(made)
    return found


def _binding(role: str) -> ClusterRoleBinding:
    made = ClusterRoleBinding()
    made.metadata.name = role
    made.metadata.labels[LABEL[0]] = LABEL[1]
    made.metadata.annotations[AUTOUPDATE] = "true"
    made.role_ref.api_group, made.role_ref.kind, made.role_ref.name = _RBAC, "ClusterRole", role
    return made
