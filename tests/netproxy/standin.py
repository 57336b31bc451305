"""A small apiserver that lives in the test: real gRPC over mutual TLS, objects in a dict, no validation.

For tests of components that only list, watch and write; what the real apiserver does to objects is not here.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message
from steersman import kinds
from steersman.core.v1 import Pod, PodBindManyRequest, PodBindManyResponse, PodBindRequest
from steersman.manifests import codec
from steersman.meta.v1 import (
    ADDED,
    BOOKMARK,
    DELETED,
    MODIFIED,
    DeleteRequest,
    GetRequest,
    ListRequest,
    PatchRequest,
    WatchRequest,
)
from steersman.service.server import GrpcServer
from steersman.service.tls import TLSFiles


def make_pki(folder: Path) -> TLSFiles:
    """One self-signed authority that is server and client in one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apiserver")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("apiserver")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TLSFiles(certificate_file, key_file, certificate_file)


class StandIn:
    """Objects by kind, and watchers that are told of every change."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.tls = make_pki(folder)
        self._socket = f"unix:{folder / 'api.sock'}"
        self._objects: dict[str, dict[tuple[str, str], Any]] = {}
        self._watchers: dict[str, list[asyncio.Queue[Any]]] = {}
        self._kinds = {kind.service: kind for kind in kinds.every()}
        self._revision = 100
        self.binds: list[tuple[str, str]] = []
        self.refuse_binds = 0
        self._server = GrpcServer([_Handler(self)], services=[])
        self._server.listen(self._socket, self.tls)
        self.config.write_text(
            yaml.safe_dump(
                {
                    "current-context": "test",
                    "contexts": {
                        "test": {
                            "server": self._socket,
                            "server-name": "apiserver",
                            "certificate-authority": str(self.tls.authority),
                            "client-certificate": str(self.tls.certificate),
                            "client-key": str(self.tls.key),
                        }
                    },
                }
            )
        )

    async def __aenter__(self) -> StandIn:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    @property
    def revision(self) -> str:
        return str(self._revision)

    def put(self, obj: Any) -> Any:
        """Stores an object, new or changed, and tells the watchers; returns what was stored."""
        kind = kinds.of(obj)
        stored = type(obj)()
        stored.CopyFrom(obj)
        self._revision += 1
        stored.metadata.resource_version = self.revision
        key = (stored.metadata.namespace, stored.metadata.name)
        present = self._objects.setdefault(kind.service, {})
        if not stored.metadata.uid:
            stored.metadata.uid = f"uid-{self._revision}"
        change = MODIFIED if key in present else ADDED
        present[key] = stored
        self._tell(kind, change, stored)
        return stored

    def remove(self, obj: Any) -> None:
        """Deletes an object and tells the watchers."""
        kind = kinds.of(obj)
        self._revision += 1
        stored = self._objects[kind.service].pop((obj.metadata.namespace, obj.metadata.name))
        self._tell(kind, DELETED, stored)

    def get(self, kind: type[Message], name: str, namespace: str = "default") -> Any:
        return self._objects.get(kinds.of(kind).service, {}).get((namespace, name))

    def all(self, kind: type[Message]) -> list[Any]:
        return [*self._objects.get(kinds.of(kind).service, {}).values()]

    def _tell(self, kind: kinds.Kind, change: int, obj: Any) -> None:
        event = kind.watch_event(type=change, object=obj, resource_version=self.revision)
        for service, queues in self._watchers.items():
            for queue in queues:
                if service == kind.service:
                    queue.put_nowait(event)
                else:
                    other = self._kinds[service]
                    queue.put_nowait(other.watch_event(type=BOOKMARK, resource_version=self.revision))

    async def watch(self, kind: kinds.Kind, request: WatchRequest) -> AsyncIterator[Message]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._watchers.setdefault(kind.service, []).append(queue)
        try:
            for obj in [*self._objects.get(kind.service, {}).values()]:
                yield kind.watch_event(type=ADDED, object=obj, resource_version=self.revision)
            yield kind.watch_event(
                type=BOOKMARK, resource_version=self.revision, initial_state_end=not request.resource_version
            )
            while True:
                yield await queue.get()
        finally:
            self._watchers[kind.service].remove(queue)

    async def unary(self, kind: kinds.Kind, verb: str, request: Any, context: Any) -> Any:
        present = self._objects.setdefault(kind.service, {})
        if verb in ("Create", "Update"):
            metadata = request.object.metadata
            known = present.get((metadata.namespace, metadata.name))
            if verb == "Create" and known is not None:
                await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{metadata.name} exists")
            version = metadata.resource_version
            if verb == "Update" and (known is None or version not in ("", known.metadata.resource_version)):
                await context.abort(grpc.StatusCode.ABORTED, f"{metadata.name} changed meanwhile")
        if verb in ("Create", "Update", "UpdateStatus", "Apply"):
            if verb == "UpdateStatus":
                known = present.get((request.object.metadata.namespace, request.object.metadata.name))
                if known is None:
                    await context.abort(grpc.StatusCode.NOT_FOUND, "no such object")
                changed = type(known)()
                changed.CopyFrom(known)
                changed.status.CopyFrom(request.object.status)
                return self.put(changed)
            return self.put(request.object)
        if verb == "List":
            answer = kind.list_message()
            answer.items.extend(present.values())
            answer.metadata.resource_version = self.revision
            return answer
        if verb == "Bind":
            try:
                return self._bind(request)
            except BindRefused as refused:
                await context.abort(refused.code, refused.message)
        obj = present.get((request.namespace, request.name))
        if obj is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no {kind.singular} {request.name}")
        if verb == "Delete":
            self.remove(obj)
        if verb == "Patch":
            return self._patch(obj, request)
        return obj

    def _patch(self, obj: Any, request: PatchRequest) -> Any:
        """Conditions are merged by type; everything else of the status is replaced."""
        changed = type(obj)()
        changed.CopyFrom(obj)
        patch = codec.decode(type(obj), json.loads(request.patch))
        for condition in patch.status.conditions:
            for present in [one for one in changed.status.conditions if one.type == condition.type]:
                changed.status.conditions.remove(present)
            changed.status.conditions.append(condition)
        patch.status.ClearField("conditions")
        changed.status.MergeFrom(patch.status)
        return self.put(changed)

    async def bind_many(self, requests: AsyncIterator[PodBindManyRequest]) -> AsyncIterator[PodBindManyResponse]:
        async for request in requests:
            response = PodBindManyResponse(id=request.id)
            try:
                response.resource_version = self._bind(request.bind).metadata.resource_version
            except BindRefused as refused:
                response.failure.code, response.failure.message = refused.code.value[0], refused.message
            yield response

    def _bind(self, request: PodBindRequest) -> Any:
        pod = self.get(Pod, request.name, request.namespace)
        if self.refuse_binds:
            self.refuse_binds -= 1
            raise BindRefused(grpc.StatusCode.INTERNAL, "refused by the test")
        if pod is None:
            raise BindRefused(grpc.StatusCode.NOT_FOUND, f"no pod {request.name}")
        if pod.spec.node_name:
            raise BindRefused(grpc.StatusCode.ABORTED, "already bound")
        bound = Pod()
        bound.CopyFrom(pod)
        bound.spec.node_name = request.node_name
        self.binds.append((request.name, request.node_name))
        return self.put(bound)


class BindRefused(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Handler(grpc.GenericRpcHandler):
    """Serves every kind that the SDK knows."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._kinds = {kind.service: kind for kind in kinds.every()}

    def service(self, details: Any) -> Any:
        service, verb = details.method.lstrip("/").split("/")
        kind = self._kinds.get(service)
        if kind is None:
            return None
        if verb == "BindMany":

            async def bindings(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Message]:
                async for response in self._standin.bind_many(requests):
                    yield response

            return grpc.stream_stream_rpc_method_handler(
                bindings,
                request_deserializer=PodBindManyRequest.FromString,
                response_serializer=PodBindManyResponse.SerializeToString,
            )
        if verb == "Watch":

            async def stream(request: Any, _context: Any) -> AsyncIterator[Message]:
                async for event in self._standin.watch(kind, request):
                    yield event

            return grpc.unary_stream_rpc_method_handler(
                stream,
                request_deserializer=WatchRequest.FromString,
                response_serializer=kind.watch_event.SerializeToString,
            )
        requests: dict[str, Any] = {
            "Get": GetRequest,
            "List": ListRequest,
            "Delete": DeleteRequest,
            "Bind": PodBindRequest,
            "Patch": PatchRequest,
        }
        request_class = requests.get(verb, kind.write_request)

        async def call(request: Any, context: Any) -> Any:
            return await self._standin.unary(kind, verb, request, context)

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
