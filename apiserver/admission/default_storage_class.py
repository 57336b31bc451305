"""DefaultStorageClass: claims that name no class of storage get the default one."""

from __future__ import annotations

from steersman.storage.v1.storage_class_pb2 import StorageClass

from apiserver.admission.port import CREATE, Admission
from apiserver.registry import Registry

ANNOTATION = "storageclass.kubernetes.io/is-default-class"


class DefaultStorageClass:
    """Of several default classes the newest counts, as in Kubernetes."""

    def __init__(self, classes: Registry) -> None:
        self._classes = classes

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind != "PersistentVolumeClaim" or write.operation != CREATE:
            return
        spec = write.obj.spec
        if spec.HasField("storage_class_name"):
            return
        classes = [StorageClass.FromString(entry.data) for entry in self._classes.cache.entries()]
        defaults = [each for each in classes if each.metadata.annotations.get(ANNOTATION) == "true"]
        if defaults:
            chosen = max(defaults, key=lambda each: (each.metadata.creation_timestamp.seconds, each.metadata.name))
            spec.storage_class_name = chosen.metadata.name
