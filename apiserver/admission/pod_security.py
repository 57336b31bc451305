"""PodSecurity: a namespace's labels say which of the pod security standards its pods keep to."""

from __future__ import annotations

from typing import Any

from steersman import podsecurity
from steersman.errors import FieldViolation
from steersman.podsecurity import PREFIX, PRIVILEGED

from apiserver import errors
from apiserver.admission.port import CREATE, UPDATE, Admission
from apiserver.registry import Registry

SHOWN_MAX = 8


class PodSecurity:
    """Refuses pods by "enforce"; tells the writer by "warn", also of templates; notes by "audit"."""

    def __init__(self, namespaces: Registry) -> None:
        self._namespaces = namespaces

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.operation not in (CREATE, UPDATE):
            return
        if write.kind.kind == "Namespace" and not write.kind.group:
            self._check_labels(write)
            return
        if not write.kind.namespaced:
            return
        template = podsecurity.template_of(write.kind.kind, write.obj)
        if template is None:
            return
        entry = self._namespaces.cache.get(self._namespaces.key("", write.obj.metadata.namespace))
        labels = entry.labels if entry is not None else {}
        levels = {mode: labels.get(f"{PREFIX}{mode}", PRIVILEGED) for mode in podsecurity.MODES}
        if all(level == PRIVILEGED for level in levels.values()):
            return
        if write.old is not None and write.kind.kind == "Pod" and _programs(write.obj) == _programs(write.old):
            # What runs is what was admitted: a pod is bound, labelled and ended also where it could not be made now.
            return
        found = {
            level: podsecurity.violations(level, template.metadata, template.spec) for level in set(levels.values())
        }
        enforced = found[levels["enforce"]]
        name = write.obj.metadata.name or write.obj.metadata.generate_name
        if write.kind.kind == "Pod" and enforced:
            rule = f"PodSecurity {levels['enforce']!r}"
            raise errors.Refused(rule, write.kind.qualified_plural, name, _told(enforced))
        if found[levels["warn"]]:
            write.warnings.append(f"would break PodSecurity {levels['warn']!r}: {_told(found[levels['warn']])}")
        if found[levels["audit"]]:
            note = f"would break PodSecurity {levels['audit']!r}: {_told(found[levels['audit']])}"
            write.notes["pod-security.kubernetes.io/audit-violations"] = note

    @staticmethod
    def _check_labels(write: Admission) -> None:
        wrong = podsecurity.wrong_labels(write.obj.metadata.labels)
        if wrong:
            violations = [FieldViolation(f"metadata.labels[{key}]", why) for key, why in wrong]
            raise errors.InvalidObject(write.kind.qualified_plural, write.obj.metadata.name, violations)


def _programs(pod: Any) -> list[tuple[str, str]]:
    """What a pod runs: the images of its containers, whatever kind of container they are."""
    spec = pod.spec
    ephemeral = [each.ephemeral_container_common for each in spec.ephemeral_containers]
    return [(each.name, each.image) for each in (*spec.init_containers, *spec.containers, *ephemeral)]


def _told(violations: list[str]) -> str:
    more = f"; and {len(violations) - SHOWN_MAX} more" if len(violations) > SHOWN_MAX else ""
    return "; ".join(violations[:SHOWN_MAX]) + more
