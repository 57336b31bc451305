"""One call to an agent, run as a program inside its machine: gRPC's threads are where the process began.

    python caller.py FOLDER IDENTITY PORT health|logs|reflect

It prints the health status, the code with which the call for logs is refused, or whether the service is described.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from steersman.core.v1 import PodLogsRequest

SERVICE = "steersman.nodeagent.v1.Streams"


def ask(channel: grpc.Channel, question: str) -> str:
    if question == "health":
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=2)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if question == "logs":
        call = channel.unary_stream(f"/{SERVICE}/Logs", request_serializer=PodLogsRequest.SerializeToString)
        return str(list(call(PodLogsRequest(namespace="default", name="nothing"), timeout=5)))
    reflect = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    [answer] = reflect(iter([request]), timeout=5)
    described = b"PortForward" in answer.file_descriptor_response.file_descriptor_proto[0]
    return "described" if described else "unknown"


def main() -> None:
    folder, identity, port, question = Path(sys.argv[1]), *sys.argv[2:5]
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.crt").read_bytes(),
        (folder / f"{identity}.key").read_bytes(),
        (folder / f"{identity}.crt").read_bytes(),
    )
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        try:
            print(ask(channel, question))
        except grpc.RpcError as error:
            print(error.code().name)


if __name__ == "__main__":
    main()
