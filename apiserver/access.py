"""Who is calling and whether they may: authentication, acting as somebody else, authorization. Knows no gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from apiserver import authn, errors
from apiserver.authn import AUTHENTICATED, User
from apiserver.authz.attributes import Attributes
from apiserver.authz.authorizer import Authorizer
from apiserver.authz.roles import SERVICE_ACCOUNT

Metadata = Sequence[tuple[str, str | bytes]]
IMPERSONATE = "impersonate-"
EXTRA = "impersonate-extra-"


class Tokens(Protocol):
    """Knows whom bearer tokens belong to."""

    async def authenticate(self, token: str) -> User:
        """Whose token it is.

        Raises:
            NotAuthenticated: nobody's.
        """
        ...


class NoTokens:
    """A server that issues no tokens."""

    async def authenticate(self, token: str) -> User:
        """See `Tokens.authenticate`."""
        raise errors.NotAuthenticated("the bearer token is not accepted: this server knows clients by certificate")


class Access:
    """The first steps of every call."""

    def __init__(self, authorizer: Authorizer, tokens: Tokens) -> None:
        self.authorizer = authorizer
        self.tokens = tokens

    async def authenticate(self, auth_context: Mapping[str, Sequence[bytes]], metadata: Metadata) -> User:
        """The caller of an rpc: by its certificate, or else by its token.

        Raises:
            NotAuthenticated: it did not prove who it is.
        """
        user = authn.of_certificate(auth_context)
        if user is not None:
            return user
        token = authn.bearer(dict(metadata))
        if token is None:
            raise errors.NotAuthenticated("a client certificate is required, or a bearer token")
        return await self.tokens.authenticate(token)

    def acting(self, user: User, metadata: Metadata) -> User:
        """Whom a caller acts as: itself, unless it says otherwise and may.

        Raises:
            NotAllowed: it may not act as that user, or in one of those groups.
            BadRequest: it names groups or a uid without a user.
        """
        given = [(key, _text(value)) for key, value in metadata if key.startswith(IMPERSONATE)]
        if not given:
            return user
        name = next((value for key, value in given if key == "impersonate-user"), "")
        if not name:
            raise errors.BadRequest("impersonate-user", "required when a group, a uid or anything else is given")
        groups = tuple(value for key, value in given if key == "impersonate-group")
        uid = next((value for key, value in given if key == "impersonate-uid"), "")
        extra: dict[str, list[str]] = {}
        for key, value in given:
            if key.startswith(EXTRA):
                extra.setdefault(key.removeprefix(EXTRA), []).append(value)
        for wanted in _wanted(name, groups, uid, extra):
            self.authorizer.authorize(user, wanted)
        if name.startswith(SERVICE_ACCOUNT) and not groups:
            groups = account_groups(name.removeprefix(SERVICE_ACCOUNT).partition(":")[0])
        if AUTHENTICATED not in groups:
            groups = (*groups, AUTHENTICATED)
        return User(name, groups, uid, tuple((key, tuple(values)) for key, values in sorted(extra.items())))


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of a service account."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED


def _wanted(name: str, groups: Sequence[str], uid: str, extra: Mapping[str, list[str]]) -> list[Attributes]:
    """What acting as somebody needs."""
    if name.startswith(SERVICE_ACCOUNT):
        namespace, _, account = name.removeprefix(SERVICE_ACCOUNT).partition(":")
        found = [Attributes("impersonate", "serviceaccounts", namespace=namespace, name=account)]
    else:
        found = [Attributes("impersonate", "users", name=name)]
    found += [Attributes("impersonate", "groups", name=group) for group in groups]
    if uid:
        found.append(Attributes("impersonate", "uids", "authentication.k8s.io", name=uid))
    for key, values in extra.items():
        found += [Attributes("impersonate", "userextras", "authentication.k8s.io", key, name=each) for each in values]
    return found


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
