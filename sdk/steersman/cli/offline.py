"""The server's rules for objects of every kind, applied without a server. Pure.

A kind that is not in the tables has no rules but those of metadata. What only a server can know is not looked at: what
is there already, quotas, and what admission adds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from steersman import kinds
from steersman.errors import FieldViolation

_DEFAULTING, _VALIDATION = "steersman.defaulting", "steersman.validation"
# By the kind's qualified plural: module and function.
_DEFAULTS: dict[str, tuple[str, str]] = {
    "cronjobs.batch": ("job", "cron_job"),
    "csidrivers.storage.k8s.io": ("storage", "csi_driver"),
    "clusterrolebindings.rbac.authorization.k8s.io": ("rbac", "binding"),
    "daemonsets.apps": ("workload", "daemon_set"),
    "deployments.apps": ("workload", "deployment"),
    "endpoints": ("networking", "endpoints"),
    "endpointslices.discovery.k8s.io": ("networking", "endpoint_slice"),
    "horizontalpodautoscalers.autoscaling": ("autoscaling", "autoscaler"),
    "ingressclasses.networking.k8s.io": ("networking", "ingress_class"),
    "jobs.batch": ("job", "job"),
    "limitranges": ("limits", "limit_range"),
    "networkpolicies.networking.k8s.io": ("networking", "network_policy"),
    "persistentvolumeclaims": ("volume", "claim"),
    "persistentvolumes": ("volume", "volume"),
    "priorityclasses.scheduling.k8s.io": ("limits", "priority_class"),
    "replicasets.apps": ("workload", "replica_set"),
    "replicationcontrollers": ("workload", "replication_controller"),
    "rolebindings.rbac.authorization.k8s.io": ("rbac", "binding"),
    "secrets": ("configuration", "secret"),
    "services": ("service", "service"),
    "statefulsets.apps": ("workload", "stateful_set"),
    "storageclasses.storage.k8s.io": ("storage", "storage_class"),
}
_RULES: dict[str, list[tuple[str, str]]] = {
    "certificatesigningrequests.certificates.k8s.io": [("certificates", "request")],
    "configmaps": [("configuration", "config_map")],
    "controllerrevisions.apps": [("workload", "controller_revision")],
    "cronjobs.batch": [("job", "cron_job")],
    "csidrivers.storage.k8s.io": [("storage", "csi_driver")],
    "csinodes.storage.k8s.io": [("storage", "csi_node")],
    "daemonsets.apps": [("workload", "daemon_set")],
    "deployments.apps": [("workload", "deployment")],
    "endpoints": [("endpoints", "endpoints")],
    "endpointslices.discovery.k8s.io": [("endpoint_slice", "endpoint_slice")],
    "events": [("event", "core")],
    "events.events.k8s.io": [("event", "place"), ("event", "created")],
    "horizontalpodautoscalers.autoscaling": [("autoscaling", "autoscaler")],
    "ingressclasses.networking.k8s.io": [("ingress", "ingress_class")],
    "ingresses.networking.k8s.io": [("ingress", "ingress"), ("ingress", "created")],
    "jobs.batch": [("job", "job")],
    "leases.coordination.k8s.io": [("lease", "lease")],
    "limitranges": [("limits", "limit_range")],
    "networkpolicies.networking.k8s.io": [("network_policy", "network_policy")],
    "nodes": [("node", "node")],
    "persistentvolumeclaims": [("claim", "claim")],
    "persistentvolumes": [("volume", "volume")],
    "poddisruptionbudgets.policy": [("disruption", "budget")],
    "pods": [("pod", "validate"), ("pod", "created")],
    "priorityclasses.scheduling.k8s.io": [("limits", "priority_class")],
    "replicasets.apps": [("workload", "replica_set")],
    "replicationcontrollers": [("workload", "replication_controller")],
    "resourcequotas": [("limits", "resource_quota")],
    "runtimeclasses.node.k8s.io": [("runtime_class", "runtime_class")],
    "secrets": [("configuration", "secret")],
    "services": [("service", "validate")],
    "statefulsets.apps": [("workload", "stateful_set")],
    "storageclasses.storage.k8s.io": [("storage", "storage_class")],
    "volumeattachments.storage.k8s.io": [("storage", "attachment")],
}
# Rules for names, where they are others than those of most kinds.
_NAMES: dict[str, tuple[str, str]] = {
    "certificatesigningrequests.certificates.k8s.io": ("rbac", "name"),
    "clusterrolebindings.rbac.authorization.k8s.io": ("rbac", "name"),
    "clusterroles.rbac.authorization.k8s.io": ("rbac", "name"),
    "csidrivers.storage.k8s.io": ("volume", "driver"),
    "namespaces": ("names", "label_1123"),
    "rolebindings.rbac.authorization.k8s.io": ("rbac", "name"),
    "roles.rbac.authorization.k8s.io": ("rbac", "name"),
    "services": ("names", "label_1035"),
}


def _function(package: str, place: tuple[str, str]) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(f"{package}.{place[0]}"), place[1])
    return function


def defaulted(obj: Any, namespace: str = "default") -> Any:
    """A copy of an object as a server would complete it: defaults, a namespace, a name where one is generated."""
    kind = kinds.of(obj)
    copy = type(obj)()
    copy.CopyFrom(obj)
    metadata = copy.metadata
    if kind.namespaced and not metadata.namespace:
        metadata.namespace = namespace
    if not metadata.name and metadata.generate_name:
        metadata.name = f"{metadata.generate_name}xxxxx"
    name = kind.qualified_plural
    match name:
        case "pods":
            from steersman.defaulting.pod import pod_spec

            pod_spec(copy.spec)
            copy.spec.service_account_name = copy.spec.service_account_name or "default"
        case "podtemplates":
            from steersman.defaulting.pod import pod_spec

            pod_spec(copy.template.spec)
        case "namespaces":
            metadata.labels["kubernetes.io/metadata.name"] = metadata.name
        case "nodes" if copy.spec.pod_cidr and not copy.spec.pod_cidrs:
            copy.spec.pod_cidrs.append(copy.spec.pod_cidr)
        case "jobs.batch" if not copy.spec.manual_selector:
            _select_its_own(copy)
    if name in _DEFAULTS:
        _function(_DEFAULTING, _DEFAULTS[name])(copy)
    return copy


def _select_its_own(job: Any) -> None:
    """A job selects its pods by what the server writes into it."""
    from steersman.validation import job as validation

    uid, name = job.metadata.uid or "uid", job.metadata.name
    job.metadata.uid = uid
    labels = job.spec.template.metadata.labels
    for label, value in (
        (validation.OLD_UID_LABEL, uid),
        (validation.UID_LABEL, uid),
        (validation.OLD_NAME_LABEL, name),
        (validation.NAME_LABEL, name),
    ):
        if label not in labels:
            labels[label] = value
    if validation.UID_LABEL not in job.spec.selector.match_labels:
        job.spec.selector.match_labels[validation.UID_LABEL] = uid


def violations(obj: Any, namespace: str = "default") -> list[FieldViolation]:
    """Everything that the server would refuse a new object for, as far as the object alone shows it.

    Args:
        obj: the object as a manifest has it.
        namespace: for objects that name none.
    """
    from steersman.validation import meta, names, rbac

    kind = kinds.of(obj)
    name = kind.qualified_plural
    whole = defaulted(obj, namespace)
    rule = _function(_VALIDATION, _NAMES[name]) if name in _NAMES else names.subdomain
    found = meta.validate(
        whole.metadata, namespaced=kind.namespaced, name_rule=lambda text: list(rule("metadata.name", text))
    )
    for place in _RULES.get(name, ()):
        found += _function(_VALIDATION, place)(whole)
    match kind.kind:
        case "Role":
            found += rbac.rules("rules", whole.rules, paths=False)
        case "ClusterRole":
            found += rbac.rules("rules", whole.rules, paths=True)
            if whole.HasField("aggregation_rule"):
                found += rbac.aggregation("aggregationRule", whole.aggregation_rule)
        case "RoleBinding" | "ClusterRoleBinding":
            found += rbac.binding(whole, namespaced=kind.namespaced)
        case "StatefulSet":
            found += names.label_1123("metadata.name", whole.metadata.name)
        case "PodTemplate":
            from steersman.validation import pod

            found += pod.template("template", whole.template)
    return found
