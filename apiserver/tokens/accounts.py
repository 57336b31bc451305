"""Tokens of service accounts: issued for those who may, and good for as long as what they are bound to exists."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steersman.clock import Clock

from apiserver import errors
from apiserver.access import account_groups
from apiserver.authn import User
from apiserver.registry import Registry
from apiserver.tokens.signing import LEEWAY_S, PREFIX, Claims, Named, Signer, Verifier

VERIFIED_MAX = 8192
SECONDS_DEFAULT, SECONDS_MIN, SECONDS_MAX = 3600, 600, 2**32
EXTRA = "authentication.kubernetes.io/"
_SERVICES = {
    "pod": "steersman.core.v1.Pods",
    "node": "steersman.core.v1.Nodes",
    "secret": "steersman.core.v1.Secrets",
}
ACCOUNTS = "steersman.core.v1.ServiceAccounts"


class AccountTokens:
    """Issues and judges tokens."""

    def __init__(
        self,
        registries: Mapping[str, Registry],
        signer: Signer | None,
        verifier: Verifier,
        audiences: Sequence[str],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """Makes it; nothing runs.

        Args:
            registries: of all kinds, by service.
            signer: writes tokens; None: none are issued here.
            verifier: reads tokens.
            audiences: who this apiserver is, to tokens.
            clock: where time comes from.
            new_id: names for new tokens.
        """
        self._registries = registries
        self._signer = signer
        self._verifier = verifier
        self.audiences = tuple(audiences)
        self._clock = clock
        self._new_id = new_id
        # A signature is checked once; whether the token still holds, every time.
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    @property
    def issues(self) -> bool:
        """Whether tokens are issued here."""
        return self._signer is not None

    # --- issuing ----------------------------------------------------------------------------------------------------

    def issue(
        self, namespace: str, account: Named, audiences: Sequence[str], seconds: int, bound: Mapping[str, Named]
    ) -> tuple[str, int]:
        """A new token, and when it ends (seconds since 1970).

        Raises:
            NotPossible: this server signs no tokens.
        """
        if self._signer is None:
            raise errors.NotPossible("this apiserver signs no tokens: it was given no key to sign them with")
        now = int(self._clock.now().timestamp())
        expires = now + seconds
        chosen = tuple(audiences) or self.audiences
        claims = Claims(namespace, account, chosen, now, expires, self._new_id(), bound)
        return self._signer.sign(claims), expires

    # --- judging ----------------------------------------------------------------------------------------------------

    async def judge(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]]:
        """Whose token it is, and which of some audiences (none: this apiserver's) it names.

        Raises:
            NotAuthenticated: it is not good, or for others.
        """
        claims = self._read(token)
        now = self._clock.now().timestamp()
        if claims.expires_s <= now:
            raise errors.NotAuthenticated("the token has expired")
        if claims.issued_s > now + LEEWAY_S:
            raise errors.NotAuthenticated("the token is not valid yet")
        wanted = tuple(audiences) or self.audiences
        shared = tuple(audience for audience in wanted if audience in claims.audiences)
        if not shared:
            raise errors.NotAuthenticated("the token is meant for another audience")
        await self._check(ACCOUNTS, "service account", claims.namespace, claims.account)
        for kind, named in claims.bound.items():
            if kind == "node" and "pod" in claims.bound:
                # Noted for the record only: the pod is what counts.
                continue
            await self._check(_SERVICES[kind], kind, "" if kind == "node" else claims.namespace, named)
        return _user(claims), shared

    def _read(self, token: str) -> Claims:
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None:
            self._verified.move_to_end(digest)
            return known
        claims = self._verifier.verify(token)
        self._verified[digest] = claims
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return claims

    async def _check(self, service: str, what: str, namespace: str, named: Named) -> None:
        """Makes sure that an object is still there, and the same."""
        registry = self._registries[service]
        entry = registry.cache.get(registry.key(namespace, named.name))
        uid = _uid(entry.facts) if entry is not None else ""
        if uid != named.uid:
            # The cache may be behind, or keep no uid of this kind.
            try:
                obj, _ = await registry.get_object(namespace, named.name)
            except (errors.ObjectNotFound, errors.BadRequest) as error:
                raise errors.NotAuthenticated(f"the token's {what} {named.name!r} is gone") from error
            uid = obj.metadata.uid
        if uid != named.uid:
            raise errors.NotAuthenticated(f"the token is of an earlier {what} {named.name!r}")


def _uid(facts: Any) -> str:
    return facts if isinstance(facts, str) else str(getattr(facts, "uid", ""))


def _user(claims: Claims) -> User:
    extra: list[tuple[str, tuple[str, ...]]] = []
    if claims.token_id:
        extra.append((f"{EXTRA}credential-id", (f"JTI={claims.token_id}",)))
    for kind in ("node", "pod"):
        if kind in claims.bound:
            extra.append((f"{EXTRA}{kind}-name", (claims.bound[kind].name,)))
            extra.append((f"{EXTRA}{kind}-uid", (claims.bound[kind].uid,)))
    name = f"{PREFIX}{claims.namespace}:{claims.account.name}"
    return User(name, account_groups(claims.namespace), claims.account.uid, tuple(extra))
