"""`steersman.scheduler.v1.Scheduler`: why pods are where they are, or nowhere."""

from __future__ import annotations

from typing import Any

import grpc
from steersman.clock import Clock, to_timestamp
from steersman.scheduler.v1 import (
    ExplainRequest,
    ExplainResponse,
    NodeVerdict,
    PodReference,
    QueueRequest,
    QueueStatus,
    Refusal,
)

from scheduler.framework import Framework
from scheduler.framework import NodeVerdict as Verdict
from scheduler.outcomes import Memory
from scheduler.pod import DEFAULT_SCHEDULER, PodError, PodInfo
from scheduler.reasons import Diagnosis, Reason
from scheduler.schedule import Schedule

SERVICE = "steersman.scheduler.v1.Scheduler"


class Explainer:
    """Answers from a schedule. Questions change nothing."""

    def __init__(self, schedule: Schedule, clock: Clock) -> None:
        self._schedule = schedule
        self._clock = clock

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to be added to a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Explain": grpc.unary_unary_rpc_method_handler(
                    self.explain,
                    request_deserializer=ExplainRequest.FromString,
                    response_serializer=ExplainResponse.SerializeToString,
                ),
                "Queue": grpc.unary_unary_rpc_method_handler(
                    self.queue,
                    request_deserializer=QueueRequest.FromString,
                    response_serializer=QueueStatus.SerializeToString,
                ),
            },
        )

    async def queue(self, _request: QueueRequest, _context: Any) -> QueueStatus:
        """See scheduler.proto."""
        return QueueStatus(pods=self._schedule.queue.counts(), assumed=len(self._schedule.assumed))

    async def explain(self, request: ExplainRequest, context: Any) -> ExplainResponse:
        """See scheduler.proto."""
        subject = request.WhichOneof("subject")
        if subject == "pod":
            namespace, name = request.pod.namespace or "default", request.pod.name
            info = self._schedule.find(namespace, name)
            if info is None:
                await context.abort(
                    grpc.StatusCode.NOT_FOUND, f"pod {namespace}/{name} does not wait and was not decided on lately"
                )
                raise AssertionError
            memory = self._schedule.remembered.get(info.uid)
            if request.past:
                if memory is None:
                    await context.abort(grpc.StatusCode.NOT_FOUND, f"no decision on {info} is remembered")
                    raise AssertionError
                return self._past(memory, request.limit)
        elif subject == "hypothetical":
            try:
                info = self._schedule.read(request.hypothetical)
            except PodError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.reason)
                raise
        else:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "pod or hypothetical: one of them is required")
            raise AssertionError
        framework = self._schedule.frameworks.get(info.template.scheduler_name)
        if framework is None:
            known = ", ".join(sorted(self._schedule.frameworks)) or DEFAULT_SCHEDULER
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"spec.schedulerName: {info.template.scheduler_name} is none of this scheduler's profiles: {known}",
            )
            raise AssertionError
        return self._present(framework, info, request.limit)

    def _present(self, framework: Framework, info: PodInfo, limit: int) -> ExplainResponse:
        verdicts, diagnosis = self._schedule.explain(framework, info)
        answer = ExplainResponse(
            pod=PodReference(namespace=info.namespace, name=info.name), state=self._schedule.state(info.uid)
        )
        if verdicts and not verdicts[0].refusals:
            answer.node = verdicts[0].node
        else:
            answer.message = str(diagnosis)
        self._add_reasons(answer, diagnosis)
        answer.nodes.extend(map(message_of, verdicts[:limit] if limit else verdicts))
        return answer

    def _add_reasons(self, answer: ExplainResponse, diagnosis: Diagnosis) -> None:
        for reason, count in sorted(diagnosis.counts.items(), key=lambda entry: (-entry[1], entry[0])):
            answer.reasons.add(plugin=reason.plugin, code=reason.code, text=reason.text, nodes=count)
        if diagnosis.nearest is not None and not answer.node:
            node, reason = diagnosis.nearest
            answer.nearest.node = node
            answer.nearest.refusals.append(refusal_of(reason))

    def _past(self, memory: Memory, limit: int) -> ExplainResponse:
        ago_s = self._clock.monotonic() - memory.at
        moment = to_timestamp(self._clock.now())
        moment.FromNanoseconds(moment.ToNanoseconds() - int(ago_s * 1e9))
        pod = memory.pod
        answer = ExplainResponse(
            pod=PodReference(namespace=pod.namespace, name=pod.name),
            node=memory.node,
            decided=moment,
            state=self._schedule.state(pod.uid),
        )
        if memory.diagnosis is not None:
            answer.message = str(memory.diagnosis)
            self._add_reasons(answer, memory.diagnosis)
        verdicts = self._schedule.explain_past(memory) or []
        verdicts.sort(
            key=lambda verdict: (verdict.node != memory.node, bool(verdict.refusals), -verdict.total, verdict.node)
        )
        answer.nodes.extend(map(message_of, verdicts[:limit] if limit else verdicts))
        return answer


def refusal_of(reason: Reason) -> Refusal:
    """A reason as a message."""
    return Refusal(plugin=reason.plugin, code=reason.code, text=reason.text, resolvable=reason.resolvable)


def message_of(verdict: Verdict) -> NodeVerdict:
    """A verdict as a message."""
    return NodeVerdict(
        node=verdict.node,
        refusals=[refusal_of(reason) for _, reason in verdict.refusals],
        scores=verdict.scores,
        total=verdict.total,
    )
