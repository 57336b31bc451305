"""Seeing to a pod's volumes before it is bound: volumes are given to claims, or asked for, and waited for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog
from steersman import errors
from steersman.client import Api
from steersman.clock import Clock
from steersman.core.v1 import PersistentVolumeClaim

from scheduler.volumes import BOUND_BY_CONTROLLER, SELECTED_NODE, Claim, ClaimKey, Volume, VolumePlan, claim_of

log = structlog.get_logger(__name__)

ATTEMPTS_MAX = 5


class VolumeError(Exception):
    """A pod's volumes cannot be had as planned; it has to be placed anew.

    Attributes:
        reason: why, for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(eq=False)
class _Waiting:
    """Somebody who waits for claims.

    Attributes:
        left: claims that are not bound yet.
        made_for: of those, the ones for which a volume is being made, and the node.
        done: resolves when all are bound, fails with VolumeError when they will not be.
    """

    left: set[ClaimKey]
    made_for: dict[ClaimKey, str]
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)

    def see(self, key: ClaimKey, claim: Claim | None) -> None:
        """A claim changed, or is gone (None)."""
        if key not in self.left or self.done.done():
            return
        namespace, name = key
        if claim is None or claim.deleting:
            self.done.set_exception(VolumeError(f"claim {namespace}/{name} was deleted"))
        elif claim.bound:
            self.left.discard(key)
            if not self.left:
                self.done.set_result(None)
        elif key in self.made_for and claim.selected_node != self.made_for[key]:
            # Whoever makes volumes takes the annotation away to say that it cannot be done there.
            self.done.set_exception(VolumeError(f"no volume can be made for claim {namespace}/{name} on this node"))


class VolumeBinder:
    """Carries out volume plans. The binding of claims itself is the volume controllers' work; this one waits for it."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._waiting: set[_Waiting] = set()

    def claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        """To be called with every change of a claim."""
        message = new or old
        if message is None or not self._waiting:
            return
        key = message.metadata.namespace, message.metadata.name
        claim = claim_of(new) if new is not None else None
        for one in [*self._waiting]:
            one.see(key, claim)

    async def carry_out(self, plan: VolumePlan, timeout_s: float) -> None:
        """Writes what the plan says and returns when all of its claims are bound.

        Raises:
            VolumeError: it failed or took too long. Volumes that were given to claims and are not bound yet are taken
                back; volumes that are being made stay with their claims.
        """
        written: list[tuple[Claim, Volume]] = []
        claims = [*(claim for claim, _ in plan.bindings), *plan.provisions]
        waiting = _Waiting({claim.key for claim in claims}, {claim.key: plan.node for claim in plan.provisions})
        try:
            for claim, volume in plan.bindings:
                await self._give(claim, volume)
                written.append((claim, volume))
            for claim in plan.provisions:
                await self._ask_for(claim, plan.node)
            self._waiting.add(waiting)
            for claim in claims:
                # What happened before anybody listened.
                waiting.see(claim.key, claim_of(await self._read(claim)))
            await self._within(waiting, timeout_s)
        except (VolumeError, errors.ApiError) as error:
            for claim, volume in written:
                if claim.key in waiting.left:
                    await self._take_back(claim, volume)
            if isinstance(error, VolumeError):
                raise
            raise VolumeError(error.message) from error
        finally:
            self._waiting.discard(waiting)

    async def _within(self, waiting: _Waiting, timeout_s: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(timeout_s))
        try:
            await asyncio.wait((waiting.done, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        if not waiting.done.done():
            names = ", ".join("/".join(key) for key in sorted(waiting.left))
            waiting.done.cancel()
            raise VolumeError(f"claims {names} were not bound within {timeout_s:g} s")
        waiting.done.result()

    async def _read(self, claim: Claim) -> PersistentVolumeClaim:
        """The claim as it is now.

        Raises:
            VolumeError: it is gone.
        """
        namespace, name = claim.key
        try:
            present = await self._api.persistentvolumeclaims.get(name, namespace=namespace)
        except errors.NotFound as error:
            raise VolumeError(f"claim {namespace}/{name} was deleted") from error
        if present.metadata.uid != claim.uid:
            raise VolumeError(f"claim {namespace}/{name} is another one now")
        return present

    async def _give(self, claim: Claim, volume: Volume) -> None:
        """Gives a volume to a claim; idempotent.

        Raises:
            VolumeError: somebody else has it, or it is gone.
        """
        namespace, name = claim.key
        for _ in range(ATTEMPTS_MAX):
            try:
                present = await self._api.persistentvolumes.get(volume.name)
            except errors.NotFound as error:
                raise VolumeError(f"volume {volume.name} is gone") from error
            reference = present.spec.claim_ref
            if present.spec.HasField("claim_ref"):
                kept = (reference.namespace, reference.name) == claim.key and reference.uid in ("", claim.uid)
                if not kept:
                    raise VolumeError(f"volume {volume.name} was given to {reference.namespace}/{reference.name}")
                if reference.uid:
                    return
            else:
                present.metadata.annotations[BOUND_BY_CONTROLLER] = "yes"
            reference.api_version, reference.kind = "v1", "PersistentVolumeClaim"
            reference.namespace, reference.name, reference.uid = namespace, name, claim.uid
            try:
                await self._api.persistentvolumes.update(present)
            except errors.Conflict:
                continue
            return
        raise VolumeError(f"volume {volume.name} changes too often")

    async def _take_back(self, claim: Claim, volume: Volume) -> None:
        """Makes a volume anybody's again, if it still is as `_give` left it; what fails is left for the controller."""
        try:
            present = await self._api.persistentvolumes.get(volume.name)
            if (
                present.status.phase == "Available"
                and present.spec.claim_ref.uid == claim.uid
                and BOUND_BY_CONTROLLER in present.metadata.annotations
            ):
                present.spec.ClearField("claim_ref")
                del present.metadata.annotations[BOUND_BY_CONTROLLER]
                await self._api.persistentvolumes.update(present)
        except errors.ApiError as error:
            log.info("volume not taken back", volume=volume.name, error=error.message)

    async def _ask_for(self, claim: Claim, node: str) -> None:
        """Asks for a volume that can be used on a node; idempotent.

        Raises:
            VolumeError: one is being made for another node.
        """
        for _ in range(ATTEMPTS_MAX):
            present = await self._read(claim)
            selected = present.metadata.annotations.get(SELECTED_NODE, "")
            if selected == node or claim_of(present).bound:
                return
            if selected:
                raise VolumeError(f"a volume for claim {'/'.join(claim.key)} is being made for node {selected}")
            present.metadata.annotations[SELECTED_NODE] = node
            try:
                await self._api.persistentvolumeclaims.update(present)
            except errors.Conflict:
                continue
            return
        raise VolumeError(f"claim {'/'.join(claim.key)} changes too often")
