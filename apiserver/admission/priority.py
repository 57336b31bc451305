"""Priority: pods get the number that their class stands for; at most one class is the default."""

from __future__ import annotations

from typing import Any

from steersman.scheduling.v1.priority_class_pb2 import PriorityClass

from apiserver import errors
from apiserver.admission.port import CREATE, UPDATE, Admission
from apiserver.registry import Registry


class Priority:
    """Resolves names of classes."""

    def __init__(self, classes: Registry) -> None:
        self._classes = classes

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind == "Pod" and write.operation == CREATE:
            await self._resolve(write)
        elif write.kind.kind == "PriorityClass" and write.operation in (CREATE, UPDATE) and write.obj.global_default:
            other = self._default()
            if other is not None and other.metadata.name != write.obj.metadata.name:
                why = f"{other.metadata.name!r} is the default already, and there is one at most"
                raise errors.Refused("Priority", write.kind.qualified_plural, write.obj.metadata.name, why)

    async def _resolve(self, write: Admission) -> None:
        spec = write.obj.spec
        name = spec.priority_class_name
        found = await self._named(name) if name else self._default()
        if name and found is None:
            why = f"there is no PriorityClass {name!r}"
            raise errors.Refused("Priority", "pods", write.obj.metadata.name, why)
        value = found.value if found is not None else 0
        if spec.HasField("priority") and spec.priority != value:
            why = f"its priority is {value}, not {spec.priority}: the class decides"
            raise errors.Refused("Priority", "pods", write.obj.metadata.name, why)
        policy = (found.preemption_policy if found is not None else "") or "PreemptLowerPriority"
        if spec.preemption_policy and spec.preemption_policy != policy:
            why = f"its preemption policy is {policy}, not {spec.preemption_policy}: the class decides"
            raise errors.Refused("Priority", "pods", write.obj.metadata.name, why)
        spec.priority, spec.preemption_policy = value, policy
        if found is not None:
            spec.priority_class_name = found.metadata.name

    async def _named(self, name: str) -> Any:
        entry = self._classes.cache.get(self._classes.key("", name))
        if entry is not None:
            return PriorityClass.FromString(entry.data)
        try:
            return (await self._classes.get_object("", name))[0]
        except (errors.ObjectNotFound, errors.BadRequest):
            return None

    def _default(self) -> Any:
        """The class of pods that name none; of several, as two servers may let them in, the least."""
        classes = [PriorityClass.FromString(entry.data) for entry in self._classes.cache.entries()]
        return min((each for each in classes if each.global_default), key=lambda each: each.value, default=None)
