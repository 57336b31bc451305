"""ConfigMaps and Secrets out of literals and files. Pure: files are read elsewhere."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, base

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


class Entries(dict[str, bytes]):
    """The entries of a ConfigMap or a Secret; each key is there once."""

    def put(self, key: str, value: bytes, source: str) -> None:
        """Adds an entry.

        Raises:
            CommandError: the key is none, or there already.
        """
        if not _KEY.fullmatch(key) or key in (".", ".."):
            raise CommandError(f"{source}: {key!r} is no key: letters, digits, '-', '_' and '.', at most 253", USAGE)
        if key in self:
            raise CommandError(f"{source}: the key {key!r} is there already", USAGE)
        self[key] = value


def literal(word: str) -> tuple[str, bytes]:
    """What `--from-literal KEY=VALUE` means.

    Raises:
        CommandError: it is not of that form.
    """
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise CommandError(f"--from-literal {word!r} is not KEY=VALUE", USAGE)
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return key, value.encode()


def named_file(word: str) -> tuple[str, str]:
    """The key (empty: the file's own name) and the path of `--from-file [KEY=]PATH`.

    Raises:
        CommandError: a part is missing.
    """
    key, equals, path = word.partition("=")
    if not equals:
        return "", word
    if not key or not path or "=" in path:
        raise CommandError(f"--from-file {word!r} is not [KEY=]PATH", USAGE)
    return key, path


def key_of_file(path: str) -> str:
    """The key that a file gives itself."""
    return PurePath(path).name


def variables(content: str, source: str, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The lines of an env file: `KEY=VALUE`, `KEY` alone (its value in the environment), blank ones and comments.

    Raises:
        CommandError: a line is none of these.
    """
    found: list[tuple[str, str]] = []
    for number, line in enumerate(content.removeprefix("\ufeff").splitlines(), start=1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not _VARIABLE.fullmatch(key):
            raise CommandError(f"{source}:{number}: {key!r} is not the name of a variable")
        if equals:
            found.append((key, value))
        elif key in environment:
            found.append((key, environment[key]))
    return found


def config_map(name: str, entries: Mapping[str, bytes]) -> Data:
    """A ConfigMap; what is not text becomes binary data."""
    made = base("v1", "ConfigMap", name)
    for key, value in sorted(entries.items()):
        try:
            made.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            made.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return made


def secret(name: str, entries: Mapping[str, bytes], type: str) -> Data:
    """A Secret."""
    made = base("v1", "Secret", name)
    made["type"] = type or "Opaque"
    if entries:
        made["data"] = {key: base64.b64encode(value).decode() for key, value in sorted(entries.items())}
    return made


def tls_secret(name: str, certificate: bytes, key: bytes) -> Data:
    """A Secret with a certificate and its key.

    Raises:
        CommandError: the two do not belong together, or are not PEM.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise CommandError("--cert holds no certificate in PEM") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise CommandError("--key holds no private key in PEM without a password") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != private.public_key().public_bytes(*form):
        raise CommandError("the key of --key is not that of the certificate of --cert")
    return secret(name, {"tls.crt": certificate, "tls.key": key}, "kubernetes.io/tls")


def registry_secret(name: str, server: str, user: str, password: str, email: str) -> Data:
    """A Secret with which images are pulled from a registry."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    entry = {"username": user, "password": password, **({"email": email} if email else {}), "auth": auth}
    config = json.dumps({"auths": {server: entry}}).encode()
    return secret(name, {".dockerconfigjson": config}, "kubernetes.io/dockerconfigjson")


def merged(groups: Sequence[tuple[str, Sequence[tuple[str, bytes]]]]) -> Entries:
    """The entries of several sources.

    Raises:
        CommandError: a key is there twice.
    """
    entries = Entries()
    for source, group in groups:
        for key, value in group:
            entries.put(key, value, source)
    return entries
