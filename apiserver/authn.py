"""Who is calling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from steersman.service.tls import Identity, identity_of_certificate

from apiserver import errors

AUTHENTICATED = "system:authenticated"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
MASTERS = "system:masters"


@dataclass(frozen=True)
class User:
    """A caller: a name and the groups it belongs to."""

    name: str
    groups: tuple[str, ...]

    @property
    def node(self) -> str | None:
        """The node that the caller is, if it is one."""
        if NODES in self.groups and self.name.startswith(NODE_PREFIX):
            return self.name.removeprefix(NODE_PREFIX)
        return None


@lru_cache(maxsize=4096)
def _of_certificate(pem: bytes) -> Identity:
    return identity_of_certificate(pem)


def authenticate(auth_context: Mapping[str, Sequence[bytes]], metadata: Mapping[str, str | bytes]) -> User:
    """The caller of an rpc, from its verified client certificate.

    Raises:
        NotAuthenticated: there is no certificate, or it names nobody; bearer tokens are not accepted.
    """
    pems = auth_context.get("x509_pem_cert")
    if pems:
        identity = _of_certificate(bytes(pems[0]))
        if not identity.user:
            raise errors.NotAuthenticated("the client certificate names no user (it has no common name)")
        # Being a node is a matter of name and group together: restrictions go by the name.
        is_node = identity.user.startswith(NODE_PREFIX)
        groups = (group for group in identity.groups if group != NODES or is_node)
        return User(identity.user, (*groups, AUTHENTICATED))
    if "authorization" in metadata:
        raise errors.NotAuthenticated("the bearer token is not accepted: this server knows clients by certificate")
    raise errors.NotAuthenticated("a client certificate is required")
