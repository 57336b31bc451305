"""The verb that only service accounts have: CreateToken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from steersman.authentication.v1.token_request_pb2 import TokenRequest
from steersman.core.v1.service_account_pb2 import ServiceAccountTokenRequest

from apiserver import errors
from apiserver.authn import User
from apiserver.authz.graph import facts_of
from apiserver.authz.nodes import check_token
from apiserver.registry import Registry
from apiserver.rpc.guard import Guard
from apiserver.tokens.accounts import ACCOUNTS, SECONDS_DEFAULT, SECONDS_MAX, SECONDS_MIN, AccountTokens
from apiserver.tokens.signing import Named

_BINDABLE = {"Pod": "steersman.core.v1.Pods", "Node": "steersman.core.v1.Nodes", "Secret": "steersman.core.v1.Secrets"}


class ServiceAccountHandlers:
    """Issues tokens."""

    def __init__(self, registries: Mapping[str, Registry], guard: Guard, tokens: AccountTokens) -> None:
        self._registries = registries
        self._guard = guard
        self._tokens = tokens

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """The rpcs by name."""
        return {
            "CreateToken": grpc.unary_unary_rpc_method_handler(
                self._guard.unary("serviceaccounts", "createtoken", self.create_token),
                request_deserializer=ServiceAccountTokenRequest.FromString,
                response_serializer=TokenRequest.SerializeToString,
            )
        }

    async def create_token(self, user: User, request: ServiceAccountTokenRequest, context: Any) -> TokenRequest:
        """CreateToken."""
        answer = TokenRequest()
        answer.CopyFrom(request.request)
        spec = answer.spec
        if not spec.HasField("expiration_seconds"):
            spec.expiration_seconds = SECONDS_DEFAULT
        if not SECONDS_MIN <= spec.expiration_seconds <= SECONDS_MAX:
            why = f"{spec.expiration_seconds} is not within {SECONDS_MIN} and {SECONDS_MAX}"
            raise errors.BadRequest("request.spec.expirationSeconds", why)
        account, _ = await self._registries[ACCOUNTS].get_object(request.namespace, request.name)
        bound = await self._bound(user, request.namespace, request.name, spec)
        if not spec.audiences:
            spec.audiences.extend(self._tokens.audiences)
        named = Named(account.metadata.name, account.metadata.uid)
        token, expires_s = self._tokens.issue(
            request.namespace, named, list(spec.audiences), spec.expiration_seconds, bound
        )
        answer.metadata.namespace, answer.metadata.name = request.namespace, request.name
        answer.status.Clear()
        answer.status.token = token
        answer.status.expiration_timestamp.seconds = expires_s
        return answer

    async def _bound(self, user: User, namespace: str, account: str, spec: Any) -> dict[str, Named]:
        """The objects that the token is to be bound to."""
        wanted = spec.bound_object_ref
        if not spec.HasField("bound_object_ref"):
            check_token(user, account, spec, None)
            return {}
        service = _BINDABLE.get(wanted.kind)
        if service is None or wanted.api_version not in ("", "v1"):
            why = f"{wanted.api_version} {wanted.kind} is not one of v1 {', '.join(_BINDABLE)}"
            raise errors.BadRequest("request.spec.boundObjectRef", why)
        obj, _ = await self._registries[service].get_object("" if wanted.kind == "Node" else namespace, wanted.name)
        check_token(user, account, spec, facts_of(obj) if wanted.kind == "Pod" else None)
        if wanted.uid and wanted.uid != obj.metadata.uid:
            why = f"its uid is {obj.metadata.uid}, not {wanted.uid}"
            raise errors.Conflicting(self._registries[service].resource, wanted.name, why)
        wanted.uid = obj.metadata.uid
        bound = {wanted.kind.lower(): Named(wanted.name, obj.metadata.uid)}
        if wanted.kind == "Pod":
            if obj.spec.service_account_name != account:
                why = f"pod {wanted.name!r} runs as {obj.spec.service_account_name!r}, not as {account!r}"
                raise errors.BadRequest("request.spec.boundObjectRef", why)
            if obj.spec.node_name:
                nodes = self._registries[_BINDABLE["Node"]]
                try:
                    node, _ = await nodes.get_object("", obj.spec.node_name)
                    bound["node"] = Named(obj.spec.node_name, node.metadata.uid)
                except errors.ObjectNotFound:
                    bound["node"] = Named(obj.spec.node_name, "")
        return bound
