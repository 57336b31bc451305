"""Pods."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.core.v1.pod_pb2 import Pod
from steersman.defaulting import pod as defaulting
from steersman.errors import FieldViolation
from steersman.qos import qos_class
from steersman.validation import pod as validation

from apiserver.authz.graph import facts_of
from apiserver.strategy import Strategy

FINISHED = ("Succeeded", "Failed")

# Fields of the spec that are stored and that no component acts on yet, with what that means for the pod.
UNUSED = (
    ("resource_claims", "resourceClaims", "dynamic resources are not allocated"),
    ("host_users", "hostUsers", "no user namespace is made"),
    ("os", "os", "every node runs Linux"),
    ("eviction_responders", "evictionResponders", "nobody is asked about evictions"),
    ("scheduling_group", "schedulingGroup", "only a label tells its size; without one, pods are scheduled one by one"),
)


class PodStrategy(Strategy):
    """Graceful deletion, frozen specs, selection by node."""

    message = Pod
    fields: ClassVar = {
        "spec.nodeName": lambda pod: str(pod.spec.node_name),
        "spec.schedulerName": lambda pod: str(pod.spec.scheduler_name),
        "spec.restartPolicy": lambda pod: str(pod.spec.restart_policy),
        "spec.serviceAccountName": lambda pod: str(pod.spec.service_account_name),
        "spec.hostNetwork": lambda pod: str(bool(pod.spec.host_network)).lower(),
        "status.phase": lambda pod: str(pod.status.phase),
        "status.podIP": lambda pod: str(pod.status.pod_ip),
        "status.nominatedNodeName": lambda pod: str(pod.status.nominated_node_name),
    }
    indexed = ("spec.nodeName",)

    def facts(self, obj: Any) -> Any:
        """What authorization knows of pods."""
        return facts_of(obj)

    def default(self, obj: Any) -> None:
        """See `Strategy.default`."""
        defaulting.pod_spec(obj.spec)

    def prepare_create(self, obj: Any) -> None:
        """A new pod is pending."""
        obj.ClearField("status")
        obj.status.phase = "Pending"
        obj.status.qos_class = qos_class(obj.spec)

    def prepare_status_update(self, new: Any, old: Any) -> None:
        """The class of service was decided when the pod was made."""
        new.status.qos_class = old.status.qos_class

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.validate(obj)

    def validate_create(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate_create`."""
        return validation.created(obj)

    def validate_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_update`."""
        return validation.validate_update(new, old)

    def warnings(self, obj: Any) -> list[str]:
        """See `Strategy.warnings`."""
        found = [f"spec.{shown}: {what}" for name, shown, what in UNUSED if _is_set(obj.spec, name)]
        for index, volume in enumerate(obj.spec.volumes):
            for field, _ in volume.volume_source.ListFields():
                if field.name not in SUPPORTED_VOLUMES:
                    found.append(f"spec.volumes[{index}].{field.json_name}: volumes of this kind are not mounted")
        for index, container in enumerate(obj.spec.containers):
            if container.resize_policy:
                found.append(f"spec.containers[{index}].resizePolicy: containers are not resized while they run")
        return found

    def grace_period_s(self, obj: Any, wanted: int | None) -> int:
        """The pod's own grace period; none for pods that run nowhere or have ended."""
        if not obj.spec.node_name or obj.status.phase in FINISHED:
            return 0
        return wanted if wanted is not None else int(obj.spec.termination_grace_period_seconds)


SUPPORTED_VOLUMES = frozenset({"config_map", "secret", "empty_dir", "downward_api", "projected", "host_path"})


def _is_set(message: Any, name: str) -> bool:
    return any(field.name == name for field, _ in message.ListFields())
