"""Who is calling: from a client certificate here, from a bearer token in `tokens/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from steersman.service.tls import Identity, identity_of_certificate

from apiserver import errors

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
MASTERS = "system:masters"


@dataclass(frozen=True)
class User:
    """A caller.

    Attributes:
        name: its name.
        groups: what it belongs to.
        uid: identity over time; empty where there is none.
        extra: what else is known of it: names with values.
    """

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def node(self) -> str | None:
        """The node that the caller is, if it is one."""
        if NODES in self.groups and self.name.startswith(NODE_PREFIX):
            return self.name.removeprefix(NODE_PREFIX)
        return None


@lru_cache(maxsize=4096)
def _of_certificate(pem: bytes) -> Identity:
    return identity_of_certificate(pem)


def of_certificate(auth_context: Mapping[str, Sequence[bytes]]) -> User | None:
    """The caller of an rpc, from its verified client certificate; None without one.

    Raises:
        NotAuthenticated: it names nobody.
    """
    pems = auth_context.get("x509_pem_cert")
    if not pems:
        return None
    identity = _of_certificate(bytes(pems[0]))
    if not identity.user:
        raise errors.NotAuthenticated("the client certificate names no user (it has no common name)")
    # Being a node is a matter of name and group together: restrictions go by the name.
    is_node = identity.user.startswith(NODE_PREFIX)
    groups = (group for group in identity.groups if group != NODES or is_node)
    return User(identity.user, (*groups, AUTHENTICATED))


def bearer(metadata: Mapping[str, str | bytes]) -> str | None:
    """The bearer token of a call; None without one.

    Raises:
        NotAuthenticated: the header is none that carries a token.
    """
    header = metadata.get("authorization")
    if header is None:
        return None
    text = header.decode(errors="replace") if isinstance(header, bytes) else header
    scheme, _, token = text.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.NotAuthenticated("the authorization header is not 'Bearer TOKEN'")
    return token.strip()
