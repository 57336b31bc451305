"""What program this is: for everybody who asks, as health is."""

from __future__ import annotations

import platform
from typing import Any

import grpc
import steersman
from steersman.meta.v1.version_pb2 import Version, VersionRequest

SERVICE = "steersman.meta.v1.Versions"


def handler() -> grpc.GenericRpcHandler:
    """The handler to be added to a server."""
    answer = Version(
        version=steersman.__version__,
        python_version=platform.python_version(),
        platform=f"{platform.system().lower()}/{platform.machine()}",
    )

    async def get(_request: VersionRequest, _context: Any) -> Version:
        return answer

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Get": grpc.unary_unary_rpc_method_handler(
                get,
                request_deserializer=VersionRequest.FromString,
                response_serializer=Version.SerializeToString,
            )
        },
    )
