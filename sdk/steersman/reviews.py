"""Questions to the apiserver about callers, tokens of service accounts, and decisions about certificates.

answer = await reviews.ask(api, SelfSubjectReview())          # who am I?
token = await reviews.create_token(api, "robot", namespace="default")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from google.protobuf.message import Message

from steersman.authentication.v1.token_request_pb2 import TokenRequest
from steersman.certificates.v1.certificate_signing_request_pb2 import (
    CertificateSigningRequest,
    CertificateSigningRequestWriteRequest,
)
from steersman.client import Api
from steersman.core.v1.pod_pb2 import Pod
from steersman.core.v1.service_account_pb2 import ServiceAccountTokenRequest
from steersman.meta.v1.requests_pb2 import WriteOptions

M = TypeVar("M", bound=Message)


async def ask(api: Api, review: M) -> M:
    """Asks, and returns the review with its answer: TokenReview, SelfSubjectReview, SubjectAccessReview and so on.

    Raises:
        ApiError: the question makes no sense, or is not the caller's to ask.
    """
    package, _, kind = review.DESCRIPTOR.full_name.rpartition(".")
    method = api.channel.unary_unary(
        f"/{package}.{kind}s/Create",
        request_serializer=type(review).SerializeToString,
        response_deserializer=type(review).FromString,
    )
    return cast(M, await api.unary(method, review, idempotent=True))


async def create_token(
    api: Api,
    account: str,
    *,
    namespace: str = "",
    audiences: Sequence[str] = (),
    expiration_s: int | None = None,
    pod: Pod | None = None,
) -> TokenRequest:
    """A token of a service account.

    Args:
        api: the connection.
        account: name of the account.
        namespace: its namespace.
        audiences: who may accept the token; none: the apiserver.
        expiration_s: seconds that it shall be good for; the server may give fewer.
        pod: bind it to this pod: with the pod it ends.

    Raises:
        NotFound: there is no such account or pod.
        Forbidden: the token is not the caller's to ask for.
    """
    request = ServiceAccountTokenRequest(namespace=namespace or api.namespace, name=account)
    request.request.spec.audiences.extend(audiences)
    if expiration_s is not None:
        request.request.spec.expiration_seconds = expiration_s
    if pod is not None:
        bound = request.request.spec.bound_object_ref
        bound.kind, bound.api_version, bound.name, bound.uid = "Pod", "v1", pod.metadata.name, pod.metadata.uid
    method = api.channel.unary_unary(
        "/steersman.core.v1.ServiceAccounts/CreateToken",
        request_serializer=ServiceAccountTokenRequest.SerializeToString,
        response_deserializer=TokenRequest.FromString,
    )
    return cast(TokenRequest, await api.unary(method, request))


async def decide(
    api: Api, request: CertificateSigningRequest, decision: str, *, reason: str, message: str = ""
) -> CertificateSigningRequest:
    """Decides about a request for a certificate: "Approved" or "Denied", for ever.

    Raises:
        FailedPrecondition: it was decided otherwise before.
        Forbidden: the decision is not the caller's.
    """
    decided = CertificateSigningRequest()
    decided.CopyFrom(request)
    decided.status.conditions.add(type=decision, status="True", reason=reason, message=message)
    write = CertificateSigningRequestWriteRequest(object=decided, options=WriteOptions())
    method = api.channel.unary_unary(
        "/steersman.certificates.v1.CertificateSigningRequests/UpdateApproval",
        request_serializer=CertificateSigningRequestWriteRequest.SerializeToString,
        response_deserializer=CertificateSigningRequest.FromString,
    )
    return cast(CertificateSigningRequest, await api.unary(method, write))
