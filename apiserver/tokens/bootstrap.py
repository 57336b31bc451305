"""Tokens that new machines join with: Secrets of a type of their own in kube-system, looked up at each use."""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import Any

from steersman.clock import Clock

from apiserver import errors
from apiserver.authn import AUTHENTICATED, User
from apiserver.registry import Registry

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
SECRET_PREFIX = "bootstrap-token-"
USER_PREFIX = "system:bootstrap:"
GROUP = "system:bootstrappers"
FORM = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def expires(secret: Any) -> datetime | None:
    """When a bootstrap token ends; None: never.

    Raises:
        ValueError: the Secret does not say it in a form that can be read.
    """
    text = secret.data.get("expiration", b"").decode()
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment


class BootstrapTokens:
    """Judges tokens of the form id.secret."""

    def __init__(self, secrets: Registry, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    async def judge(self, token: str) -> User:
        """Whose token it is.

        Raises:
            NotAuthenticated: nobody's.
        """
        match = FORM.fullmatch(token)
        refused = errors.NotAuthenticated("the bootstrap token is not valid")
        if match is None:
            raise refused
        identity, password = match.groups()
        try:
            secret, _ = await self._secrets.get_object(NAMESPACE, f"{SECRET_PREFIX}{identity}")
        except errors.ObjectNotFound as error:
            raise refused from error
        right = hmac.compare_digest(secret.data.get("token-secret", b""), password.encode())
        if not right or secret.type != TYPE or secret.data.get("token-id", b"") != identity.encode():
            raise refused
        if secret.metadata.HasField("deletion_timestamp"):
            raise refused
        if secret.data.get("usage-bootstrap-authentication", b"") != b"true":
            raise refused
        try:
            end = expires(secret)
        except ValueError as error:
            raise refused from error
        if end is not None and end <= self._clock.now():
            raise errors.NotAuthenticated("the bootstrap token has expired")
        extra = secret.data.get("auth-extra-groups", b"").decode(errors="replace")
        groups = [group.strip() for group in extra.split(",") if group.strip()]
        if not all(map(_EXTRA_GROUP.fullmatch, groups)):
            raise refused
        return User(f"{USER_PREFIX}{identity}", (GROUP, *groups, AUTHENTICATED))
