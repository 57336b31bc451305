"""Observes Deployments and their ReplicaSets, and carries out the plan."""

from __future__ import annotations

from steersman import errors
from steersman.apps.v1.deployment_pb2 import Deployment
from steersman.apps.v1.replica_set_pb2 import ReplicaSet
from steersman.informer import Key, key_of
from steersman.reconcile import Result
from steersman.runtime import Runtime
from steersman.selectors import of_message

from controllers.deployment import plan as planning
from controllers.deployment.plan import CreateReplicaSet, DeleteReplicaSet, UpdateReplicaSet
from controllers.deployment.template import same
from controllers.pods import controller_of, owned_by

MANAGER = "deployment-controller"
BY_OWNER, ORPHANS = "controller-uid", "orphans"


class DeploymentController:
    """Keeps the ReplicaSets of Deployments."""

    def __init__(self, runtime: Runtime) -> None:
        self._api = runtime.api
        self._recorder = runtime.recorder
        self._clock = runtime.clock
        self._deployments = runtime.informer(Deployment)
        self._replica_sets = runtime.informer(ReplicaSet)
        self._replica_sets.add_index(BY_OWNER, lambda rs: [o.uid] if (o := controller_of(rs)) is not None else [])
        self._replica_sets.add_index(ORPHANS, lambda rs: [rs.metadata.namespace] if controller_of(rs) is None else [])
        runtime.reconciler(Deployment, owns=[ReplicaSet], watches={ReplicaSet: self._may_adopt})(self.reconcile)

    def _may_adopt(self, _old: ReplicaSet | None, new: ReplicaSet | None) -> list[Key]:
        if new is None or controller_of(new) is not None:
            return []
        return [key_of(one) for one in self._deployments.list() if one.metadata.namespace == new.metadata.namespace]

    async def reconcile(self, key: Key) -> Result | None:
        """Brings one Deployment's ReplicaSets a step on, and its status to what is."""
        seen = self._deployments.get(key)
        if seen is None:
            return None
        deployment = Deployment()
        deployment.CopyFrom(seen)
        replica_sets = await self._claim(deployment)
        for action in planning.plan(deployment, replica_sets):
            match action:
                case CreateReplicaSet(replica_set):
                    if not await self._create(deployment, replica_set):
                        return None
                case UpdateReplicaSet(replica_set, was):
                    await self._update(deployment, replica_set, was)
                case DeleteReplicaSet(replica_set):
                    await self._delete(replica_set)
        wanted, look_again_s = planning.status(deployment, replica_sets, self._clock.now())
        await self._annotate_revision(deployment, replica_sets)
        if wanted != deployment.status:
            changed = Deployment()
            changed.CopyFrom(deployment)
            changed.status.CopyFrom(wanted)
            await self._api.deployments.update_status(changed, field_manager=MANAGER)
        return Result(requeue_after_s=look_again_s)

    async def _claim(self, deployment: Deployment) -> list[ReplicaSet]:
        """The ReplicaSets that the Deployment owns, after adopting those that match and have no owner."""
        owned = list(self._replica_sets.by_index(BY_OWNER, deployment.metadata.uid))
        if deployment.metadata.HasField("deletion_timestamp"):
            return owned
        selector = of_message(deployment.spec.selector)
        for orphan in self._replica_sets.by_index(ORPHANS, deployment.metadata.namespace):
            if selector.matches(orphan.metadata.labels) and not orphan.metadata.HasField("deletion_timestamp"):
                adopted = ReplicaSet()
                adopted.CopyFrom(orphan)
                adopted.metadata.owner_references.append(owned_by(deployment, "Deployment", "apps/v1"))
                owned.append(await self._api.replicasets.update(adopted, field_manager=MANAGER))
        return owned

    async def _create(self, deployment: Deployment, replica_set: ReplicaSet) -> bool:
        """Creates a ReplicaSet; False when its name is taken by another template and was counted as collision."""
        name, namespace = replica_set.metadata.name, replica_set.metadata.namespace
        try:
            await self._api.replicasets.create(replica_set, field_manager=MANAGER)
        except errors.AlreadyExists:
            existing = await self._api.replicasets.get(name, namespace=namespace)
            owner = controller_of(existing)
            mine = owner is not None and owner.uid == deployment.metadata.uid
            if mine and same(existing.spec.template, deployment.spec.template):
                return True
            changed = Deployment()
            changed.CopyFrom(deployment)
            changed.status.collision_count += 1
            await self._api.deployments.update_status(changed, field_manager=MANAGER)
            return False
        self._recorder.event(
            deployment,
            "Normal",
            "ScalingReplicaSet",
            f"Scaled up replica set {name} from 0 to {replica_set.spec.replicas}",
        )
        return True

    async def _update(self, deployment: Deployment, replica_set: ReplicaSet, was: int) -> None:
        await self._api.replicasets.update(replica_set, field_manager=MANAGER)
        now = replica_set.spec.replicas
        if now != was:
            direction = "up" if now > was else "down"
            text = f"Scaled {direction} replica set {replica_set.metadata.name} from {was} to {now}"
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", text)

    async def _delete(self, replica_set: ReplicaSet) -> None:
        metadata = replica_set.metadata
        try:
            await self._api.replicasets.delete(metadata.name, namespace=metadata.namespace, uid=metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return

    async def _annotate_revision(self, deployment: Deployment, replica_sets: list[ReplicaSet]) -> None:
        """Shows the present version on the Deployment itself."""
        new = planning.newest(deployment, replica_sets)
        revision = new.metadata.annotations.get(planning.REVISION, "") if new is not None else ""
        if not revision or deployment.metadata.annotations.get(planning.REVISION) == revision:
            return
        changed = Deployment()
        changed.CopyFrom(deployment)
        changed.metadata.annotations[planning.REVISION] = revision
        written = await self._api.deployments.update(changed, field_manager=MANAGER)
        deployment.metadata.resource_version = written.metadata.resource_version
