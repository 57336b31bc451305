"""Members of a pod group wait for each other before any of them is bound."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from steersman.clock import Clock

from scheduler.gangs import Crew


class CrewError(Exception):
    """Too few members of a crew became ready.

    Attributes:
        reason: why, for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(eq=False)
class _Muster:
    """A crew that gathers.

    Attributes:
        ready: members that could be bound now.
        failed: members that will not be.
        outcome: resolves when enough are ready, fails with CrewError when they will not be.
    """

    ready: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    outcome: asyncio.Future[None] = field(default_factory=asyncio.Future)


class Musters:
    """All crews that gather."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._musters: dict[int, _Muster] = {}

    async def ready(self, crew: Crew, uid: str) -> None:
        """A member could be bound; returns when it may be, which is when enough of its crew could.

        Raises:
            CrewError: too few could, or not in time. It is the same for all who wait, so that none is bound alone.
        """
        muster = self._muster(crew)
        muster.ready.add(uid)
        self._judge(crew, muster)
        if not muster.outcome.done():
            timer = asyncio.ensure_future(self._clock.sleep(crew.timeout_s))
            try:
                await asyncio.wait((muster.outcome, timer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                timer.cancel()
            if not muster.outcome.done():
                late = len(crew.members) - len(muster.ready)
                self._fail(crew, muster, f"{late} pods of group {crew.key} were not ready in {crew.timeout_s:g} s")
        await asyncio.shield(muster.outcome)

    def failed(self, crew: Crew, uid: str) -> None:
        """A member will not be bound."""
        muster = self._muster(crew)
        muster.failed.add(uid)
        self._judge(crew, muster)

    def _muster(self, crew: Crew) -> _Muster:
        muster = self._musters.get(crew.number)
        if muster is None:
            muster = self._musters[crew.number] = _Muster()
        return muster

    def _judge(self, crew: Crew, muster: _Muster) -> None:
        if not muster.outcome.done():
            if len(muster.ready) >= crew.quorum:
                muster.outcome.set_result(None)
            elif len(crew.members) - len(muster.failed) < crew.quorum:
                self._fail(crew, muster, f"too few pods of group {crew.key} could be bound")
        if len(muster.ready | muster.failed) == len(crew.members):
            self._musters.pop(crew.number, None)

    def _fail(self, crew: Crew, muster: _Muster, reason: str) -> None:
        muster.outcome.set_exception(CrewError(reason))
        # It may be that nobody waits (yet); the failure is no surprise then.
        muster.outcome.exception()
