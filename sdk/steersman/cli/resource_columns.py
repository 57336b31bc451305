"""What tables show of the kinds of storage, networking, and of what describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.cli.cells import AGE, NAME, Column, age, pairs

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"


def _modes(modes: Any) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in modes)


def _marked(obj: Any, annotation: str) -> str:
    default = obj.metadata.annotations.get(annotation) == "true" if annotation in obj.metadata.annotations else False
    return f"{obj.metadata.name} (default)" if default else str(obj.metadata.name)


def _amount(resources: Any) -> str:
    return str(resources["storage"].value) if "storage" in resources else ""


def _claim(volume: Any, _now: datetime) -> str:
    reference = volume.spec.claim_ref
    return f"{reference.namespace}/{reference.name}" if reference.name else ""


def _hosts(ingress: Any, _now: datetime) -> str:
    return ",".join(rule.host or "*" for rule in ingress.spec.rules) or "*"


def _addresses(ingress: Any, _now: datetime) -> str:
    return ",".join(point.ip or point.hostname for point in ingress.status.load_balancer.ingress)


def _endpoints(endpoints: Any, _now: datetime) -> str:
    shown = [
        f"{address.ip}:{port.port}"
        for subset in endpoints.subsets
        for address in subset.addresses
        for port in subset.ports
    ]
    return ",".join(shown[:3]) + (f" + {len(shown) - 3} more" if len(shown) > 3 else "") or "<none>"


def _last_seen(event: Any, now: datetime) -> str:
    last = event.series.last_observed_time
    return age(last if last.seconds else event.event_time, now)


RESOURCES: dict[str, list[Column]] = {
    "PersistentVolume": [
        NAME,
        Column("CAPACITY", lambda v, _: _amount(v.spec.capacity)),
        Column("ACCESS MODES", lambda v, _: _modes(v.spec.access_modes)),
        Column("RECLAIM POLICY", lambda v, _: v.spec.persistent_volume_reclaim_policy),
        Column("STATUS", lambda v, _: "Terminating" if v.metadata.HasField("deletion_timestamp") else v.status.phase),
        Column("CLAIM", _claim),
        Column("STORAGECLASS", lambda v, _: v.spec.storage_class_name),
        Column("REASON", lambda v, _: v.status.reason),
        AGE,
        Column("VOLUMEMODE", lambda v, _: v.spec.volume_mode, wide=True),
    ],
    "PersistentVolumeClaim": [
        NAME,
        Column("STATUS", lambda c, _: "Terminating" if c.metadata.HasField("deletion_timestamp") else c.status.phase),
        Column("VOLUME", lambda c, _: c.spec.volume_name),
        Column("CAPACITY", lambda c, _: _amount(c.status.capacity)),
        Column("ACCESS MODES", lambda c, _: _modes(c.status.access_modes)),
        Column("STORAGECLASS", lambda c, _: c.spec.storage_class_name),
        AGE,
        Column("VOLUMEMODE", lambda c, _: c.spec.volume_mode, wide=True),
    ],
    "StorageClass": [
        Column("NAME", lambda c, _: _marked(c, _DEFAULT_CLASS)),
        Column("PROVISIONER", lambda c, _: c.provisioner),
        Column("RECLAIMPOLICY", lambda c, _: c.reclaim_policy),
        Column("VOLUMEBINDINGMODE", lambda c, _: c.volume_binding_mode),
        Column("ALLOWVOLUMEEXPANSION", lambda c, _: str(bool(c.allow_volume_expansion)).lower()),
        AGE,
    ],
    "VolumeAttachment": [
        NAME,
        Column("ATTACHER", lambda a, _: a.spec.attacher),
        Column("PV", lambda a, _: a.spec.source.persistent_volume_name),
        Column("NODE", lambda a, _: a.spec.node_name),
        Column("ATTACHED", lambda a, _: str(bool(a.status.attached)).lower()),
        AGE,
    ],
    "CSIDriver": [
        NAME,
        Column("ATTACHREQUIRED", lambda d, _: str(bool(d.spec.attach_required)).lower()),
        Column("PODINFOONMOUNT", lambda d, _: str(bool(d.spec.pod_info_on_mount)).lower()),
        Column("STORAGECAPACITY", lambda d, _: str(bool(d.spec.storage_capacity)).lower()),
        Column("MODES", lambda d, _: ",".join(d.spec.volume_lifecycle_modes)),
        AGE,
    ],
    "CSINode": [NAME, Column("DRIVERS", lambda n, _: str(len(n.spec.drivers))), AGE],
    "Ingress": [
        NAME,
        Column("CLASS", lambda i, _: i.spec.ingress_class_name or "<none>"),
        Column("HOSTS", _hosts),
        Column("ADDRESS", _addresses),
        Column("PORTS", lambda i, _: "80, 443" if i.spec.tls else "80"),
        AGE,
    ],
    "IngressClass": [
        Column("NAME", lambda c, _: _marked(c, _DEFAULT_INGRESS)),
        Column("CONTROLLER", lambda c, _: c.spec.controller),
        Column("PARAMETERS", lambda c, _: c.spec.parameters.name or "<none>"),
        AGE,
    ],
    "NetworkPolicy": [
        NAME,
        Column("POD-SELECTOR", lambda p, _: pairs(p.spec.pod_selector.match_labels)),
        AGE,
    ],
    "Endpoints": [NAME, Column("ENDPOINTS", _endpoints), AGE],
    "RuntimeClass": [NAME, Column("HANDLER", lambda c, _: c.handler), AGE],
    "Event.events.k8s.io": [
        Column("LAST SEEN", _last_seen),
        Column("TYPE", lambda event, _: event.type),
        Column("REASON", lambda event, _: event.reason),
        Column("OBJECT", lambda event, _: f"{event.regarding.kind.lower()}/{event.regarding.name}"),
        Column("CONTROLLER", lambda event, _: event.reporting_controller, wide=True),
        Column("MESSAGE", lambda event, _: event.note),
    ],
}
