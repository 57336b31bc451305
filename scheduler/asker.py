"""Asking extenders, several pods at a time, while other decisions go on."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import structlog
from steersman.clock import Clock
from steersman.scheduler.v1 import JudgeRequest, JudgeResponse
from steersman.service.http2.channel import Channel, Dialing
from steersman.service.tls import TLSFiles, client_context

from scheduler.binder import Binder, Waker
from scheduler.extender import SCORE_MAX, ExtenderSpec, Judgement
from scheduler.outcomes import Inquiry, Placement
from scheduler.schedule import Schedule

log = structlog.get_logger(__name__)

METHOD = "/steersman.scheduler.v1.Extender/Judge"
INQUIRIES_MAX = 32


class ExtenderError(Exception):
    """An extender gave no useful answer.

    Attributes:
        extender: its name.
        reason: why.
    """

    def __init__(self, extender: str, reason: str) -> None:
        super().__init__(f"extender {extender}: {reason}")
        self.extender = extender
        self.reason = reason


class Asker:
    """Has a channel to each extender, made when it is first asked."""

    def __init__(self, schedule: Schedule, binder: Binder, clock: Clock, tls: TLSFiles | None, waker: Waker) -> None:
        """Makes it.

        Args:
            schedule: what gets the answers.
            binder: who carries out what follows.
            clock: the clock.
            tls: identity to show to extenders; None: plain text.
            waker: told when something was decided.
        """
        self._schedule = schedule
        self._binder = binder
        self._clock = clock
        self._tls = tls
        self._waker = waker
        self._channels: dict[str, Channel] = {}
        self._slots = asyncio.Semaphore(INQUIRIES_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, inquiry: Inquiry) -> None:
        """Begins to ask; the decision follows when all have answered or failed."""
        task = asyncio.create_task(self._ask(inquiry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cuts what is under way and all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    async def _ask(self, inquiry: Inquiry) -> None:
        async with self._slots:
            answers = await asyncio.gather(
                *(self._judge(extender, inquiry) for extender in inquiry.extenders), return_exceptions=True
            )
        now = self._clock.monotonic()
        judgements: list[Judgement] = []
        for extender, answer in zip(inquiry.extenders, answers, strict=True):
            if isinstance(answer, Judgement):
                judgements.append(answer)
                continue
            if not isinstance(answer, ExtenderError):
                log.error("extender could not be asked", extender=extender.name, error=repr(answer))
            if not extender.ignorable:
                self._binder.report(self._schedule.inquiry_failed(inquiry, str(answer), now))
                self._waker.wake()
                return
            log.warning("decided without an extender", extender=extender.name, error=str(answer))
        try:
            outcome = self._schedule.settle(inquiry, judgements, now)
        except Exception as error:
            log.exception("a decision failed", pod=str(inquiry.pod))
            for refusal in self._schedule.abandon(now, f"the decision failed: {error}"):
                self._binder.report(refusal)
            self._waker.wake()
            return
        if isinstance(outcome, Placement):
            await self._binder.bind(outcome)
        elif outcome is not None:
            self._binder.report(outcome)
        self._waker.wake()

    async def _judge(self, extender: ExtenderSpec, inquiry: Inquiry) -> Judgement:
        """What an extender says.

        Raises:
            ExtenderError: nothing, not in time, or nonsense.
        """
        request = JudgeRequest(pod=inquiry.pod.message, nodes=inquiry.scores)
        call: Any = self._channel(extender).unary_unary(
            METHOD, request_serializer=JudgeRequest.SerializeToString, response_deserializer=JudgeResponse.FromString
        )
        try:
            answer: JudgeResponse = await call(request, timeout=extender.timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ExtenderError(extender.name, error.details() or error.code().name) from error
        refusals, scores = {}, {}
        for judgement in answer.nodes:
            if judgement.node not in inquiry.scores:
                raise ExtenderError(extender.name, f"it was not asked about node {judgement.node!r}")
            if not 0 <= judgement.score <= SCORE_MAX:
                raise ExtenderError(extender.name, f"score {judgement.score} of {judgement.node} is not from 0 to 100")
            if judgement.refusal:
                refusals[judgement.node] = judgement.refusal
            else:
                scores[judgement.node] = judgement.score
        return Judgement(extender, refusals, scores)

    def _channel(self, extender: ExtenderSpec) -> Channel:
        channel = self._channels.get(extender.address)
        if channel is None:
            tls = None
            if self._tls is not None:
                tls = client_context(self._tls.authority, self._tls.certificate, self._tls.key)
            channel = Channel(extender.address, Dialing(tls=tls, server_name=extender.server_name))
            self._channels[extender.address] = channel
        return channel
