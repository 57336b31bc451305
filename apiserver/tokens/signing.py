"""Signed tokens (JWT): writing and reading their claims. Time is passed in; whether what they name still exists is not
looked at here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver import errors

ALGORITHMS = ("ES256", "ES384", "RS256")
# Clocks differ a little: a token from a moment ahead is no forgery.
LEEWAY_S = 10.0
PREFIX = "system:serviceaccount:"
PRIVATE = "kubernetes.io"

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyFileError(Exception):
    """A file does not hold a key that tokens can be signed or checked with."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use the key file {path}: {reason}")
        self.path = path


@dataclass(frozen=True)
class Named:
    """An object that a token is bound to."""

    name: str
    uid: str


@dataclass(frozen=True)
class Claims:
    """What a token says.

    Attributes:
        namespace: of the service account.
        account: the service account.
        audiences: who may accept the token.
        issued_s: when it was made, seconds since 1970.
        expires_s: when it ends.
        token_id: its own name, for logs.
        bound: objects by kind ("pod", "node", "secret") without which it is worth nothing.
    """

    namespace: str
    account: Named
    audiences: tuple[str, ...]
    issued_s: int
    expires_s: int
    token_id: str
    bound: Mapping[str, Named] = field(default_factory=dict)


def key_id(key: PublicKey) -> str:
    """The name of a key in the header of tokens: a digest of the key itself."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:32]


def _algorithm(key: PublicKey | PrivateKey) -> str:
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return "RS256"
    return {"secp256r1": "ES256", "secp384r1": "ES384"}[key.curve.name]


def read_private(path: Path) -> PrivateKey:
    """A private key of a PEM file.

    Raises:
        KeyFileError: there is none that tokens can be signed with.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyFileError(path, str(error)) from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) or not _usable(key):
        raise KeyFileError(path, "neither RSA nor ECDSA on P-256 or P-384")
    return key


def read_public(path: Path) -> PublicKey:
    """A public key of a PEM file that holds it, or the private key to it.

    Raises:
        KeyFileError: there is none that tokens can be checked with.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyFileError(path, str(error)) from error
    except ValueError:
        return read_private(path).public_key()
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)) or not _usable(key):
        raise KeyFileError(path, "neither RSA nor ECDSA on P-256 or P-384")
    return key


def _usable(key: PublicKey | PrivateKey) -> bool:
    return not isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)) or key.curve.name in (
        "secp256r1",
        "secp384r1",
    )


class Signer:
    """Writes tokens."""

    def __init__(self, key: PrivateKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        self._id = key_id(key.public_key())

    def sign(self, claims: Claims) -> str:
        """The token that says so."""
        private: dict[str, Any] = {
            "namespace": claims.namespace,
            "serviceaccount": {"name": claims.account.name, "uid": claims.account.uid},
        }
        for kind, named in claims.bound.items():
            private[kind] = {"name": named.name, "uid": named.uid}
        content = {
            "iss": self._issuer,
            "sub": f"{PREFIX}{claims.namespace}:{claims.account.name}",
            "aud": list(claims.audiences),
            "iat": claims.issued_s,
            "nbf": claims.issued_s,
            "exp": claims.expires_s,
            "jti": claims.token_id,
            PRIVATE: private,
        }
        return jwt.encode(content, self._key, algorithm=_algorithm(self._key), headers={"kid": self._id})


class Verifier:
    """Reads tokens; those signed by any of its keys, for its issuer."""

    def __init__(self, keys: Sequence[PublicKey], issuers: Sequence[str]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._issuers = frozenset(issuers)

    def verify(self, token: str) -> Claims:
        """What a token says, once its signature is found right; when it ends is for the caller to look at.

        Raises:
            NotAuthenticated: it is no token, or was signed by nobody that is known here.
        """
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid", "")))
            if key is None:
                raise errors.NotAuthenticated("the token is signed with a key that is not known here")
            if header.get("alg") != _algorithm(key):
                raise errors.NotAuthenticated("the token's signature is of another kind than its key")
            content = jwt.decode(
                token,
                key,
                algorithms=[_algorithm(key)],
                options={
                    "require": ["exp", "iss", "sub", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                },
            )
        except jwt.PyJWTError as error:
            raise errors.NotAuthenticated(f"the token is not accepted: {error}") from error
        if content["iss"] not in self._issuers:
            raise errors.NotAuthenticated("the token is of another issuer")
        try:
            return _claims(content)
        except (KeyError, TypeError, ValueError) as error:
            raise errors.NotAuthenticated("the token does not say what a service account's token says") from error


def _claims(content: Mapping[str, Any]) -> Claims:
    private = content[PRIVATE]
    account = Named(str(private["serviceaccount"]["name"]), str(private["serviceaccount"]["uid"]))
    namespace = str(private["namespace"])
    if content["sub"] != f"{PREFIX}{namespace}:{account.name}":
        raise ValueError("subject and account differ")
    audiences = content["aud"]
    bound = {
        kind: Named(str(private[kind]["name"]), str(private[kind]["uid"]))
        for kind in ("pod", "node", "secret")
        if kind in private
    }
    return Claims(
        namespace,
        account,
        tuple(map(str, audiences if isinstance(audiences, list) else [audiences])),
        int(content.get("nbf", content.get("iat", 0))),
        int(content["exp"]),
        str(content.get("jti", "")),
        bound,
    )
