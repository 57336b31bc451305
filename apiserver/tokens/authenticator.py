"""Whom a bearer token belongs to, whatever kind of token it is."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.authn import User
from apiserver.tokens.accounts import AccountTokens
from apiserver.tokens.bootstrap import FORM, BootstrapTokens


class TokenAuthenticator:
    """Tells kinds of tokens apart by their form."""

    def __init__(self, accounts: AccountTokens, bootstrap: BootstrapTokens) -> None:
        self._accounts = accounts
        self._bootstrap = bootstrap

    async def authenticate(self, token: str) -> User:
        """See `Tokens.authenticate`."""
        user, _ = await self.judge(token, ())
        return user

    async def judge(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]]:
        """Whose token it is, and which of some audiences (none: this apiserver's) it is for.

        Raises:
            NotAuthenticated: it is not good, or for others.
        """
        if FORM.fullmatch(token):
            # These know no audience: they are for the apiserver.
            return await self._bootstrap.judge(token), tuple(audiences) or self._accounts.audiences
        return await self._accounts.judge(token, audiences)
