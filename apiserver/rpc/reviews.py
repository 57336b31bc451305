"""Questions about callers: who they are, and what they may do. Nothing of them is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from steersman.authentication.v1.self_subject_review_pb2 import SelfSubjectReview
from steersman.authentication.v1.token_review_pb2 import TokenReview
from steersman.authorization.v1.local_subject_access_review_pb2 import LocalSubjectAccessReview
from steersman.authorization.v1.self_subject_access_review_pb2 import SelfSubjectAccessReview
from steersman.authorization.v1.self_subject_rules_review_pb2 import SelfSubjectRulesReview
from steersman.authorization.v1.subject_access_review_pb2 import SubjectAccessReview

from apiserver import errors
from apiserver.authn import User
from apiserver.authz.attributes import Attributes
from apiserver.authz.authorizer import Authorizer
from apiserver.rpc.guard import Guard

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
Judge = Callable[[str, tuple[str, ...]], Awaitable[tuple[User, tuple[str, ...]]]]
"""From a token and the asker's audiences to its owner and the audiences that both have; raises NotAuthenticated."""

SERVICES = (
    "steersman.authentication.v1.TokenReviews",
    "steersman.authentication.v1.SelfSubjectReviews",
    "steersman.authorization.v1.SubjectAccessReviews",
    "steersman.authorization.v1.LocalSubjectAccessReviews",
    "steersman.authorization.v1.SelfSubjectAccessReviews",
    "steersman.authorization.v1.SelfSubjectRulesReviews",
)


class ReviewHandlers:
    """The rpcs of all reviews."""

    def __init__(self, guard: Guard, judge: Judge) -> None:
        self._guard = guard
        self._judge = judge

    @property
    def _authorizer(self) -> Authorizer:
        return self._guard.access.authorizer

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """A handler for each kind of review."""
        rows: dict[str, tuple[str, Any, Any]] = {
            SERVICES[0]: (f"tokenreviews.{AUTHENTICATION}", TokenReview, self.token),
            SERVICES[1]: (f"selfsubjectreviews.{AUTHENTICATION}", SelfSubjectReview, self.self_subject),
            SERVICES[2]: (f"subjectaccessreviews.{AUTHORIZATION}", SubjectAccessReview, self.access),
            SERVICES[3]: (f"localsubjectaccessreviews.{AUTHORIZATION}", LocalSubjectAccessReview, self.local_access),
            SERVICES[4]: (f"selfsubjectaccessreviews.{AUTHORIZATION}", SelfSubjectAccessReview, self.self_access),
            SERVICES[5]: (f"selfsubjectrulesreviews.{AUTHORIZATION}", SelfSubjectRulesReview, self.self_rules),
        }
        return [
            grpc.method_handlers_generic_handler(
                service,
                {
                    "Create": grpc.unary_unary_rpc_method_handler(
                        self._guard.unary(resource, "create", call),
                        request_deserializer=message.FromString,
                        response_serializer=message.SerializeToString,
                    )
                },
            )
            for service, (resource, message, call) in rows.items()
        ]

    async def token(self, user: User, request: TokenReview, context: Any) -> TokenReview:
        """TokenReviews/Create."""
        if not request.spec.token:
            raise errors.BadRequest("spec.token", "required")
        request.status.Clear()
        try:
            found, audiences = await self._judge(request.spec.token, tuple(request.spec.audiences))
        except errors.NotAuthenticated as error:
            request.status.error = str(error)
        else:
            request.status.authenticated = True
            request.status.audiences.extend(audiences)
            _describe(request.status.user, found)
        # The answer is for logs and eyes that need not see the token.
        request.spec.token = ""
        return request

    async def self_subject(self, user: User, request: SelfSubjectReview, context: Any) -> SelfSubjectReview:
        """SelfSubjectReviews/Create."""
        request.status.Clear()
        _describe(request.status.user_info, user)
        return request

    async def access(self, user: User, request: SubjectAccessReview, context: Any) -> SubjectAccessReview:
        """SubjectAccessReviews/Create."""
        self._answer(request, _subject(request.spec))
        return request

    async def local_access(
        self, user: User, request: LocalSubjectAccessReview, context: Any
    ) -> LocalSubjectAccessReview:
        """LocalSubjectAccessReviews/Create."""
        namespace = request.metadata.namespace
        if not namespace:
            raise errors.BadRequest("metadata.namespace", "required: a local review is about one namespace")
        if request.spec.HasField("non_resource_attributes"):
            raise errors.BadRequest("spec.nonResourceAttributes", "paths are in no namespace")
        if request.spec.resource_attributes.namespace != namespace:
            raise errors.BadRequest("spec.resourceAttributes.namespace", f"must be {namespace!r}, as the review's")
        self._answer(request, _subject(request.spec))
        return request

    async def self_access(self, user: User, request: SelfSubjectAccessReview, context: Any) -> SelfSubjectAccessReview:
        """SelfSubjectAccessReviews/Create."""
        self._answer(request, user)
        return request

    def _answer(self, request: Any, user: User) -> None:
        wanted = _attributes(request.spec)
        reason = self._authorizer.decide(user, wanted)
        request.status.Clear()
        request.status.allowed = reason is not None
        request.status.reason = reason or f"no rule allows it {wanted.where}"

    async def self_rules(self, user: User, request: SelfSubjectRulesReview, context: Any) -> SelfSubjectRulesReview:
        """SelfSubjectRulesReviews/Create."""
        if not request.spec.namespace:
            raise errors.BadRequest("spec.namespace", "required")
        request.status.Clear()
        for rule in self._authorizer.rules_for(user, request.spec.namespace):
            if rule.paths:
                request.status.non_resource_rules.add(verbs=sorted(rule.verbs), non_resource_urls=sorted(rule.paths))
            else:
                request.status.resource_rules.add(
                    verbs=sorted(rule.verbs),
                    api_groups=sorted(rule.groups),
                    resources=sorted(rule.resources),
                    resource_names=sorted(rule.names),
                )
        request.status.incomplete = user.node is not None
        return request


def _describe(info: Any, user: User) -> None:
    info.username, info.uid = user.name, user.uid
    info.groups.extend(user.groups)
    for name, values in user.extra:
        info.extra[name].items.extend(values)


def _subject(spec: Any) -> User:
    if not spec.user and not spec.groups:
        raise errors.BadRequest("spec.user", "a user or at least one group is required")
    return User(spec.user, tuple(spec.groups), spec.uid)


def _attributes(spec: Any) -> Attributes:
    about_objects = spec.HasField("resource_attributes")
    if about_objects == spec.HasField("non_resource_attributes"):
        raise errors.BadRequest("spec", "exactly one of resourceAttributes and nonResourceAttributes is required")
    if not about_objects:
        return Attributes(spec.non_resource_attributes.verb, path=spec.non_resource_attributes.path or "/")
    asked = spec.resource_attributes
    node = ""
    for each in asked.field_selector.requirements:
        if each.key == "spec.nodeName" and each.operator == "In" and len(each.values) == 1:
            node = each.values[0]
    return Attributes(asked.verb, asked.resource, asked.group, asked.subresource, asked.namespace, asked.name, node)
