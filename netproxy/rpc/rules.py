"""`steersman.netproxy.v1.Rules`: what this node's rules are, and since when."""

from __future__ import annotations

from typing import Any

import grpc
from steersman.clock import to_timestamp
from steersman.netproxy.v1 import GetRulesRequest, RulesStatus, WaitSyncedRequest

from netproxy.sync import Proxy, Status

SERVICE = "steersman.netproxy.v1.Rules"


class RulesService:
    """Answers from a `Proxy`."""

    def __init__(self, proxy: Proxy, *, mode: str) -> None:
        self._proxy = proxy
        self._mode = mode

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to be added to a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Get": grpc.unary_unary_rpc_method_handler(
                    self.get,
                    request_deserializer=GetRulesRequest.FromString,
                    response_serializer=RulesStatus.SerializeToString,
                ),
                "WaitSynced": grpc.unary_unary_rpc_method_handler(
                    self.wait_synced,
                    request_deserializer=WaitSyncedRequest.FromString,
                    response_serializer=RulesStatus.SerializeToString,
                ),
            },
        )

    async def get(self, request: GetRulesRequest, _context: Any) -> RulesStatus:
        """See rules.proto."""
        return self._answer(with_text=not request.without_text)

    async def wait_synced(self, request: WaitSyncedRequest, context: Any) -> RulesStatus:
        """See rules.proto."""
        try:
            services, slices = int(request.service_revision or 0), int(request.endpoint_slice_revision or 0)
        except ValueError:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "service_revision and endpoint_slice_revision must be revisions"
            )
            raise

        def satisfied(status: Status) -> bool:
            return (
                status.generation >= request.generation
                and int(status.service_revision or 0) >= services
                and int(status.endpoint_slice_revision or 0) >= slices
            )

        await self._proxy.wait_until(satisfied)
        return self._answer(with_text=False)

    def _answer(self, *, with_text: bool) -> RulesStatus:
        status = self._proxy.current()
        answer = RulesStatus(
            generation=status.generation,
            service_revision=status.service_revision,
            endpoint_slice_revision=status.endpoint_slice_revision,
            services=status.services,
            endpoints=status.endpoints,
            rules=status.rules,
            routes=status.routes,
            error=status.error,
            mode=self._mode,
        )
        if status.last_sync is not None:
            answer.last_sync_time.CopyFrom(to_timestamp(status.last_sync))
            answer.last_sync_duration.FromNanoseconds(int(status.duration_s * 1e9))
        if with_text and self._proxy.compiled is not None:
            answer.text = str(self._proxy.compiled.rules)
        return answer
